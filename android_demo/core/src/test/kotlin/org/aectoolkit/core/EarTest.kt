package org.aectoolkit.core

import io.kotest.property.Arb
import io.kotest.property.arbitrary.int
import io.kotest.property.arbitrary.list
import io.kotest.property.checkAll
import kotlinx.coroutines.runBlocking
import kotlin.test.Test
import kotlin.test.assertContentEquals
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertTrue

class EarTest {
    private val bundle = Bundle.open(Fixtures.bundle)

    @Test
    fun `state goes from chunk to chunk, zeros at first, and each chunk is heard once`() {
        val runners = loudness()
        val ear = Ear(bundle, runners)
        val samples = FloatArray(ear.hopSamples * 3) { it / 100_000f }
        assertEquals(3, ear.hear(samples, samples.size).size)
        assertEquals(listOf(0f, 1f, 2f), runners.asked.map { it.getValue("frames_seen")[0] })
        assertContentEquals(samples.copyOfRange(30_720, 61_440), runners.asked[1].getValue("samples"))
    }

    @Test
    fun `a moment has scores, picture and what the model's cost was`() {
        val ear = Ear(bundle, loudness())
        val moment = ear.hear(FloatArray(ear.hopSamples) { 0.25f }, ear.hopSamples).single()
        assertEquals(0.96, moment.heardS)
        assertContentEquals(scores(0.25f), moment.scores)
        assertEquals(96 * moment.melBins, moment.logMel.size)
        assertEquals("fake 1", moment.cost.runtime)
        assertEquals(1, moment.cost.decisions)
    }

    @Test
    fun `any chunking gives the same moments`() =
        runBlocking<Unit> {
            val samples = FloatArray(200_001) { if (it in 70_000..130_000) 0.99f else 0f }
            val whole = heard(samples, listOf(samples.size))
            assertTrue(whole.any { it.contains("Bark") })
            checkAll(20, Arb.list(Arb.int(0, 70_000), 1..20)) { pieces -> assertEquals(whole, heard(samples, pieces)) }
        }

    @Test
    fun `silence follows the audio until its last event has ended, as in Python`() {
        val ear = Ear(bundle, loudness())
        ear.hear(FloatArray(ear.hopSamples) { 0.99f }, ear.hopSamples)
        val last = ear.finish()
        val events = last.flatMap { it.ended }
        assertTrue(last.size in 2..12, "${last.size} moments")
        assertEquals(0, last.last().scores.size)
        assertTrue(events.all { it.endS <= 0.96 }, "no event lasts longer than the audio: $events")
    }

    @Test
    fun `nothing heard is nothing said`() {
        val last = Ear(bundle, loudness()).finish().single()
        assertEquals(0.0, last.heardS)
        assertEquals(emptyList(), last.ended)
    }

    @Test
    fun `scores that are not finite are refused`() {
        val ear = Ear(bundle, FakeRunners { mapOf("scores" to scores(Float.NaN)) })
        assertFailsWith<Refused> { ear.hear(FloatArray(ear.hopSamples), ear.hopSamples) }
    }

    @Test
    fun `a bundle is tried out with a hop of silence, and its model is closed`() {
        val good = loudness()
        Ear.tryOut(bundle, good)
        assertContentEquals(FloatArray(30_720), good.asked.single().getValue("samples"))
        val bad = FakeRunners { mapOf("scores" to scores(Float.NaN)) }
        assertFailsWith<Refused> { Ear.tryOut(bundle, bad) }
        assertEquals(listOf(1, 1), listOf(good.closed, bad.closed))
    }

    @Test
    fun `the share of a core is CPU time over the time heard`() {
        var cpu = 0.0
        val runners =
            FakeRunners {
                cpu += 0.048
                emptyMap()
            }
        val ear = Ear(bundle, runners, cpuClock = { cpu })
        val cost = ear.hear(FloatArray(10 * ear.hopSamples), 10 * ear.hopSamples).last().cost
        assertEquals(0.05, cost.coreShare, 1e-9)
    }

    private fun heard(
        samples: FloatArray,
        pieces: List<Int>,
    ): List<String> {
        val ear = Ear(bundle, loudness())
        val moments = mutableListOf<Moment>()
        var at = 0
        var number = 0
        while (at < samples.size) {
            val count = minOf(maxOf(1_000, pieces[number++ % pieces.size]), samples.size - at)
            moments += ear.hear(samples.copyOfRange(at, at + count), count)
            at += count
        }
        moments += ear.finish()
        return moments.map { "${it.heardS} ${it.scores.firstOrNull()} ${it.began} ${it.sounding} ${it.ended}" }
    }
}
