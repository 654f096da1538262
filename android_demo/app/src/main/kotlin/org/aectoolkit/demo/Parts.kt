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

    /** The files of the bundle inside the app, null where it was built without one. */
    fun shipped(): Map<String, () -> InputStream>?

    /** Whether there is a [shipped] bundle that is not [shippedDone]. */
    fun shippedIsNew(): Boolean

    /** Remembers that [shipped] has had its turn: it does not replace what is in use, until an update brings another. */
    fun shippedDone()

    /** Where adb puts a zip, whether one is there or not; null while the system gives no storage. */
    fun pushed(): File?

    fun mayRecord(): Boolean

    /** A running microphone at that rate or the next one that the device has. */
    fun microphone(rateHz: Int): AudioSource

    /** Resident memory of the whole app, or null where the system does not tell. */
    fun memoryMb(): Double?
}
