package org.aectoolkit.core

import java.util.concurrent.atomic.AtomicBoolean

/**
 * Carries a source to an ear on threads of its own, and what the ear heard to [onMoment].
 *
 * [live]: one thread reads and never waits for the ear; another hears; between them is room for ten chunks, and the
 * oldest whole ones are dropped where it is not enough. A file is read and heard on one thread, and nothing is dropped.
 *
 * [onEnd] is called once, with null at the source's end and else with what went wrong ([SourceLost], [Refused], ...);
 * not after [close]. Both are called on the hearing thread. Source and ear are closed at the end.
 * Proved by ListeningTest.
 */
@Suppress("TooGenericExceptionCaught") // whatever ends a thread, onEnd must hear of it
class Listening(
    private val ear: Ear,
    private val source: AudioSource,
    private val live: Boolean,
    private val onMoment: (Moment) -> Unit,
    private val onEnd: (Throwable?) -> Unit,
) : AutoCloseable {
    private val resampled = Resampled(source, ear.sampleRateHz)
    private val buffer = RingBuffer(CHUNKS_OF_ROOM * ear.hopSamples, ear.hopSamples)
    private val stopped = AtomicBoolean()
    private val threads =
        if (live) {
            listOf(Thread(::fill, "aec-reader"), Thread({ guarded(::empty) }, "aec-listener"))
        } else {
            listOf(Thread({ guarded(::hearFile) }, "aec-listener"))
        }

    @Volatile private var lost: Throwable? = null

    /** Begin; once. */
    fun start() = threads.forEach { it.start() }

    /** End both threads and wait for them; source and ear are closed then. Any thread may call it, and again. */
    override fun close() {
        stopped.set(true)
        buffer.end()
        closeSource()
        threads.filter { it != Thread.currentThread() && it.state != Thread.State.NEW }.forEach { it.join() }
        if (threads.all { it.state == Thread.State.NEW }) ear.close()
    }

    /** The reading thread of a live source. */
    private fun fill() {
        val block = FloatArray(BLOCK)
        try {
            while (!stopped.get()) {
                val count = resampled.read(block)
                if (count < 0) break
                buffer.write(block, count)
            }
        } catch (fault: Throwable) {
            lost = fault // told by the hearing thread
        } finally {
            buffer.end()
        }
    }

    /** The hearing thread of a live source. */
    private fun empty() {
        val hop = FloatArray(ear.hopSamples)
        while (!stopped.get()) {
            val count = buffer.take(hop, WAIT_MS)
            if (count < 0) continue
            ear.droppedSamples = buffer.dropped
            tell(ear.hear(hop, count))
            if (count < hop.size) break
        }
        lost?.let { throw it }
        if (!stopped.get()) tell(ear.finish())
    }

    private fun hearFile() {
        val block = FloatArray(ear.hopSamples)
        while (!stopped.get()) {
            val count = resampled.read(block)
            if (count < 0) break
            tell(ear.hear(block, count))
        }
        if (!stopped.get()) tell(ear.finish())
    }

    private fun tell(moments: List<Moment>) {
        for (moment in moments) if (!stopped.get()) onMoment(moment)
    }

    /** A stream that cannot be closed takes nothing from what was heard. */
    private fun closeSource() = runCatching { resampled.close() }

    private fun guarded(work: () -> Unit) {
        val fault = runCatching(work).exceptionOrNull()
        closeSource()
        ear.close()
        if (!stopped.getAndSet(true)) onEnd(fault)
    }

    private companion object {
        const val CHUNKS_OF_ROOM = 10
        const val BLOCK = 1024
        const val WAIT_MS = 200L
    }
}
