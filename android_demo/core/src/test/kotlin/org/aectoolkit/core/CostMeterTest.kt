package org.aectoolkit.core

import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertTrue

class CostMeterTest {
    @Test
    fun `percentiles lie between the two nearest times, of the latest ones only`() {
        val meter = CostMeter("fake 1", 1.0)
        repeat(1_000) { meter.took(9_000_000_000) }
        for (ms in 1L..256L) meter.took(ms * 1_000_000)
        val cost = meter.cost(droppedChunks = 3)
        assertEquals(128.5, cost.chunkP50Ms, 1e-9)
        assertEquals(230.5, cost.chunkP90Ms, 1e-9)
        assertEquals(1_256, cost.decisions)
        assertEquals(3, cost.droppedChunks)
    }

    @Test
    fun `before the first chunk everything is zero`() {
        assertEquals(Cost("fake 1", 0, 0.0, 0.0, 0.0, 0), CostMeter("fake 1", 1.0).cost(0))
    }

    @Test
    fun `the clock of a thread counts its work and not its sleep`() {
        val clock = CpuClock.ofThisThread()
        val begin = clock.seconds()
        Thread.sleep(300)
        assertTrue(clock.seconds() - begin < 0.1)
        val until = System.nanoTime() + 20_000_000_000
        while (clock.seconds() - begin < 0.15 && System.nanoTime() < until) Unit
        assertTrue(clock.seconds() - begin >= 0.15)
        assertTrue(CpuClock.ofProcess().seconds() > 0)
    }
}
