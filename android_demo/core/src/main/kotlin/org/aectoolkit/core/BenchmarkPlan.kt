package org.aectoolkit.core

import java.io.File
import java.io.IOException

/**
 * What a benchmark does: the words of a plan as toolkit/targets/base.py writes them, or the extras of an intent.
 *
 * [time] and [peak] are files, which a plan finds beside itself. [measurements]: a line for each file as `Measurement`
 * of toolkit/specs/cost.py, instead of an agent's lines. Proved by BenchmarkTest.
 */
data class BenchmarkPlan(
    val time: List<File>,
    val peak: File? = null,
    val threads: Int = 1,
    val warmups: Int = 0,
    val runs: Int = 1,
    val seconds: Double = 1.0,
    val everyMs: Double = 0.0,
    val seed: Long = 0,
    val cores: List<Int> = emptyList(),
    val measurements: Boolean = false,
) {
    init {
        if (threads < 1 || runs < 1 || warmups < 0) throw Refused("threads and runs are to be 1 at least.")
        if (threads > MOST_THREADS) throw Refused("threads are to be $MOST_THREADS at most, found $threads.")
        if (!(seconds > 0) || !(everyMs >= 0) || seconds.isInfinite() || everyMs.isInfinite()) {
            throw Refused("seconds are to be above 0, and every_ms not below.")
        }
        if (cores.any { it !in CORES }) throw Refused("cores are to be in $CORES, found $cores.")
    }

    companion object {
        private val CORES = 0..62
        private const val NO_LIMIT_S = 1e9
        private const val WARMUPS = 5
        private const val MOST_THREADS = 64
        private const val LONGEST_BYTES = 1L shl 16

        /** Read a plan. Throws [Refused] when it cannot be read or says what is not known here. */
        fun read(file: File): BenchmarkPlan {
            if (!file.isFile ||
                file.length() > LONGEST_BYTES
            ) {
                throw Refused("There is no plan at $file, or it is no plan.")
            }
            val text =
                try {
                    file.readText()
                } catch (fault: IOException) {
                    throw Refused("The plan $file cannot be read: ${fault.message}.")
                }
            return parse(text, file.absoluteFile.parentFile ?: File("."))
        }

        /** The plan of [text], with its files in [folder]. Throws [Refused]. */
        fun parse(
            text: String,
            folder: File,
        ): BenchmarkPlan {
            var plan = BenchmarkPlan(emptyList())
            for (line in text.lineSequence().filter { it.isNotBlank() }) {
                val words = line.trim().split(' ')
                val word = words.getOrNull(1) ?: throw Refused("The plan says '$line', a word is missing.")
                plan =
                    try {
                        plan.with(words[0], word, folder)
                    } catch (_: NumberFormatException) {
                        throw Refused("The plan says '$line', expected a number.")
                    }
            }
            return plan
        }

        private fun BenchmarkPlan.with(
            name: String,
            word: String,
            folder: File,
        ): BenchmarkPlan =
            when (name) {
                "threads" -> copy(threads = word.toInt())

                "warmups" -> copy(warmups = word.toInt())

                "runs" -> copy(runs = word.toInt())

                "seconds" -> copy(seconds = word.toDouble())

                "every_ms" -> copy(everyMs = word.toDouble())

                "seed" -> copy(seed = word.toLong())

                "cores" -> copy(cores = cores(word))

                "time" -> copy(time = time + inside(folder, word))

                "peak" -> copy(peak = inside(folder, word))

                else -> throw Refused(
                    "The plan says '$name', which this app does not know. Take both from one toolkit.",
                )
            }

        /** From an intent's extras: timings of a model file, or of each TFLite file of a bundle folder. */
        fun ofExtras(
            model: File,
            runs: Int,
            threads: Int = 1,
            cores: String? = null,
            everyMs: Double = 0.0,
        ): BenchmarkPlan {
            val files =
                if (model.isDirectory) {
                    val bundle = Bundle.open(model)
                    bundle.manifest.files
                        .filter { it.runtime == Runtime.TFLITE }
                        .map(bundle::path)
                } else {
                    listOf(model)
                }
            if (files.isEmpty()) throw Refused("The bundle in $model holds no TFLite file.")
            return BenchmarkPlan(
                files,
                threads = threads,
                warmups = WARMUPS,
                runs = runs,
                seconds = NO_LIMIT_S,
                everyMs = everyMs,
                cores = cores?.let { Companion.cores(it) }.orEmpty(),
                measurements = true,
            )
        }

        /** `0,1` or a mask such as `0xc0`. */
        private fun cores(text: String): List<Int> =
            if (text.startsWith("0x")) {
                val mask = text.drop(2).toLongOrNull(16) ?: throw Refused("'$text' is no mask of cores, as 0xc0 is.")
                CORES.filter { mask shr it and 1L == 1L }
            } else {
                text.split(',').map { it.toIntOrNull() ?: throw Refused("'$text' is no list of cores, as 6,7 is.") }
            }

        private fun inside(
            folder: File,
            name: String,
        ): File {
            if (!isFileName(name)) throw Refused("The plan names a file '$name', which does not lie beside it.")
            return File(folder, name)
        }
    }
}
