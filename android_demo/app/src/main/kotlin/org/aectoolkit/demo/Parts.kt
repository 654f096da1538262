package org.aectoolkit.demo

import org.aectoolkit.core.AudioSource
import org.aectoolkit.core.BundleStore
import org.aectoolkit.core.RunnerFactory
import java.io.File
import java.io.InputStream
import java.util.concurrent.Executor

/** All that [Presenter] needs of the device it runs on; [DeviceParts] is the real one, tests have their own. */
interface Parts {
    val store: BundleStore
    val runners: RunnerFactory

    /** Runs what touches [UiState], in order. */
    val main: Executor

    /** Runs what takes long, in order: checking bundles, loading models. */
    val work: Executor

    /** The files of the bundle inside the app, unless there is none or this very one was taken before. */
    fun shipped(): Map<String, () -> InputStream>?

    /** Remembers that [shipped] was taken, or refused while another was in use: it is not looked at again. */
    fun shippedDone()

    /** A zip that came over adb. It is deleted once it was looked at. */
    fun pushed(): File?

    fun mayRecord(): Boolean

    /** A running microphone at that rate or the next one that the device has. */
    fun microphone(rateHz: Int): AudioSource

    /** Resident memory of the whole app, or null where the system does not tell. */
    fun memoryMb(): Double?
}
