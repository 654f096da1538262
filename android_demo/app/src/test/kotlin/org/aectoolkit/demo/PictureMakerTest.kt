package org.aectoolkit.demo

import org.aectoolkit.core.Cost
import org.aectoolkit.core.Event
import org.aectoolkit.core.Moment
import org.junit.jupiter.api.Test
import kotlin.test.assertEquals
import kotlin.test.assertNull
import kotlin.test.assertTrue

class PictureMakerTest {
    private val maker = PictureMaker(TinyBundle.manifest()) { 50.0 }

    @Test
    fun `the strongest labels come first with their thresholds`() {
        val picture = maker.add(moment(0.1, scores = floatArrayOf(0.2f, 0.9f, 0.4f), sounding = setOf("Dog")))
        assertEquals(listOf("Dog", "Rain", "Siren"), picture.strongest.map { it.label })
        assertEquals(listOf(true, false, false), picture.strongest.map { it.sounding })
        assertTrue(picture.strongest.all { it.threshold == 0.5f })
    }

    @Test
    fun `what sounds has an open end from the hop in which it began`() {
        maker.add(moment(1.0, began = setOf("Dog"), sounding = setOf("Dog")))
        val picture = maker.add(moment(3.0, sounding = setOf("Dog")))
        val span = picture.minute.single()
        assertEquals("Dog", span.label)
        assertEquals(0.9, span.startS, 1e-9)
        assertEquals(3.0, span.endS)
        assertTrue(span.open)
    }

    @Test
    fun `an event takes the place of its open end`() {
        maker.add(moment(1.0, began = setOf("Dog"), sounding = setOf("Dog")))
        val picture = maker.add(moment(2.0, ended = listOf(Event("Dog", 0.9, 1.5, 0.8))))
        assertEquals(listOf(Span("Dog", 0.9, 1.5, open = false)), picture.minute)
    }

    @Test
    fun `a flicker that was no event leaves nothing`() {
        maker.add(moment(1.0, began = setOf("Dog"), sounding = setOf("Dog")))
        val picture = maker.add(moment(2.0))
        assertTrue(picture.minute.isEmpty() && picture.sounding.isEmpty())
    }

    @Test
    fun `events older than a minute are forgotten, however long it listens`() {
        for (second in 1..10_000) {
            val picture =
                maker.add(
                    moment(second.toDouble(), ended = listOf(Event("Dog", second - 0.5, second - 0.2, 1.0))),
                )
            assertTrue(picture.minute.size <= 61 && picture.minute.all { it.endS >= second - 60 })
        }
    }

    @Test
    fun `the last moment of a recording keeps the scores and ends all`() {
        maker.add(moment(1.0, scores = floatArrayOf(0.9f, 0f, 0f), began = setOf("Siren"), sounding = setOf("Siren")))
        val picture = maker.add(moment(1.0, scores = FloatArray(0), ended = listOf(Event("Siren", 0.9, 1.0, 0.9))))
        assertEquals("Siren", picture.strongest.first().label)
        assertEquals(emptyList(), picture.sounding)
    }

    @Test
    fun `a model without log-mel has no such picture`() {
        assertNull(maker.add(moment(1.0)).logMel)
        val ring = maker.add(moment(2.0, logMel = FloatArray(TinyBundle.MEL_BINS * 3))).logMel
        assertEquals(3, ring?.count)
    }

    private fun moment(
        heardS: Double,
        scores: FloatArray = FloatArray(3),
        logMel: FloatArray = FloatArray(0),
        began: Set<String> = emptySet(),
        sounding: Set<String> = emptySet(),
        ended: List<Event> = emptyList(),
    ) = Moment(heardS, scores, logMel, TinyBundle.MEL_BINS, began, sounding, ended, Cost("tiny", 1, 1.0, 1.0, 0.01, 0))
}
