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

    /**
     * Wait for the oldest samples that fill [into] and take them; returns how many. After [end] these are what is left,
     * which may be fewer; -1, and nothing is taken, when [millis] have passed before there were enough.
     */
    fun take(
        into: FloatArray,
        millis: Long,
    ): Int =
        lock.withLock {
            var left = TimeUnit.MILLISECONDS.toNanos(millis)
            while (size < into.size && !ended && left > 0) left = changed.awaitNanos(left)
            if (size < into.size && !ended) return -1
            val count = minOf(size, into.size)
            copyOut(into, count)
            count
        }

    /** Nothing more will be written. */
    fun end() =
        lock.withLock {
            ended = true
            changed.signalAll()
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
