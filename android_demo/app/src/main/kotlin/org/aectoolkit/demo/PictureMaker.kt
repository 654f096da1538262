package org.aectoolkit.demo

import org.aectoolkit.core.Event
import org.aectoolkit.core.Manifest
import org.aectoolkit.core.Moment

/**
 * Moments become [Picture]s: the strongest labels, the events of the last minute, the log-mel of one window.
 * For one thread. Proved by PictureMakerTest.
 */
class PictureMaker(
    private val manifest: Manifest,
    private val memoryMb: () -> Double?,
) {
    private val beganS = LinkedHashMap<String, Double>()
    private val ended = ArrayDeque<Event>()
    private var scores = FloatArray(manifest.labels.size)
    private var ring: LogMelRing? = null

    fun add(moment: Moment): Picture {
        moment.began.forEach { beganS[it] = maxOf(0.0, moment.heardS - manifest.hopS) }
        beganS.keys.retainAll(moment.sounding)
        ended += moment.ended
        ended.removeAll { it.endS < moment.heardS - MINUTE_S }
        if (moment.scores.isNotEmpty()) scores = moment.scores
        if (moment.logMel.isNotEmpty()) ring(moment.melBins).add(moment.logMel)
        return Picture(
            heardS = moment.heardS,
            strongest = strongest(moment.sounding),
            sounding = beganS.keys.toList(),
            minute = minute(moment.heardS),
            logMel = ring,
            cost = moment.cost,
            memoryMb = memoryMb(),
        )
    }

    private fun strongest(sounding: Set<String>): List<Score> =
        manifest.decisions
            .mapIndexed { index, rule ->
                Score(rule.label, scores[index], rule.threshold.toFloat(), rule.label in sounding)
            }.sortedByDescending { it.score }
            .take(SHOWN_LABELS)

    private fun minute(nowS: Double): List<Span> {
        val over = ended.map { Span(it.label, it.startS, it.endS, open = false) }
        val open = beganS.map { (label, startS) -> Span(label, startS, nowS, open = true) }
        return (over + open).sortedBy { it.startS }
    }

    private fun ring(melBins: Int): LogMelRing {
        val spec = manifest.frontEnd
        return ring ?: LogMelRing(
            frames = maxOf(1, manifest.windowSamples / spec.hopSamples),
            melBins = melBins,
            frameS = spec.hopSamples.toDouble() / spec.sampleRateHz,
        ).also { ring = it }
    }

    companion object {
        const val MINUTE_S = 60.0
        const val SHOWN_LABELS = 5
    }
}
