package org.aectoolkit.demo

import android.Manifest
import android.content.pm.PackageManager
import org.junit.Test
import org.robolectric.Shadows.shadowOf
import kotlin.test.assertContentEquals
import kotlin.test.assertEquals
import kotlin.test.assertNotNull

/** May the app listen? Every answer that the system can bring. */
class PermissionTest : AppTest() {
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
}
