package org.aectoolkit.tflite

import kotlin.test.Test
import kotlin.test.assertTrue

class TfliteVersionTest {
    @Test
    fun `the native library loads`() = assertTrue(tfliteVersion().startsWith("2.20"))
}
