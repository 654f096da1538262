package org.aectoolkit.demo

import android.animation.ValueAnimator
import android.content.Context
import android.graphics.Bitmap
import android.graphics.BitmapShader
import android.graphics.Canvas
import android.graphics.Matrix
import android.graphics.Paint
import android.graphics.Shader
import android.text.TextPaint
import android.util.AttributeSet
import android.view.View
import android.view.animation.DecelerateInterpolator
import org.aectoolkit.core.FrontEndSpec
import kotlin.math.roundToInt

/** The log-mel of the model's window, low bands below, now at the end; it moves on with each decision. */
class LogMelView(
    context: Context,
    attributes: AttributeSet,
) : View(context, attributes) {
    private val numbers = Numbers(resources)
    private val small =
        TextPaint(Paint.ANTI_ALIAS_FLAG).apply {
            textSize = resources.getDimension(R.dimen.text_small)
            color = context.getColor(R.color.on_surface_variant)
            fontFeatureSettings = "tnum"
        }
    private val gap = resources.getDimension(R.dimen.gap)
    private val round = gap
    private val pictureHeight = resources.getDimension(R.dimen.mel_height)
    private val ground = Paint(Paint.ANTI_ALIAS_FLAG).apply { color = context.getColor(R.color.surface) }
    private val empty = Paint(Paint.ANTI_ALIAS_FLAG).apply { color = context.getColor(R.color.mel_0) }
    private val paint = Paint(Paint.ANTI_ALIAS_FLAG or Paint.FILTER_BITMAP_FLAG)
    private val colours =
        MelColours(
            listOf(R.color.mel_0, R.color.mel_1, R.color.mel_2, R.color.mel_3).map(context::getColor),
            context.getColor(R.color.mel_0),
        )
    private val matrixOfPicture = Matrix()
    private var levels = FloatArray(0)
    private var pixels = IntArray(0)
    private var bitmap: Bitmap? = null
    private var shown = -1L
    private var shift = 0f
    private var moving: ValueAnimator? = null
    private var seconds = 0
    private var bands = "" to ""

    fun show(
        spec: FrontEndSpec,
        windowS: Double,
        ring: LogMelRing?,
    ) {
        seconds = windowS.roundToInt()
        bands = numbers.hertz(spec.fMinHz) to numbers.hertz(spec.fMaxHz)
        if (ring == null) {
            bitmap = null
            shown = -1
        } else if (ring.count != shown) {
            val added = if (shown in 0..ring.count) (ring.count - shown).toFloat() / ring.frames else 0f
            shown = ring.count
            paint(ring)
            move(added.coerceAtMost(1f))
        }
        invalidate()
    }

    private fun paint(ring: LogMelRing) {
        val size = ring.frames * ring.melBins
        if (levels.size != size) {
            levels = FloatArray(size)
            pixels = IntArray(size)
        }
        ring.copy(levels)
        colours.paint(levels, ring.melBins, pixels)
        val target =
            bitmap?.takeIf { it.width == ring.frames && it.height == ring.melBins }
                ?: Bitmap.createBitmap(ring.frames, ring.melBins, Bitmap.Config.ARGB_8888).also { bitmap = it }
        target.setPixels(pixels, 0, ring.frames, 0, 0, ring.frames, ring.melBins)
        paint.shader = BitmapShader(target, Shader.TileMode.CLAMP, Shader.TileMode.CLAMP)
    }

    /** The new frames come in from the end. */
    private fun move(added: Float) {
        moving?.cancel()
        moving =
            ValueAnimator.ofFloat(added, 0f).apply {
                duration = MOVE_MS
                interpolator = DecelerateInterpolator()
                addUpdateListener {
                    shift = it.animatedValue as Float
                    invalidate()
                }
                start()
            }
    }

    override fun onDetachedFromWindow() {
        super.onDetachedFromWindow()
        moving?.end()
    }

    override fun getContentDescription(): CharSequence =
        resources.getString(R.string.log_mel_description, seconds, bands.first, bands.second)

    override fun onMeasure(
        widthSpec: Int,
        heightSpec: Int,
    ) {
        val height = pictureHeight + gap / 2 + small.fontSpacing
        setMeasuredDimension(MeasureSpec.getSize(widthSpec), resolveSize(height.roundToInt(), heightSpec))
    }

    override fun onDraw(canvas: Canvas) {
        val wide = width.toFloat()
        canvas.drawRoundRect(0f, 0f, wide, pictureHeight, round, round, empty)
        bitmap?.let {
            matrixOfPicture.setScale(wide / it.width, pictureHeight / it.height)
            matrixOfPicture.postTranslate(shift * wide, 0f)
            paint.shader.setLocalMatrix(matrixOfPicture)
            canvas.drawRoundRect(0f, 0f, wide, pictureHeight, round, round, paint)
        }
        tag(canvas, bands.second, gap / 2)
        tag(canvas, bands.first, pictureHeight - gap - small.fontSpacing)
        val baseline = pictureHeight + gap / 2 - small.ascent()
        canvas.drawText(resources.getString(R.string.seconds_ago, seconds), 0f, baseline, small)
        val now = resources.getString(R.string.now)
        canvas.drawText(now, wide - small.measureText(now), baseline, small)
    }

    /** A frequency on a ground of its own, so that it is read over any picture. */
    private fun tag(
        canvas: Canvas,
        text: String,
        top: Float,
    ) {
        val (left, right) = gap / 2 to gap * 3 / 2 + small.measureText(text)
        canvas.drawRoundRect(left, top, right, top + small.fontSpacing + gap / 2, gap / 2, gap / 2, ground)
        canvas.drawText(text, gap, top + gap / 4 - small.ascent(), small)
    }

    private companion object {
        const val MOVE_MS = 400L
    }
}
