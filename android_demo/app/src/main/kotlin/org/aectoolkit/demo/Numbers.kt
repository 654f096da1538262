package org.aectoolkit.demo

import android.content.res.Resources
import org.aectoolkit.core.Figure
import org.aectoolkit.core.Manifest
import java.util.Locale
import kotlin.math.roundToInt

/** Figures as people read them: three digits at most, with their unit. Proved by ScreenTest. */
class Numbers(
    private val resources: Resources,
) {
    fun percent(share: Float): Int = (share * PERCENT).roundToInt()

    fun percentText(share: Float): String = resources.getString(R.string.percent, percent(share))

    fun milliseconds(value: Double): String = resources.getString(R.string.milliseconds, digits(value))

    fun share(value: Double): String = resources.getString(R.string.share, digits(value * PERCENT))

    fun hertz(value: Double): String =
        if (value < KILO) {
            resources.getString(R.string.hertz, value.roundToInt())
        } else {
            resources.getString(R.string.kilohertz, digits(value / KILO))
        }

    /** As 0:07 or 1:02:03. */
    fun duration(seconds: Double): String {
        val whole = seconds.toLong()
        val (hours, minutes) = whole / HOUR_S to whole / MINUTE_S % MINUTE_S
        val locale = Locale.getDefault()
        return if (hours > 0) {
            "%d:%02d:%02d".format(locale, hours, minutes, whole % MINUTE_S)
        } else {
            "%d:%02d".format(locale, minutes, whole % MINUTE_S)
        }
    }

    fun digits(value: Double): String {
        val places =
            when {
                value >= HUNDRED -> 0
                value >= TEN -> 1
                else -> 2
            }
        val text = "%.${places}f".format(Locale.getDefault(), value)
        val point = text.indexOfFirst { !it.isDigit() && it != '-' }
        return if (point < 0) text else text.trimEnd('0').trimEnd(text[point])
    }

    companion object {
        private const val PERCENT = 100
        private const val KILO = 1000.0
        private const val MINUTE_S = 60L
        private const val HOUR_S = 3600L
        private const val HUNDRED = 99.95
        private const val TEN = 9.995
    }
}

/** A row of the cost panel: what was measured here and what the bundle predicted, null where it is not known. */
data class CostRow(
    val name: Int,
    val measured: String?,
    val predicted: String?,
)

/** The app's own cost beside the bundle's prediction. Proved by ScreenTest. */
class CostTexts(
    private val resources: Resources,
    private val manifest: Manifest,
) {
    private val numbers = Numbers(resources)
    private val predicted = manifest.pick?.predicted

    /** Over the column: predicted, and how the chunk's figure is known. */
    val heading: String =
        predicted?.let { resources.getString(R.string.predicted, it.latencyMs.kind.word) }
            ?: resources.getString(R.string.not_predicted)

    fun rows(picture: Picture): List<CostRow> {
        val cost = picture.cost
        return listOf(
            CostRow(
                R.string.cost_median,
                numbers.milliseconds(cost.chunkP50Ms),
                figure(predicted?.latencyMs) { ms(it) },
            ),
            CostRow(
                R.string.cost_p90,
                numbers.milliseconds(cost.chunkP90Ms),
                figure(predicted?.latencyP90Ms) { ms(it) },
            ),
            CostRow(R.string.cost_share, numbers.share(cost.coreShare), figure(predicted?.coreShare, numbers::share)),
            CostRow(
                R.string.cost_memory,
                picture.memoryMb?.let { resources.getString(R.string.memory_app, numbers.digits(it)) },
                figure(predicted?.memoryMb) { resources.getString(R.string.memory_model, numbers.digits(it)) },
            ),
            CostRow(R.string.cost_dropped, cost.droppedChunks.toString(), null),
        )
    }

    fun note(picture: Picture): String =
        manifest.pick?.let { resources.getString(R.string.cost_note, picture.cost.runtime, it.device) }
            ?: resources.getString(R.string.cost_note_alone, picture.cost.runtime)

    private fun ms(value: Double) = numbers.milliseconds(value)

    /** The heading tells the kind of most figures; one that is known in another way says so itself. */
    private fun figure(
        figure: Figure?,
        text: (Double) -> String,
    ): String? {
        if (figure == null) return null
        val plain = text(figure.value)
        val same = figure.kind == predicted?.latencyMs?.kind
        return if (same) plain else resources.getString(R.string.kind_of_figure, plain, figure.kind.word)
    }
}
