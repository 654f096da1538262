package org.aectoolkit.demo

import android.Manifest
import android.content.Context
import android.content.pm.PackageManager
import android.os.Handler
import android.os.Looper
import org.aectoolkit.core.BundleStore
import org.aectoolkit.core.Ear
import org.aectoolkit.core.RunnerFactory
import java.io.File
import java.io.IOException
import java.io.InputStream
import java.util.concurrent.Executor
import java.util.concurrent.Executors

/** The device itself. Holds no activity. Proved by DevicePartsTest. */
class DeviceParts(
    private val context: Context,
    private val assets: Assets = Assets.of(context),
    override val runners: RunnerFactory = DeviceRunners(),
) : Parts {
    override val store = BundleStore(File(context.filesDir, "bundles")) { Ear.tryOut(it, runners) }
    override val main: Executor = Handler(Looper.getMainLooper()).let { Executor(it::post) }
    override val work: Executor = Executors.newSingleThreadExecutor { Thread(it, "work").apply { isDaemon = true } }
    private val taken = context.getSharedPreferences("bundle", Context.MODE_PRIVATE)

    override fun shipped(): Map<String, () -> InputStream>? =
        assets
            .names()
            .takeIf { MANIFEST in it }
            ?.associateWith { name -> { assets.open(name) } }

    override fun shippedIsNew(): Boolean = shippedManifest().let { it != null && it != taken.getString(TAKEN, null) }

    override fun shippedDone() = taken.edit().putString(TAKEN, shippedManifest()).apply()

    private fun shippedManifest(): String? =
        shipped()?.getValue(MANIFEST)?.let { open -> open().bufferedReader().use { it.readText() } }

    override fun pushed(): File? = context.getExternalFilesDir(null)?.let { File(it, PUSHED) }

    override fun mayRecord(): Boolean =
        context.checkSelfPermission(Manifest.permission.RECORD_AUDIO) == PackageManager.PERMISSION_GRANTED

    override fun microphone(rateHz: Int) = MicrophoneSource(context, rateHz)

    override fun memoryMb(): Double? =
        try {
            File("/proc/self/status").useLines { lines ->
                lines.firstOrNull { it.startsWith("VmRSS:") }?.let { it.filter(Char::isDigit).toLong() / KILO }
            }
        } catch (_: IOException) {
            null
        }

    private companion object {
        const val MANIFEST = "manifest.json"
        const val TAKEN = "manifest taken from the app"
        const val PUSHED = "bundle.zip"
        const val KILO = 1024.0
    }
}

/** The bundle's files inside the app; none where it was built without one. */
interface Assets {
    fun names(): List<String>

    fun open(name: String): InputStream

    companion object {
        private const val FOLDER = "bundle"

        fun of(context: Context) =
            object : Assets {
                override fun names() =
                    context.assets
                        .list(FOLDER)
                        .orEmpty()
                        .toList()

                override fun open(name: String) = context.assets.open("$FOLDER/$name")
            }
    }
}
