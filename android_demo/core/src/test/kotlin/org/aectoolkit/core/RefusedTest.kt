package org.aectoolkit.core

import kotlin.test.Test
import kotlin.test.assertEquals

class RefusedTest {
    @Test
    fun `it carries its line`() = assertEquals("found nothing", Refused("found nothing").message)
}
