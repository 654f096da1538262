package org.aectoolkit.core

import kotlin.math.PI
import kotlin.math.abs
import kotlin.math.ceil
import kotlin.math.sin
import kotlin.math.sqrt

/**
 * A source at another rate, as soxr's HQ makes it: flat up to 0.913 of the lower Nyquist rate, silent above it, no delay.
 * At the source's own rate nothing is touched. Proved by ResampledTest, against vectors made with soxr.
 */
class Resampled(
    private val source: AudioSource,
    rateHz: Int,
) : AudioSource by source {
    override val sampleRateHz: Int = rateHz
    private val bank = if (rateHz == source.sampleRateHz) null else FilterBank(source.sampleRateHz, rateHz)
    private val block = FloatArray(BLOCK)

    /** Samples from [base] on, counted from the source's first. */
    private var waiting = FloatArray(0)
    private var base = bank?.let { 1L - it.half } ?: 0L
    private var size = 0
    private var taken = 0L
    private var given = 0L
    private var ended = false

    init {
        if (bank != null) {
            waiting = FloatArray(2 * bank.half + BLOCK)
            size = bank.half - 1 // silence before the first sample
        }
    }

    override fun read(into: FloatArray): Int {
        val bank = bank ?: return source.read(into)
        var count = 0
        while (count == 0) {
            count = make(bank, into)
            if (count == 0) {
                if (ended) return -1
                more(bank)
            }
        }
        return count
    }

    private fun make(
        bank: FilterBank,
        into: FloatArray,
    ): Int {
        var count = 0
        val last = if (ended) bank.outputs(taken) else Long.MAX_VALUE
        while (count < into.size && given < last) {
            val at = (bank.whole(given) - bank.half + 1 - base).toInt()
            if (at + 2 * bank.half > size) break
            into[count++] = bank.output(given++, waiting, at)
        }
        return count
    }

    private fun more(bank: FilterBank) {
        val done = (bank.whole(given) - bank.half + 1 - base).toInt().coerceIn(0, size)
        waiting.copyInto(waiting, 0, done, size)
        base += done
        size -= done
        val count = source.read(block)
        if (count < 0) {
            ended = true
            block.fill(0f) // silence after the last sample
            append(block, minOf(bank.half, BLOCK))
            repeat(bank.half / BLOCK) { append(block, BLOCK) }
        } else {
            taken += count
            append(block, count)
        }
    }

    private fun append(
        samples: FloatArray,
        count: Int,
    ) {
        if (size + count > waiting.size) waiting = waiting.copyOf(maxOf(2 * waiting.size, size + count))
        samples.copyInto(waiting, size, 0, count)
        size += count
    }

    private companion object {
        const val BLOCK = 4096
    }
}

/**
 * A low pass for each place between two input samples where an output may lie: a sinc under a Kaiser window.
 *
 * Where a rate has more such places than are kept, one between two is taken from both by proportion.
 * Source: Kaiser, "Nonrecursive digital filter design using the I0-sinh window function" (1974): beta and length.
 */
internal class FilterBank(
    fromHz: Int,
    toHz: Int,
) {
    private val up = toHz / gcd(fromHz, toHz).toLong()
    private val down = fromHz / gcd(fromHz, toHz).toLong()
    private val scale = minOf(1.0, up.toDouble() / down)

    /** Places that are kept: the longer the low pass, the less it changes from one to the next. */
    private val phases = minOf(up, ceil(MOST_PHASES * scale).toLong()).toInt()

    /** Input samples on either side of an output; even, so that [sum] comes out. */
    val half: Int = 2 * ceil(LENGTH / 4 / scale).toInt()
    private val taps = 2 * half
    private val table = FloatArray((phases + 1) * taps)

    init {
        for (phase in 0..phases) {
            for (tap in 0 until taps) {
                table[phase * taps + tap] = impulse(phase.toDouble() / phases + half - 1 - tap).toFloat()
            }
        }
    }

    /** How many outputs so many inputs make. */
    fun outputs(inputs: Long): Long = (inputs * up + down / 2) / down

    /** The input sample at or before an output. */
    fun whole(output: Long): Long = output * down / up

    /** An output, from the [taps] samples that begin at [at]. */
    fun output(
        number: Long,
        samples: FloatArray,
        at: Int,
    ): Float {
        val place = (number * down % up) * phases
        val row = (place / up).toInt() * taps
        val rest = (place % up).toDouble() / up
        val here = sum(samples, at, row)
        return (if (rest == 0.0) here else here + rest * (sum(samples, at, row + taps) - here)).toFloat()
    }

    private fun sum(
        samples: FloatArray,
        at: Int,
        row: Int,
    ): Double {
        // Four sums at once: one alone would wait for each addition.
        var first = 0.0
        var second = 0.0
        var third = 0.0
        var fourth = 0.0
        for (tap in 0 until taps step 4) {
            first += samples[at + tap] * table[row + tap].toDouble()
            second += samples[at + tap + 1] * table[row + tap + 1].toDouble()
            third += samples[at + tap + 2] * table[row + tap + 2].toDouble()
            fourth += samples[at + tap + 3] * table[row + tap + 3].toDouble()
        }
        return first + second + third + fourth
    }

    private fun impulse(distance: Double): Double {
        val inside = 1 - (distance / half) * (distance / half)
        if (inside < 0) return 0.0
        val x = PI * CUT * scale * distance
        val sinc = if (abs(x) < TINY) 1.0 else sin(x) / x
        return CUT * scale * sinc * bessel0(BETA * sqrt(inside)) / bessel0(BETA)
    }

    private companion object {
        const val MOST_PHASES = 2048
        const val PASS = 0.913
        const val CUT = (1 + PASS) / 2
        const val REJECTION_DB = 120.0
        const val BETA = 0.1102 * (REJECTION_DB - 8.7)
        const val LENGTH = (REJECTION_DB - 7.95) / (2.285 * PI * (1 - PASS))
        const val TINY = 1e-9

        fun gcd(
            a: Int,
            b: Int,
        ): Int = if (b == 0) a else gcd(b, a % b)

        /** The modified Bessel function of order 0, by its series. */
        fun bessel0(x: Double): Double {
            var sum = 1.0
            var term = 1.0
            var k = 1
            while (term > sum * 1e-17) {
                term *= (x / 2 / k) * (x / 2 / k)
                sum += term
                k++
            }
            return sum
        }
    }
}
