package org.aectoolkit.core

import kotlinx.serialization.json.Json
import kotlinx.serialization.json.JsonElement
import kotlinx.serialization.json.double
import kotlinx.serialization.json.int
import kotlinx.serialization.json.jsonArray
import kotlinx.serialization.json.jsonObject
import kotlinx.serialization.json.jsonPrimitive
import kotlinx.serialization.json.long
import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertTrue

class EventDecoderTest {
    @Test
    fun `random walks of scores become the events that Python decodes, at the same decisions`() {
        val cases = Fixtures.lines("decoded.jsonl")
        var events = 0
        for ((number, case) in cases.withIndex()) {
            val rules =
                case
                    .getValue(
                        "rules",
                    ).jsonArray
                    .map { Json.decodeFromJsonElement(LabelDecision.serializer(), it) }
            val hop = case.getValue("hop_samples").jsonPrimitive.int
            val heard = case.getValue("heard").jsonPrimitive.long
            val decoder = EventDecoder(rules, case.getValue("window_samples").jsonPrimitive.int, hop, 16_000)
            case.getValue("scores").jsonArray.forEachIndexed { at, row ->
                val end = hop * (at + 1L)
                val scores =
                    FloatArray(rules.size) {
                        row.jsonArray[it]
                            .jsonPrimitive.double
                            .toFloat()
                    }
                val expected = events(case.getValue("ended").jsonArray[at])
                assertEquals(expected, decoder.push(Decision(end, minOf(heard, end), scores)), "case $number at $at")
                val sounding =
                    case
                        .getValue("sounding")
                        .jsonArray[at]
                        .jsonArray
                        .map { it.jsonPrimitive.content }
                assertEquals(sounding, decoder.soundingLabels.sorted(), "case $number at $at")
                events += expected.size
            }
            val flushed = events(case.getValue("flushed"))
            assertEquals(flushed, decoder.flush(), "case $number")
            events += flushed.size
        }
        assertTrue(events > 200, "$events events tell too little")
    }

    private fun events(list: JsonElement): List<Event> =
        list.jsonArray.map { it.jsonObject }.map { event ->
            Event(
                event.text("label"),
                event.getValue("start_s").jsonPrimitive.double,
                event.getValue("end_s").jsonPrimitive.double,
                event.getValue("confidence").jsonPrimitive.double,
            )
        }
}
