package org.aectoolkit.demo

import android.content.Context
import android.view.View
import android.widget.TextView
import org.aectoolkit.core.Cost
import org.aectoolkit.core.Figure
import org.aectoolkit.core.Kind
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.Robolectric
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import kotlin.math.pow
import kotlin.test.assertEquals
import kotlin.test.assertTrue

/** What the screen says, in words, figures and colours. */
@RunWith(RobolectricTestRunner::class)
class ScreenTest {
    private val app: Context = RuntimeEnvironment.getApplication()
    private val picture =
        Picture(
            65.0,
            emptyList(),
            emptyList(),
            emptyList(),
            null,
            Cost("TFLite 2.20.0", 60, 17.04, 21.5, 0.0176, 3),
            81.2,
        )

    @Test
    fun `what was measured stands beside what was predicted, and both are called so`() {
        val texts = CostTexts(app.resources, TinyBundle.manifest())
        assertEquals("predicted (modelled)", texts.heading)
        val rows = texts.rows(picture).associate { it.name to (it.measured to it.predicted) }
        assertEquals("17 ms" to "17.5 ms", rows[R.string.cost_median])
        assertEquals("21.5 ms" to null, rows[R.string.cost_p90])
        assertEquals("1.76 %" to "1.83 %", rows[R.string.cost_share])
        assertEquals("81.2 MB, whole app" to "1.96 MB, model alone", rows[R.string.cost_memory])
        assertEquals("3" to null, rows[R.string.cost_dropped])
        assertEquals("Measured here, with TFLite 2.20.0; the prediction is for pixel7.", texts.note(picture))
    }

    @Test
    fun `a figure that is known in another way says how`() {
        val pick = TinyBundle.pick(latencyP90 = Figure(20.0, Kind.MEASURED))
        val rows = CostTexts(app.resources, TinyBundle.manifest(pick = pick)).rows(picture)
        assertEquals("20 ms (measured)", rows.single { it.name == R.string.cost_p90 }.predicted)
    }

    @Test
    fun `a bundle without a pick predicts nothing`() {
        val texts = CostTexts(app.resources, TinyBundle.manifest(pick = null))
        assertTrue(texts.rows(picture).all { it.predicted == null })
        assertTrue("no prediction" in texts.note(picture))
    }

    @Test
    fun `figures have three digits and durations hours where there are some`() {
        val numbers = Numbers(app.resources)
        assertEquals(listOf("0", "0.04", "9.99", "10", "17.5", "100", "1234"), FIGURES.map(numbers::digits))
        assertEquals(
            listOf("0:00", "1:05", "59:59", "1:00:00"),
            listOf(0.4, 65.9, 3_599.9, 3_600.0).map(numbers::duration),
        )
        assertEquals(listOf("50 Hz", "14 kHz", "3.5 kHz"), listOf(50.0, 14_000.0, 3_500.0).map(numbers::hertz))
    }

    @Test
    fun `a screen reader hears of a change at once but not more often than each three seconds`() {
        var nowMs = 0L
        val spoken = Spoken { nowMs }
        assertTrue(spoken.mayBe("Siren"))
        nowMs = 1_000
        assertEquals(false, spoken.mayBe("Dog"))
        nowMs = 3_000
        assertTrue(spoken.mayBe("Dog"), "what is still true then is spoken")
        nowMs = 9_000
        assertEquals(false, spoken.mayBe("Dog"), "nothing is spoken twice")
    }

    @Test
    fun `each state's one action does what it says`() {
        val activity = Robolectric.buildActivity(ScreenActivity::class.java).setup().get()
        val bundle = TinyBundle.manifest()
        for ((state, done) in mapOf(
            UiState.NoBundle to "chooseBundle",
            UiState.BundleRefused("a line") to "chooseBundle",
            UiState.MicrophoneRefused(bundle, forEver = false) to "allowMicrophone",
            UiState.MicrophoneRefused(bundle, forEver = true) to "openSettings",
        )) {
            activity.screen.show(state)
            activity.need<View>(R.id.message_action).performClick()
            assertEquals(done, activity.done.last())
        }
        for ((state, done) in mapOf(
            UiState.Ready(bundle) to "listen",
            UiState.Hearing(bundle, source = Heard.Microphone) to "stop",
            UiState.SoundLost(bundle, source = Heard.Microphone, line = "a line", last = null) to "listen",
        )) {
            activity.screen.show(state)
            activity.need<View>(R.id.main_action).performClick()
            assertEquals(done, activity.done.last())
            assertEquals(state is UiState.Hearing, activity.need<View>(R.id.root).keepScreenOn)
        }
        assertEquals("a line", activity.need<TextView>(R.id.message_body).text.toString())
    }

    @Test
    fun `text has a contrast of 4 and a half on its ground by day and by night`() {
        for (ground in listOf("notnight", "night")) {
            RuntimeEnvironment.setQualifiers("+$ground")
            for ((text, under) in PAIRS) {
                val ratio = contrast(app.getColor(text), app.getColor(under))
                assertTrue(ratio >= 4.5, "${app.resources.getResourceEntryName(text)} at $ground: $ratio")
            }
        }
    }

    /** Source: WCAG 2.2, relative luminance and contrast ratio. */
    private fun contrast(
        one: Int,
        other: Int,
    ): Double {
        val (dark, light) = listOf(luminance(one), luminance(other)).sorted()
        return (light + 0.05) / (dark + 0.05)
    }

    private fun luminance(colour: Int): Double {
        val (red, green, blue) =
            listOf(16, 8, 0).map { shift ->
                val channel = (colour shr shift and 0xFF) / 255.0
                if (channel <= 0.04045) channel / 12.92 else ((channel + 0.055) / 1.055).pow(2.4)
            }
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue
    }

    private companion object {
        val FIGURES = listOf(0.0, 0.04, 9.99, 10.0, 17.54, 100.0, 1_234.4)
        val PAIRS =
            listOf(
                R.color.on_surface to R.color.surface,
                R.color.on_surface to R.color.background,
                R.color.on_surface_variant to R.color.surface,
                R.color.on_surface_variant to R.color.background,
                R.color.primary to R.color.background,
                R.color.primary to R.color.surface,
                R.color.sounding to R.color.surface,
                R.color.on_primary to R.color.primary,
                R.color.on_primary_container to R.color.primary_container,
                R.color.on_error_container to R.color.error_container,
            )
    }
}
