package org.aectoolkit.tflite

import org.aectoolkit.core.Benchmark
import org.aectoolkit.core.BenchmarkPlan
import org.aectoolkit.core.Refused
import java.io.File

/**
 * What the app's BenchmarkActivity does, on a JVM: the same words as its extras, as `name=value`.
 *
 *     java … org.aectoolkit.tflite.BenchmarkMain out=lines.jsonl plan=plan.txt
 *     java … org.aectoolkit.tflite.BenchmarkMain out=lines.jsonl model=bundle runs=20 threads=1 cores=0 every_ms=960
 */
object BenchmarkMain {
    @JvmStatic
    fun main(words: Array<String>) {
        val extras = words.associate { it.substringBefore('=') to it.substringAfter('=') }
        val out = File(extras.getValue("out"))
        val plan =
            try {
                plan(extras)
            } catch (refused: Refused) {
                return out.writeText(Benchmark.errorLine(refused) + "\n")
            }
        Benchmark(TfliteRunners()).run(plan, out)
    }

    private fun plan(extras: Map<String, String>): BenchmarkPlan =
        extras["plan"]?.let { BenchmarkPlan.read(File(it)) }
            ?: BenchmarkPlan.ofExtras(
                File(extras.getValue("model")),
                extras["runs"]?.toInt() ?: 20,
                extras["threads"]?.toInt() ?: 1,
                extras["cores"],
                extras["every_ms"]?.toDouble() ?: 0.0,
            )
}
