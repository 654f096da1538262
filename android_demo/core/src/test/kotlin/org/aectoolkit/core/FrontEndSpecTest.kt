package org.aectoolkit.core

import kotlinx.serialization.json.Json
import java.util.Locale
import kotlin.test.Test
import kotlin.test.assertEquals

class FrontEndSpecTest {
    @Test
    fun `fingerprints are Python's, whatever the numbers look like`() {
        val cases = Fixtures.lines("fingerprints.jsonl")
        assertEquals(201, cases.size)
        for (case in cases) {
            val spec = Json.decodeFromJsonElement(FrontEndSpec.serializer(), case.getValue("front_end"))
            assertEquals(case.text("fingerprint"), spec.fingerprint, "$spec")
        }
    }

    @Test
    fun `a phone with other digits makes the same fingerprint`() {
        val before = Locale.getDefault()
        try {
            for (tag in listOf("fa", "ar-EG-u-nu-arab", "tr")) {
                Locale.setDefault(Locale.forLanguageTag(tag))
                assertEquals("1e-10", pythonText(1e-10))
                Bundle.open(Fixtures.bundle) // whose fingerprint is Python's
            }
        } finally {
            Locale.setDefault(before)
        }
    }

    @Test
    fun `numbers read back to themselves from the fewest digits`() {
        val written =
            mapOf(
                50.0 to "50.0",
                0.1 to "0.1",
                1e-10 to "1e-10",
                2e-3 to "0.002",
                1e16 to "1e+16",
                123456789012345680.0 to "1.2345678901234568e+17",
                9007199254740993.0 to "9007199254740992.0",
                5e-324 to "5e-324",
                -0.0 to "-0.0",
            )
        for ((value, text) in written) assertEquals(text, pythonText(value))
    }
}
