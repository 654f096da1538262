package org.aectoolkit.core

import kotlinx.serialization.SerialName
import kotlinx.serialization.Serializable

// The records of a bundle's manifest.json, field by field those of toolkit/specs/bundle.py. How strictly they are
// read is ManifestParser's. Proved by ManifestParserTest.

/** Which program runs a model file. */
@Serializable
enum class Runtime(
    val word: String,
) {
    @SerialName("tflite")
    TFLITE("tflite"),

    @SerialName("executorch")
    EXECUTORCH("executorch"),

    @SerialName("coreml")
    COREML("coreml"),

    @SerialName("onnx")
    ONNX("onnx"),
}

/** In what a model's numbers are held. */
@Serializable
enum class Precision(
    val word: String,
) {
    @SerialName("fp32")
    FP32("fp32"),

    @SerialName("fp16")
    FP16("fp16"),

    @SerialName("int8")
    INT8("int8"),

    @SerialName("int8-dynamic")
    INT8_DYNAMIC("int8-dynamic"),

    @SerialName("int8-weights")
    INT8_WEIGHTS("int8-weights"),
}

/** What one inference is: 10 s of audio, its log-mel, or one chunk and the state. */
@Serializable
enum class Mode(
    val word: String,
) {
    @SerialName("clip")
    CLIP("clip"),

    @SerialName("frames")
    FRAMES("frames"),

    @SerialName("stream")
    STREAM("stream"),
}

/** How a predicted number is known. */
@Serializable
enum class Kind(
    val word: String,
) {
    @SerialName("measured")
    MEASURED("measured"),

    @SerialName("interpolated")
    INTERPOLATED("interpolated"),

    @SerialName("modelled")
    MODELLED("modelled"),
}

/** A named input or output, float32 always. */
@Serializable
data class TensorSpec(
    val name: String,
    val shape: List<Int>,
) {
    val size: Int get() = shape.fold(1, Int::times)
}

/** One model file of a bundle. */
@Serializable
data class BundleFile(
    val name: String,
    val runtime: Runtime,
    val precision: Precision,
    val mode: Mode,
    val inputs: List<TensorSpec>,
    val outputs: List<TensorSpec>,
    @SerialName("size_bytes") val sizeBytes: Long,
    val sha256: String,
)

/** When the scores of a label count as an event, and what that rests on. */
@Serializable
data class LabelDecision(
    val label: String,
    val threshold: Double,
    @SerialName("off_threshold") val offThreshold: Double,
    @SerialName("smoothing_decisions") val smoothingDecisions: Int,
    val calibrated: Boolean,
    @SerialName("train_clips") val trainClips: Int,
    @SerialName("validation_clips") val validationClips: Int,
    @SerialName("average_precision") val averagePrecision: Double?,
    @SerialName("event_f1") val eventF1: Double?,
    @SerialName("false_alarms_per_hour") val falseAlarmsPerHour: Double?,
)

/** A predicted number and how it is known. */
@Serializable
data class Figure(
    val value: Double,
    val kind: Kind,
)

/** What a cost table says a subnet costs on the device that it was chosen for. */
@Serializable
data class PredictedCost(
    @SerialName("latency_ms") val latencyMs: Figure,
    @SerialName("latency_p90_ms") val latencyP90Ms: Figure? = null,
    @SerialName("core_share") val coreShare: Figure?,
    @SerialName("memory_mb") val memoryMb: Figure,
    @SerialName("file_mb") val fileMb: Figure,
    val params: Long,
    val macs: Long,
)

/** What a subnet may spend; a bound that is null does not bind. */
@Serializable
data class Budget(
    @SerialName("max_latency_ms") val maxLatencyMs: Double? = null,
    @SerialName("max_core_share") val maxCoreShare: Double? = null,
    @SerialName("max_memory_mb") val maxMemoryMb: Double? = null,
    @SerialName("max_size_mb") val maxSizeMb: Double? = null,
    @SerialName("max_params") val maxParams: Long? = null,
    @SerialName("min_params") val minParams: Long? = null,
    @SerialName("max_macs") val maxMacs: Long? = null,
)

/** Search's answer: which device the subnet was chosen for, and what it was predicted to cost there. */
@Serializable
data class Pick(
    @SerialName("schema_version") val schemaVersion: Int = 1,
    val device: String,
    val subnet: String,
    @SerialName("run_name") val runName: String,
    @SerialName("run_hash") val runHash: String,
    @SerialName("table_hash") val tableHash: String,
    val runtime: Runtime,
    val precision: Precision,
    val mode: Mode,
    val budget: Budget,
    val predicted: PredictedCost,
    @SerialName("mean_average_precision") val meanAveragePrecision: Double,
    val method: String,
    val seed: Long,
    val candidates: Long,
    @SerialName("created_utc") val createdUtc: String,
)

/** Everything that a listener needs to know: the bundle's manifest.json. */
@Serializable
data class Manifest(
    @SerialName("schema_version") val schemaVersion: Int,
    val name: String,
    val subnet: String,
    @SerialName("run_name") val runName: String,
    @SerialName("run_hash") val runHash: String,
    val pick: Pick?,
    val labels: List<String>,
    val decisions: List<LabelDecision>,
    @SerialName("front_end") val frontEnd: FrontEndSpec,
    @SerialName("front_end_fingerprint") val frontEndFingerprint: String,
    @SerialName("window_samples") val windowSamples: Int,
    @SerialName("hop_samples") val hopSamples: Int,
    val files: List<BundleFile>,
    @SerialName("other_sha256") val otherSha256: Map<String, String>,
    @SerialName("qat_data_hash") val qatDataHash: String? = null,
    @SerialName("toolkit_version") val toolkitVersion: String,
) {
    /** Seconds between two decisions. */
    val hopS: Double get() = hopSamples.toDouble() / frontEnd.sampleRateHz
}
