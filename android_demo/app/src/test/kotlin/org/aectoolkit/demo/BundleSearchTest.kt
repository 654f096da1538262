package org.aectoolkit.demo

import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir
import java.io.File
import kotlin.test.assertEquals
import kotlin.test.assertNotNull
import kotlin.test.assertNull

/** Which bundle is taken where there is a choice, and what is left of those that are not. */
class BundleSearchTest {
    @TempDir
    lateinit var folder: File
    private val parts by lazy { FakeParts(folder) { it.run() } }
    private val search by lazy { BundleSearch(parts) }

    @Test
    fun `a pushed bundle is not replaced by the one inside the app`() {
        parts.inApp = TinyBundle.streams()
        parts.push(TinyBundle.zip(TinyBundle.manifest("pushed")))
        assertEquals("pushed", search.look(null, known = false).name)
        assertNull(search.look(null, known = true).bundle)
        assertEquals("pushed", search.look(null, known = false).name, "at the next start")
    }

    @Test
    fun `neither is a chosen one`() {
        parts.inApp = TinyBundle.streams()
        search.look({ TinyBundle.zip(TinyBundle.manifest("chosen")).inputStream() }, known = false)
        assertNull(search.look(null, known = true).bundle)
    }

    @Test
    fun `an update's bundle replaces a pushed one`() {
        parts.push(TinyBundle.zip(TinyBundle.manifest("pushed")))
        search.look(null, known = false)
        parts.inApp = TinyBundle.streams(TinyBundle.manifest("update"))
        assertEquals("update", search.look(null, known = true).name)
    }

    @Test
    fun `a pushed bundle that is refused leaves the one inside the app to be taken`() {
        parts.inApp = TinyBundle.streams()
        parts.push(TinyBundle.damagedZip())
        val found = search.look(null, known = false)
        assertEquals("tiny", found.name)
        assertNotNull(found.line)
    }

    @Test
    fun `a pushed bundle that ends the app is not tried again`() {
        pushDeadly()
        val found = search.look(null, known = false)
        assertEquals("The pushed bundle ended the app; it is not used.", found.line)
        assertNull(found.bundle)
        assertEquals(emptyList(), zips())
        assertNull(search.look(null, known = false).line, "it is said once")
    }

    @Test
    fun `another pushed after it is`() {
        pushDeadly()
        parts.push(TinyBundle.zip(TinyBundle.manifest("other")))
        val found = search.look(null, known = false)
        assertEquals("other", found.name)
        assertNull(found.line)
        assertEquals(emptyList(), zips())
    }

    @Test
    fun `a damaged bundle gives way to the one inside the app even if that was taken before`() {
        parts.inApp = TinyBundle.streams()
        val used = assertNotNull(search.look(null, known = false).bundle)
        File(used.folder, "labels.txt").writeText("damaged")
        val found = search.look(null, known = false)
        assertEquals("tiny", found.name)
        assertNotNull(found.line)
        assertNull(search.look(null, known = false).line)
    }

    @Test
    fun `a bundle that is gone is taken from inside the app again`() {
        parts.inApp = TinyBundle.streams()
        search.look(null, known = false)
        File(folder, "bundles").deleteRecursively()
        assertEquals("tiny", search.look(null, known = false).name)
    }

    /** A process that ends at the trial of a pushed bundle does nothing after it. */
    private fun pushDeadly() {
        parts.push(TinyBundle.zip(TinyBundle.manifest("deadly")))
        var left = emptyMap<File, ByteArray>()
        parts.tiny.onRun = { left = zips().associateWith { it.readBytes() } }
        search.look(null, known = false)
        folder.listFiles().orEmpty().forEach { it.deleteRecursively() }
        left.forEach { (zip, bytes) -> zip.writeBytes(bytes) }
        parts.tiny.onRun = {}
    }

    private fun zips() = folder.listFiles().orEmpty().filter { ".zip" in it.name }

    private val BundleSearch.Found.name get() = bundle?.manifest?.name
}
