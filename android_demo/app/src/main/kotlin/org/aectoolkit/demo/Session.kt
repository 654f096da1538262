package org.aectoolkit.demo

import org.aectoolkit.core.AudioSource
import org.aectoolkit.core.Bundle
import org.aectoolkit.core.Ear
import org.aectoolkit.core.Listening
import org.aectoolkit.core.Moment
import java.util.concurrent.atomic.AtomicBoolean
import java.util.concurrent.atomic.AtomicReference

/**
 * One stretch of listening, from loading the model to the end of the sound. Decisions may come faster than the screen
 * draws, as a recording's do: then it is given the newest picture only. Proved by PresenterTest.
 *
 * [onPicture] and [onEnd] run on [Parts.main]; after [close] neither is called.
 */
class Session(
    private val parts: Parts,
    private val bundle: Bundle,
    val heard: Heard,
    private val open: (rateHz: Int) -> AudioSource,
    private val onPicture: (Picture) -> Unit,
    private val onEnd: (Throwable?) -> Unit,
) : AutoCloseable {
    private val closed = AtomicBoolean()
    private val newest = AtomicReference<Picture>()
    private val maker = PictureMaker(bundle.manifest, parts::memoryMb)
    private var listening: Listening? = null

    fun start() = parts.work.execute { runCatching(::begin).onFailure(::end) }

    private fun begin() {
        if (closed.get()) return
        val made = build()
        synchronized(this) {
            if (closed.get()) {
                made.close()
            } else {
                listening = made
                made.start()
            }
        }
    }

    /** Takes as long as the model's file and the sound's do, so no lock is held that [close] needs. */
    private fun build(): Listening {
        val ear = Ear(bundle, parts.runners)
        val source = runCatching { open(ear.sampleRateHz) }.onFailure { ear.close() }.getOrThrow()
        return runCatching { Listening(ear, source, heard == Heard.Microphone, ::show, ::end) }
            .onFailure {
                source.close()
                ear.close()
            }.getOrThrow()
    }

    private fun show(moment: Moment) {
        if (newest.getAndSet(maker.add(moment)) == null) parts.main.execute(::showNewest)
    }

    private fun showNewest() {
        val picture = newest.getAndSet(null)
        if (picture != null && !closed.get()) onPicture(picture)
    }

    private fun end(fault: Throwable?) =
        parts.main.execute {
            if (!closed.get()) {
                showNewest()
                close()
                onEnd(fault)
            }
        }

    /** Ends the sound, waits for what runs, and gives model and microphone back; what is not built yet ends by itself. */
    override fun close() {
        closed.set(true)
        synchronized(this) {
            listening?.close()
            listening = null
        }
    }
}
