package org.aectoolkit.demo

import android.content.Context
import android.graphics.Canvas
import android.graphics.Paint
import android.text.TextPaint
import android.text.TextUtils
import android.util.AttributeSet
import android.view.View
import org.aectoolkit.demo.PictureMaker.Companion.MINUTE_S
import kotlin.math.roundToInt

/**
 * The events of the last minute, a lane for each label, now at the end. What sounds now has an open end.
 * A screen reader is told the same in words.
 */
class MinuteView(
    context: Context,
    attributes: AttributeSet,
) : View(context, attributes) {
    private val text =
        TextPaint(Paint.ANTI_ALIAS_FLAG).apply {
            textSize = resources.getDimension(R.dimen.text_label)
            color = context.getColor(R.color.on_surface)
        }
    private val small =
        TextPaint(Paint.ANTI_ALIAS_FLAG).apply {
            textSize = resources.getDimension(R.dimen.text_small)
            color = context.getColor(R.color.on_surface_variant)
            fontFeatureSettings = "tnum"
        }
    private val fill = Paint(Paint.ANTI_ALIAS_FLAG)
    private val line = Paint().apply { color = context.getColor(R.color.outline) }
    private val gap = resources.getDimension(R.dimen.gap)
    private val laneHeight = resources.getDimension(R.dimen.lane_height)
    private val track = context.getColor(R.color.track)
    private val over = context.getColor(R.color.primary)
    private val open = context.getColor(R.color.sounding)
    private val rowHeight get() = text.fontSpacing + gap / 4 + laneHeight + gap
    private var nowS = 0.0
    private var lanes: Map<String, List<Span>> = emptyMap()

    fun show(picture: Picture?) {
        val before = lanes.size
        nowS = picture?.heardS ?: 0.0
        val byLabel = picture?.minute.orEmpty().groupBy { it.label }
        val latest = byLabel.entries.sortedByDescending { (_, spans) -> spans.maxOf { it.endS } }.take(MOST_LANES)
        lanes = latest.sortedBy { (_, spans) -> spans.first().startS }.associate { it.key to it.value }
        if (maxOf(before, LEAST_LANES) != maxOf(lanes.size, LEAST_LANES)) requestLayout()
        invalidate()
    }

    override fun getContentDescription(): CharSequence {
        if (lanes.isEmpty()) return resources.getString(R.string.minute_description_none)
        val spans =
            lanes.values
                .flatten()
                .sortedBy { it.startS }
                .joinToString { describe(it) }
        return resources.getString(R.string.minute_description, spans)
    }

    private fun describe(span: Span): String {
        val fromS = (nowS - span.startS).roundToInt()
        return if (span.open) {
            resources.getString(R.string.span_description_now, span.label, fromS)
        } else {
            resources.getString(R.string.span_description, span.label, fromS, (nowS - span.endS).roundToInt())
        }
    }

    override fun onMeasure(
        widthSpec: Int,
        heightSpec: Int,
    ) {
        val height = maxOf(lanes.size, LEAST_LANES) * rowHeight + gap + small.fontSpacing
        setMeasuredDimension(MeasureSpec.getSize(widthSpec), resolveSize(height.roundToInt(), heightSpec))
    }

    override fun onDraw(canvas: Canvas) {
        val bottom = maxOf(lanes.size, LEAST_LANES) * rowHeight
        for (quarter in 1 until QUARTERS) {
            val x = width.toFloat() * quarter / QUARTERS
            canvas.drawRect(x, 0f, x + 1, bottom, line)
        }
        drawAxis(canvas, bottom + gap / 2 - small.ascent())
        if (lanes.isEmpty()) {
            val none = resources.getString(R.string.minute_none)
            canvas.drawText(none, (width - text.measureText(none)) / 2, bottom / 2, text)
        }
        lanes.entries.forEachIndexed { row, (label, spans) -> drawLane(canvas, row * rowHeight, label, spans) }
    }

    private fun drawLane(
        canvas: Canvas,
        top: Float,
        label: String,
        spans: List<Span>,
    ) {
        val shown = TextUtils.ellipsize(label, text, width.toFloat(), TextUtils.TruncateAt.END).toString()
        canvas.drawText(shown, 0f, top - text.ascent(), text)
        val lane = top + text.fontSpacing + gap / 4
        val round = laneHeight / 2
        fill.color = track
        canvas.drawRoundRect(0f, lane, width.toFloat(), lane + laneHeight, round, round, fill)
        for (span in spans) {
            val from = place(span.startS)
            val to = maxOf(from + laneHeight, place(span.endS)).coerceAtMost(width.toFloat())
            fill.color = if (span.open) open else over
            canvas.drawRoundRect(minOf(from, to - laneHeight), lane, to, lane + laneHeight, round, round, fill)
        }
    }

    private fun drawAxis(
        canvas: Canvas,
        baseline: Float,
    ) {
        val ends = resources.getString(R.string.now)
        canvas.drawText(ends, width - small.measureText(ends), baseline, small)
        for (quarter in 0 until QUARTERS step 2) {
            val label = resources.getString(R.string.seconds_ago, MINUTE_S.toInt() * (QUARTERS - quarter) / QUARTERS)
            val centre = width * quarter.toFloat() / QUARTERS
            canvas.drawText(label, maxOf(0f, centre - small.measureText(label) / 2), baseline, small)
        }
    }

    private fun place(timeS: Double): Float =
        (width * (1 - (nowS - timeS) / MINUTE_S)).toFloat().coerceIn(0f, width.toFloat())

    private companion object {
        const val LEAST_LANES = 2
        const val MOST_LANES = 5
        const val QUARTERS = 4
    }
}
