package org.aectoolkit.core

import java.io.File
import java.io.IOException

/** Seconds of CPU time that were spent; only differences mean something. */
fun interface CpuClock {
    fun seconds(): Double

    companion object {
        private const val NANOS = 1e9
        private const val TICKS_A_SECOND = 100.0 // USER_HZ of Linux's /proc on every architecture of Android
        private const val USER_TICKS = 11 // of the fields behind the program's name, which may hold spaces
        private const val SYSTEM_TICKS = 12

        /** Of the calling thread, as Linux and Android tell it; wall time where they do not. */
        fun ofThisThread(): CpuClock =
            CpuClock {
                val nanos =
                    try {
                        File("/proc/thread-self/schedstat").readText().substringBefore(' ').toLongOrNull()
                    } catch (_: IOException) {
                        null
                    }
                (nanos ?: System.nanoTime()) / NANOS
            }

        /** Of all threads of the process. */
        fun ofProcess(): CpuClock =
            CpuClock {
                val fields = File("/proc/self/stat").readText().substringAfterLast(") ").split(' ')
                (fields[USER_TICKS].toLong() + fields[SYSTEM_TICKS].toLong()) / TICKS_A_SECOND
            }
    }
}

/** Counts what listening takes; the times of the latest inferences are kept. Proved by CostMeterTest. */
internal class CostMeter(
    private val runtime: String,
    private val hopS: Double,
) {
    private val latestNanos = LongArray(KEPT)
    private var decisions = 0L
    private var cpuSeconds = 0.0

    fun took(nanos: Long) {
        latestNanos[(decisions++ % KEPT).toInt()] = nanos
    }

    fun spent(seconds: Double) {
        cpuSeconds += seconds
    }

    fun cost(droppedChunks: Long): Cost {
        val sorted = latestNanos.copyOf(minOf(decisions, KEPT.toLong()).toInt()).apply { sort() }
        return Cost(
            runtime,
            decisions,
            percentile(sorted, 0.5) / NANOS_A_MS,
            percentile(sorted, 0.9) / NANOS_A_MS,
            cpuSeconds / (maxOf(decisions, 1) * hopS),
            droppedChunks,
        )
    }

    private companion object {
        const val KEPT = 256
        const val NANOS_A_MS = 1e6

        /** Between the two nearest by proportion, as numpy's percentile. */
        fun percentile(
            sorted: LongArray,
            share: Double,
        ): Double {
            if (sorted.isEmpty()) return 0.0
            val at = share * (sorted.size - 1)
            val below = sorted[at.toInt()]
            val above = sorted[minOf(at.toInt() + 1, sorted.size - 1)]
            return below + (at - at.toInt()) * (above - below)
        }
    }
}
