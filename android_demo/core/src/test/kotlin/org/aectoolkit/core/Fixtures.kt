package org.aectoolkit.core

import kotlinx.serialization.json.Json
import kotlinx.serialization.json.JsonArray
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.jsonArray
import kotlinx.serialization.json.jsonObject
import kotlinx.serialization.json.jsonPrimitive
import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder

/** What tests/android/fixtures.py wrote: a bundle, and what Python makes of the same input as the tests. */
object Fixtures {
    val folder: File by lazy {
        val named = System.getProperty("aec.fixtures") ?: System.getenv("AEC_FIXTURES")
        val folder = File(checkNotNull(named) { "no fixtures: name their folder with -Daec.fixtures=DIR" })
        check(File(folder, "bundle").isDirectory) {
            "$folder holds no fixtures. Make them: make android"
        }
        folder
    }
    val bundle: File get() = File(folder, "bundle")
    private val indented = Json { prettyPrint = true }

    fun lines(name: String): List<JsonObject> =
        File(folder, name).readLines().map { Json.parseToJsonElement(it).jsonObject }

    fun floats(path: String): FloatArray {
        val bytes = ByteBuffer.wrap(File(folder, path).readBytes()).order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer()
        return FloatArray(bytes.remaining()).also { bytes.get(it) }
    }

    /** A copy of the bundle to do harm to. */
    fun copyOfBundle(to: File): File {
        bundle.copyRecursively(to, overwrite = true)
        return to
    }

    /** The files of the bundle as they would lie in a zip. */
    fun bundleFiles(): Map<String, ByteArray> = bundle.listFiles()!!.associate { it.name to it.readBytes() }

    /** The same without the fp32 model, which is most of it. */
    fun smallBundleFiles(): Map<String, ByteArray> {
        val files = bundleFiles()
        val manifest = Json.parseToJsonElement(files.getValue("manifest.json").decodeToString()).jsonObject
        val kept = manifest.getValue("files").jsonArray.filter { it.jsonObject.text("precision") == "int8" }
        val smaller = JsonObject(manifest + ("files" to JsonArray(kept)))
        val text = indented.encodeToString(JsonObject.serializer(), smaller)
        return files - "stream.fp32.tflite" + ("manifest.json" to text.encodeToByteArray())
    }
}

fun JsonObject.text(name: String): String = getValue(name).jsonPrimitive.content

/** A source of samples that are there, in pieces of at most [most]. */
class ArraySource(
    private val samples: FloatArray,
    override val sampleRateHz: Int,
    private val most: Int = Int.MAX_VALUE,
) : AudioSource {
    private var at = 0
    var closed = false

    @Volatile var ended = false

    override fun read(into: FloatArray): Int {
        if (at == samples.size) {
            ended = true
            return -1
        }
        val count = minOf(into.size, samples.size - at, most)
        samples.copyInto(into, 0, at, at + count)
        at += count
        return count
    }

    override fun close() {
        closed = true
    }
}

/** All samples of a source, read in pieces of [piece]. */
fun AudioSource.all(piece: Int = 1_000): FloatArray {
    val into = FloatArray(piece)
    var samples = FloatArray(0)
    var size = 0
    while (true) {
        val count = read(into)
        if (count < 0) break
        if (samples.size < size + count) samples = samples.copyOf(2 * (size + count))
        into.copyInto(samples, size, 0, count)
        size += count
    }
    return samples.copyOf(size)
}

/** What lives on the heap now. */
fun usedBytes(): Long {
    System.gc()
    return java.lang.Runtime
        .getRuntime()
        .run { totalMemory() - freeMemory() }
}
