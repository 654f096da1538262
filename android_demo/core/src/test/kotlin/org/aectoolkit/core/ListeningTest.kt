package org.aectoolkit.core

import java.io.IOException
import java.util.concurrent.CompletableFuture
import java.util.concurrent.CountDownLatch
import java.util.concurrent.LinkedBlockingQueue
import java.util.concurrent.TimeUnit
import java.util.concurrent.atomic.AtomicInteger
import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertFalse
import kotlin.test.assertIs
import kotlin.test.assertNull
import kotlin.test.assertTrue

class ListeningTest {
    private val bundle = Bundle.open(Fixtures.bundle)

    @Test
    fun `a file is heard to its end, nothing is dropped, and all is closed`() {
        val runners = loudness()
        val source = ArraySource(FloatArray(32_000 * 30) { it % 7 / 7f }, 32_000)
        val moments = mutableListOf<Moment>()
        val end = CompletableFuture<Throwable?>()
        Listening(Ear(bundle, runners), source, live = false, moments::add, end::complete).start()
        assertNull(end.get(20, TimeUnit.SECONDS))
        assertEquals(30.0, moments.last().heardS)
        assertEquals(0, moments.last().cost.droppedChunks)
        assertTrue(source.closed)
        assertEquals(1, runners.closed)
    }

    @Test
    fun `a live source gives the same moments when the ear keeps up`() {
        val samples = FloatArray(32_000 * 8) { it % 7 / 7f }
        val file = listen(ArraySource(samples, 32_000), live = false)
        val live = listen(ArraySource(samples, 32_000, most = 777), live = true)
        assertEquals(file.map { it.heardS to it.scores.toList() }, live.map { it.heardS to it.scores.toList() })
    }

    @Test
    fun `a source at another rate is resampled`() {
        assertEquals(2.0, listen(ArraySource(FloatArray(96_000), 48_000), live = true).last().heardS)
    }

    @Test
    fun `what comes faster than it is heard is dropped in whole chunks and counted`() {
        val open = CountDownLatch(1)
        val runners = FakeRunners { emptyMap<String, FloatArray>().also { open.await() } }
        val samples = FloatArray(30_720 * 25) { if (it % 30_720 == 0) 1f + it / 30_720 else 0.5f }
        val source = ArraySource(samples, 32_000)
        val last = CompletableFuture<Cost>()
        val moments = LinkedBlockingQueue<Moment>()
        Listening(
            Ear(bundle, runners),
            source,
            live = true,
            moments::add,
        ) { last.complete(moments.last().cost) }.start()
        while (!source.ended) Thread.sleep(5) // the reader runs on while the first chunk is stuck
        open.countDown()
        val cost = last.get(20, TimeUnit.SECONDS)
        val firsts = runners.asked.map { it.getValue("samples")[0] }.takeWhile { it > 0 }
        assertTrue(cost.droppedChunks in 13..15, "$cost")
        assertEquals(25L, firsts.size + cost.droppedChunks)
        assertTrue(firsts.all { it >= 1 }, "what is heard begins with a whole chunk: $firsts")
        assertEquals(25f, firsts.last(), "the newest won")
    }

    @Test
    fun `a microphone that is taken away is told once, with its line, after what was heard`() {
        val source =
            object : AudioSource {
                override val sampleRateHz = 32_000
                private var left = 40

                override fun read(into: FloatArray): Int {
                    if (left-- == 0) throw SourceLost("another app took the microphone")
                    return into.size
                }

                override fun close() = Unit
            }
        val heard = AtomicInteger()
        val end = CompletableFuture<Throwable?>()
        Listening(Ear(bundle, loudness()), source, live = true, { heard.incrementAndGet() }, end::complete).start()
        assertIs<SourceLost>(end.get(20, TimeUnit.SECONDS))
        assertEquals(1, heard.get())
    }

    @Test
    fun `a stream that cannot be closed ends as any other does`() {
        for (live in listOf(true, false)) {
            val broken =
                object : AudioSource by ArraySource(FloatArray(64_000), 32_000) {
                    override fun close(): Unit = throw IOException("the document is gone")
                }
            val runners = loudness()
            val end = CompletableFuture<Throwable?>()
            val listening = Listening(Ear(bundle, runners), broken, live, {}, end::complete)
            listening.start()
            assertNull(end.get(20, TimeUnit.SECONDS))
            assertEquals(1, runners.closed)
            listening.close()
        }
    }

    @Test
    fun `closing ends a source that waits, and says nothing more`() {
        val source = Waiting()
        val runners = loudness()
        var ended = false
        val listening = Listening(Ear(bundle, runners), source, live = true, {}) { ended = true }
        listening.start()
        assertTrue(source.waits.await(10, TimeUnit.SECONDS))
        listening.close()
        listening.close()
        assertFalse(ended)
        assertEquals(1, runners.closed)
    }

    @Test
    fun `it may be closed from the middle of a moment, and before it began`() {
        val moments = AtomicInteger()
        lateinit var listening: Listening
        val closed = CountDownLatch(1)
        val source = ArraySource(FloatArray(32_000 * 20), 32_000)
        listening =
            Listening(
                Ear(bundle, loudness()),
                source,
                live = false,
                {
                    moments.incrementAndGet()
                    listening.close()
                    closed.countDown()
                },
                {},
            )
        listening.start()
        assertTrue(closed.await(10, TimeUnit.SECONDS))
        Thread.sleep(100)
        assertEquals(1, moments.get())
        val runners = loudness()
        Listening(Ear(bundle, runners), source, live = true, {}, {}).close()
        assertEquals(1, runners.closed)
    }

    @Test
    fun `a model that fails ends it with the reason`() {
        val end = CompletableFuture<Throwable?>()
        val ear = Ear(bundle, FakeRunners { throw Refused("an inference failed") })
        Listening(ear, ArraySource(FloatArray(90_000), 32_000), live = true, {}, end::complete).start()
        assertIs<Refused>(end.get(20, TimeUnit.SECONDS))
    }

    private fun listen(
        source: AudioSource,
        live: Boolean,
    ): List<Moment> {
        val moments = mutableListOf<Moment>()
        val end = CompletableFuture<Throwable?>()
        Listening(Ear(bundle, loudness()), source, live, moments::add, end::complete).start()
        assertNull(end.get(20, TimeUnit.SECONDS))
        return moments
    }

    /** Waits for a sound until it is closed, as a microphone in a silent system. */
    private class Waiting : AudioSource {
        override val sampleRateHz = 32_000
        val waits = CountDownLatch(1)
        private val closed = CountDownLatch(1)

        override fun read(into: FloatArray): Int {
            waits.countDown()
            closed.await()
            return -1
        }

        override fun close() = closed.countDown()
    }
}
