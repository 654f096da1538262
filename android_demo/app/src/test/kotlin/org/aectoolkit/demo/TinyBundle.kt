package org.aectoolkit.demo

import kotlinx.serialization.json.Json
import org.aectoolkit.core.Budget
import org.aectoolkit.core.BundleFile
import org.aectoolkit.core.Figure
import org.aectoolkit.core.FrontEndSpec
import org.aectoolkit.core.Kind
import org.aectoolkit.core.LabelDecision
import org.aectoolkit.core.Manifest
import org.aectoolkit.core.Mode
import org.aectoolkit.core.ModelRunner
import org.aectoolkit.core.Pick
import org.aectoolkit.core.Precision
import org.aectoolkit.core.PredictedCost
import org.aectoolkit.core.RunnerFactory
import org.aectoolkit.core.Runtime
import org.aectoolkit.core.TensorSpec
import java.io.ByteArrayInputStream
import java.io.ByteArrayOutputStream
import java.io.InputStream
import java.security.MessageDigest
import java.util.zip.ZipEntry
import java.util.zip.ZipOutputStream

/** A whole bundle of three labels whose model file is no model: [TinyRunners] stands in for the runtime. */
object TinyBundle {
    const val HOP_SAMPLES = 800
    const val RATE_HZ = 8_000
    const val MEL_BINS = 8
    const val FRAMES = 10
    private val labels = listOf("Siren", "Dog", "Rain")
    private val frontEnd = FrontEndSpec(RATE_HZ, 160, HOP_SAMPLES / FRAMES, MEL_BINS, 50.0, 3_500.0, 1e-10)
    private val model = "no model".toByteArray()
    private val labelsText = labels.joinToString("\n", postfix = "\n").toByteArray()

    fun manifest(
        name: String = "tiny",
        pick: Pick? = pick(),
    ) = Manifest(
        schemaVersion = 1,
        name = name,
        subnet = "8.8-8.8-8.8",
        runName = "tests",
        runHash = "0123456789abcdef",
        pick = pick,
        labels = labels,
        decisions = labels.map { LabelDecision(it, 0.5, 0.4, 1, true, 10, 10, null, null, null) },
        frontEnd = frontEnd,
        frontEndFingerprint = frontEnd.fingerprint,
        windowSamples = 2 * HOP_SAMPLES,
        hopSamples = HOP_SAMPLES,
        files =
            listOf(
                BundleFile(
                    name = "stream.int8.tflite",
                    runtime = Runtime.TFLITE,
                    precision = Precision.INT8,
                    mode = Mode.STREAM,
                    inputs = listOf(TensorSpec("samples", listOf(1, HOP_SAMPLES)), TensorSpec("count", listOf(1))),
                    outputs =
                        listOf(
                            TensorSpec("scores", listOf(1, labels.size)),
                            TensorSpec("log_mel", listOf(1, FRAMES, MEL_BINS, 1)),
                            TensorSpec("next_count", listOf(1)),
                        ),
                    sizeBytes = model.size.toLong(),
                    sha256 = sha256(model),
                ),
            ),
        otherSha256 = mapOf("labels.txt" to sha256(labelsText)),
        toolkitVersion = "0.1.0",
    )

    fun pick(latencyP90: Figure? = null) =
        Pick(
            device = "pixel7",
            subnet = "8.8-8.8-8.8",
            runName = "tests",
            runHash = "0123456789abcdef",
            tableHash = "0123456789abcdef",
            runtime = Runtime.TFLITE,
            precision = Precision.INT8,
            mode = Mode.STREAM,
            budget = Budget(maxCoreShare = 0.02),
            predicted =
                PredictedCost(
                    latencyMs = Figure(17.54, Kind.MODELLED),
                    latencyP90Ms = latencyP90,
                    coreShare = Figure(0.0183, Kind.MODELLED),
                    memoryMb = Figure(1.96, Kind.MODELLED),
                    fileMb = Figure(1.0, Kind.MODELLED),
                    params = 1_000,
                    macs = 1_000,
                ),
            meanAveragePrecision = 0.5,
            method = "exhaustive",
            seed = 0,
            candidates = 1,
            createdUtc = "2026-01-01T00:00:00+00:00",
        )

    fun files(manifest: Manifest = manifest()): Map<String, ByteArray> {
        val json = Json { encodeDefaults = true }
        return mapOf(
            "manifest.json" to json.encodeToString(Manifest.serializer(), manifest).toByteArray(),
            "labels.txt" to labelsText,
            "stream.int8.tflite" to model,
        )
    }

    fun streams(manifest: Manifest = manifest()): Map<String, () -> InputStream> =
        files(manifest).mapValues { (_, bytes) -> { ByteArrayInputStream(bytes) } }

    fun zip(manifest: Manifest = manifest()): ByteArray = zip(files(manifest))

    /** The model file is not the one that the manifest tells of. */
    fun damagedZip(): ByteArray = zip(files() + ("stream.int8.tflite" to "no modem".toByteArray()))

    /** A hop that [TinyRunners] gives these scores for. */
    fun hop(vararg scores: Float) = scores.copyOf(HOP_SAMPLES)

    private fun zip(files: Map<String, ByteArray>): ByteArray {
        val bytes = ByteArrayOutputStream()
        ZipOutputStream(bytes).use { zip ->
            for ((name, content) in files) {
                zip.putNextEntry(ZipEntry(name))
                zip.write(content)
            }
        }
        return bytes.toByteArray()
    }

    private fun sha256(bytes: ByteArray) =
        MessageDigest.getInstance("SHA-256").digest(bytes).joinToString("") { "%02x".format(it) }
}

/** Scores are the first samples of a hop; log-mel is a ramp. Counts how many models are open. */
class TinyRunners {
    @Volatile var open = 0
        private set

    /** What else happens at an inference. */
    var onRun: () -> Unit = {}

    val factory =
        RunnerFactory { _, _, _ ->
            open++
            object : ModelRunner {
                override val runtime = "tiny 1"

                override fun run(inputs: Map<String, FloatArray>): Map<String, FloatArray> {
                    onRun()
                    return mapOf(
                        "scores" to inputs.getValue("samples").copyOf(3),
                        "log_mel" to FloatArray(TinyBundle.FRAMES * TinyBundle.MEL_BINS) { -it.toFloat() },
                        "next_count" to floatArrayOf(inputs.getValue("count")[0] + 1),
                    )
                }

                override fun close() {
                    open--
                }
            }
        }
}
