package org.aectoolkit.core

import java.util.concurrent.TimeUnit
import java.util.concurrent.locks.ReentrantLock
import kotlin.concurrent.withLock

/**
 * Samples on their way from one writer to one reader. The newest win: where there is no room, the oldest whole [unit]s
 * are dropped and counted, so that what is read stays in step with the hops. Proved by RingBufferTest.
 *
 * [capacity] is a multiple of [unit]. A writer never waits.
 */
class RingBuffer(
    private val capacity: Int,
    private val unit: Int = 1,
) {
    private val lock = ReentrantLock()
    private val changed = lock.newCondition()
    private val samples = FloatArray(capacity)
    private var first = 0
    private var size = 0
    private var lost = 0L
    private var ended = false

    init {
        require(unit >= 1 && capacity >= unit && capacity % unit == 0) { "capacity $capacity, unit $unit" }
    }

    /** Samples that were dropped so far. */
    val dropped: Long get() = lock.withLock { lost }

    /** Add the first [n] of [x]. */
    fun write(
        x: FloatArray,
        n: Int,
    ) = lock.withLock {
        val excess = (size.toLong() + n - capacity).coerceAtLeast(0)
        val surplus = (excess + unit - 1) / unit * unit
        val held = minOf(surplus, size.toLong()).toInt()
        first = (first + held) % capacity
        size -= held
        val from = (surplus - held).toInt()
        copyIn(x, from, n - from)
        lost += surplus
        changed.signalAll()
    }

    /** Fill all of [into] with the oldest samples; false, and nothing is read, while there are fewer. */
    fun read(into: FloatArray): Boolean =
        lock.withLock {
            if (size < into.size) return false
            copyOut(into, into.size)
            true
        }

    /** As [read], but waits for the samples, until [end] was called or [millis] have passed. */
    fun await(
        into: FloatArray,
        millis: Long,
    ): Boolean =
        lock.withLock {
            var left = TimeUnit.MILLISECONDS.toNanos(millis)
            while (size < into.size && !ended && left > 0) left = changed.awaitNanos(left)
            read(into)
        }

    /** Nothing more will be written. */
    fun end() =
        lock.withLock {
            ended = true
            changed.signalAll()
        }

    /** What is left when nothing more will be written: up to all of [into]; -1 while more may come. */
    fun rest(into: FloatArray): Int =
        lock.withLock {
            if (!ended) return -1
            val count = minOf(size, into.size)
            copyOut(into, count)
            count
        }

    private fun copyIn(
        x: FloatArray,
        from: Int,
        count: Int,
    ) {
        val at = (first + size) % capacity
        val head = minOf(count, capacity - at)
        x.copyInto(samples, at, from, from + head)
        x.copyInto(samples, 0, from + head, from + count)
        size += count
    }

    private fun copyOut(
        into: FloatArray,
        count: Int,
    ) {
        val head = minOf(count, capacity - first)
        samples.copyInto(into, 0, first, first + head)
        samples.copyInto(into, head, 0, count - head)
        first = (first + count) % capacity
        size -= count
    }
}
