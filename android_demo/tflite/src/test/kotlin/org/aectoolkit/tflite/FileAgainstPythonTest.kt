package org.aectoolkit.tflite

import kotlinx.serialization.json.double
import kotlinx.serialization.json.int
import kotlinx.serialization.json.jsonObject
import kotlinx.serialization.json.jsonPrimitive
import org.aectoolkit.core.AudioSource
import org.aectoolkit.core.Ear
import org.aectoolkit.core.Precision
import org.aectoolkit.core.WavSource
import java.io.File
import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertTrue

class FileAgainstPythonTest {
    private val labels = Reference.bundle.manifest.labels.size

    @Test
    fun `in fp32 a file at the bundle's rate gives listen's events, and its scores to 1e-4`() =
        compare("scene", Precision.FP32, allowed = 1e-4)

    @Test
    fun `in int8 it gives the same events, and its scores to a hundredth`() =
        // Kernels of two versions of TFLite may round a value to one or the other of two neighbours.
        compare("scene", Precision.INT8, allowed = 0.01)

    @Test
    fun `stereo at another rate goes through our resampler and Python's to the same events`() {
        compare("scene-44100", Precision.FP32, allowed = 1e-4)
        // Where the resamplers differ in the last bits, int8 rounds a few values the other way.
        compare("scene-44100", Precision.INT8, allowed = 0.05)
    }

    @Test
    fun `a live source in small pieces gives the same as a file`() {
        val file = heard(ear(Precision.INT8), source("scene"))
        val patient = Patient(source("scene"))
        val live = heard(ear(Precision.INT8), patient, live = true) { patient.heardS = it.heardS }
        assertEquals(file.flatMap { it.ended } to file.last().heardS, live.flatMap { it.ended } to live.last().heardS)
        assertEquals(0, live.last().cost.droppedChunks)
    }

    /** Gives pieces of 777 samples, and no more than three seconds before they are heard, as a microphone would. */
    private class Patient(
        private val source: WavSource,
    ) : AudioSource by source {
        @Volatile var heardS = 0.0
        private val piece = FloatArray(777)
        private var given = 0L

        override fun read(into: FloatArray): Int {
            while (given > (heardS + 3) * sampleRateHz) Thread.sleep(1)
            val count = source.read(piece)
            if (count > 0) piece.copyInto(into, 0, 0, count)
            given += maxOf(count, 0)
            return count
        }
    }

    private fun compare(
        wav: String,
        precision: Precision,
        allowed: Double,
    ) {
        val moments = heard(ear(precision), source(wav))
        val said = Reference.json("listen/$wav.${precision.word}.json")
        val expected = Reference.rows("listen/$wav.${precision.word}.f32", labels)
        val scored = moments.filter { it.scores.isNotEmpty() }
        val worst = scored.indices.maxOf { error(scored[it].scores, expected[it]) }
        println("$wav ${precision.word}: greatest difference of a score $worst; ${moments.last().cost}")
        assertTrue(worst <= allowed, "$wav ${precision.word}: $worst")
        val events = moments.flatMap { it.ended }.sortedWith(compareBy({ it.startS }, { it.label }))
        val wanted = Reference.events(said)
        assertTrue(wanted.isNotEmpty())
        assertEquals(wanted.map { it.copy(confidence = 0.0) }, events.map { it.copy(confidence = 0.0) })
        for ((one, other) in events.zip(wanted)) assertEquals(other.confidence, one.confidence, maxOf(allowed, 1e-4))
        assertEquals(said.getValue("heard_s").jsonPrimitive.double, moments.last().heardS)
        assertEquals(
            said
                .getValue("cost")
                .jsonObject
                .getValue("decisions")
                .jsonPrimitive.int,
            scored.size,
        )
    }

    private fun ear(precision: Precision) = Ear(Reference.bundle, TfliteRunners(), precision = precision)

    private fun source(wav: String) = WavSource(File(Reference.folder, "listen/$wav.wav").inputStream())
}
