package org.aectoolkit.demo

import android.Manifest
import android.app.Activity
import android.content.Intent
import android.net.Uri
import android.os.Handler
import android.os.Looper
import android.view.View
import android.widget.TextView
import org.junit.After
import org.junit.Before
import org.junit.Rule
import org.junit.rules.TemporaryFolder
import org.junit.runner.RunWith
import org.robolectric.Robolectric
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import org.robolectric.Shadows.shadowOf
import org.robolectric.android.controller.ActivityController
import org.robolectric.shadows.ShadowLooper
import java.io.InputStream
import java.util.concurrent.CountDownLatch
import kotlin.test.assertEquals
import kotlin.test.assertTrue

/** The activity in front of the real presenter and a device of the test's own, and the hands of a person. */
@RunWith(RobolectricTestRunner::class)
abstract class AppTest {
    @get:Rule
    val folder = TemporaryFolder()
    protected val app = RuntimeEnvironment.getApplication() as DemoApp
    protected lateinit var parts: FakeParts
    protected lateinit var controller: ActivityController<MainActivity>
    protected val activity: MainActivity get() = controller.get()

    @Before
    fun start() {
        parts = FakeParts(folder.root, Handler(Looper.getMainLooper()).let { main -> { task -> main.post(task) } })
        parts.inApp = TinyBundle.streams()
        app.makeParts = { parts }
    }

    @After
    fun end() {
        controller.pause().stop().destroy()
        CountDownLatch(1).also { parts.work.execute(it::countDown) }.await() // what was still being built
        assertTrue(parts.microphones.all { it.closed }, "the microphone is given back")
        assertEquals(0, parts.tiny.open, "every model is closed")
    }

    protected fun launch(
        allowed: Boolean = true,
        ready: Boolean = true,
    ) {
        parts.allowed = allowed
        controller = Robolectric.buildActivity(MainActivity::class.java).setup()
        if (ready) until { shown(R.id.message_title) == text(R.string.ready_title) }
    }

    protected fun listening() {
        launch()
        click(R.id.main_action)
        until { parts.microphones.size == 1 }
        hears("Siren", 0.9f, 0f, 0f)
    }

    protected fun hears(
        label: String,
        vararg scores: Float,
    ) {
        parts.microphones.last().hear(*scores)
        until { label in shown(R.id.heard_now).orEmpty() }
    }

    protected fun click(id: Int) = assertTrue(activity.need<View>(id).performClick())

    protected fun asked(): Array<String>? = shadowOf(activity).lastRequestedPermission?.requestedPermissions

    protected fun rationale(shown: Boolean) =
        shadowOf(app.packageManager).setShouldShowRequestPermissionRationale(Manifest.permission.RECORD_AUDIO, shown)

    protected fun answer(result: Int) {
        val request = shadowOf(activity).lastRequestedPermission
        activity.onRequestPermissionsResult(request.requestCode, request.requestedPermissions, intArrayOf(result))
        ShadowLooper.idleMainLooper()
    }

    /** The person takes a document that holds this. */
    protected fun pick(open: () -> InputStream) {
        val uri = Uri.parse("content://documents/a.wav")
        shadowOf(app.contentResolver).registerInputStreamSupplier(uri, open)
        val started = shadowOf(activity).nextStartedActivityForResult
        assertEquals(Intent.ACTION_OPEN_DOCUMENT, started.intent.action)
        shadowOf(activity).receiveResult(started.intent, Activity.RESULT_OK, Intent().setData(uri))
    }

    protected fun text(id: Int) = app.getString(id)

    /** What a text view says, null where it is not to be seen. */
    protected fun shown(id: Int): String? =
        activity
            .need<TextView>(id)
            .takeIf { it.isShown }
            ?.text
            ?.toString()

    protected fun until(reached: () -> Boolean) {
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
