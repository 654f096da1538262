package org.aectoolkit.tflite

import org.aectoolkit.core.AudioSource
import org.aectoolkit.core.Ear
import org.aectoolkit.core.Listening
import java.io.File
import java.util.concurrent.CompletableFuture
import java.util.concurrent.TimeUnit
import kotlin.random.Random
import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertNull
import kotlin.test.assertTrue

class LongListeningTest {
    /** Noise that comes and goes, for an hour. */
    private class Hour : AudioSource {
        override val sampleRateHz = 32_000
        private val noise = Random(1).let { random -> FloatArray(1_003) { random.nextFloat() - 0.5f } }
        private var at = 0

        override fun read(into: FloatArray): Int {
            if (at >= SAMPLES) return -1
            val count = minOf(into.size, SAMPLES - at)
            val loud = if (at / 320_000 % 2 == 0) 0.9f else 0.001f
            for (index in 0 until count) into[index] = loud * noise[(at + index) % noise.size]
            at += count
            return count
        }

        override fun close() = Unit
    }

    @Test
    fun `an hour of sound is heard in constant memory`() {
        val heap = mutableListOf<Long>()
        val resident = mutableListOf<Long>()
        var decisions = 0
        val end = CompletableFuture<Throwable?>()
        val begin = System.nanoTime()
        val listening =
            Listening(
                Ear(Reference.bundle, TfliteRunners()),
                Hour(),
                live = false,
                onMoment = {
                    if (++decisions % 375 == 0) {
                        System.gc()
                        heap += Runtime.getRuntime().run { totalMemory() - freeMemory() }
                        resident += residentBytes()
                    }
                },
                onEnd = end::complete,
            )
        listening.start()
        assertNull(end.get(300, TimeUnit.SECONDS))
        println("an hour in %.1f s; heap $heap; resident $resident".format((System.nanoTime() - begin) / 1e9))
        assertTrue(decisions in 3_750..3_765, "$decisions decisions")
        assertEquals(10, heap.size)
        val later = heap.drop(1)
        assertTrue(later.max() - later.min() < 2 shl 20, "heap: $heap")
        // The heap's size is fixed (pom.xml), and in the first minutes the JVM compiles. Half an hour lies between the
        // two that are compared: one log-mel picture lost at each decision would be 46 MB.
        val grown = resident.takeLast(3).min() - resident.subList(2, 5).min()
        assertTrue(grown < 8 shl 20, "resident: $resident")
    }

    private fun residentBytes(): Long =
        File("/proc/self/status")
            .readLines()
            .single { it.startsWith("VmRSS") }
            .filter { it.isDigit() }
            .toLong() * 1024

    private companion object {
        const val SAMPLES = 3_600 * 32_000
    }
}
