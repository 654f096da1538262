package org.aectoolkit.tflite

import org.aectoolkit.core.Refused
import org.bytedeco.javacpp.BytePointer
import org.bytedeco.javacpp.Pointer
import org.bytedeco.tensorflowlite.BuiltinOpResolver
import org.bytedeco.tensorflowlite.FlatBufferModel
import org.bytedeco.tensorflowlite.FlatBufferModelBase
import org.bytedeco.tensorflowlite.Interpreter
import org.bytedeco.tensorflowlite.InterpreterBuilder
import org.bytedeco.tensorflowlite.SignatureRunner
import org.bytedeco.tensorflowlite.TfLiteTensor
import org.bytedeco.tensorflowlite.global.tensorflowlite.TfLiteTensorByteSize
import org.bytedeco.tensorflowlite.global.tensorflowlite.TfLiteTensorData
import org.bytedeco.tensorflowlite.global.tensorflowlite.TfLiteTensorDim
import org.bytedeco.tensorflowlite.global.tensorflowlite.TfLiteTensorNumDims
import org.bytedeco.tensorflowlite.global.tensorflowlite.kTfLiteFloat16
import org.bytedeco.tensorflowlite.global.tensorflowlite.kTfLiteFloat32
import org.bytedeco.tensorflowlite.global.tensorflowlite.kTfLiteOk
import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.util.Random

/**
 * A model file in native memory, ready to run. What its tensors mean is the caller's.
 *
 * Through TFLite's C++ API: its C API, as it is built here, brings no XNNPACK and is ten times as slow
 * (TfliteRunnersTest tells). The file's structure is verified, so that a damaged one is refused and does not crash.
 */
internal class LoadedModel(
    private val path: File,
    threads: Int,
) : AutoCloseable {
    private val model: FlatBufferModel
    private val interpreter = Interpreter(null as Pointer?)

    init {
        if (!path.isFile) throw Refused("${path.name} is missing. Install the bundle again.")
        model = FlatBufferModelBase.VerifyAndBuildFromFile(path.path) ?: throw refused("it is no TFLite model")
        try {
            BuiltinOpResolver().use { operators ->
                InterpreterBuilder(model, operators).use { builder ->
                    builder.SetNumThreads(threads)
                    if (builder.apply(interpreter) != kTfLiteOk || interpreter.isNull) {
                        throw refused("this runtime lacks an operator of it")
                    }
                }
            }
            if (interpreter.AllocateTensors() != kTfLiteOk) throw refused("its tensors cannot be allocated")
        } catch (refused: Refused) {
            close()
            throw refused
        }
    }

    /** How many operators the file has, those that a delegate took over included. */
    val operators: Int get() = interpreter.nodes_size().toInt()

    /** How many steps an inference takes: what a delegate computes is one. */
    val steps: Int get() = interpreter.execution_plan().limit().toInt()

    /** The signature that export writes. Throws [Refused] when the file has none. */
    fun signature(): SignatureRunner =
        interpreter.GetSignatureRunner(SIGNATURE) ?: throw refused("it has no signature $SIGNATURE")

    fun invoke() {
        if (interpreter.Invoke() != kTfLiteOk) throw refused("an inference failed")
    }

    /** Random numbers into every input, where they are: whole numbers are bytes of -100 to 99, others normal. */
    fun fillInputs(seed: Long) {
        val random = Random(seed)
        for (number in 0 until interpreter.inputs().limit()) {
            val tensor = interpreter.input_tensor(number)
            val memory = bytes(tensor)
            while (memory.hasRemaining()) {
                when (tensor.type()) {
                    kTfLiteFloat32 -> memory.putFloat(random.nextGaussian().toFloat())
                    kTfLiteFloat16 -> memory.putShort((HALF + random.nextInt(HALF_STEPS)).toShort())
                    else -> memory.put((random.nextInt(2 * BYTE_SPAN) - BYTE_SPAN).toByte())
                }
            }
        }
    }

    override fun close() {
        interpreter.close()
        model.close()
    }

    private fun refused(why: String) = Refused("TFLite cannot run ${path.name}: $why. Export the bundle again.")

    private companion object {
        const val SIGNATURE = "serving_default"
        const val BYTE_SPAN = 100

        /** One half in float16, and how many steps there are up to one. */
        const val HALF = 0x3800
        const val HALF_STEPS = 0x400

        fun bytes(tensor: TfLiteTensor): ByteBuffer =
            BytePointer(TfLiteTensorData(tensor))
                .capacity(TfLiteTensorByteSize(tensor))
                .asByteBuffer()
                .order(ByteOrder.nativeOrder())
    }
}

internal fun shape(tensor: TfLiteTensor): List<Int> = List(TfLiteTensorNumDims(tensor)) { TfLiteTensorDim(tensor, it) }
