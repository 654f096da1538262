package org.aectoolkit.core

import java.io.File

/** A bundle's model that is a function of its inputs, with what it was asked. */
class FakeRunners(
    private val answer: (Map<String, FloatArray>) -> Map<String, FloatArray>,
) : RunnerFactory {
    val asked = mutableListOf<Map<String, FloatArray>>()
    var closed = 0

    override fun open(
        model: File,
        file: BundleFile,
        threads: Int,
    ): ModelRunner =
        object : ModelRunner {
            override val runtime = "fake 1"

            override fun run(inputs: Map<String, FloatArray>): Map<String, FloatArray> {
                asked += inputs.mapValues { it.value.copyOf() }
                val given = answer(inputs)
                return file.outputs.associate { it.name to (given[it.name] ?: FloatArray(it.size)) }
            }

            override fun close() {
                closed++
            }
        }
}

private val labels =
    Bundle
        .open(Fixtures.bundle)
        .manifest.labels.size

/** A score for every label of the bundle. */
fun scores(of: Float) = FloatArray(labels) { of }

/** Hears how loud the newest chunk is, for every label, and counts its chunks in the state. */
fun loudness(): FakeRunners =
    FakeRunners { inputs ->
        val loudest = inputs.getValue("samples").maxOf { kotlin.math.abs(it) }
        mapOf(
            "scores" to scores(loudest),
            "log_mel" to FloatArray(96 * 64) { loudest },
            "next_frames_seen" to floatArrayOf(inputs.getValue("frames_seen")[0] + 1),
        )
    }
