package org.aectoolkit.tflite

import org.aectoolkit.core.Bundle
import org.aectoolkit.core.Ear
import org.aectoolkit.core.Event
import org.aectoolkit.core.Listening
import org.aectoolkit.core.WavSource
import java.io.File
import java.util.concurrent.CompletableFuture
import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertNull

/** The lines that android_demo/README.md shows, on a file in place of a microphone. */
class ReadmeExampleTest {
    @Test
    fun `the example of the README hears what listen hears`() {
        val bundleFolder = Reference.bundle.folder
        val microphone = WavSource(File(Reference.folder, "listen/scene.wav").inputStream())
        val events = mutableListOf<Event>()
        val end = CompletableFuture<Throwable?>()
        val show = { event: Event -> events += event }
        val report = { reason: Throwable? -> end.complete(reason) }

        // README: begin
        val bundle = Bundle.open(bundleFolder) // throws Refused with a line for people
        val ear = Ear(bundle, TfliteRunners()) // picks the stream file, int8 first
        val listening =
            Listening(
                ear,
                microphone, // your AudioSource: sampleRateHz and read(into); resampled where need be
                live = false, // true: a reader thread and ten chunks of room, what is too much is counted
                onMoment = { moment -> moment.ended.forEach { show(it) } }, // on the listening thread
                onEnd = { reason -> report(reason) }, // null at the end of a file; SourceLost, Refused
            )
        listening.start()
        // later: listening.close() waits for the threads and closes ear and microphone
        // README: end

        assertNull(end.get())
        assertEquals(
            Reference.events(Reference.json("listen/scene.int8.json")).map { it.label },
            events.map { it.label },
        )
    }
}
