package org.aectoolkit.demo

import android.Manifest
import android.content.pm.PackageManager
import android.view.View
import org.junit.Test
import java.io.ByteArrayInputStream
import kotlin.test.assertContentEquals
import kotlin.test.assertEquals
import kotlin.test.assertFalse
import kotlin.test.assertTrue

/** The activity as the system and a person treat it. */
class LifeTest : AppTest() {
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
        until { shown(R.id.notice)?.endsWith("Another bundle is in use.") == true && parts.microphones.size == 2 }
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

    private fun files() =
        (folder.root.walk() + app.dataDir.walk())
            .filter {
                it.isFile
            }.map { it.path to it.length() }
            .toSet()
}
