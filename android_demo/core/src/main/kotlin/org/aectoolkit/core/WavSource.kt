package org.aectoolkit.core

import java.io.BufferedInputStream
import java.io.EOFException
import java.io.IOException
import java.io.InputStream
import java.nio.ByteBuffer
import java.nio.ByteOrder

/**
 * A WAV file as a source: read as it comes, in constant memory, channels averaged, at the file's own rate.
 *
 * PCM of 8, 16, 24 and 32 bits, float of 32 and 64. A header may say that the length is not known, as one written to a
 * pipe does; one that promises more samples than come is refused when they end. Proved by WavSourceTest and, against
 * what Python reads, by FileAgainstPythonTest.
 */
class WavSource(
    stream: InputStream,
) : AudioSource {
    private val bytes = BufferedInputStream(stream, BLOCK)
    private val format: WavFormat
    private val promised: Long
    private var taken = 0L
    private var block = ByteArray(0)

    @Volatile private var closed = false

    init {
        try {
            val header = WavHeader.read(bytes)
            format = header.format
            promised = header.dataBytes
        } catch (fault: IOException) {
            runCatching { close() }
            val why = if (fault is EOFException) "it ends in its header" else fault.message
            throw Refused("This WAV file cannot be read: $why. Copy or record it again.")
        } catch (refused: Refused) {
            runCatching { close() }
            throw refused
        }
    }

    override val sampleRateHz: Int get() = format.sampleRateHz

    override fun read(into: FloatArray): Int {
        if (into.isEmpty() || closed) return if (closed) -1 else 0
        val size = format.frameBytes
        val wanted = minOf(into.size.toLong() * size, promised - taken).toInt()
        if (wanted == 0) return end()
        if (block.size < wanted) block = ByteArray(wanted)
        val count =
            try {
                full(wanted)
            } catch (fault: IOException) {
                if (closed) return -1
                throw Refused("This WAV file cannot be read on: ${fault.message}. Copy it again.")
            }
        taken += count
        val frames = count / size
        if (frames == 0) return end()
        val samples = ByteBuffer.wrap(block, 0, frames * size).order(ByteOrder.LITTLE_ENDIAN)
        for (frame in 0 until frames) {
            var sum = 0f
            repeat(format.channels) { sum += format.sample(samples) }
            val mean = sum / format.channels
            if (!(mean < LARGEST && mean > -LARGEST)) {
                throw Refused("This WAV file holds samples that are not finite. Write it anew from its source.")
            }
            into[frame] = mean
        }
        return frames
    }

    override fun close() {
        closed = true
        bytes.close()
    }

    private fun end(): Int {
        if (taken < format.frameBytes) throw Refused("This WAV file holds no sound: zero samples. Record it again.")
        if (promised < WavHeader.UNKNOWN && taken < promised) {
            throw Refused("This WAV file is cut: $taken of $promised bytes are there. Copy or record it again.")
        }
        return -1
    }

    private fun full(wanted: Int): Int {
        var count = 0
        while (count < wanted) {
            val more = bytes.read(block, count, wanted - count)
            if (more < 0) break
            count += more
        }
        return count
    }

    private companion object {
        const val BLOCK = 1 shl 16
        const val LARGEST = 1e9f
    }
}

/** How the samples of a WAV file are written. */
internal class WavFormat(
    val float: Boolean,
    val bits: Int,
    val channels: Int,
    val sampleRateHz: Int,
) {
    val frameBytes: Int get() = bits / BYTE * channels

    fun sample(from: ByteBuffer): Float =
        when {
            float && bits == 64 -> {
                from.getDouble().toFloat()
            }

            float -> {
                from.getFloat()
            }

            bits == 8 -> {
                ((from.get().toInt() and 0xff) - 0x80) / 0x80.toFloat()
            }

            bits == 16 -> {
                from.getShort() / 0x8000.toFloat()
            }

            bits == 24 -> {
                val low = (from.get().toInt() and 0xff) or ((from.get().toInt() and 0xff) shl 8)
                (low or (from.get().toInt() shl 16)) / 0x800000.toFloat()
            }

            else -> {
                from.getInt() / 0x80000000L.toFloat()
            }
        }

    private companion object {
        const val BYTE = 8
    }
}
