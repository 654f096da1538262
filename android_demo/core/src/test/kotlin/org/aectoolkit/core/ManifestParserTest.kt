package org.aectoolkit.core

import io.kotest.property.Arb
import io.kotest.property.arbitrary.int
import io.kotest.property.arbitrary.string
import io.kotest.property.checkAll
import kotlinx.coroutines.runBlocking
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.boolean
import kotlinx.serialization.json.jsonObject
import kotlinx.serialization.json.jsonPrimitive
import java.io.File
import kotlin.test.Test
import kotlin.test.assertContains
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertTrue

class ManifestParserTest {
    private val whole = File(Fixtures.bundle, "manifest.json").readText()

    @Test
    fun `the manifest that export writes is read, with its predicted cost`() {
        val manifest = ManifestParser.parse(whole)
        assertEquals("pixel7", manifest.pick?.device)
        assertEquals(
            Kind.MODELLED,
            manifest.pick
                ?.predicted
                ?.latencyMs
                ?.kind,
        )
        assertEquals(File(Fixtures.bundle, "labels.txt").readLines(), manifest.labels)
        assertEquals(0.96, manifest.hopS)
    }

    @Test
    fun `whatever Python refuses is refused, and what it takes is taken but for shapes that cannot be`() {
        // Python leaves these to the model's own loading, or has defaults for them that export never leaves out.
        val stricter =
            Regex("files\\.0\\.(inputs|outputs).*|(hop|window)_samples|other_sha256.*|schema_version|front_end.*")
        var taken = 0
        var refused = 0
        for (case in Fixtures.lines("manifests.jsonl")) {
            val place = case.text("place")
            val verdict = runCatching { ManifestParser.parse(case.text("text")) }
            val fault = verdict.exceptionOrNull()
            assertTrue(fault == null || (fault is Refused && '\n' !in fault.message!!), "$place: $fault")
            if (case.getValue("good").jsonPrimitive.boolean) {
                assertTrue(fault == null || stricter.matches(place), "$place: $fault")
                taken++
            } else {
                assertTrue(fault != null, "$place was taken: ${case.text("text")}")
                refused++
            }
        }
        assertTrue(taken > 100 && refused > 800, "$taken, $refused")
    }

    @Test
    fun `a newer schema is named`() {
        val newer = whole.replaceFirst("\"schema_version\": 1", "\"schema_version\": 2")
        assertContains(assertFailsWith<Refused> { ManifestParser.parse(newer) }.message!!, "schema 2")
    }

    @Test
    fun `only what JSON calls a number is one`() {
        val score = Regex("\"threshold\": [0-9.]+")
        val count = Regex("\"train_clips\": [0-9]+")
        val bad = listOf("0.5d", "0.5f", ".5", "5.e-1", "+0.5", "00.5", "0x1p-1", "NaN", "\u06f0.\u06f5")
        for (text in bad) assertFailsWith<Refused>(text) { ManifestParser.parse(edited(score, text)) }
        for (text in listOf("01", "+1", "1L", "1.0", "1e2", "\u06f1", "true")) {
            assertFailsWith<Refused>(text) { ManifestParser.parse(edited(count, text)) }
        }
        assertFailsWith<Refused> { ManifestParser.parse(edited(Regex("\"calibrated\": [a-z]+"), "TRUE")) }
        assertEquals(0.5, ManifestParser.parse(edited(score, "5E-1")).decisions[0].threshold)
        assertEquals(0, ManifestParser.parse(edited(count, "-0")).decisions[0].trainClips)
    }

    @Test
    fun `sizes that no model has are refused before anything makes room for them`() {
        val absurd =
            listOf(
                whole.replaceFirst("\"window_samples\": 320000", "\"window_samples\": 2000000000"),
                fingerprinted { it.replace("\"mel_bins\": 64", "\"mel_bins\": 2000000000") },
                fingerprinted { it.replace("\"sample_rate_hz\": 32000", "\"sample_rate_hz\": 2000000000") },
                fingerprinted { it.replace("\"window_samples\": 1024", "\"window_samples\": 2000000000") },
            )
        for (text in absurd) {
            val line = assertFailsWith<Refused> { ManifestParser.parse(text) }.message!!
            assertContains(line, Regex("2000000000|640000000000"))
        }
    }

    @Test
    fun `a text of brackets is refused before it is parsed`() {
        assertFailsWith<Refused> { ManifestParser.parse("[".repeat(1_000_000)) }
        assertFailsWith<Refused> { ManifestParser.parse("{\"a\":".repeat(100_000)) }
    }

    @Test
    fun `any text is a manifest or is refused in one line`() =
        runBlocking<Unit> {
            checkAll(300, Arb.string(0, 200)) { refusedOrGood(it) }
            checkAll(700, Arb.int(0, whole.length - 1), Arb.int(0, 0xffff), Arb.int(0, 40)) { at, letter, cut ->
                refusedOrGood(whole.substring(0, at) + letter.toChar() + whole.drop(at + cut))
            }
        }

    private fun edited(
        number: Regex,
        text: String,
    ): String {
        val name = number.find(whole)!!.value.substringBefore(": ")
        return number.replaceFirst(whole, Regex.escapeReplacement("$name: $text"))
    }

    /** The manifest with another front end, and that one's own fingerprint. */
    private fun fingerprinted(change: (String) -> String): String {
        val text = change(whole)
        check(text != whole)
        val spec = Json.parseToJsonElement(text).jsonObject.getValue("front_end")
        val print = Json.decodeFromJsonElement(FrontEndSpec.serializer(), spec).fingerprint
        return text.replace(Regex("\"front_end_fingerprint\": \"[0-9a-f]+"), "\"front_end_fingerprint\": \"$print")
    }

    private fun refusedOrGood(text: String) {
        val fault = runCatching { ManifestParser.parse(text) }.exceptionOrNull() ?: return
        assertTrue(fault is Refused && '\n' !in fault.message!!, "$fault")
    }
}
