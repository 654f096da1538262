package org.aectoolkit.core

import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.JsonPrimitive
import kotlinx.serialization.json.buildJsonArray
import kotlinx.serialization.json.buildJsonObject
import kotlinx.serialization.json.put
import java.io.File
import java.time.Instant
import java.time.temporal.ChronoUnit

/**
 * Times model files on the thread that calls it, and says lines of JSON: those of an agent, which
 * toolkit/targets/base.py describes, or `Measurement`s. Inputs are random: zeros may compute faster than signals do.
 *
 * Not the timing of listening itself, which is Cost. Proved by BenchmarkTest and BenchmarkOnTfliteTest, and by Python
 * reading the lines.
 */
class Benchmark(
    private val models: TimedModels,
    private val device: Device = Device(),
) {
    /** Carry out a plan; the last line is `{"kind":"end"}`, or `{"kind":"error","message":…}` whatever went wrong. */
    @Suppress("TooGenericExceptionCaught") // who reads the lines waits for the last one
    fun run(
        plan: BenchmarkPlan,
        say: (String) -> Unit,
    ) {
        try {
            carryOut(plan) { say(it.toString()) }
            say(buildJsonObject { put("kind", "end") }.toString())
        } catch (fault: Throwable) {
            say(errorLine(fault))
        }
    }

    /** As [run], into a file that grows line by line. Throws IOException when it cannot be written. */
    fun run(
        plan: BenchmarkPlan,
        into: File,
    ) = into.bufferedWriter().use { lines ->
        run(plan) {
            lines.append(it).append('\n').flush()
        }
    }

    private fun carryOut(
        plan: BenchmarkPlan,
        say: (JsonObject) -> Unit,
    ) {
        val cores = device.take(plan.cores, plan.threads)
        val environment = environment(plan, cores)
        if (!plan.measurements) {
            say(
                buildJsonObject {
                    put("kind", "start")
                    put("environment", environment)
                    put("base_bytes", device.peakBytes())
                },
            )
        }
        for (file in plan.time) {
            val before = device.condition(cores)
            val timings = models.open(file, plan.threads, plan.seed).use { timed(it, plan) }
            say(
                buildJsonObject {
                    if (!plan.measurements) put("kind", "visit")
                    if (!plan.measurements) put("file", file.name)
                    put("warmups_us", numbers(timings.warmupsUs))
                    put("latencies_us", numbers(timings.latenciesUs))
                    if (plan.measurements) put("environment", environment)
                    if (!plan.measurements) put("before", before)
                    if (!plan.measurements) put("after", device.condition(cores))
                },
            )
        }
        plan.peak?.let { file ->
            models.open(file, plan.threads, plan.seed).use { it.run() }
            say(
                buildJsonObject {
                    put("kind", "peak")
                    put("file", file.name)
                    put("peak_bytes", device.peakBytes())
                },
            )
        }
    }

    private class Timings(
        val warmupsUs: List<Double>,
        val latenciesUs: List<Double>,
    )

    private fun timed(
        model: TimedModel,
        plan: BenchmarkPlan,
    ): Timings {
        System.gc()
        val everyNanos = (plan.everyMs * NANOS_A_MS).toLong()
        val warm = System.nanoTime()
        val warmups = List(plan.warmups) { once(model, warm + it * everyNanos) }
        val begin = System.nanoTime()
        val latencies = mutableListOf<Double>()
        while (latencies.size < plan.runs) {
            latencies += once(model, begin + latencies.size * everyNanos)
            if (latencies.size > 1 && System.nanoTime() - begin > plan.seconds * NANOS_A_S) break
        }
        return Timings(warmups, latencies)
    }

    /** Microseconds of one inference; the core sleeps until the moment [at], where that has not passed. */
    private fun once(
        model: TimedModel,
        at: Long,
    ): Double {
        val rest = at - System.nanoTime()
        if (rest > 0) Thread.sleep(rest / NANOS_A_MS, (rest % NANOS_A_MS).toInt())
        val begin = System.nanoTime()
        model.run()
        return (System.nanoTime() - begin) / NANOS_A_US
    }

    private fun environment(
        plan: BenchmarkPlan,
        cores: List<Int>,
    ): JsonObject {
        val version = models.version // loads the runtime, so that the peak of memory at the start holds it
        val now = device.condition(cores)
        return buildJsonObject {
            put("machine", device.machine)
            put("cpu", device.cpu)
            put("system", device.system)
            put("python", "none")
            put("runtime", models.runtime.word)
            put("runtime_version", version)
            put("threads", plan.threads)
            put("core_mask", "0x" + cores.fold(0L) { mask, core -> mask or (1L shl core) }.toString(16))
            put("governor", device.governor(cores))
            put("clock_mhz", now.getValue("clock_mhz"))
            put("temperature_c", now.getValue("temperature_c"))
            put("load_average", device.loadAverage())
            put("started_utc", Instant.now().truncatedTo(ChronoUnit.SECONDS).toString())
        }
    }

    companion object {
        /** The last line when it went wrong. */
        fun errorLine(fault: Throwable): String =
            buildJsonObject {
                put("kind", "error")
                put("message", fault.message ?: fault.javaClass.simpleName)
            }.toString()

        private const val NANOS_A_S = 1e9
        private const val NANOS_A_MS = 1_000_000L
        private const val NANOS_A_US = 1e3

        private fun numbers(values: List<Double>) = buildJsonArray { values.forEach { add(JsonPrimitive(it)) } }
    }
}
