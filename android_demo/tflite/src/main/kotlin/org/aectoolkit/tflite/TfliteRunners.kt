package org.aectoolkit.tflite

import org.aectoolkit.core.BundleFile
import org.aectoolkit.core.ModelRunner
import org.aectoolkit.core.Refused
import org.aectoolkit.core.RunnerFactory
import org.aectoolkit.core.Runtime
import org.aectoolkit.core.TensorSpec
import org.aectoolkit.core.TimedModel
import org.aectoolkit.core.TimedModels
import org.bytedeco.javacpp.FloatPointer
import org.bytedeco.javacpp.PointerPointer
import org.bytedeco.tensorflowlite.SignatureRunner
import org.bytedeco.tensorflowlite.TfLiteTensor
import org.bytedeco.tensorflowlite.global.tensorflowlite.TfLiteTensorCopyFromBuffer
import org.bytedeco.tensorflowlite.global.tensorflowlite.TfLiteTensorCopyToBuffer
import org.bytedeco.tensorflowlite.global.tensorflowlite.TfLiteVersion
import org.bytedeco.tensorflowlite.global.tensorflowlite.kTfLiteFloat32
import java.io.File

/**
 * TFLite, the same class on Android and on a JVM; only the native library differs.
 *
 * Tensors are known by the names of the file's signature, which are those of the manifest. Proved by TfliteRunnersTest.
 */
class TfliteRunners :
    RunnerFactory,
    TimedModels {
    override val runtime: Runtime = Runtime.TFLITE

    /** Throws [Refused] when the app holds no native library for this processor. */
    override val version: String
        get() =
            try {
                TfLiteVersion().string
            } catch (fault: LinkageError) {
                throw Refused("TFLite's native library cannot be loaded here: ${fault.message?.lines()?.first()}")
            }

    override fun open(
        model: File,
        file: BundleFile,
        threads: Int,
    ): ModelRunner {
        val name = "TFLite $version"
        val loaded = LoadedModel(model, threads)
        try {
            return NamedRunner(loaded, loaded.signature(), file, name)
        } catch (refused: Refused) {
            loaded.close()
            throw refused
        }
    }

    override fun open(
        model: File,
        threads: Int,
        seed: Long,
    ): TimedModel {
        val loaded = LoadedModel(model, threads)
        loaded.fillInputs(seed)
        return object : TimedModel {
            override fun run() = loaded.invoke()

            override fun close() = loaded.close()
        }
    }
}

/** One signature of a loaded model, with memory outside the Java heap for each of its inputs and outputs. */
private class NamedRunner(
    private val model: LoadedModel,
    signature: SignatureRunner,
    file: BundleFile,
    override val runtime: String,
) : ModelRunner {
    private class Port(
        val name: String,
        val tensor: TfLiteTensor,
        val size: Int,
    ) {
        val memory = FloatPointer(size.toLong())
        val bytes = size.toLong() * Float.SIZE_BYTES
    }

    private val inputs: List<Port>
    private val outputs: List<Port>

    init {
        val takes =
            names(signature.input_names(), signature.input_size()).map { it to signature.input_tensor(it) }
        val gives =
            names(signature.output_names(), signature.output_size()).map { it to signature.output_tensor(it) }
        check(file, "inputs", file.inputs, takes)
        check(file, "outputs", file.outputs, gives)
        inputs = ports(takes)
        outputs = ports(gives)
    }

    override fun run(inputs: Map<String, FloatArray>): Map<String, FloatArray> {
        for (port in this.inputs) {
            val values = inputs.getValue(port.name)
            require(values.size == port.size) { "${port.name} takes ${port.size} numbers, found ${values.size}" }
            port.memory.put(values, 0, port.size)
            TfLiteTensorCopyFromBuffer(port.tensor, port.memory, port.bytes)
        }
        model.invoke()
        return outputs.associate { port ->
            TfLiteTensorCopyToBuffer(port.tensor, port.memory, port.bytes)
            port.name to FloatArray(port.size).also { port.memory.get(it, 0, port.size) }
        }
    }

    override fun close() {
        (inputs + outputs).forEach { it.memory.close() }
        model.close()
    }

    private companion object {
        fun names(
            pointers: PointerPointer<*>,
            count: Long,
        ): List<String> = List(count.toInt()) { pointers.getString(it.toLong()) }

        fun ports(tensors: List<Pair<String, TfLiteTensor>>): List<Port> =
            tensors.map { (name, tensor) -> Port(name, tensor, shape(tensor).fold(1, Int::times)) }

        fun check(
            file: BundleFile,
            what: String,
            expected: List<TensorSpec>,
            found: List<Pair<String, TfLiteTensor>>,
        ) {
            val wanted = expected.associate { it.name to it.shape }
            val shapes = found.associate { (name, tensor) -> name to shape(tensor) }
            if (shapes != wanted || found.any { (_, tensor) -> tensor.type() != kTfLiteFloat32 }) {
                val strange = shapes.filter { (name, shape) -> wanted[name] != shape }.entries.firstOrNull()
                throw Refused(
                    "${file.name} has other $what than its manifest says (${strange ?: shapes.keys}). " +
                        "Export the bundle again.",
                )
            }
        }
    }
}
