package org.aectoolkit.demo

import android.animation.ValueAnimator
import android.content.Context
import android.graphics.Canvas
import android.graphics.Paint
import android.util.AttributeSet
import android.view.View

/** A score as a bar, with a tick where it would count as heard. Its row says the same in words. */
class BarView(
    context: Context,
    attributes: AttributeSet,
) : View(context, attributes) {
    private val fill = Paint(Paint.ANTI_ALIAS_FLAG)
    private val tick = Paint().apply { color = context.getColor(R.color.on_surface_variant) }
    private val tickWidth = resources.getDimension(R.dimen.tick)
    private val track = context.getColor(R.color.track)
    private val quiet = context.getColor(R.color.primary)
    private val sounding = context.getColor(R.color.sounding)
    private var drawn = 0f
    private var threshold = 0f
    private var colour = quiet
    private var moving: ValueAnimator? = null

    init {
        importantForAccessibility = IMPORTANT_FOR_ACCESSIBILITY_NO
    }

    fun show(score: Score) {
        threshold = score.threshold
        colour = if (score.sounding) sounding else quiet
        moving?.cancel()
        moving =
            ValueAnimator.ofFloat(drawn, score.score.coerceIn(0f, 1f)).apply {
                duration = MOVE_MS
                addUpdateListener {
                    drawn = it.animatedValue as Float
                    invalidate()
                }
                start()
            }
    }

    override fun onDetachedFromWindow() {
        super.onDetachedFromWindow()
        moving?.end()
    }

    override fun onDraw(canvas: Canvas) {
        if (layoutDirection == LAYOUT_DIRECTION_RTL) canvas.scale(-1f, 1f, width / 2f, 0f)
        val (wide, high) = width.toFloat() to height.toFloat()
        val round = high / 2
        fill.color = track
        canvas.drawRoundRect(0f, 0f, wide, high, round, round, fill)
        fill.color = colour
        if (drawn > LEAST) canvas.drawRoundRect(0f, 0f, maxOf(high, wide * drawn), high, round, round, fill)
        val at = wide * threshold
        canvas.drawRect(at - tickWidth / 2, 0f, at + tickWidth / 2, high, tick)
    }

    private companion object {
        const val MOVE_MS = 250L
        const val LEAST = 0.005f
    }
}
