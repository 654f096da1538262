package org.aectoolkit.core

import org.junit.jupiter.api.io.TempDir
import java.io.File
import kotlin.test.BeforeTest
import kotlin.test.Test
import kotlin.test.assertContains
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith

class BundleTest {
    @TempDir lateinit var folder: File

    @BeforeTest
    fun copy() {
        Fixtures.copyOfBundle(folder)
    }

    @Test
    fun `what export wrote opens, and int8 listens unless another is asked for`() {
        val bundle = Bundle.open(folder)
        assertEquals(Precision.INT8, bundle.streamFile().precision)
        assertEquals(Precision.FP32, bundle.streamFile(precision = Precision.FP32).precision)
        val refused = assertFailsWith<Refused> { bundle.streamFile(precision = Precision.FP16) }
        assertContains(refused.message!!, "stream int8 tflite")
        assertFailsWith<Refused> { bundle.streamFile(runtime = Runtime.EXECUTORCH) }
    }

    @Test
    fun `the precision that the device's table chose listens before int8`() {
        editManifest { it.replaceFirst("\"precision\": \"int8\"", "\"precision\": \"fp32\"") }
        val bundle = Bundle.open(folder)
        assertEquals(Precision.FP32, bundle.manifest.pick?.precision)
        assertEquals(Precision.FP32, bundle.streamFile().precision)
    }

    @Test
    fun `a folder without a bundle says so`() {
        assertContains(refusal(File(folder, "nothing")), "no bundle")
    }

    @Test
    fun `a flipped bit of any file is told by name`() {
        for (name in listOf("stream.int8.tflite", "stream.fp32.tflite", "labels.txt", "golden.safetensors")) {
            val file = File(folder, name)
            val before = file.readBytes()
            val after = before.copyOf().also { it[it.size / 2] = (it[it.size / 2].toInt() xor 1).toByte() }
            file.writeBytes(after)
            assertContains(refusal(), "$name is damaged")
            file.writeBytes(before)
        }
    }

    @Test
    fun `a file that is cut or gone is told by name`() {
        val file = File(folder, "stream.int8.tflite")
        file.writeBytes(file.readBytes().copyOf(1000))
        assertContains(refusal(), "stream.int8.tflite has 1000 of")
        file.delete()
        assertContains(refusal(), "stream.int8.tflite is missing")
    }

    @Test
    fun `a label file of another length is refused, though its hash is the manifest's`() {
        val labels = File(folder, "labels.txt")
        val before = sha256(labels)
        labels.appendText("One more\n")
        editManifest { it.replace(before, sha256(labels)) }
        assertContains(refusal(), "${labels.readLines().size} labels")
    }

    @Test
    fun `a model that takes another hop than the manifest's is refused`() {
        editManifest { it.replace("\"hop_samples\": 30720", "\"hop_samples\": 15360") }
        assertContains(refusal(), "expected 15360 samples")
    }

    @Test
    fun `a model that does not give back its state is refused`() {
        editManifest { it.replaceFirst(Regex("(\"name\": \"next_window\",\\s+\"shape\": \\[\\s+1,\\s+)125"), "$1124") }
        assertContains(refusal(), "does not give back the state")
    }

    @Test
    fun `a picture of other mel bins than the front end's is refused`() {
        editManifest { it.replaceFirst(Regex("(\"name\": \"log_mel\",\\s+\"shape\": \\[\\s+1,\\s+96,\\s+)64"), "$132") }
        assertContains(refusal(), "not 96 frames of 64 mel bins")
    }

    private fun editManifest(change: (String) -> String) {
        val manifest = File(folder, "manifest.json")
        val before = manifest.readText()
        val after = change(before)
        check(after != before)
        manifest.writeText(after)
    }

    private fun refusal(at: File = folder): String = assertFailsWith<Refused> { Bundle.open(at) }.message!!

    private fun sha256(file: File): String =
        hex(
            java.security.MessageDigest
                .getInstance("SHA-256")
                .digest(file.readBytes()),
        )
}
