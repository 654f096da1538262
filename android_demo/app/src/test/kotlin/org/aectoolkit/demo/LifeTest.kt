package org.aectoolkit.demo

import android.Manifest
import android.app.Activity
import android.content.Intent
import android.content.pm.PackageManager
import android.net.Uri
import android.os.Handler
import android.os.Looper
import android.view.View
import android.widget.TextView
import org.junit.After
import org.junit.Before
import org.junit.Rule
import org.junit.Test
import org.junit.rules.TemporaryFolder
import org.junit.runner.RunWith
import org.robolectric.Robolectric
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import org.robolectric.Shadows.shadowOf
import org.robolectric.android.controller.ActivityController
import org.robolectric.shadows.ShadowLooper
import java.io.ByteArrayInputStream
import java.io.InputStream
import kotlin.test.assertContentEquals
import kotlin.test.assertEquals
import kotlin.test.assertFalse
import kotlin.test.assertNotNull
import kotlin.test.assertTrue

/** The activity as the system and a person treat it; behind it are the real presenter and a device of the test's own. */
@RunWith(RobolectricTestRunner::class)
class LifeTest {
    @get:Rule
    val folder = TemporaryFolder()
    private val app = RuntimeEnvironment.getApplication() as DemoApp
    private lateinit var parts: FakeParts
    private lateinit var controller: ActivityController<MainActivity>
    private val activity: MainActivity get() = controller.get()

    @Before
    fun start() {
        parts = FakeParts(folder.root, Handler(Looper.getMainLooper()).let { main -> { task -> main.post(task) } })
        parts.inApp = TinyBundle.streams()
        app.makeParts = { parts }
    }

    @After
    fun end() {
        controller.pause().stop().destroy()
        assertTrue(parts.microphones.all { it.closed }, "the microphone is given back")
        assertEquals(0, parts.tiny.open, "every model is closed")
    }

    @Test
    fun `it may use the microphone and nothing else`() {
        launch()
        val info = app.packageManager.getPackageInfo(app.packageName, PackageManager.GET_PERMISSIONS)
        assertContentEquals(arrayOf(Manifest.permission.RECORD_AUDIO), info.requestedPermissions)
    }

    @Test
    fun `a turn of the screen goes on listening with the same microphone`() {
        listening()
        controller.recreate()
        hears("Dog", 0f, 0.9f, 0f)
        assertEquals(1, parts.microphones.size)
        assertFalse(parts.microphones.single().closed)
    }

    @Test
    fun `in the background nothing listens and on return it goes on`() {
        listening()
        controller.pause().stop()
        assertTrue(parts.microphones.single().closed)
        controller.start().resume()
        until { parts.microphones.size == 2 }
        hears("Rain", 0f, 0f, 0.9f)
    }

    @Test
    fun `leaving the app ends listening`() {
        listening()
        activity.finish()
        controller.pause().stop()
        assertTrue(parts.microphones.single().closed)
    }

    @Test
    fun `the system is asked when listening begins and a yes listens`() {
        launch(allowed = false)
        click(R.id.main_action)
        assertContentEquals(arrayOf(Manifest.permission.RECORD_AUDIO), asked())
        assertEquals(text(R.string.asking_title), shown(R.id.message_title))
        parts.allowed = true
        answer(PackageManager.PERMISSION_GRANTED)
        until { parts.microphones.size == 1 }
        hears("Siren", 0.9f, 0f, 0f)
    }

    @Test
    fun `a first no is explained and may be taken back`() {
        launch(allowed = false)
        click(R.id.main_action)
        rationale(true)
        answer(PackageManager.PERMISSION_DENIED)
        assertEquals(text(R.string.refused_once_title), shown(R.id.message_title))
        click(R.id.message_action)
        assertNotNull(asked(), "the system is asked again")
    }

    @Test
    fun `a no for ever leads to the settings and back`() {
        launch(allowed = false)
        click(R.id.main_action)
        rationale(true)
        answer(PackageManager.PERMISSION_DENIED)
        click(R.id.message_action)
        rationale(false)
        answer(PackageManager.PERMISSION_DENIED)
        assertEquals(text(R.string.refused_for_ever_title), shown(R.id.message_title))
        click(R.id.message_action)
        val settings = shadowOf(activity).nextStartedActivity
        assertEquals("package:org.aectoolkit.demo", settings.dataString)
        controller.pause().stop()
        parts.allowed = true
        controller.start().resume()
        until { parts.microphones.size == 1 }
    }

    @Test
    fun `a dialog that was only left is no answer for ever`() {
        launch(allowed = false)
        click(R.id.main_action)
        rationale(false)
        answer(PackageManager.PERMISSION_DENIED)
        assertEquals(text(R.string.refused_once_title), shown(R.id.message_title))
    }

    @Test
    fun `a bundle is chosen with the system's picker`() {
        parts.inApp = null
        launch(ready = false)
        until { shown(R.id.message_title) == text(R.string.no_bundle_title) }
        click(R.id.message_action)
        pick { ByteArrayInputStream(TinyBundle.zip(TinyBundle.manifest("chosen"))) }
        until { shown(R.id.bundle_line) == "chosen, 3 labels" }
    }

    @Test
    fun `a bundle refused while listening is told and the other goes on`() {
        listening()
        click(R.id.choose_bundle)
        controller.pause().stop()
        controller.start()
        pick { ByteArrayInputStream(TinyBundle.damagedZip()) }
        controller.resume()
        until { shown(R.id.notice)?.endsWith("The bundle in use stays.") == true && parts.microphones.size == 2 }
        hears("Rain", 0f, 0f, 0.9f)
        click(R.id.notice)
        assertEquals(null, shown(R.id.notice))
    }

    @Test
    fun `a recording is chosen with the system's picker and heard to its end`() {
        launch()
        click(R.id.play_recording)
        pick { wav(TinyBundle.hop(0.9f), TinyBundle.hop(0.9f)) }
        until { shown(R.id.status)?.startsWith("Played a.wav") == true }
        val lanes = activity.need<View>(R.id.minute).contentDescription.toString()
        assertTrue("Siren" in lanes, lanes)
    }

    @Test
    fun `a microphone that another app takes is told in a line`() {
        listening()
        parts.microphones.single().lose("Another app holds the microphone.")
        until { shown(R.id.message_body) == "Another app holds the microphone." }
        assertEquals(text(R.string.listen), shown(R.id.main_action))
    }

    @Test
    fun `nothing is written while it listens but the bundle`() {
        listening()
        val before = files()
        repeat(5) { hears("Siren", 0.9f, 0f, 0f) }
        assertEquals(before, files())
    }

    private fun files() = (folder.root.walk() + app.dataDir.walk()).filter { it.isFile }.map { it.path to it.length() }.toSet()

    private fun launch(
        allowed: Boolean = true,
        ready: Boolean = true,
    ) {
        parts.allowed = allowed
        controller = Robolectric.buildActivity(MainActivity::class.java).setup()
        if (ready) until { shown(R.id.message_title) == text(R.string.ready_title) }
    }

    private fun listening() {
        launch()
        click(R.id.main_action)
        until { parts.microphones.size == 1 }
        hears("Siren", 0.9f, 0f, 0f)
    }

    private fun hears(
        label: String,
        vararg scores: Float,
    ) {
        parts.microphones.last().hear(*scores)
        until { label in shown(R.id.heard_now).orEmpty() }
    }

    private fun click(id: Int) = assertTrue(activity.need<View>(id).performClick())

    private fun asked(): Array<String>? = shadowOf(activity).lastRequestedPermission?.requestedPermissions

    private fun rationale(shown: Boolean) =
        shadowOf(app.packageManager).setShouldShowRequestPermissionRationale(Manifest.permission.RECORD_AUDIO, shown)

    private fun answer(result: Int) {
        val request = shadowOf(activity).lastRequestedPermission
        activity.onRequestPermissionsResult(request.requestCode, request.requestedPermissions, intArrayOf(result))
        ShadowLooper.idleMainLooper()
    }

    /** The person takes a document that holds this. */
    private fun pick(open: () -> InputStream) {
        val uri = Uri.parse("content://documents/a.wav")
        shadowOf(app.contentResolver).registerInputStreamSupplier(uri, open)
        val started = shadowOf(activity).nextStartedActivityForResult
        assertEquals(Intent.ACTION_OPEN_DOCUMENT, started.intent.action)
        shadowOf(activity).receiveResult(started.intent, Activity.RESULT_OK, Intent().setData(uri))
    }

    private fun text(id: Int) = app.getString(id)

    /** What a text view says, null where it is not to be seen. */
    private fun shown(id: Int): String? = activity.need<TextView>(id).takeIf { it.isShown }?.text?.toString()

    private fun until(reached: () -> Boolean) {
        val end = System.nanoTime() + PATIENCE_NANOS
        while (!reached()) {
            check(System.nanoTime() < end) { "the screen says ${shown(R.id.status)}, ${shown(R.id.message_title)}" }
            Thread.sleep(2)
            ShadowLooper.idleMainLooper()
        }
    }

    private companion object {
        const val PATIENCE_NANOS = 20_000_000_000L
    }
}
