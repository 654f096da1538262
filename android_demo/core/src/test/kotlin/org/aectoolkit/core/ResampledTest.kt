package org.aectoolkit.core

import io.kotest.property.Arb
import io.kotest.property.arbitrary.element
import io.kotest.property.arbitrary.int
import io.kotest.property.checkAll
import kotlinx.coroutines.runBlocking
import kotlin.math.PI
import kotlin.math.abs
import kotlin.math.sin
import kotlin.random.Random
import kotlin.test.Test
import kotlin.test.assertContentEquals
import kotlin.test.assertEquals
import kotlin.test.assertTrue

class ResampledTest {
    @Test
    fun `tones at usual rates stay themselves, and become what soxr makes of them`() {
        for (rateHz in listOf(8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000)) {
            val source = ArraySource(Fixtures.floats("resampled/$rateHz.in.f32"), rateHz)
            val found = Resampled(source, 32_000).all()
            assertTrue(error(found, Fixtures.floats("resampled/$rateHz.ideal.f32")) < 1e-6f, "$rateHz Hz")
            // At ratios of large numbers soxr itself is off by up to 9e-5.
            val allowed = if (rateHz % 1_000 == 0) 1e-6f else 2e-4f
            assertTrue(error(found, Fixtures.floats("resampled/$rateHz.soxr.f32")) < allowed, "$rateHz Hz")
        }
    }

    @Test
    fun `a source at the rate asked for is passed on untouched`() {
        val samples = noise(5_000)
        assertContentEquals(samples, Resampled(ArraySource(samples, 32_000), 32_000).all(piece = 333))
    }

    @Test
    fun `any chunking gives the same samples, as many as the ratio says`() =
        runBlocking<Unit> {
            val rates = Arb.element(8_000, 11_025, 31_999, 32_001, 44_100, 48_000, 96_001, 192_000)
            checkAll(60, rates, Arb.int(1, 3_000), Arb.int(1, 700), Arb.int(1, 900)) { rateHz, size, most, piece ->
                val samples = noise(size)
                val whole = Resampled(ArraySource(samples, rateHz), 32_000).all(piece = 100_000)
                assertEquals((size * 32_000L + rateHz / 2) / rateHz, whole.size.toLong())
                assertContentEquals(whole, Resampled(ArraySource(samples, rateHz, most), 32_000).all(piece))
            }
        }

    @Test
    fun `what lies above the new Nyquist rate is gone, and a tone at a prime rate keeps its height`() {
        val high = Resampled(ArraySource(tone(20_000.0, 48_000), 48_000), 32_000).all()
        assertTrue(high.drop(500).dropLast(500).maxOf(::abs) < 1e-5, "${high.drop(500).dropLast(500).maxOf(::abs)}")
        val prime = Resampled(ArraySource(tone(1_000.0, 44_111), 44_111), 32_000).all()
        val expected = tone(1_000.0, 32_000)
        for (at in 500 until prime.size - 500) assertEquals(expected[at], prime[at], 2e-5f)
    }

    @Test
    fun `a header's highest rate becomes a low one in little room, and the tone keeps its height`() {
        val source = ArraySource(tone(100.0, 767_999), 767_999)
        val before = usedBytes()
        val resampled = Resampled(source, 1_000)
        assertTrue(usedBytes() - before < 8 shl 20, "took ${usedBytes() - before} bytes")
        val found = resampled.all()
        val expected = tone(100.0, 1_000)
        for (at in 200 until found.size - 200) assertEquals(expected[at], found[at], 2e-5f)
    }

    private fun error(
        found: FloatArray,
        expected: FloatArray,
    ): Float {
        assertTrue(abs(found.size - expected.size) <= 1, "${found.size} samples, expected ${expected.size}")
        return found.zip(expected) { a, b -> abs(a - b) }.max()
    }

    private fun noise(size: Int): FloatArray =
        Random(size).let { random -> FloatArray(size) { random.nextFloat() - 0.5f } }

    private fun tone(
        hz: Double,
        rateHz: Int,
    ) = FloatArray(rateHz) { sin(2 * PI * hz * it / rateHz).toFloat() }
}
