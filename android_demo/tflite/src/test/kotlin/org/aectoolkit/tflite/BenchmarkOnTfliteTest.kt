package org.aectoolkit.tflite

import kotlinx.serialization.json.Json
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.double
import kotlinx.serialization.json.jsonArray
import kotlinx.serialization.json.jsonObject
import kotlinx.serialization.json.jsonPrimitive
import kotlinx.serialization.json.long
import org.junit.jupiter.api.io.TempDir
import java.io.File
import kotlin.concurrent.thread
import kotlin.test.Test
import kotlin.test.assertContains
import kotlin.test.assertEquals
import kotlin.test.assertTrue

class BenchmarkOnTfliteTest {
    @TempDir lateinit var folder: File

    @Test
    fun `a plan times real files, and int8 is faster than fp32`() {
        for (file in Reference.bundle.manifest.files) {
            Reference.bundle.path(file).copyTo(File(folder, file.name))
        }
        File(folder, "plan.txt").writeText(
            "threads 1\nwarmups 3\nruns 60\nseconds 20\nevery_ms 0\nseed 1\n" +
                "time stream.int8.tflite\ntime stream.fp32.tflite\npeak stream.int8.tflite\n",
        )
        val lines = lines("plan=${File(folder, "plan.txt")}")
        assertEquals(listOf("start", "visit", "visit", "peak", "end"), lines.map { it.word("kind") })
        val (int8, fp32) =
            lines.filter { it.word("kind") == "visit" }.map { line ->
                line
                    .getValue("latencies_us")
                    .jsonArray
                    .map { it.jsonPrimitive.double }
                    .min()
            }
        assertTrue(int8 in 50.0..fp32, "$int8 us and $fp32 us")
        assertContains(lines[0].getValue("environment").jsonObject.word("runtime_version"), "2.20")
        assertTrue(
            lines[3].getValue("peak_bytes").jsonPrimitive.long >= lines[0].getValue("base_bytes").jsonPrimitive.long,
        )
    }

    @Test
    fun `a bundle's files are timed by extras`() {
        val lines = lines("model=${Reference.bundle.folder}", "runs=4", "every_ms=20")
        assertEquals(3, lines.size)
        assertEquals(4, lines[1].getValue("latencies_us").jsonArray.size)
    }

    @Test
    fun `a file that is no model ends it with a line that says so`() {
        val text = File(folder, "text.tflite").apply { writeText("no model".repeat(100)) }
        val last = lines("model=$text").last()
        assertEquals("error", last.word("kind"))
        assertContains(last.word("message"), "text.tflite")
        assertContains(lines("plan=${File(folder, "none.txt")}").single().word("message"), "none.txt")
    }

    private fun lines(vararg words: String): List<JsonObject> {
        val out = File(folder, "lines.jsonl")
        thread { BenchmarkMain.main(arrayOf("out=$out", *words)) }.join()
        return out.readLines().map { Json.parseToJsonElement(it).jsonObject }
    }

    private fun JsonObject.word(name: String): String = getValue(name).jsonPrimitive.content
}
