package org.aectoolkit.core

import io.kotest.property.Arb
import io.kotest.property.arbitrary.byte
import io.kotest.property.arbitrary.byteArray
import io.kotest.property.arbitrary.int
import io.kotest.property.checkAll
import kotlinx.coroutines.runBlocking
import java.io.File
import java.io.InputStream
import java.io.SequenceInputStream
import java.nio.ByteBuffer
import java.nio.ByteOrder
import kotlin.test.Test
import kotlin.test.assertContains
import kotlin.test.assertContentEquals
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertIs
import kotlin.test.assertTrue

class WavSourceTest {
    @Test
    fun `each kind of WAV gives the samples that Python reads`() {
        val files = File(Fixtures.folder, "wav").listFiles { file -> file.extension == "wav" }!!
        assertEquals(18, files.size)
        for (file in files) {
            val source = WavSource(file.inputStream())
            assertEquals(16_000, source.sampleRateHz)
            val expected = Fixtures.floats("wav/${file.nameWithoutExtension}.f32")
            val found = source.use { it.all(piece = 777) }
            assertEquals(expected.size, found.size)
            // The mean of three channels may be rounded otherwise; one channel is the same to the bit.
            val allowed = if ("-1-" in file.name) 0f else 1.2e-7f
            found.zip(expected) { a, b -> assertEquals(b, a, allowed, file.name) }
        }
    }

    @Test
    fun `a file that promises more than it holds gives what is there, and is refused at its end`() {
        val source = WavSource(wav(samples = 100, promised = 5_000).inputStream())
        val into = FloatArray(64)
        assertEquals(64, source.read(into))
        assertEquals(36, source.read(into))
        assertContains(assertFailsWith<Refused> { source.read(into) }.message!!, "200 of 5000 bytes")
    }

    @Test
    fun `headers that disagree with their file are taken or refused as in Python`() {
        val files = File(Fixtures.folder, "wav/headers").listFiles { file -> file.extension == "wav" }!!
        assertEquals(10, files.size)
        for (file in files) {
            val found = runCatching { WavSource(file.inputStream()).all() }
            val expected = File(file.path.replace(".wav", ".f32"))
            if (expected.isFile) {
                assertContentEquals(Fixtures.floats("wav/headers/${expected.name}"), found.getOrThrow(), file.name)
            } else {
                assertIs<Refused>(found.exceptionOrNull(), file.name)
            }
        }
    }

    @Test
    fun `a length that is not known means until the end`() {
        for (promised in listOf(0xFFFF_FFFFL, 0x7FFF_FFFFL, 0x7FFF_0000L)) {
            assertEquals(100, WavSource(wav(samples = 100, promised = promised).inputStream()).all().size)
        }
    }

    @Test
    fun `what stands behind the promised samples is not sound`() {
        assertEquals(50, WavSource(wav(samples = 100, promised = 100).inputStream()).all().size)
    }

    @Test
    fun `a file of no samples or no bytes is refused`() {
        assertContains(refusal(wav(samples = 0)), "no sound")
        assertContains(refusal(wav(samples = 0, promised = 0xFFFF_FFFFL)), "no sound")
        assertContains(refusal(ByteArray(0)), "ends in its header")
        assertContains(refusal(wav(samples = 9).copyOf(40)), "ends in its header")
        assertContains(refusal("a text, not audio at all, and long enough".encodeToByteArray()), "no WAV")
    }

    @Test
    fun `a lying header is refused`() {
        assertContains(refusal(wav(rateHz = 0)), "0 Hz")
        assertContains(refusal(wav(rateHz = -1)), "-1 Hz")
        assertContains(refusal(wav(channels = 0)), "0 channels")
        assertContains(refusal(wav(channels = 65)), "65 channels")
        assertContains(refusal(wav(bits = 13)), "13 bits")
        assertContains(refusal(wav(format = 85)), "format 85")
        assertContains(refusal(wav().also { it[32] = 1 }), "claims 1 bytes")
        val lengths = "ds64".toByteArray() + byteArrayOf(4, 0, 0, 0, 1, 2, 3, 4)
        assertContains(refusal(wav().copyOf(12) + lengths + wav().drop(12)), "cut")
    }

    @Test
    fun `samples that are not numbers are refused`() {
        val bytes = wav(samples = 8, format = 3, bits = 32)
        ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).putFloat(bytes.size - 4, Float.NaN)
        assertContains(refusal(bytes), "not finite")
    }

    @Test
    fun `any bytes are a file or are refused`() =
        runBlocking<Unit> {
            val good = wav(samples = 40)
            checkAll(500, Arb.byteArray(Arb.int(0, 60), Arb.byte())) { readOrRefused(it) }
            checkAll(2_000, Arb.int(0, 47), Arb.byte(), Arb.int(0, good.size)) { at, value, length ->
                readOrRefused(good.copyOf().also { it[at] = value }.copyOf(maxOf(length, 44)))
            }
        }

    @Test
    fun `two hours are read in constant memory`() {
        val bytes = 2L * 3600 * 32_000 * 2
        val header = wav(samples = 0, promised = bytes)
        val source = WavSource(SequenceInputStream(header.inputStream(), Silence(bytes)))
        val into = FloatArray(30_720)
        var samples = 0L
        source.read(into)
        val before = usedBytes()
        while (true) samples += source.read(into).takeIf { it > 0 } ?: break
        assertEquals(bytes / 2 - into.size, samples)
        assertTrue(usedBytes() - before < 2 shl 20, "grew by ${usedBytes() - before} bytes")
    }

    private class Silence(
        private var left: Long,
    ) : InputStream() {
        override fun read(): Int = if (left-- > 0) 0 else -1

        override fun read(
            into: ByteArray,
            from: Int,
            count: Int,
        ): Int {
            if (left <= 0) return -1
            val given = minOf(left, count.toLong()).toInt()
            into.fill(0, from, from + given)
            left -= given
            return given
        }
    }

    private fun refusal(bytes: ByteArray): String =
        assertFailsWith<Refused> { WavSource(bytes.inputStream()).all() }.message!!

    private fun readOrRefused(bytes: ByteArray) {
        val fault = runCatching { WavSource(bytes.inputStream()).all() }.exceptionOrNull() ?: return
        assertTrue(fault is Refused && '\n' !in fault.message!!, "$fault")
    }

    private fun wav(
        samples: Int = 10,
        promised: Long? = null,
        format: Int = 1,
        channels: Int = 1,
        rateHz: Int = 32_000,
        bits: Int = 16,
    ): ByteArray {
        val frameBytes = channels * bits / 8
        val data = ByteArray(samples * frameBytes)
        val bytes = ByteBuffer.allocate(44 + data.size).order(ByteOrder.LITTLE_ENDIAN)
        bytes
            .put("RIFF".toByteArray())
            .putInt(36 + data.size)
            .put("WAVEfmt ".toByteArray())
            .putInt(16)
        bytes
            .putShort(format.toShort())
            .putShort(channels.toShort())
            .putInt(rateHz)
            .putInt(rateHz * frameBytes)
        bytes.putShort(frameBytes.toShort()).putShort(bits.toShort())
        bytes.put("data".toByteArray()).putInt((promised ?: data.size.toLong()).toInt()).put(data)
        return bytes.array()
    }
}
