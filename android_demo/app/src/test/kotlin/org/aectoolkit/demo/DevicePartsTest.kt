package org.aectoolkit.demo

import android.Manifest
import org.aectoolkit.core.Refused
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import org.robolectric.Shadows.shadowOf
import java.io.File
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertFalse
import kotlin.test.assertNotNull
import kotlin.test.assertNull
import kotlin.test.assertTrue

/** The device's own parts: where bundles lie, and what the system tells. */
@RunWith(RobolectricTestRunner::class)
class DevicePartsTest {
    private val app = RuntimeEnvironment.getApplication()

    @Test
    fun `a bundle among the assets is taken once, and another one after an update`() {
        val exported =
            RealPictures.bundle.folder
                .listFiles()
                .orEmpty()
                .associate { it.name to it.readBytes() }
        val parts = DeviceParts(app, assets(exported))
        assertTrue(parts.shippedIsNew())
        assertEquals(RealPictures.bundle.manifest, parts.store.install(assertNotNull(parts.shipped())).manifest)
        parts.shippedDone()
        assertFalse(parts.shippedIsNew())
        assertFalse(DeviceParts(app, assets(exported)).shippedIsNew())
        assertNotNull(DeviceParts(app, assets(exported)).shipped(), "it may be needed again")
        assertTrue(DeviceParts(app, assets(TinyBundle.files())).shippedIsNew())
    }

    @Test
    fun `a bundle that the device's runtime cannot run is refused`() {
        assertFailsWith<Refused> { DeviceParts(app).store.install(TinyBundle.streams()) }
    }

    @Test
    fun `a bundle whose model loads but does not run is refused`() {
        val tiny = TinyRunners().apply { onRun = { throw Refused("The model needs an operator that is not here.") } }
        val parts = DeviceParts(app, runners = tiny.factory)
        assertFailsWith<Refused> { parts.store.install(TinyBundle.streams()) }
        assertNull(parts.store.current())
        assertEquals(0, tiny.open)
    }

    @Test
    fun `an app without a bundle among its assets ships none`() {
        val parts = DeviceParts(app, assets(mapOf("readme.txt" to ByteArray(1))))
        assertNull(parts.shipped())
        assertFalse(parts.shippedIsNew())
    }

    @Test
    fun `adb pushes to a folder that it can write`() {
        assertEquals(File(app.getExternalFilesDir(null), "bundle.zip"), DeviceParts(app).pushed())
    }

    @Test
    fun `the system says whether the microphone may be used`() {
        assertFalse(DeviceParts(app).mayRecord())
        shadowOf(app).grantPermissions(Manifest.permission.RECORD_AUDIO)
        assertTrue(DeviceParts(app).mayRecord())
    }

    @Test
    fun `memory is that of the whole process`() {
        val parts = DeviceParts(app)
        val before = assertNotNull(parts.memoryMb())
        val ballast = ByteArray(64 shl 20) { it.toByte() }
        val after = assertNotNull(parts.memoryMb())
        assertTrue(before > 32 && after > 64 + ballast.first(), "$before MB, then $after MB")
    }

    /** The assets of an app that holds these files. */
    private fun assets(files: Map<String, ByteArray>) =
        object : Assets {
            override fun names() = files.keys.toList()

            override fun open(name: String) = files.getValue(name).inputStream()
        }
}
