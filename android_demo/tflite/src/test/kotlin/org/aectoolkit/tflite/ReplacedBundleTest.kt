package org.aectoolkit.tflite

import org.aectoolkit.core.Bundle
import org.aectoolkit.core.BundleStore
import org.aectoolkit.core.Ear
import org.aectoolkit.core.Refused
import org.junit.jupiter.api.io.TempDir
import java.io.File
import kotlin.test.Test
import kotlin.test.assertContains
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertFalse

class ReplacedBundleTest {
    @TempDir lateinit var folder: File

    private val files by lazy {
        Reference.bundle.folder
            .listFiles()!!
            .associate { it.name to { it.inputStream() as java.io.InputStream } }
    }

    @Test
    fun `an ear hears on while its bundle is replaced`() {
        val store = store()
        val old = store.install(files)
        val samples = FloatArray(old.manifest.hopSamples) { it % 11 / 11f }
        val undisturbed = Ear(old, TfliteRunners()).use { ear -> List(3) { scores(ear, samples) } }
        Ear(old, TfliteRunners()).use { ear ->
            val before = scores(ear, samples)
            store.install(files)
            assertFalse(old.folder.exists())
            assertEquals(undisturbed, listOf(before, scores(ear, samples), scores(ear, samples)))
        }
        assertEquals(3, Ear(store.current()!!, TfliteRunners()).use { ear -> List(3) { scores(ear, samples) } }.size)
    }

    @Test
    fun `a model with other input names than its manifest is refused, and the bundle in use stays`() {
        val store = store()
        val used = store.install(files).folder
        val manifest = File(used, Bundle.MANIFEST).readText().replace("\"border3\"", "\"border33\"")
        val strange = files + (Bundle.MANIFEST to { manifest.byteInputStream() })
        assertContains(assertFailsWith<Refused> { store.install(strange) }.message!!, "other inputs")
        assertEquals(used, store.current()?.folder)
    }

    private fun store() = BundleStore(File(folder, "bundles")) { Ear.tryOut(it, TfliteRunners()) }

    private fun scores(
        ear: Ear,
        samples: FloatArray,
    ): List<Float> =
        ear
            .hear(samples, samples.size)
            .single()
            .scores
            .toList()
}
