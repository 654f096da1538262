package org.aectoolkit.demo

import org.junit.jupiter.api.Test
import java.io.ByteArrayInputStream
import java.io.IOException
import java.util.concurrent.CountDownLatch
import java.util.concurrent.TimeUnit
import java.util.concurrent.atomic.AtomicBoolean
import kotlin.test.assertEquals
import kotlin.test.assertFalse
import kotlin.test.assertIs
import kotlin.test.assertNotNull
import kotlin.test.assertNull
import kotlin.test.assertTrue

/** The life of the app, without Android: what the person and the system do goes in, states come out. */
class PresenterTest : PresenterCase() {
    @Test
    fun `without a bundle it says so`() {
        presenter.arrive()
        until { it == UiState.NoBundle }
    }

    @Test
    fun `the bundle inside the app is used at the first start`() {
        assertEquals("tiny", ready().bundle.name)
    }

    @Test
    fun `a bundle inside the app that could not be taken is tried again`() {
        parts.inApp = TinyBundle.streams().mapValues { { throw IOException("no space left") } }
        presenter.arrive()
        until { it is UiState.BundleRefused && "no space left" in it.line }
        parts.inApp = TinyBundle.streams()
        presenter.arrive()
        until { it is UiState.Ready }
    }

    @Test
    fun `a bundle pushed over adb is taken on return and then removed`() {
        ready()
        presenter.leave()
        parts.push(TinyBundle.zip(TinyBundle.manifest("pushed")))
        presenter.arrive()
        until { (it as? UiState.Ready)?.bundle?.name == "pushed" }
        assertFalse(parts.pushed().exists())
    }

    @Test
    fun `a damaged bundle is refused in one line and there is none in use`() {
        presenter.arrive()
        until { it == UiState.NoBundle }
        presenter.choose { ByteArrayInputStream(TinyBundle.damagedZip()) }
        val refused = until { it is UiState.BundleRefused } as UiState.BundleRefused
        assertTrue("damaged" in refused.line && '\n' !in refused.line, refused.line)
    }

    @Test
    fun `a bundle refused while listening leaves the one in use listening`() {
        listening()
        presenter.choose { ByteArrayInputStream(TinyBundle.damagedZip()) }
        until { it is UiState.Hearing && it.notice != null }
        microphone.hear(0f, 0.9f, 0f)
        until { "Dog" in heardNow(it).orEmpty() }
        assertEquals(1, parts.microphones.size, "the microphone was not even touched")
        presenter.dismiss()
        assertNull((presenter.state as UiState.InUse).notice)
    }

    @Test
    fun `a bundle taken while listening goes on listening`() {
        listening()
        presenter.choose { ByteArrayInputStream(TinyBundle.zip(TinyBundle.manifest("other"))) }
        until { it is UiState.Hearing && it.bundle.name == "other" && parts.microphones.size == 2 }
        microphone.hear(0.9f, 0f, 0f)
        until { heardNow(it) == listOf("Siren") }
    }

    @Test
    fun `the microphone is asked for when it is first needed and heard once allowed`() {
        parts.allowed = false
        ready()
        presenter.listen()
        assertIs<UiState.AskingMicrophone>(presenter.state)
        parts.allowed = true
        presenter.answered(granted = true, mayAskAgain = true)
        assertIs<UiState.Hearing>(presenter.state)
    }

    @Test
    fun `a no may be the first or the last`() {
        parts.allowed = false
        ready()
        presenter.listen()
        presenter.answered(granted = false, mayAskAgain = true)
        assertEquals(false, (presenter.state as UiState.MicrophoneRefused).forEver)
        presenter.listen()
        presenter.answered(granted = false, mayAskAgain = false)
        assertEquals(true, (presenter.state as UiState.MicrophoneRefused).forEver)
    }

    @Test
    fun `allowed in the settings it listens on return`() {
        parts.allowed = false
        ready()
        presenter.answered(granted = false, mayAskAgain = false)
        presenter.leave()
        parts.allowed = true
        presenter.arrive()
        until { it is UiState.Hearing }
    }

    @Test
    fun `a question that was not answered changes nothing`() {
        parts.allowed = false
        ready()
        presenter.listen()
        presenter.answered(granted = null, mayAskAgain = true)
        assertIs<UiState.Ready>(presenter.state)
    }

    @Test
    fun `a microphone that another app takes ends listening with a line and can be asked for again`() {
        listening()
        microphone.lose("Another app holds the microphone.")
        val lost = until { it is UiState.SoundLost } as UiState.SoundLost
        assertEquals("Another app holds the microphone.", lost.line)
        assertNotNull(lost.last, "what was heard so far stays")
        presenter.listen()
        until { parts.microphones.size == 2 }
        microphone.hear(0f, 0f, 0.9f)
        until { heardNow(it) == listOf("Rain") }
    }

    @Test
    fun `a microphone that is taken from the start is told`() {
        parts.taken = true
        ready()
        presenter.listen()
        until { it is UiState.SoundLost }
    }

    @Test
    fun `in the background the microphone is given back and taken again on return`() {
        listening()
        presenter.leave()
        assertTrue(microphone.closed)
        presenter.arrive()
        until { it is UiState.Hearing && parts.microphones.size == 2 }
    }

    @Test
    fun `who did not listen does not listen on return`() {
        listening()
        presenter.stop()
        assertNotNull((presenter.state as UiState.Ready).last)
        presenter.leave()
        presenter.arrive()
        settle()
        assertIs<UiState.Ready>(presenter.state)
    }

    @Test
    fun `a recording is heard to its end`() {
        ready()
        presenter.play("siren.wav") { wav(TinyBundle.hop(0.9f), TinyBundle.hop(0.9f), TinyBundle.hop(0f)) }
        val played = until { it is UiState.Played } as UiState.Played
        assertEquals("siren.wav", played.name)
        assertEquals(listOf("Siren"), played.picture?.minute?.map { it.label })
        assertEquals(emptyList(), played.picture?.sounding)
    }

    @Test
    fun `a file that is no recording is refused in one line`() {
        ready()
        presenter.play("notes.txt") { ByteArrayInputStream("no sound".toByteArray()) }
        val lost = until { it is UiState.SoundLost } as UiState.SoundLost
        assertEquals(Heard.Recording("notes.txt"), lost.source)
        assertTrue(lost.line.isNotBlank() && '\n' !in lost.line)
    }

    @Test
    fun `a recording chosen before the bundle is open is heard afterwards`() {
        parts.inApp = TinyBundle.streams()
        presenter.play("early.wav") { wav(TinyBundle.hop(0.9f)) }
        presenter.arrive()
        until { it is UiState.Played }
    }

    @Test
    fun `a recording that is slow to open does not hold up the main thread`() {
        ready()
        val asked = CountDownLatch(1)
        val stopped = CountDownLatch(1)
        val heldUp = AtomicBoolean()
        presenter.play("cloud.wav") {
            asked.countDown()
            heldUp.set(!stopped.await(SLOW_S, TimeUnit.SECONDS))
            wav(TinyBundle.hop(0.9f))
        }
        asked.await()
        presenter.stop()
        stopped.countDown()
        settle()
        assertFalse(heldUp.get())
        assertIs<UiState.Ready>(presenter.state)
    }

    @Test
    fun `a recording takes the place of the microphone`() {
        listening()
        presenter.play("siren.wav") { wav(TinyBundle.hop(0.9f)) }
        assertTrue(microphone.closed)
        until { it is UiState.Played }
    }

    private companion object {
        const val SLOW_S = 5L
    }
}
