package org.aectoolkit.demo

import android.graphics.Bitmap
import android.graphics.Canvas
import android.view.View
import android.view.ViewGroup
import android.widget.ScrollView
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.Robolectric
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import org.robolectric.shadows.ShadowLooper
import java.io.File
import java.util.concurrent.TimeUnit
import kotlin.test.assertEquals

/** Draws every state on every kind of screen, and checks on each that nothing is cut and everything can be touched. */
@RunWith(RobolectricTestRunner::class)
class ScreenshotTest {
    @Test
    fun `a small phone shows every state`() = everyState("phone-320", "sw320dp-w320dp-h568dp", "xhdpi")

    @Test
    fun `a phone shows every state`() = everyState("phone-411", "sw411dp-w411dp-h891dp", "xhdpi")

    @Test
    fun `a phone on its side shows every state`() = everyState("phone-side", "sw411dp-w891dp-h411dp-land", "mdpi")

    @Test
    fun `a tablet shows every state`() = everyState("tablet-800", "sw800dp-w800dp-h1280dp", "mdpi")

    @Test
    fun `a tablet on its side shows every state`() = everyState("tablet-side", "sw800dp-w1280dp-h800dp-land", "mdpi")

    private fun everyState(
        name: String,
        size: String,
        density: String,
    ) {
        val all = mutableListOf<String>()
        for ((ground, scale) in listOf("notnight" to 1f, "night" to 1f, "notnight" to 1.6f)) {
            RuntimeEnvironment.setQualifiers("+$size-$ground-$density")
            RuntimeEnvironment.setFontScale(scale)
            Robolectric.buildActivity(ScreenActivity::class.java).use { controller ->
                val activity = controller.setup().get()
                val root: View = activity.need(R.id.root)
                for ((stateName, state) in States.all) {
                    val shot = "$name-$ground-${"%.1f".format(scale)}-$stateName"
                    activity.screen.show(state)
                    ShadowLooper.idleMainLooper(1, TimeUnit.SECONDS)
                    write(root.rootView, shot)
                    val faults = Looks.faults(root)
                    if (stateName in States.long) write(whole(root), "whole/$shot")
                    faults.mapTo(all) { "$shot: $it" }
                }
            }
        }
        assertEquals("", all.joinToString("\n"))
    }

    /** The page at its full length, as if the screen were long enough. */
    private fun whole(root: View): View {
        val scroll = (root as? ScrollView) ?: root.need<ScrollView>(R.id.scroll)
        return (scroll as ViewGroup).getChildAt(0)
    }

    private fun write(
        view: View,
        name: String,
    ) {
        val picture = Bitmap.createBitmap(view.width, view.height, Bitmap.Config.ARGB_8888)
        val canvas = Canvas(picture)
        canvas.drawColor(view.context.getColor(R.color.background))
        view.draw(canvas)
        val file = File(System.getProperty("aec.screenshots") ?: "target/screenshots", "$name.png")
        file.parentFile?.mkdirs()
        file.outputStream().use { picture.compress(Bitmap.CompressFormat.PNG, 100, it) }
    }
}
