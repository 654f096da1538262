package org.aectoolkit.demo

import android.Manifest
import android.content.ComponentName
import android.content.Intent
import android.content.res.Configuration
import android.os.Bundle
import android.view.View
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.jsonArray
import kotlinx.serialization.json.jsonObject
import kotlinx.serialization.json.jsonPrimitive
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.Robolectric
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import org.robolectric.shadows.ShadowLooper
import java.io.File
import kotlin.test.assertEquals
import kotlin.test.assertSame
import kotlin.test.assertTrue

/** The benchmark as adb starts it, with the exported model and the real TFLite. */
@RunWith(RobolectricTestRunner::class)
class BenchmarkActivityTest {
    private val files = checkNotNull(RuntimeEnvironment.getApplication().getExternalFilesDir(null))
    private val bundle = File(RealPictures.fixtures, "bundle")

    @Test
    fun `a model is timed so many times and the last line is the end`() {
        val lines = run(timing(), "latest")
        assertEquals("end", kind(lines.last()))
        val measurement = lines.first()
        assertEquals(3, measurement.getValue("latencies_us").jsonArray.size)
        val environment = measurement.getValue("environment").jsonObject
        assertEquals("tflite", environment.getValue("runtime").jsonPrimitive.content)
        assertTrue(
            environment
                .getValue("system")
                .jsonPrimitive.content
                .startsWith("Android"),
        )
    }

    @Test
    fun `a plan is carried out beside its files and its lines are an agent's`() {
        val model = File(bundle, "stream.int8.tflite").copyTo(File(files, "a.tflite"), overwrite = true)
        File(files, "plan.txt").writeText("threads 1\nruns 2\nseconds 5\ntime ${model.name}\npeak ${model.name}\n")
        val lines = run(Intent().putExtra("plan", "plan.txt").putExtra("name", "planned"), "planned")
        assertEquals(listOf("start", "visit", "peak", "end"), lines.map(::kind))
    }

    @Test
    fun `what cannot be done is said in the last line`() {
        val lines = run(Intent().putExtra("model", "missing.tflite"), "latest")
        assertEquals("error", kind(lines.last()))
        val none = run(Intent().putExtra("plan", "missing.txt"), "latest")
        assertEquals(listOf("error"), none.map(::kind))
    }

    @Test
    fun `what nobody foresaw is said in the last line too`() {
        (RuntimeEnvironment.getApplication() as DemoApp).makeParts = { error("no parts today") }
        val lines = run(Intent(), "latest")
        assertEquals(listOf("error"), lines.map(::kind))
        assertEquals("no parts today", lines.single()["message"]?.jsonPrimitive?.content)
    }

    @Test
    fun `a turn of the screen leaves the run and what is said of it alone`() {
        val controller = Robolectric.buildActivity(BenchmarkActivity::class.java, timing(300f)).setup()
        val activity = controller.get()
        val turned = Configuration(activity.resources.configuration)
        turned.orientation = Configuration.ORIENTATION_LANDSCAPE
        controller.configurationChange(turned)
        assertSame(activity, controller.get())
        val status: View = activity.need(R.id.benchmark_status)
        until { !status.keepScreenOn }
        assertEquals("end", kind(lines("latest").last()))
    }

    @Test
    fun `an activity that the system brings back leaves the finished lines alone`() {
        run(timing(), "latest")
        val before = lines("latest")
        val recents = timing().addFlags(Intent.FLAG_ACTIVITY_LAUNCHED_FROM_HISTORY)
        Robolectric.buildActivity(BenchmarkActivity::class.java, recents).setup()
        Robolectric.buildActivity(BenchmarkActivity::class.java, timing()).setup(Bundle())
        ShadowLooper.idleMainLooper()
        assertEquals(before, lines("latest"))
    }

    @Test
    fun `the screen stays on until the last line is there`() {
        val activity = Robolectric.buildActivity(BenchmarkActivity::class.java, timing(300f)).setup().get()
        val status: View = activity.need(R.id.benchmark_status)
        assertTrue(status.keepScreenOn)
        until { !status.keepScreenOn }
        assertTrue(ended(File(files, "benchmark/latest.jsonl")))
    }

    @Test
    fun `no other app may start it`() {
        val app = RuntimeEnvironment.getApplication()
        val name = ComponentName(app, BenchmarkActivity::class.java)
        assertEquals(Manifest.permission.DUMP, app.packageManager.getActivityInfo(name, 0).permission)
    }

    @Test
    fun `a name that leads elsewhere writes nothing`() {
        val intent = Intent().putExtra("name", "../elsewhere")
        Robolectric.buildActivity(BenchmarkActivity::class.java, intent).setup()
        assertTrue(files.walk().none { "elsewhere" in it.name })
    }

    /** Asks for three runs of the exported model. */
    private fun timing(everyMs: Float = 1f) =
        Intent()
            .putExtra("model", File(bundle, "stream.int8.tflite").path)
            .putExtra("runs", 3)
            .putExtra("every_ms", everyMs)

    private fun run(
        intent: Intent,
        name: String,
    ): List<JsonObject> {
        val into = File(files, "benchmark/$name.jsonl").apply { delete() }
        val controller = Robolectric.buildActivity(BenchmarkActivity::class.java, intent).setup()
        until { ended(into) }
        controller.pause().stop().destroy()
        return lines(name)
    }

    private fun lines(name: String): List<JsonObject> =
        File(files, "benchmark/$name.jsonl").readLines().map { Json.parseToJsonElement(it).jsonObject }

    private fun until(reached: () -> Boolean) {
        val end = System.nanoTime() + PATIENCE_NANOS
        while (!reached()) {
            check(System.nanoTime() < end) { "it did not come" }
            Thread.sleep(5)
            ShadowLooper.idleMainLooper()
        }
    }

    private fun ended(file: File): Boolean {
        val last = if (file.isFile) file.readText() else ""
        return last.endsWith("\n") &&
            LAST.any {
                last
                    .lines()
                    .dropLast(1)
                    .last()
                    .contains("\"$it\"")
            }
    }

    private fun kind(line: JsonObject) = line["kind"]?.jsonPrimitive?.content

    private companion object {
        const val PATIENCE_NANOS = 30_000_000_000L
        val LAST = listOf("end", "error")
    }
}
