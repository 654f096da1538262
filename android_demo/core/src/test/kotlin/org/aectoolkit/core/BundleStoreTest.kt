package org.aectoolkit.core

import org.junit.jupiter.api.io.TempDir
import java.io.ByteArrayInputStream
import java.io.ByteArrayOutputStream
import java.io.File
import java.io.IOException
import java.io.InputStream
import java.util.zip.ZipEntry
import java.util.zip.ZipOutputStream
import kotlin.test.Test
import kotlin.test.assertContains
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertFalse
import kotlin.test.assertNull
import kotlin.test.assertTrue

class BundleStoreTest {
    @TempDir lateinit var folder: File

    private val root by lazy { File(folder, "bundles") }
    private val store by lazy { BundleStore(root) }
    private val whole = Fixtures.bundleFiles()

    @Test
    fun `an empty store has no bundle, and one that was installed is there for the next process`() {
        assertNull(store.current())
        val installed = store.install(zip(whole))
        assertEquals(installed.folder, BundleStore(root).current()?.folder)
        assertEquals(whole.keys, installed.folder.list()!!.toSet())
    }

    @Test
    fun `a bundle that fails its trial is not installed, and the one in use stays`() {
        val used = store.install(zip(whole)).folder
        val wary = BundleStore(root) { throw Refused("its model cannot be run here") }
        assertEquals("its model cannot be run here", assertFailsWith<Refused> { wary.install(zip(whole)) }.message)
        assertEquals(used, wary.current()?.folder)
        assertEquals(setOf("current", used.name), root.list()!!.toSet())
    }

    @Test
    fun `loose files make the same bundle`() {
        val bundle = store.install(whole.mapValues { (_, bytes) -> { bytes.inputStream() } })
        assertEquals(Bundle.open(Fixtures.bundle).manifest, bundle.manifest)
    }

    @Test
    fun `a new bundle takes the old one's place, and nothing else stays`() {
        val old = store.install(zip(whole)).folder
        val new = store.install(zip(whole + ("certificate.json" to byteArrayOf(1)))).folder
        assertFalse(old.exists())
        assertEquals(setOf("current", new.name), root.list()!!.toSet())
        assertFalse(File(new, "certificate.json").exists(), "files that the manifest does not name are left out")
    }

    @Test
    fun `a name that leads out of the folder is refused, and nothing is written there`() {
        for (name in listOf(
            "../evil",
            "a/../../evil",
            "/tmp/evil",
            "..",
            "a\\..\\evil",
            ".hidden",
            "sub/manifest.json",
            "",
        )) {
            assertContains(refusal(zip(whole + (name to byteArrayOf(1)))), "no plain name")
        }
        assertContains(refusal(zip(mapOf("folder/" to ByteArray(0)))), "folder")
        assertEquals(listOf("bundles"), folder.list()!!.toList())
        assertNull(store.current())
    }

    @Test
    fun `a zip bomb is refused when it has unpacked to too much, and leaves nothing`() {
        val bomb = zip(mapOf("stream.int8.tflite" to ByteArray(300 shl 20)))
        assertContains(refusal(bomb), "unpacks to more than 256 MB")
        assertEquals(emptyList(), root.list()!!.toList())
        assertContains(refusal(zip((0..64).associate { "file$it" to ByteArray(0) })), "more than 64 files")
    }

    @Test
    fun `a stream that breaks off leaves the bundle in use`() {
        val used = store.install(zip(whole)).folder
        val bytes = zip(whole).readAllBytes()
        val broken =
            object : InputStream() {
                private val first = ByteArrayInputStream(bytes, 0, bytes.size / 2)

                override fun read(): Int = first.read().also { if (it < 0) throw IOException("the cable was pulled") }
            }
        assertContains(refusal(broken), "the cable was pulled")
        assertEquals(used, store.current()?.folder)
    }

    @Test
    fun `whatever a stream throws, nothing half-installed stays`() {
        val used = store.install(zip(whole)).folder
        assertFailsWith<SecurityException> { store.install(mapOf("a" to { throw SecurityException("not yours") })) }
        assertEquals(setOf("current", used.name), root.list()!!.toSet())
    }

    @Test
    fun `what a killed installation left is swept by the next, and never used`() {
        val used = store.install(zip(whole)).folder
        File(root, "bundle-left").mkdir()
        File(root, "current.part").writeText("bundle-left")
        assertEquals(used, store.current()?.folder)
        val next = store.install(zip(whole)).folder
        assertEquals(setOf("current", next.name), root.list()!!.toSet())
    }

    @Test
    fun `a bundle that was damaged since is refused, and another can be installed over it`() {
        val used = store.install(zip(whole)).folder
        File(used, "labels.txt").appendText("x")
        assertFailsWith<Refused> { store.current() }
        store.install(zip(whole))
        File(root, "current").writeText("../elsewhere")
        assertFailsWith<Refused> { store.current() }
        store.install(zip(whole))
        assertEquals(
            "pixel7",
            store
                .current()
                ?.manifest
                ?.pick
                ?.device,
        )
    }

    @Test
    fun `a place where nothing can be written is told in a line`() {
        val file = File(folder, "file").apply { writeText("") }
        val refused = assertFailsWith<Refused> { BundleStore(File(file, "bundles")).install(zip(whole)) }
        assertTrue('\n' !in refused.message!!)
    }

    private fun refusal(zip: InputStream): String = assertFailsWith<Refused> { store.install(zip) }.message!!

    private fun zip(files: Map<String, ByteArray>): InputStream {
        val out = ByteArrayOutputStream()
        ZipOutputStream(out).use { zip ->
            for ((name, bytes) in files) {
                zip.putNextEntry(ZipEntry(name))
                zip.write(bytes)
            }
        }
        return out.toByteArray().inputStream()
    }
}
