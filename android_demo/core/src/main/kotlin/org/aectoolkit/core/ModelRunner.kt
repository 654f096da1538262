package org.aectoolkit.core

import java.io.File

/** A loaded model file: named float32 arrays in, named float32 arrays out, by the names that the manifest gives them. */
interface ModelRunner : AutoCloseable {
    /** Name and version of what computes, as `TFLite 2.20.0`. */
    val runtime: String

    fun run(inputs: Map<String, FloatArray>): Map<String, FloatArray>
}

/** Opens model files with one runtime. */
fun interface RunnerFactory {
    /** Whose files it runs. */
    val runtime: Runtime get() = Runtime.TFLITE

    /** Throws [Refused] when the file cannot be run, or has other inputs or outputs than [file] says. */
    fun open(
        model: File,
        file: BundleFile,
        threads: Int,
    ): ModelRunner
}

/** A loaded model file of which only the time matters; its inputs hold random numbers. */
interface TimedModel : AutoCloseable {
    fun run()
}

/** Opens any model file of one runtime to be timed. */
interface TimedModels {
    /** As the toolkit's records name it: `tflite`. */
    val runtime: Runtime

    /** As `2.20.0`; asking for it loads the runtime. */
    val version: String

    /** Throws [Refused] when the file cannot be run. */
    fun open(
        model: File,
        threads: Int,
        seed: Long,
    ): TimedModel
}
