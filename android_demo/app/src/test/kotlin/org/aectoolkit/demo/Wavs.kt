package org.aectoolkit.demo

import java.io.ByteArrayInputStream
import java.nio.ByteBuffer
import java.nio.ByteOrder

/** A WAV file of 32-bit floats at [rateHz], the hops one after the other. */
fun wav(
    vararg hops: FloatArray,
    rateHz: Int = TinyBundle.RATE_HZ,
): ByteArrayInputStream {
    val bytes = hops.sumOf { it.size } * Float.SIZE_BYTES
    val file = ByteBuffer.allocate(44 + bytes).order(ByteOrder.LITTLE_ENDIAN)
    file
        .put("RIFF".toByteArray())
        .putInt(36 + bytes)
        .put("WAVEfmt ".toByteArray())
        .putInt(16)
    file
        .putShort(3)
        .putShort(1)
        .putInt(rateHz)
        .putInt(rateHz * Float.SIZE_BYTES)
    file.putShort(Float.SIZE_BYTES.toShort()).putShort(Float.SIZE_BITS.toShort())
    file.put("data".toByteArray()).putInt(bytes)
    hops.forEach { hop -> hop.forEach(file::putFloat) }
    return ByteArrayInputStream(file.array())
}
