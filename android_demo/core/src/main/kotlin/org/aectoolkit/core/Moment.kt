package org.aectoolkit.core

/** A label heard from [startS] to [endS]; the confidence is its highest score, smoothed if its label is. */
data class Event(
    val label: String,
    val startS: Double,
    val endS: Double,
    val confidence: Double,
)

/**
 * What listening took so far, measured: wall time of an inference over the latest ones; CPU time of the listening thread
 * over the time heard (of the process, where the model has more threads); chunks that came faster than they were heard.
 */
data class Cost(
    val runtime: String,
    val decisions: Long,
    val chunkP50Ms: Double,
    val chunkP90Ms: Double,
    val coreShare: Double,
    val droppedChunks: Long,
)

/**
 * One decision.
 *
 * [scores] has one number a label and [logMel] the chunk's picture, frame after frame of [melBins] numbers in dB; both
 * are empty in the last moment of a stream, which only ends events, and [logMel] where the model gives none. [sounding]
 * are the labels that are heard after it; one may go from there without an event, a flicker in one window alone.
 */
class Moment(
    val heardS: Double,
    val scores: FloatArray,
    val logMel: FloatArray,
    val melBins: Int,
    val began: Set<String>,
    val sounding: Set<String>,
    val ended: List<Event>,
    val cost: Cost,
)
