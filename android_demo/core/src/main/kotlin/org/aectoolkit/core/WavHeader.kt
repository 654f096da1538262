package org.aectoolkit.core

import java.io.EOFException
import java.io.InputStream
import java.nio.ByteBuffer
import java.nio.ByteOrder

/** What stands before a WAV file's samples. Proved by WavSourceTest. */
internal class WavHeader private constructor(
    val format: WavFormat,
    val dataBytes: Long,
) {
    companion object {
        /** Programs that do not know the length write one from here on: there may be less. */
        const val UNKNOWN = 0x7FFF_0000L

        private const val NO_LENGTH = 0xFFFF_FFFFL

        /** Stands in the header of a file until its recorder closes it, with a data length of 0. */
        private const val UNCLOSED = 8L
        private const val WHOLE = Long.MAX_VALUE / 2
        private const val LONGEST_FORMAT = 4096L
        private const val PCM = 1
        private const val FLOAT = 3
        private const val EXTENSIBLE = 0xFFFE
        private const val EXTENSIBLE_BYTES = 26
        private const val MOST_CHANNELS = 64

        /** Read up to the first sample. Throws [Refused], and EOFException when the file ends before. */
        fun read(stream: InputStream): WavHeader {
            val kind = tag(stream)
            if (kind != "RIFF" && kind != "RF64") throw Refused("This is no WAV file. Choose one that ends in .wav.")
            val unclosed = length(stream) == UNCLOSED
            if (tag(stream) != "WAVE") throw Refused("This is no WAV file. Choose one that ends in .wav.")
            var format: WavFormat? = null
            var longLength = WHOLE
            while (true) {
                val name = tag(stream)
                val size = length(stream)
                when (name) {
                    "fmt " -> {
                        format = format(chunk(stream, size))
                    }

                    "ds64" -> {
                        val lengths = chunk(stream, size)
                        if (lengths.limit() < 2 * Long.SIZE_BYTES) {
                            throw Refused("This WAV file has a header that is cut. Record it again.")
                        }
                        longLength = lengths.getLong(Long.SIZE_BYTES)
                    }

                    "data" -> {
                        val known =
                            format ?: throw Refused("This WAV file has samples before their format. Record it again.")
                        val promised =
                            when {
                                size == 0L && unclosed -> WHOLE
                                size < NO_LENGTH -> size
                                else -> longLength
                            }
                        if (promised < 0) throw Refused("This WAV file has a length below zero. Record it again.")
                        return WavHeader(known, promised)
                    }

                    else -> {
                        skip(stream, size + size % 2)
                    }
                }
            }
        }

        private fun format(chunk: ByteBuffer): WavFormat {
            if (chunk.limit() < 16) throw Refused("This WAV file has a format that is cut. Record it again.")
            var code = chunk.getShort().toInt() and 0xffff
            val channels = chunk.getShort().toInt() and 0xffff
            val rate = chunk.getInt()
            chunk.getInt() // bytes a second, which files have wrong without harm
            val frameBytes = chunk.getShort().toInt() and 0xffff
            val bits = chunk.getShort().toInt() and 0xffff
            if (code == EXTENSIBLE && chunk.limit() >= EXTENSIBLE_BYTES) {
                code = chunk.getShort(EXTENSIBLE_BYTES - 2).toInt() and 0xffff
            }
            val held = if (code == FLOAT) setOf(32, 64) else setOf(8, 16, 24, 32)
            if ((code != PCM && code != FLOAT) || bits !in held) {
                throw Refused("This WAV file has samples of format $code with $bits bits. Save it as 16-bit PCM.")
            }
            if (channels !in 1..MOST_CHANNELS || rate !in RATES_HZ) {
                throw Refused("This WAV file claims $channels channels at $rate Hz. Save it as mono at 32000 Hz.")
            }
            val format = WavFormat(code == FLOAT, bits, channels, rate)
            if (format.frameBytes != frameBytes) {
                throw Refused("This WAV file claims $frameBytes bytes for $channels x $bits bits. Save it anew.")
            }
            return format
        }

        private fun chunk(
            stream: InputStream,
            size: Long,
        ): ByteBuffer {
            if (size > LONGEST_FORMAT) throw Refused("This WAV file has a header of $size bytes. Save it anew.")
            val bytes = exactly(stream, (size + size % 2).toInt())
            return ByteBuffer.wrap(bytes, 0, size.toInt()).slice().order(ByteOrder.LITTLE_ENDIAN)
        }

        private fun tag(stream: InputStream): String = String(exactly(stream, Int.SIZE_BYTES), Charsets.ISO_8859_1)

        private fun length(stream: InputStream): Long =
            ByteBuffer
                .wrap(exactly(stream, Int.SIZE_BYTES))
                .order(ByteOrder.LITTLE_ENDIAN)
                .getInt()
                .toLong() and
                0xFFFF_FFFFL

        private fun exactly(
            stream: InputStream,
            size: Int,
        ): ByteArray {
            val bytes = ByteArray(size)
            var count = 0
            while (count < size) {
                val more = stream.read(bytes, count, size - count)
                if (more < 0) throw EOFException()
                count += more
            }
            return bytes
        }

        private fun skip(
            stream: InputStream,
            size: Long,
        ) {
            var left = size
            val block = ByteArray(LONGEST_FORMAT.toInt())
            while (left > 0) {
                val count = stream.read(block, 0, minOf(left, LONGEST_FORMAT).toInt())
                if (count < 0) throw EOFException()
                left -= count
            }
        }
    }
}
