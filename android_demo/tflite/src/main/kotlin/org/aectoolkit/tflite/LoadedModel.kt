package org.aectoolkit.tflite

import org.aectoolkit.core.Refused
import org.bytedeco.javacpp.BytePointer
import org.bytedeco.tensorflowlite.TfLiteInterpreter
import org.bytedeco.tensorflowlite.TfLiteModel
import org.bytedeco.tensorflowlite.TfLiteSignatureRunner
import org.bytedeco.tensorflowlite.TfLiteTensor
import org.bytedeco.tensorflowlite.global.tensorflowlite.TfLiteInterpreterAllocateTensors
import org.bytedeco.tensorflowlite.global.tensorflowlite.TfLiteInterpreterCreate
import org.bytedeco.tensorflowlite.global.tensorflowlite.TfLiteInterpreterDelete
import org.bytedeco.tensorflowlite.global.tensorflowlite.TfLiteInterpreterGetInputTensor
import org.bytedeco.tensorflowlite.global.tensorflowlite.TfLiteInterpreterGetInputTensorCount
import org.bytedeco.tensorflowlite.global.tensorflowlite.TfLiteInterpreterGetSignatureRunner
import org.bytedeco.tensorflowlite.global.tensorflowlite.TfLiteInterpreterInvoke
import org.bytedeco.tensorflowlite.global.tensorflowlite.TfLiteInterpreterOptionsCreate
import org.bytedeco.tensorflowlite.global.tensorflowlite.TfLiteInterpreterOptionsDelete
import org.bytedeco.tensorflowlite.global.tensorflowlite.TfLiteInterpreterOptionsSetNumThreads
import org.bytedeco.tensorflowlite.global.tensorflowlite.TfLiteModelCreateFromFile
import org.bytedeco.tensorflowlite.global.tensorflowlite.TfLiteModelDelete
import org.bytedeco.tensorflowlite.global.tensorflowlite.TfLiteSignatureRunnerDelete
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

/** A model file in native memory, ready to run. What its tensors mean is the caller's. */
internal class LoadedModel(
    private val path: File,
    threads: Int,
) : AutoCloseable {
    private var model: TfLiteModel? = null
    private var interpreter: TfLiteInterpreter? = null
    private var signature: TfLiteSignatureRunner? = null

    init {
        try {
            if (!path.isFile) throw Refused("${path.name} is missing. Install the bundle again.")
            val loaded = TfLiteModelCreateFromFile(path.path) ?: throw refused("it is no TFLite model")
            model = loaded
            val options = TfLiteInterpreterOptionsCreate()
            TfLiteInterpreterOptionsSetNumThreads(options, threads)
            interpreter = TfLiteInterpreterCreate(loaded, options)
            TfLiteInterpreterOptionsDelete(options)
            val created = interpreter ?: throw refused("this runtime lacks an operator of it")
            // This, and not the signature's own call, brings in XNNPACK.
            if (TfLiteInterpreterAllocateTensors(created) != kTfLiteOk) throw refused("its tensors cannot be allocated")
        } catch (refused: Refused) {
            close()
            throw refused
        }
    }

    /** The signature that export writes. Throws [Refused] when the file has none. */
    fun signature(): TfLiteSignatureRunner =
        (TfLiteInterpreterGetSignatureRunner(interpreter, SIGNATURE) ?: throw refused("it has no signature $SIGNATURE"))
            .also { signature = it }

    fun invoke() {
        if (TfLiteInterpreterInvoke(interpreter) != kTfLiteOk) throw refused("an inference failed")
    }

    /** Random numbers into every input, where they are: whole numbers are bytes of -100 to 99, others normal. */
    fun fillInputs(seed: Long) {
        val random = Random(seed)
        for (number in 0 until TfLiteInterpreterGetInputTensorCount(interpreter)) {
            val tensor = TfLiteInterpreterGetInputTensor(interpreter, number)
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
        signature?.let(::TfLiteSignatureRunnerDelete)
        interpreter?.let(::TfLiteInterpreterDelete)
        model?.let(::TfLiteModelDelete)
        signature = null
        interpreter = null
        model = null
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

internal fun shape(tensor: TfLiteTensor): List<Int> =
    List(TfLiteTensorNumDims(tensor)) { TfLiteTensorDim(tensor, it) }
