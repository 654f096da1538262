package org.aectoolkit.core

/** What a file or a bundle may claim: the bounds of toolkit/audio/decode.py. */
internal val RATES_HZ = 1_000..768_000

/** Mono samples in -1..1 at one rate: a microphone, a file, or anything else that a person can hear. */
interface AudioSource : AutoCloseable {
    val sampleRateHz: Int

    /**
     * Waits for samples and writes them from the start of [into]; returns how many, at least one, or -1 at the end.
     *
     * Throws [SourceLost] when the source broke off, [Refused] when its data is damaged. [close] may be called from
     * another thread and makes a waiting call return -1.
     */
    fun read(into: FloatArray): Int
}
