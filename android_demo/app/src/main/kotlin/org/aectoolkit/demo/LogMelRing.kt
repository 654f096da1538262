package org.aectoolkit.demo

/**
 * The newest [frames] log-mel frames of [melBins] numbers in dB. One thread adds, another copies. No log-mel is
 * computed here: the model gives it. Proved by LogMelTest.
 */
class LogMelRing(
    val frames: Int,
    val melBins: Int,
    val frameS: Double,
) {
    private val levels = FloatArray(frames * melBins) { Float.NaN }
    private var next = 0

    /** How many frames there were since the start. */
    @get:Synchronized
    var count = 0L
        private set

    /** Adds frames that stand one after the other in [chunk]; an unfinished one at its end is left out. */
    @Synchronized
    fun add(chunk: FloatArray) {
        for (frame in 0 until chunk.size / melBins) {
            chunk.copyInto(levels, next * melBins, frame * melBins, (frame + 1) * melBins)
            next = (next + 1) % frames
            count++
        }
    }

    /** Writes all frames to [into], the newest last; those that have not been heard yet are NaN. */
    @Synchronized
    fun copy(into: FloatArray) {
        val oldest = next * melBins
        levels.copyInto(into, 0, oldest, levels.size)
        levels.copyInto(into, levels.size - oldest, 0, oldest)
    }
}
