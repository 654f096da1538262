package org.aectoolkit.demo

import org.aectoolkit.core.AudioSource
import org.aectoolkit.core.Bundle
import org.aectoolkit.core.Manifest
import org.aectoolkit.core.WavSource
import java.io.InputStream

/**
 * Decides what the app does; outlives the activity that shows it when the screen turns. It knows no Android class.
 *
 * All functions and [onState] are for the main thread. Proved by PresenterTest.
 */
class Presenter(
    private val parts: Parts,
) : AutoCloseable {
    var onState: (UiState) -> Unit = {}
        set(value) {
            field = value
            value(state)
        }
    var state: UiState = UiState.Opening
        private set(value) {
            field = value
            onState(value)
        }
    private var bundle: Bundle? = null
    private var session: Session? = null
    private var goOn = false
    private var wish: (() -> Unit)? = null
    private var closed = false

    private val picture: Picture?
        get() =
            when (val now = state) {
                is UiState.Hearing -> now.picture
                is UiState.Ready -> now.last
                is UiState.Played -> now.picture
                is UiState.SoundLost -> now.last
                else -> null
            }

    /** The app is in front: takes what came over adb or with the app, and listens again if it did before. */
    fun arrive() = look(null)

    /** The app is in the background: the microphone is given back, and taken again at the next [arrive]. */
    fun leave() {
        val heard = session?.heard ?: return
        stop()
        goOn = heard == Heard.Microphone
    }

    fun listen() {
        if (!parts.mayRecord()) return askMicrophone()
        start(Heard.Microphone, parts::microphone)
    }

    /** The system is asking the person now. */
    fun askMicrophone() {
        val now = state as? UiState.InUse ?: return
        end()
        state = UiState.AskingMicrophone(now.bundle)
    }

    /** The answer, [mayAskAgain] as the system has it; nothing was answered where [granted] is null. */
    fun answered(
        granted: Boolean?,
        mayAskAgain: Boolean,
    ) {
        val now = state as? UiState.InUse ?: return
        when (granted) {
            true -> listen()
            false -> state = UiState.MicrophoneRefused(now.bundle, forEver = !mayAskAgain)
            null -> state = UiState.Ready(now.bundle)
        }
    }

    fun play(
        name: String,
        open: () -> InputStream,
    ) {
        if (bundle == null) wish = { play(name, open) }
        start(Heard.Recording(name)) { WavSource(open()) }
    }

    fun stop() {
        val now = state as? UiState.Hearing ?: return
        val last = picture
        end()
        state = UiState.Ready(now.bundle, now.notice, last)
    }

    /** Checks a zip and takes it; where it is refused, the bundle in use stays, and goes on listening if it does. */
    fun choose(zip: () -> InputStream) = look(zip)

    fun dismiss() {
        (state as? UiState.InUse)?.let { state = it.noticed(null) }
    }

    override fun close() {
        closed = true
        end()
    }

    private fun end() {
        goOn = false
        session?.close()
        session = null
    }

    private fun start(
        heard: Heard,
        open: (Int) -> AudioSource,
    ) {
        val used = bundle ?: return
        end()
        state = UiState.Hearing(used.manifest, source = heard)
        session = Session(parts, used, heard, open, ::heard, ::ended).also { it.start() }
    }

    private fun heard(picture: Picture) {
        (state as? UiState.Hearing)?.let { state = it.copy(picture = picture) }
    }

    private fun ended(fault: Throwable?) {
        val now = state as? UiState.Hearing ?: return
        session = null
        val source = now.source
        state =
            when {
                fault != null -> UiState.SoundLost(now.bundle, now.notice, source, line(fault), now.picture)
                source is Heard.Recording -> UiState.Played(now.bundle, now.notice, source.name, now.picture)
                else -> UiState.Ready(now.bundle, now.notice, now.picture)
            }
    }

    private fun look(chosen: (() -> InputStream)?) {
        val known = bundle != null
        if (!known) state = UiState.Opening
        parts.work.execute {
            val found = BundleSearch(parts).look(chosen, known)
            parts.main.execute { if (!closed) settle(found) }
        }
    }

    private fun settle(found: BundleSearch.Found) {
        val before = state
        val listens = goOn || session?.heard == Heard.Microphone
        val used = found.bundle ?: bundle
        bundle = used
        when {
            used == null -> state = found.line?.let(UiState::BundleRefused) ?: UiState.NoBundle
            before is UiState.MicrophoneRefused && !parts.mayRecord() -> state = before.copy(bundle = used.manifest)
            before is UiState.MicrophoneRefused -> listen()
            found.bundle != null || before !is UiState.InUse -> use(used.manifest, listens)
            goOn -> listen()
        }
        (state as? UiState.InUse)?.let { now -> if (found.line != null) state = now.noticed(found.line) }
        if (used != null) wish?.invoke().also { wish = null }
    }

    /** Another bundle than before: what listened goes on with it, a recording ends. */
    private fun use(
        manifest: Manifest,
        listens: Boolean,
    ) {
        end()
        state = if (state is UiState.AskingMicrophone) UiState.AskingMicrophone(manifest) else UiState.Ready(manifest)
        if (listens) listen()
    }
}
