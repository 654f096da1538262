package org.aectoolkit.tflite

import kotlinx.serialization.json.Json
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.double
import kotlinx.serialization.json.jsonArray
import kotlinx.serialization.json.jsonObject
import kotlinx.serialization.json.jsonPrimitive
import kotlinx.serialization.json.long
import org.aectoolkit.core.AudioSource
import org.aectoolkit.core.Bundle
import org.aectoolkit.core.Ear
import org.aectoolkit.core.Event
import org.aectoolkit.core.Listening
import org.aectoolkit.core.Moment
import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.util.concurrent.CompletableFuture
import java.util.concurrent.TimeUnit
import kotlin.math.abs

/** What tests/android/fixtures.py wrote, and how far scores may lie from it. */
object Reference {
    val folder: File by lazy {
        val named = System.getProperty("aec.fixtures") ?: System.getenv("AEC_FIXTURES")
        val folder = File(checkNotNull(named) { "no fixtures: name their folder with -Daec.fixtures=DIR" })
        check(File(folder, "bundle").isDirectory) {
            "$folder holds no fixtures. Make them: make android"
        }
        folder
    }
    val bundle: Bundle by lazy { Bundle.open(File(folder, "bundle")) }

    /** Rows of [columns] raw float32 numbers. */
    fun rows(
        path: String,
        columns: Int,
    ): List<FloatArray> {
        val floats = ByteBuffer.wrap(File(folder, path).readBytes()).order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer()
        return List(floats.remaining() / columns) { FloatArray(columns).also { row -> floats.get(row) } }
    }

    fun json(path: String): JsonObject = Json.parseToJsonElement(File(folder, path).readText()).jsonObject

    /** The events of `listen --json`. */
    fun events(said: JsonObject): List<Event> =
        said.getValue("events").jsonArray.map { it.jsonObject }.map { event ->
            Event(
                event.getValue("label").jsonPrimitive.content,
                event.getValue("start_s").jsonPrimitive.double,
                event.getValue("end_s").jsonPrimitive.double,
                event.getValue("confidence").jsonPrimitive.double,
            )
        }

    /** A tensor of golden.safetensors: its type, its shape and its bytes. */
    fun golden(name: String): Triple<String, List<Int>, ByteBuffer> {
        val bytes =
            ByteBuffer
                .wrap(
                    File(bundle.folder, "golden.safetensors").readBytes(),
                ).order(ByteOrder.LITTLE_ENDIAN)
        val header = ByteArray(bytes.getLong().toInt()).also { bytes.get(it) }
        val entry =
            Json
                .parseToJsonElement(header.decodeToString())
                .jsonObject
                .getValue(name)
                .jsonObject
        val (from, to) = entry.getValue("data_offsets").jsonArray.map { it.jsonPrimitive.long.toInt() }
        val shape = entry.getValue("shape").jsonArray.map { it.jsonPrimitive.long.toInt() }
        val data = bytes.slice(bytes.position() + from, to - from).order(ByteOrder.LITTLE_ENDIAN)
        return Triple(entry.getValue("dtype").jsonPrimitive.content, shape, data)
    }
}

/** All moments of a source that is heard to its end. */
fun heard(
    ear: Ear,
    source: AudioSource,
    live: Boolean = false,
    onMoment: (Moment) -> Unit = {},
): List<Moment> {
    val moments = mutableListOf<Moment>()
    val end = CompletableFuture<Throwable?>()
    val both = { moment: Moment -> onMoment(moment).also { moments += moment } }
    Listening(ear, source, live, both, end::complete).start()
    end.get(120, TimeUnit.SECONDS)?.let { throw it }
    return moments
}

/** The greatest difference of two rows. */
fun error(
    found: FloatArray,
    expected: FloatArray,
): Float = found.indices.maxOf { abs(found[it] - expected[it]) }
