package org.aectoolkit.demo

import android.app.Activity
import android.content.Intent
import android.net.Uri
import android.view.View
import android.widget.TextView
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.double
import kotlinx.serialization.json.jsonArray
import kotlinx.serialization.json.jsonObject
import kotlinx.serialization.json.jsonPrimitive
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.Robolectric
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import org.robolectric.Shadows.shadowOf
import org.robolectric.shadows.ShadowLooper
import java.io.File
import java.util.zip.ZipEntry
import java.util.zip.ZipOutputStream
import kotlin.math.roundToInt
import kotlin.test.assertTrue

/** The whole app, nothing replaced: a bundle pushed as adb does, a recording picked, heard by the real TFLite. */
@RunWith(RobolectricTestRunner::class)
class RealAppTest {
    private val app = RuntimeEnvironment.getApplication()

    @Test
    fun `it hears in a recording what Python's listen hears in it`() {
        push()
        val controller = Robolectric.buildActivity(MainActivity::class.java).setup()
        val activity = controller.get()
        until { shown(activity, R.id.message_title) == app.getString(R.string.ready_title) }
        activity.need<View>(R.id.play_recording).performClick()
        val uri = Uri.parse("content://documents/scene.wav")
        shadowOf(app.contentResolver).registerInputStreamSupplier(uri) { RealPictures.scene.inputStream() }
        val asked = shadowOf(activity).nextStartedActivityForResult.intent
        shadowOf(activity).receiveResult(asked, Activity.RESULT_OK, Intent().setData(uri))
        until { shown(activity, R.id.status)?.startsWith("Played scene.wav") == true }

        val said = activity.need<View>(R.id.minute).contentDescription.toString()
        val python =
            Json
                .parseToJsonElement(
                    File(RealPictures.fixtures, "listen/scene.int8.json").readText(),
                ).jsonObject
        val events = python.getValue("events").jsonArray.map { it.jsonObject }
        val heardS = python.getValue("heard_s").jsonPrimitive.double
        assertTrue(events.isNotEmpty(), "Python heard something")
        for (event in events) {
            val label = event.getValue("label").jsonPrimitive.content
            val ago = listOf("start_s", "end_s").map { (heardS - event.getValue(it).jsonPrimitive.double).roundToInt() }
            assertTrue("$label from ${ago[0]} to ${ago[1]} seconds ago" in said, "$event, but: $said")
        }
        controller.pause().stop().destroy()
    }

    private fun push() {
        val into = File(checkNotNull(app.getExternalFilesDir(null)), "bundle.zip")
        ZipOutputStream(into.outputStream()).use { zip ->
            for (file in RealPictures.bundle.folder
                .listFiles()
                .orEmpty()) {
                zip.putNextEntry(ZipEntry(file.name))
                file.inputStream().use { it.copyTo(zip) }
            }
        }
    }

    private fun shown(
        activity: Activity,
        id: Int,
    ): String? =
        activity
            .need<TextView>(id)
            .takeIf { it.isShown }
            ?.text
            ?.toString()

    private fun until(reached: () -> Boolean) {
        val end = System.nanoTime() + PATIENCE_NANOS
        while (!reached()) {
            check(System.nanoTime() < end) { "it did not come" }
            Thread.sleep(5)
            ShadowLooper.idleMainLooper()
        }
    }

    private companion object {
        const val PATIENCE_NANOS = 60_000_000_000L
    }
}
