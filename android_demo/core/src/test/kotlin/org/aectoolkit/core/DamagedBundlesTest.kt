package org.aectoolkit.core

import org.junit.jupiter.api.io.TempDir
import java.io.ByteArrayOutputStream
import java.io.File
import java.util.zip.ZipEntry
import java.util.zip.ZipOutputStream
import kotlin.random.Random
import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertFalse
import kotlin.test.assertTrue

class DamagedBundlesTest {
    @TempDir lateinit var folder: File

    private val whole = Fixtures.smallBundleFiles()
    private val random = Random(8)

    @Test
    fun `five hundred damaged bundles are refused in one line, and the one in use stays`() {
        val store = BundleStore(folder)
        val before = store.install(zip(whole).inputStream()).folder
        val kinds = listOf(::flipped, ::cut, ::missing, ::renamed, ::edited, ::foreign, ::brokenZip)
        var refused = 0
        for (number in 0 until 500) {
            val kind = kinds[number % kinds.size]
            val fault = runCatching { store.install(kind().inputStream()) }.exceptionOrNull()
            assertTrue(fault is Refused, "${kind.name} $number: $fault")
            assertFalse('\n' in fault.message!! || fault.message!!.isBlank(), fault.message)
            refused++
        }
        assertEquals(500, refused)
        assertEquals(before, store.current()?.folder)
        assertEquals(setOf("current", before.name), folder.list()!!.toSet(), "nothing half-installed is left")
    }

    @Test
    fun `a bit flipped anywhere in the manifest makes another manifest or a refusal, never a crash`() {
        val manifest = whole.getValue("manifest.json")
        val copy = Fixtures.copyOfBundle(File(folder, "copy"))
        var refused = 0
        repeat(300) {
            File(copy, "manifest.json").writeBytes(flip(manifest))
            val fault = runCatching { Bundle.open(copy) }.exceptionOrNull()
            assertTrue(fault == null || fault is Refused, "$fault")
            if (fault != null) refused++
        }
        assertTrue(refused > 200, "only $refused of 300 were refused")
    }

    /** A file that a hash covers, with a bit flipped. */
    private fun flipped(): ByteArray {
        val name = (whole.keys - "manifest.json").random(random)
        return zip(whole + (name to flip(whole.getValue(name))))
    }

    private fun cut(): ByteArray {
        val name = whole.keys.random(random)
        val bytes = whole.getValue(name)
        // A manifest without its last line feed is whole.
        return zip(whole + (name to bytes.copyOf(random.nextInt(bytes.size - 1))))
    }

    private fun missing(): ByteArray = zip(whole - whole.keys.random(random))

    private fun renamed(): ByteArray {
        val name = whole.keys.random(random)
        return zip(whole - name + ("x$name" to whole.getValue(name)))
    }

    /** A manifest that says something else of what is there. */
    private fun edited(): ByteArray {
        val text = whole.getValue("manifest.json").decodeToString()
        val changes =
            listOf<(String) -> String>(
                { it.replace("\"schema_version\": 1", "\"schema_version\": ${random.nextInt(2, 99)}") },
                { it.replace(Regex("\"size_bytes\": \\d"), "\"size_bytes\": 9") },
                { it.replace(Regex("\"sha256\": \"...."), "\"sha256\": \"ffff") },
                { it.replace("\"Bark\"", "\"Bork\"") },
                { it.replaceFirst("\"label\": \"Bark\"", "\"label\": \"Bork\"") },
                { it.replace("\"mel_bins\": 64", "\"mel_bins\": ${random.nextInt(65, 99)}") },
                { it.replace(Regex("\"front_end_fingerprint\": \".."), "\"front_end_fingerprint\": \"zz") },
                { it.replace("\"hop_samples\": 30720", "\"hop_samples\": ${random.nextInt(-9, 30720)}") },
                { it.replace("\"window_samples\": 320000", "\"window_samples\": 3") },
                { it.replaceFirst(Regex("\"threshold\": 0\\."), "\"threshold\": 7.") },
                { it.replaceFirst("\"smoothing_decisions\": ", "\"smoothing_decisions\": -") },
                { it.replace("\"stream.int8.tflite\"", "\"../stream.int8.tflite\"") },
                { it.replace("\"runtime\": \"tflite\"", "\"runtime\": \"tfsmall\"") },
                { it.replace("\"labels\": [", "\"labels\": [ null,") },
                { it.replace("\"subnet\"", "\"subnets\"") },
            )
        val changed = changes.random(random)(text)
        check(changed != text)
        return zip(whole + ("manifest.json" to changed.encodeToByteArray()))
    }

    /** A zip of anything else. */
    private fun foreign(): ByteArray =
        zip(
            List(random.nextInt(1, 5)) { "file$it.${listOf("txt", "json", "tflite").random(random)}" }
                .associateWith { random.nextBytes(random.nextInt(2_000)) },
        )

    /** Cut or overwritten within the model files' own bytes, or no zip at all. */
    private fun brokenZip(): ByteArray {
        val bytes = zip(whole)
        return when (random.nextInt(3)) {
            0 -> bytes.copyOf(random.nextInt(bytes.size * 9 / 10))
            1 -> bytes.also { for (at in 0 until it.size * 9 / 10 step 7_777) it[at + random.nextInt(99)] = 0x55 }
            else -> random.nextBytes(random.nextInt(50_000))
        }
    }

    private fun flip(bytes: ByteArray): ByteArray {
        val at = random.nextInt(bytes.size)
        return bytes.copyOf().also { it[at] = (it[at].toInt() xor (1 shl random.nextInt(8))).toByte() }
    }

    private fun zip(files: Map<String, ByteArray>): ByteArray {
        val out = ByteArrayOutputStream()
        ZipOutputStream(out).use { zip ->
            zip.setLevel(0)
            for ((name, bytes) in files) {
                zip.putNextEntry(ZipEntry(name))
                zip.write(bytes)
            }
        }
        return out.toByteArray()
    }
}
