package org.aectoolkit.executorch

import org.aectoolkit.core.BundleFile
import org.aectoolkit.core.ModelRunner
import org.aectoolkit.core.Refused
import org.aectoolkit.core.RunnerFactory
import org.aectoolkit.core.Runtime
import org.aectoolkit.core.TensorSpec
import org.aectoolkit.core.TimedModel
import org.aectoolkit.core.TimedModels
import org.pytorch.executorch.EValue
import org.pytorch.executorch.Module
import org.pytorch.executorch.Tensor
import java.io.File

/**
 * ExecuTorch, by its Android library: a flavour of the Gradle build, for the library is not to be had everywhere.
 *
 * A program file has no names: its inputs and outputs stand in the order of the manifest. Not run by any test here.
 */
class ExecutorchRunners :
    RunnerFactory,
    TimedModels {
    override val runtime: Runtime = Runtime.EXECUTORCH
    override val version: String = VERSION

    override fun open(
        model: File,
        file: BundleFile,
        threads: Int,
    ): ModelRunner {
        val runner = OrderedRunner(load(model, threads), file)
        try {
            // A program tells of no shapes: what it takes and gives shows when it runs.
            runner.run(file.inputs.associate { it.name to FloatArray(it.size) })
        } catch (refused: Refused) {
            runner.close()
            throw refused
        }
        return runner
    }

    override fun open(
        model: File,
        threads: Int,
        seed: Long,
    ): TimedModel {
        val module = load(model, threads)
        return object : TimedModel {
            override fun run() {
                module.forward() // without inputs it takes numbers of its own
            }

            override fun close() = module.destroy()
        }
    }

    companion object {
        /** Of org.pytorch:executorch-android, which does not tell by itself. */
        const val VERSION = "1.0.0"

        @Suppress("TooGenericExceptionCaught") // Module.load throws nothing finer
        private fun load(
            model: File,
            threads: Int,
        ): Module =
            try {
                Module.load(model.path, Module.LOAD_MODE_MMAP, threads)
            } catch (fault: RuntimeException) {
                throw cannotRun(model.name, fault)
            }
    }
}

private fun cannotRun(
    name: String,
    fault: RuntimeException,
) = Refused("$name cannot be run by ExecuTorch ${ExecutorchRunners.VERSION}: ${fault.message?.lines()?.first()}")

private class OrderedRunner(
    private val module: Module,
    private val file: BundleFile,
) : ModelRunner {
    override val runtime: String = "ExecuTorch ${ExecutorchRunners.VERSION}"

    @Suppress("TooGenericExceptionCaught") // Module.forward throws nothing finer
    override fun run(inputs: Map<String, FloatArray>): Map<String, FloatArray> =
        try {
            forward(inputs)
        } catch (fault: RuntimeException) {
            throw cannotRun(file.name, fault)
        }

    override fun close() = module.destroy()

    @Suppress("SpreadOperator") // a Java method with a variable number of arguments
    private fun forward(inputs: Map<String, FloatArray>): Map<String, FloatArray> {
        val given = file.inputs.map { EValue.from(Tensor.fromBlob(inputs.getValue(it.name), shape(it))) }
        val results = module.forward(*given.toTypedArray()).map { it.toTensor() }
        if (results.size != file.outputs.size) {
            throw Refused(
                "${file.name} has ${results.size} outputs, its manifest says ${file.outputs.size}. " +
                    "Export the bundle again.",
            )
        }
        return file.outputs.zip(results).associate { (spec, tensor) ->
            if (!tensor.shape().contentEquals(shape(spec))) {
                throw Refused("${file.name} has another shape of ${spec.name} than its manifest says.")
            }
            spec.name to tensor.dataAsFloatArray
        }
    }

    private fun shape(spec: TensorSpec): LongArray = LongArray(spec.shape.size) { spec.shape[it].toLong() }
}
