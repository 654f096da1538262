package org.aectoolkit.demo

import android.os.SystemClock
import android.view.LayoutInflater
import android.view.View
import android.view.ViewGroup
import android.widget.TextView

/** The card of what is heard now: its names in large, then the strongest labels with their bars. */
class ScoresPanel(
    card: View,
) {
    private val rows: ViewGroup = card.need(R.id.score_rows)
    private val headline: TextView = card.need(R.id.heard_now)
    private val resources = card.resources
    private val numbers = Numbers(resources)
    private val spoken = Spoken(SystemClock::uptimeMillis)
    private val plain = card.context.getColor(R.color.on_surface)
    private val quiet = card.context.getColor(R.color.on_surface_variant)
    private val sounding = card.context.getColor(R.color.sounding)

    fun show(picture: Picture?) {
        val heard = picture?.sounding.orEmpty()
        say(
            when {
                picture == null -> resources.getString(R.string.heard_waiting)
                heard.isEmpty() -> resources.getString(R.string.heard_nothing)
                else -> names(heard)
            },
            if (heard.isEmpty()) quiet else sounding,
        )
        val scores = picture?.strongest.orEmpty()
        while (rows.childCount < scores.size) {
            LayoutInflater.from(rows.context).inflate(R.layout.score_row, rows, true)
        }
        for (index in 0 until rows.childCount) {
            val row = rows.getChildAt(index)
            row.shown(index < scores.size)
            if (index < scores.size) show(row, scores[index])
        }
    }

    private fun names(heard: List<String>): String {
        val more = heard.size - 2
        return when {
            heard.size == 1 -> heard.single()
            more == 0 -> resources.getString(R.string.heard_two, heard[0], heard[1])
            else -> resources.getQuantityString(R.plurals.heard_more, more, heard[0], heard[1], more)
        }
    }

    /** Seen at once, but spoken no more often than [Spoken] allows. */
    private fun say(
        text: String,
        colour: Int,
    ) {
        headline.setTextColor(colour)
        val speak = spoken.mayBe(text)
        headline.accessibilityLiveRegion =
            if (speak) View.ACCESSIBILITY_LIVE_REGION_POLITE else View.ACCESSIBILITY_LIVE_REGION_NONE
        if (speak || headline.text.toString() != text) headline.text = text
    }

    private fun show(
        row: View,
        score: Score,
    ) {
        val label = row.need<TextView>(R.id.score_label)
        label.text = score.label
        label.setTextColor(if (score.sounding) sounding else plain)
        row.need<TextView>(R.id.score_percent).text = numbers.percentText(score.score)
        row.need<BarView>(R.id.score_bar).show(score)
        val percent = numbers.percent(score.score)
        row.contentDescription =
            if (score.sounding) {
                resources.getString(R.string.score_description_sounding, score.label, percent)
            } else {
                val threshold = numbers.percent(score.threshold)
                resources.getString(R.string.score_description, score.label, percent, threshold)
            }
    }
}

/** Keeps a screen reader from talking all the time: a new text every three seconds at most. Proved by ScreenTest. */
class Spoken(
    private val clockMs: () -> Long,
) {
    private var last: String? = null
    private var lastMs = Long.MIN_VALUE / 2

    /** Whether to speak [text] now: it is new, and the one before has been out long enough. Asked at each decision. */
    fun mayBe(text: String): Boolean {
        val now = clockMs()
        if (text == last || now - lastMs < PAUSE_MS) return false
        last = text
        lastMs = now
        return true
    }

    private companion object {
        const val PAUSE_MS = 3_000L
    }
}
