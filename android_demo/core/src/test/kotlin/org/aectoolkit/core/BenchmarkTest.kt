package org.aectoolkit.core

import kotlinx.serialization.json.Json
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.jsonArray
import kotlinx.serialization.json.jsonObject
import kotlinx.serialization.json.jsonPrimitive
import org.junit.jupiter.api.io.TempDir
import java.io.File
import java.util.concurrent.FutureTask
import kotlin.test.Test
import kotlin.test.assertContains
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertTrue

class BenchmarkTest {
    @TempDir lateinit var folder: File

    private class Sleepers(
        private val ms: Long,
    ) : TimedModels {
        override val runtime = Runtime.TFLITE
        override val version = "9.9"
        val opened = mutableListOf<String>()

        override fun open(
            model: File,
            threads: Int,
            seed: Long,
        ): TimedModel {
            if (!model.isFile) throw Refused("${model.name} is missing.")
            opened += model.name
            return object : TimedModel {
                override fun run() = Thread.sleep(ms)

                override fun close() = Unit
            }
        }
    }

    @Test
    fun `a plan of the toolkit is carried out in its order, in an agent's lines`() {
        File(folder, "a.tflite").createNewFile()
        File(folder, "plan.txt").writeText(
            "threads 1\nwarmups 2\nruns 4\nseconds 5.0\nevery_ms 0\nseed 7\n" +
                "time a.tflite\ntime a.tflite\npeak a.tflite\n",
        )
        val models = Sleepers(ms = 3)
        val lines = run(models, BenchmarkPlan.read(File(folder, "plan.txt")))
        assertEquals(listOf("start", "visit", "visit", "peak", "end"), lines.map { it.text("kind") })
        val environment = lines[0].getValue("environment").jsonObject
        assertEquals("9.9", environment.text("runtime_version"))
        assertTrue(lines[0].text("base_bytes").toLong() > 1_000_000)
        assertEquals(2, lines[1].getValue("warmups_us").jsonArray.size)
        val latencies = lines[1].getValue("latencies_us").jsonArray.map { it.jsonPrimitive.content.toDouble() }
        assertEquals(4, latencies.size)
        assertTrue(latencies.all { it > 3_000 }, "$latencies")
        assertEquals(listOf("a.tflite", "a.tflite", "a.tflite"), models.opened)
    }

    @Test
    fun `a visit ends after its seconds, but has two timings`() {
        val file = File(folder, "a.tflite").apply { createNewFile() }
        val lines = run(Sleepers(ms = 30), BenchmarkPlan(listOf(file), runs = 1_000, seconds = 0.001))
        assertEquals(2, lines[1].getValue("latencies_us").jsonArray.size)
    }

    @Test
    fun `a paced plan starts an inference each so many milliseconds`() {
        val file = File(folder, "a.tflite").apply { createNewFile() }
        val begin = System.nanoTime()
        run(Sleepers(ms = 1), BenchmarkPlan(listOf(file), runs = 5, seconds = 60.0, everyMs = 60.0))
        assertTrue(System.nanoTime() - begin >= 240_000_000)
    }

    @Test
    fun `extras make a line as Measurement for each file, with no more keys than it has`() {
        val lines = run(Sleepers(ms = 1), BenchmarkPlan.ofExtras(Fixtures.bundle, runs = 3))
        assertEquals(3, lines.size)
        for (line in lines.take(2)) {
            assertEquals(setOf("latencies_us", "warmups_us", "environment"), line.keys)
            assertEquals(3, line.getValue("latencies_us").jsonArray.size)
        }
        assertEquals("end", lines[2].text("kind"))
    }

    @Test
    fun `what goes wrong is the last line`() {
        val lines = run(Sleepers(ms = 1), BenchmarkPlan(listOf(File(folder, "none.tflite"))))
        assertEquals("error", lines.last().text("kind"))
        assertContains(lines.last().text("message"), "none.tflite")
        val cores = run(Sleepers(ms = 1), BenchmarkPlan(emptyList(), cores = listOf(61)))
        assertContains(cores.single().text("message"), "[61]")
    }

    @Test
    fun `a core that is named is taken by the thread, and stands in the mask`() {
        val core = run(Sleepers(1), BenchmarkPlan(emptyList()))[0].mask().countTrailingZeroBits()
        apart {
            val lines = mutableListOf<String>()
            Benchmark(Sleepers(ms = 1)).run(BenchmarkPlan(emptyList(), cores = listOf(core)), lines::add)
            assertEquals(1L shl core, Json.parseToJsonElement(lines[0]).jsonObject.mask())
            val allowed = File("/proc/thread-self/status").readLines().single { it.startsWith("Cpus_allowed_list") }
            assertEquals("$core", allowed.substringAfter(':').trim())
        }
    }

    @Test
    fun `a plan that is none is refused in a line`() {
        val bad =
            "threads none,threads,time ../a.tflite,time a/b,threads 0,threads 65,runs 0,cores x,cores 99,cores 0x," +
                "seconds 0,seconds NaN,every_ms -1,play a b 3"
        for (text in bad.split(',')) {
            val refused = assertFailsWith<Refused>(text) { BenchmarkPlan.parse(text, folder) }
            assertTrue('\n' !in refused.message!!)
        }
        assertFailsWith<Refused> { BenchmarkPlan.read(File(folder, "none.txt")) }
        assertFailsWith<Refused> { BenchmarkPlan.read(File("/dev/zero")) }
        val long = File(folder, "long.txt").apply { writeText("runs 1\n".repeat(10_000)) }
        assertFailsWith<Refused> { BenchmarkPlan.read(long) }
        assertEquals(listOf(6, 7), BenchmarkPlan.parse("cores 0xc0", folder).cores)
        assertEquals(listOf(6, 7), BenchmarkPlan.parse("cores 6,7\n", folder).cores)
    }

    private fun JsonObject.mask(): Long =
        getValue("environment")
            .jsonObject
            .text("core_mask")
            .removePrefix("0x")
            .toLong(16)

    private fun run(
        models: TimedModels,
        plan: BenchmarkPlan,
    ): List<JsonObject> {
        val file = File(folder, "lines.jsonl")
        apart { Benchmark(models).run(plan, file) }
        return file.readLines().map { Json.parseToJsonElement(it).jsonObject }
    }

    /** On a thread of its own, since a benchmark binds its thread to a core. */
    private fun <T> apart(work: () -> T): T = FutureTask(work).also { Thread(it).start() }.get()
}
