package org.aectoolkit.demo

import org.junit.jupiter.api.Test
import java.util.Random
import kotlin.test.assertContentEquals
import kotlin.test.assertEquals
import kotlin.test.assertTrue

/** The newest frames of log-mel, and their colours. */
class LogMelTest {
    @Test
    fun `chunks of any length leave the newest frames in order`() {
        val random = Random(1)
        repeat(200) {
            val (frames, bins) = 1 + random.nextInt(40) to 1 + random.nextInt(8)
            val ring = LogMelRing(frames, bins, 0.01)
            val all = mutableListOf<Float>()
            repeat(random.nextInt(6)) {
                val chunk = FloatArray(bins * random.nextInt(30)) { random.nextFloat() }
                ring.add(chunk)
                all += chunk.toList()
            }
            val held = FloatArray(frames * bins)
            ring.copy(held)
            val known = all.takeLast(frames * bins)
            assertEquals(known, held.toList().takeLast(known.size))
            assertTrue(held.take(held.size - known.size).all { it.isNaN() }, "what was not heard is not known")
            assertEquals(all.size.toLong() / bins, ring.count)
        }
    }

    @Test
    fun `loud is the last colour, quiet the first, the lowest band in the last row`() {
        val colours = MelColours(listOf(BLACK, WHITE), unheard = GREY)
        val levels = floatArrayOf(-100f, -10f, -100f, Float.NaN)
        val pixels = IntArray(4)
        colours.paint(levels, melBins = 2, pixels)
        assertContentEquals(intArrayOf(WHITE, GREY, BLACK, BLACK), pixels)
    }

    @Test
    fun `the range spans at least 40 dB and at most 80`() {
        val colours = MelColours(listOf(BLACK, WHITE), unheard = GREY)
        val random = Random(2)
        repeat(200) {
            val (from, spread) = -100 + 80 * random.nextFloat() to 150 * random.nextFloat()
            val levels = FloatArray(1 + random.nextInt(500)) { from + spread * random.nextFloat() }
            val (low, high) = colours.range(levels)
            assertTrue(high - low in 39.99f..80.01f, "$low to $high")
            assertTrue(levels.max() <= high + 1e-3f, "nothing is louder than the last colour")
        }
    }

    @Test
    fun `nothing heard has a range too`() {
        val colours = MelColours(listOf(BLACK, WHITE), unheard = GREY)
        val pixels = IntArray(4)
        colours.paint(FloatArray(4) { Float.NaN }, melBins = 2, pixels)
        assertTrue(pixels.all { it == GREY })
    }

    private companion object {
        const val BLACK = 0xFF000000.toInt()
        const val WHITE = 0xFFFFFFFF.toInt()
        const val GREY = 0xFF888888.toInt()
    }
}
