package org.aectoolkit.demo

import org.junit.jupiter.api.AfterEach
import org.junit.jupiter.api.io.TempDir
import java.io.File
import java.util.concurrent.LinkedBlockingQueue
import java.util.concurrent.TimeUnit
import kotlin.test.assertEquals
import kotlin.test.assertTrue

/** The presenter in front of a device of the test's own, and the main thread in the test's hands. */
abstract class PresenterCase {
    @TempDir
    lateinit var folder: File
    private val queue = LinkedBlockingQueue<Runnable>()
    protected val parts by lazy { FakeParts(folder, queue::put) }
    protected val presenter by lazy { Presenter(parts) }
    protected val microphone get() = parts.microphones.last()

    @AfterEach
    fun end() {
        presenter.close()
        settle()
        assertEquals(0, parts.tiny.open, "every model is closed")
        assertTrue(parts.microphones.all { it.closed }, "the microphone is given back")
    }

    protected fun ready(): UiState.Ready {
        parts.inApp = TinyBundle.streams()
        presenter.arrive()
        return until { it is UiState.Ready } as UiState.Ready
    }

    protected fun listening() {
        ready()
        presenter.listen()
        until { parts.microphones.size == 1 }
        microphone.hear(0.9f, 0f, 0f)
        until { heardNow(it) == listOf("Siren") }
    }

    protected fun heardNow(state: UiState) = (state as? UiState.Hearing)?.picture?.sounding

    /** Runs the main thread's work until a state comes. */
    protected fun until(reached: (UiState) -> Boolean): UiState {
        val end = System.nanoTime() + TimeUnit.SECONDS.toNanos(PATIENCE_S)
        while (!reached(presenter.state)) {
            check(System.nanoTime() < end) { "the state stayed ${presenter.state.javaClass.simpleName}" }
            queue.poll(10, TimeUnit.MILLISECONDS)?.run()
        }
        return presenter.state
    }

    /** Runs all that is to be done now. */
    protected fun settle() {
        var done = false
        parts.work.execute { queue.put { done = true } }
        until { done }
    }

    protected companion object {
        const val PATIENCE_S = 20L
    }
}
