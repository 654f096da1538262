package org.aectoolkit.tflite

import org.aectoolkit.core.BundleFile
import org.aectoolkit.core.Ear
import org.aectoolkit.core.Precision
import org.aectoolkit.core.Refused
import org.aectoolkit.core.TensorSpec
import org.junit.jupiter.api.io.TempDir
import java.io.File
import kotlin.random.Random
import kotlin.test.Test
import kotlin.test.assertContains
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertTrue

class TfliteRunnersTest {
    @TempDir lateinit var folder: File

    private val bundle = Reference.bundle
    private val file = bundle.streamFile()

    @Test
    fun `golden samples give PyTorch's scores in fp32, and stay within verify's guard in int8`() {
        val (type, shape, samples) = Reference.golden("samples")
        assertEquals("I16", type)
        val signal = FloatArray(shape.single()) { samples.getShort(2 * it) / 32_767f }
        val (_, scoreShape, scores) = Reference.golden("stream")
        for ((precision, allowed) in listOf(Precision.FP32 to 1e-4f, Precision.INT8 to 0.25f)) {
            val moments = Ear(bundle, TfliteRunners(), precision = precision).use { it.hear(signal, signal.size) }
            assertEquals(scoreShape[0], moments.size)
            for ((number, moment) in moments.withIndex()) {
                val columns = scoreShape[1]
                val expected = FloatArray(columns) { scores.getFloat(4 * (number * columns + it)) }
                assertTrue(error(moment.scores, expected) <= allowed, "$precision ${error(moment.scores, expected)}")
            }
        }
    }

    @Test
    fun `the picture is the chunk's log-mel, which follows how loud it is`() {
        val ear = Ear(bundle, TfliteRunners(), precision = Precision.FP32)
        val random = Random(1)
        val quiet = FloatArray(ear.hopSamples) { 0.001f * (random.nextFloat() - 0.5f) }
        ear.hear(quiet, quiet.size)
        val before = ear.hear(quiet, quiet.size).single()
        val loud = FloatArray(ear.hopSamples) { 100 * quiet[it] }
        ear.hear(loud, loud.size)
        val after = ear.hear(loud, loud.size).single()
        assertEquals(96 * 64, after.logMel.size)
        assertEquals(40.0, after.logMel.average() - before.logMel.average(), 1.0)
    }

    @Test
    fun `other names or shapes than the manifest's are refused by name`() {
        val (scores, others) = file.outputs.first() to file.outputs.drop(1)
        val renamed = file.copy(outputs = others + scores.copy(name = "results"))
        assertContains(refusal(renamed), "outputs")
        val reshaped = file.copy(outputs = others + TensorSpec(scores.name, listOf(1, scores.size - 1)))
        assertContains(refusal(reshaped), "scores")
        assertContains(refusal(file.copy(inputs = file.inputs.drop(1))), "inputs")
    }

    @Test
    fun `a file that is gone, cut or no model at all is refused`() {
        val path = File(folder, "bad.tflite")
        assertFailsWith<Refused> { TfliteRunners().open(path, file, 1) }
        val whole = bundle.path(file).readBytes()
        for (bytes in listOf(
            ByteArray(0),
            ByteArray(5_000),
            whole.copyOf(whole.size / 2),
            Random(1).nextBytes(9_000),
        )) {
            path.writeBytes(bytes)
            assertFailsWith<Refused> { TfliteRunners().open(path, file, 1) }
        }
    }

    @Test
    fun `a model whose structure was damaged is refused or runs, and never crashes`() {
        val path = File(folder, "bad.tflite")
        val whole = bundle.path(file).readBytes()
        val random = Random(2)
        var refused = 0
        repeat(60) {
            val bytes = whole.copyOf()
            repeat(10 * (1 + it % 4)) { bytes[random.nextInt(bytes.size / 15)] = random.nextInt().toByte() }
            path.writeBytes(bytes)
            val fault = runCatching { TfliteRunners().open(path, 1, 0).use { model -> model.run() } }.exceptionOrNull()
            assertTrue(fault == null || fault is Refused, "$fault")
            if (fault != null) refused++
        }
        assertTrue(refused > 5, "only $refused were damaged where it matters")
    }

    @Test
    fun `XNNPACK computes nearly all of it, and opening and closing leaves nothing behind`() {
        for (precision in listOf(Precision.INT8, Precision.FP32)) {
            LoadedModel(bundle.path(bundle.streamFile(precision = precision)), 1).use { model ->
                assertTrue(model.steps * 5 < model.operators, "$precision: ${model.steps} steps of ${model.operators}")
            }
        }
        repeat(20) { open() }
        val before = residentKb()
        repeat(150) { open() }
        assertTrue(residentKb() - before < 60_000, "grew by ${residentKb() - before} kB")
    }

    private fun open() = TfliteRunners().open(bundle.path(file), file, 1).close()

    private fun residentKb(): Int =
        File("/proc/self/status")
            .readLines()
            .single { it.startsWith("VmRSS") }
            .filter { it.isDigit() }
            .toInt()

    private fun refusal(said: BundleFile): String =
        assertFailsWith<Refused> { TfliteRunners().open(bundle.path(file), said, 1) }.message!!
}
