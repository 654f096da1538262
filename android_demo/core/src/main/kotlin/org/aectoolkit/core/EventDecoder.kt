package org.aectoolkit.core

import java.math.BigDecimal
import java.math.RoundingMode

/** Scores of the window that ends at sample [end]; [heard] samples of audio have come so far. */
class Decision(
    val end: Long,
    val heard: Long,
    val scores: FloatArray,
)

/**
 * Scores become events: the twin of toolkit/events/decoder.py, which says why it does what it does. One running stream
 * of decisions, in constant memory. Proved by EventDecoderTest, on cases that Python decoded.
 */
class EventDecoder(
    private val rules: List<LabelDecision>,
    private val windowSamples: Int,
    private val hopSamples: Int,
    private val sampleRateHz: Int,
) {
    private class Sounding(
        val start: Long,
        var last: Long,
        var peak: Float,
        var decisions: Int,
    )

    /** How many decisions later than its own an event is told at most. */
    val lagDecisions: Int = rules.maxOf { it.smoothingDecisions } / 2

    /** A whole event is in at least so many windows; what fewer of them heard was a flicker. */
    private val fewest = minOf(2, windowSamples / hopSamples)

    /** The scores of the latest decisions, in turn; silence before the first. */
    private val latest = Array(2 * lagDecisions + 1) { FloatArray(rules.size) }
    private var newest = 0
    private val sorted = FloatArray(latest.size)
    private val sounding = arrayOfNulls<Sounding>(rules.size)
    private var end = 0L
    private var heard = 0L

    /** Labels that are heard now. */
    val soundingLabels: Set<String>
        get() = rules.indices.mapNotNullTo(mutableSetOf()) { if (sounding[it] == null) null else rules[it].label }

    /** Events that this decision ends. */
    fun push(decision: Decision): List<Event> {
        heard = decision.heard
        return step(decision.end, decision.scores)
    }

    /** Events that still sound when there are no more decisions. */
    fun flush(): List<Event> {
        val events = mutableListOf<Event>()
        repeat(lagDecisions) { events += step(end + hopSamples, FloatArray(rules.size)) }
        for (index in rules.indices) {
            if (sounding[index] != null) close(index)?.let { events += it }
        }
        return events
    }

    private fun step(
        end: Long,
        scores: FloatArray,
    ): List<Event> {
        this.end = end
        newest = (newest + 1) % latest.size
        scores.copyInto(latest[newest])
        val events = mutableListOf<Event>()
        for ((index, rule) in rules.withIndex()) {
            val score = median(index, rule.smoothingDecisions)
            val at = end - rule.smoothingDecisions / 2 * hopSamples // the end of the middle one of the smoothed windows
            val now = sounding[index]
            if (now == null) {
                val start = at - hopSamples
                if (score >= rule.threshold && start >= 0 && start < heard) {
                    sounding[index] = Sounding(start, at, score, 1)
                }
            } else if (score >= rule.offThreshold) {
                now.last = at
                now.peak = maxOf(now.peak, score)
                now.decisions++
            } else if (at - now.last > BRIDGED_HOPS * hopSamples) {
                close(index)?.let { events += it }
            }
        }
        return events
    }

    private fun median(
        index: Int,
        smoothing: Int,
    ): Float {
        for (back in 0 until smoothing) sorted[back] = latest[(newest - back + latest.size) % latest.size][index]
        sorted.sort(0, smoothing)
        return sorted[smoothing / 2]
    }

    private fun close(index: Int): Event? {
        val sounded = sounding[index] ?: return null
        sounding[index] = null
        if (sounded.decisions < fewest) return null
        val left = sounded.last - windowSamples + hopSamples
        val until = minOf(maxOf(left, sounded.start + hopSamples), heard)
        val confidence = sounded.peak.toDouble().coerceIn(0.0, 1.0)
        return Event(
            rules[index].label,
            sounded.start.toDouble() / sampleRateHz,
            until.toDouble() / sampleRateHz,
            BigDecimal(confidence).setScale(DECIMALS, RoundingMode.HALF_EVEN).toDouble(),
        )
    }

    private companion object {
        /** Decisions below the off threshold that do not end an event. */
        const val BRIDGED_HOPS = 2
        const val DECIMALS = 4
    }
}
