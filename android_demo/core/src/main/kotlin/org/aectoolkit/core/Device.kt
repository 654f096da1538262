package org.aectoolkit.core

import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.buildJsonObject
import kotlinx.serialization.json.put
import java.io.File
import java.io.IOException
import java.util.concurrent.TimeUnit

/**
 * What Linux or Android tells an app of the device it runs on, and the cores that a thread may ask for. What the system
 * does not tell is null. [cpu] and [system] are names that people know; Android's Build has better ones.
 * Proved by BenchmarkTest.
 */
class Device(
    val cpu: String = field("/proc/cpuinfo", "model name") ?: "unknown",
    val system: String = System.getProperty("os.name") + "-" + System.getProperty("os.version"),
) {
    /** The processor's architecture, as `uname -m` says it. */
    val machine: String = System.getProperty("os.arch").let { if (it == "amd64") "x86_64" else it }

    /**
     * Bind the calling thread, and those that it starts, to [cores], or to the last [threads] of those that it may use;
     * returns those that it has then.
     *
     * Throws [Refused] when cores were named and cannot be had.
     */
    fun take(
        cores: List<Int>,
        threads: Int,
    ): List<Int> {
        val allowed = allowed()
        val wanted = cores.ifEmpty { allowed.takeLast(threads) }
        if (wanted.sorted() == allowed) return allowed
        ask(wanted)
        val had = allowed()
        if (cores.isNotEmpty() && had != wanted.sorted()) {
            throw Refused("This device does not let the app run on cores $wanted; it has $had. Name one of them.")
        }
        return had
    }

    /** `taskset` is part of Android and of Debian; there is no call of it in Java. */
    private fun ask(cores: List<Int>) {
        val mask = cores.fold(0L) { mask, core -> mask or (1L shl core) }.toString(16)
        val thread = File("/proc/thread-self").canonicalFile.name
        try {
            val process = ProcessBuilder("taskset", "-p", mask, thread).redirectErrorStream(true).start()
            process.outputStream.close()
            process.inputStream.use { it.readBytes() }
            process.waitFor(PATIENCE_S, TimeUnit.SECONDS)
        } catch (_: IOException) {
            return // what the thread has then is read anew
        }
    }

    private fun allowed(): List<Int> {
        val spans = field("/proc/thread-self/status", CORES) ?: field("/proc/self/status", CORES)
        return spans.orEmpty().split(',').flatMap { span ->
            val ends = span.split('-').mapNotNull { it.toIntOrNull() }
            if (ends.isEmpty()) emptyList() else (ends.first()..ends.last()).toList()
        }
    }

    /** Clock of the first core, temperature, throttle flags, as `Condition` of toolkit/targets/base.py. */
    fun condition(cores: List<Int>): JsonObject =
        buildJsonObject {
            val clockKhz = number(frequency(cores) + "scaling_cur_freq")
            put("clock_mhz", clockKhz?.div(KHZ_A_MHZ) ?: field("/proc/cpuinfo", "cpu MHz")?.toDoubleOrNull())
            put("temperature_c", number("/sys/class/thermal/thermal_zone0/temp")?.div(MILLIDEGREES))
            put("throttled", null as String?)
        }

    fun governor(cores: List<Int>): String? = text(frequency(cores) + "scaling_governor")

    fun loadAverage(): Double? = text("/proc/loadavg")?.substringBefore(' ')?.toDoubleOrNull()

    /** Most memory that this process has had in RAM (VmHWM). */
    fun peakBytes(): Long {
        val kb = field("/proc/self/status", "VmHWM")?.substringBefore(' ')?.toLongOrNull()
        return (kb ?: throw Refused("This system does not tell an app its peak of memory.")) * BYTES_A_KB
    }

    private companion object {
        const val CORES = "Cpus_allowed_list"
        const val PATIENCE_S = 5L
        const val KHZ_A_MHZ = 1e3
        const val MILLIDEGREES = 1e3
        const val BYTES_A_KB = 1024

        fun frequency(cores: List<Int>) = "/sys/devices/system/cpu/cpu${cores.firstOrNull() ?: 0}/cpufreq/"

        fun text(path: String): String? =
            try {
                File(path).readText().trim().ifEmpty { null }
            } catch (_: IOException) {
                null
            }

        fun number(path: String): Double? = text(path)?.toDoubleOrNull()

        fun field(
            path: String,
            name: String,
        ): String? =
            text(path)
                ?.lineSequence()
                ?.firstOrNull { it.substringBefore(':').trim() == name && ':' in it }
                ?.substringAfter(':')
                ?.trim()
    }
}
