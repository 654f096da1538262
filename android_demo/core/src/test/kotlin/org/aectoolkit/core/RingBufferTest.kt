package org.aectoolkit.core

import io.kotest.property.Arb
import io.kotest.property.arbitrary.boolean
import io.kotest.property.arbitrary.int
import io.kotest.property.arbitrary.list
import io.kotest.property.arbitrary.pair
import io.kotest.property.checkAll
import kotlinx.coroutines.runBlocking
import kotlin.concurrent.thread
import kotlin.test.Test
import kotlin.test.assertContentEquals
import kotlin.test.assertEquals
import kotlin.test.assertTrue

class RingBufferTest {
    @Test
    fun `it is a list that loses its oldest whole units`() =
        runBlocking<Unit> {
            val moves = Arb.list(Arb.pair(Arb.boolean(), Arb.int(0, 70)), 0..60)
            checkAll(500, Arb.int(1, 9), Arb.int(1, 6), moves) { unit, units, steps ->
                val buffer = RingBuffer(unit * units, unit)
                val model = ArrayDeque<Float>()
                var next = 0f
                var dropped = 0L
                for ((writes, size) in steps) {
                    if (writes) {
                        val samples = FloatArray(size) { next++ }
                        buffer.write(samples, size)
                        model.addAll(samples.asList())
                        while (model.size > unit * units) {
                            repeat(unit) { model.removeFirst() }
                            dropped += unit
                        }
                    } else {
                        val into = FloatArray(size)
                        val count = buffer.take(into, 0)
                        assertEquals(if (model.size >= size) size else -1, count)
                        if (count >= 0) assertContentEquals(FloatArray(size) { model.removeFirst() }, into)
                    }
                    assertEquals(dropped, buffer.dropped)
                }
            }
        }

    @Test
    fun `what one thread writes another reads in order, and all of it is read or counted`() {
        val buffer = RingBuffer(capacity = 800, unit = 100)
        val total = 200_000
        val writer =
            thread {
                val block = FloatArray(170)
                var at = 0
                while (at < total) {
                    val count = minOf(block.size, total - at)
                    repeat(count) { block[it] = (at + it).toFloat() }
                    buffer.write(block, count)
                    at += count
                }
                buffer.end()
            }
        val into = FloatArray(100)
        var read = 0L
        var last = -1f
        while (buffer.take(into, 10_000) == into.size) {
            assertEquals(0f, into[0] % 100, "a read begins with a whole unit")
            into.forEach {
                assertTrue(it > last)
                last = it
            }
            read += into.size
        }
        writer.join()
        assertEquals(total.toLong(), read + buffer.dropped)
        assertEquals(total - 1f, last)
    }

    @Test
    fun `a reader that waits is woken by the end, and gets all that is left`() {
        val buffer = RingBuffer(capacity = 10, unit = 5)
        buffer.write(floatArrayOf(1f, 2f, 3f), 3)
        val into = FloatArray(5)
        assertEquals(-1, buffer.take(into, 1))
        thread {
            buffer.write(floatArrayOf(4f, 5f, 6f, 7f), 4)
            buffer.end()
        }
        assertEquals(5, buffer.take(into, 10_000))
        assertEquals(2, buffer.take(into, 10_000))
        assertContentEquals(floatArrayOf(6f, 7f, 3f, 4f, 5f), into)
        assertEquals(0, buffer.take(into, 10_000))
    }

    @Test
    fun `whenever the end comes, all that was written is read`() =
        repeat(2_000) {
            val buffer = RingBuffer(capacity = 20, unit = 5)
            val writer =
                thread {
                    buffer.write(FloatArray(3), 3)
                    buffer.write(FloatArray(9), 9)
                    buffer.end()
                }
            val into = FloatArray(5)
            var read = 0
            do {
                val count = buffer.take(into, 0)
                read += maxOf(count, 0)
            } while (count !in 0 until into.size)
            writer.join()
            assertEquals(12, read)
        }
}
