package org.aectoolkit.demo

/**
 * Levels in dB to colours, from quiet to loud. The range follows what is there, so that a quiet room and a loud street
 * both show: from the level that a tenth lies below to the loudest, but never less than 40 dB nor more than 80 dB.
 * Proved by LogMelTest.
 */
class MelColours(
    stops: List<Int>,
    private val unheard: Int,
) {
    private val colours = IntArray(STEPS) { blend(stops, it.toFloat() / (STEPS - 1)) }
    private val counts = IntArray(STEPS)

    /** Paints frames of [melBins] levels, time running along a row of [pixels], the highest band in the first row. */
    fun paint(
        levels: FloatArray,
        melBins: Int,
        pixels: IntArray,
    ) {
        val frames = levels.size / melBins
        val (low, high) = range(levels)
        val scale = (STEPS - 1) / (high - low)
        for (frame in 0 until frames) {
            for (band in 0 until melBins) {
                val level = levels[frame * melBins + band]
                val step = ((level - low) * scale).coerceIn(0f, STEPS - 1f)
                pixels[(melBins - 1 - band) * frames + frame] = if (level.isNaN()) unheard else colours[step.toInt()]
            }
        }
    }

    /** Lowest and highest level of the colours. */
    fun range(levels: FloatArray): Pair<Float, Float> {
        var (least, most, heard) = Triple(Float.MAX_VALUE, -Float.MAX_VALUE, 0)
        for (level in levels) {
            if (level.isNaN()) continue
            least = minOf(least, level)
            most = maxOf(most, level)
            heard++
        }
        if (heard == 0) return 0f to LEAST_DB
        counts.fill(0)
        val scale = (STEPS - 1) / maxOf(most - least, LEAST_SPAN)
        for (level in levels) if (!level.isNaN()) counts[((level - least) * scale).toInt()]++
        var below = 0
        val step = counts.indexOfFirst { count -> (below + count >= heard * QUIET_SHARE).also { below += count } }
        val low = maxOf(least + step / scale, most - MOST_DB)
        return low to maxOf(most, low + LEAST_DB)
    }

    private companion object {
        const val STEPS = 256
        const val QUIET_SHARE = 0.1
        const val LEAST_SPAN = 1e-3f
        const val LEAST_DB = 40f
        const val MOST_DB = 80f

        fun blend(
            stops: List<Int>,
            place: Float,
        ): Int {
            val at = place * (stops.size - 1)
            val first = at.toInt().coerceAtMost(stops.size - 2)
            return channels(stops[first], stops[first + 1], at - first)
        }

        fun channels(
            from: Int,
            to: Int,
            share: Float,
        ): Int =
            listOf(24, 16, 8, 0).fold(0) { colour, shift ->
                val (start, end) = (from ushr shift and 0xFF) to (to ushr shift and 0xFF)
                colour or ((start + (end - start) * share + 0.5f).toInt() shl shift)
            }
    }
}
