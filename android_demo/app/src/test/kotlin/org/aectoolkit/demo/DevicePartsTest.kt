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
        val shipped = assertNotNull(parts.shipped())
        assertEquals(RealPictures.bundle.manifest, parts.store.install(shipped).manifest)
        parts.shippedDone()
        assertNull(parts.shipped())
        assertNull(DeviceParts(app, assets(exported)).shipped())
        assertNotNull(DeviceParts(app, assets(TinyBundle.files())).shipped())
    }

    @Test
    fun `a bundle that the device's runtime cannot run is refused`() {
        assertFailsWith<Refused> { DeviceParts(app).store.install(TinyBundle.streams()) }
    }

    @Test
    fun `an app without a bundle among its assets ships none`() {
        assertNull(DeviceParts(app, assets(mapOf("readme.txt" to ByteArray(1)))).shipped())
    }

    @Test
    fun `adb pushes to a folder that it can write`() {
        val parts = DeviceParts(app)
        assertNull(parts.pushed())
        val pushed =
            File(
                checkNotNull(app.getExternalFilesDir(null)),
                "bundle.zip",
            ).apply { writeBytes(TinyBundle.zip()) }
        assertEquals(pushed, parts.pushed())
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
