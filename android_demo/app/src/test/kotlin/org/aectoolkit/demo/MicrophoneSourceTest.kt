package org.aectoolkit.demo

import android.media.AudioFormat
import android.media.AudioManager
import android.media.AudioRecord
import android.media.AudioRecordingConfiguration
import android.media.audiofx.AudioEffect
import org.aectoolkit.core.SourceLost
import org.junit.After
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import org.robolectric.annotation.Config
import org.robolectric.annotation.Implementation
import org.robolectric.annotation.Implements
import java.util.concurrent.Executor
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertNotNull
import kotlin.test.assertNull
import kotlin.test.assertTrue

/** A device whose microphone has only some rates, and which another app may hold. */
@Implements(AudioRecord::class)
class ShadowDeviceMicrophone {
    @Implementation
    fun native_start(
        @Suppress("UNUSED_PARAMETER") event: Int,
        @Suppress("UNUSED_PARAMETER") session: Int,
    ): Int {
        check(told != null) { "what changes from now on would not be told" }
        started = !taken
        return if (taken) AudioRecord.ERROR_INVALID_OPERATION else AudioRecord.SUCCESS
    }

    @Implementation
    fun getActiveRecordingConfiguration(): AudioRecordingConfiguration? = standing.takeIf { started }

    @Implementation
    fun native_read_in_float_array(
        into: FloatArray,
        offset: Int,
        count: Int,
        @Suppress("UNUSED_PARAMETER") blocking: Boolean,
    ): Int {
        if (dead) return AudioRecord.ERROR_DEAD_OBJECT
        into.fill(0.25f, offset, offset + count)
        return count
    }

    @Implementation
    fun registerAudioRecordingCallback(
        @Suppress("UNUSED_PARAMETER") executor: Executor,
        callback: AudioManager.AudioRecordingCallback,
    ) {
        check(told == null)
        told = callback
    }

    @Implementation
    fun unregisterAudioRecordingCallback(callback: AudioManager.AudioRecordingCallback) {
        require(told === callback) { "the system refuses a callback that it does not know" }
        told = null
    }

    @Implementation
    fun getAudioSessionId(): Int = SESSION

    companion object {
        const val SESSION = 7
        var told: AudioManager.AudioRecordingCallback? = null
        var rates = setOf<Int>()
        var taken = false
        var dead = false
        var standing: AudioRecordingConfiguration? = null
        private var started = false

        @Implementation
        @JvmStatic
        fun native_get_min_buff_size(
            rateHz: Int,
            @Suppress("UNUSED_PARAMETER") channels: Int,
            @Suppress("UNUSED_PARAMETER") format: Int,
        ): Int = if (rateHz in rates) 4_096 else AudioRecord.ERROR_BAD_VALUE
    }
}

@RunWith(RobolectricTestRunner::class)
@Config(shadows = [ShadowDeviceMicrophone::class])
class MicrophoneSourceTest {
    private val app = RuntimeEnvironment.getApplication()

    @After
    fun reset() {
        assertNull(ShadowDeviceMicrophone.told, "the system keeps nothing for a microphone that is closed")
        ShadowDeviceMicrophone.standing = null
        ShadowDeviceMicrophone.rates = setOf()
        ShadowDeviceMicrophone.taken = false
        ShadowDeviceMicrophone.dead = false
    }

    @Test
    fun `it records at the rate that is asked for where the device has it`() {
        ShadowDeviceMicrophone.rates = setOf(32_000, 48_000)
        MicrophoneSource(app, 32_000).use { source ->
            assertEquals(32_000, source.sampleRateHz)
            val samples = FloatArray(1_000)
            assertEquals(1_000, source.read(samples))
            assertTrue(samples.all { it == 0.25f })
        }
    }

    @Test
    fun `a device without that rate records at the next one above and else below`() {
        ShadowDeviceMicrophone.rates = setOf(16_000, 44_100, 48_000)
        MicrophoneSource(app, 32_000).use { assertEquals(44_100, it.sampleRateHz) }
        ShadowDeviceMicrophone.rates = setOf(8_000, 16_000)
        MicrophoneSource(app, 32_000).use { assertEquals(16_000, it.sampleRateHz) }
    }

    @Test
    fun `it never asks twice for a rate and asks for the wanted one first`() {
        for (wanted in listOf(8_000, 16_000, 32_000, 24_000, 96_000)) {
            val rates = MicrophoneSource.ratesToTry(wanted)
            assertEquals(wanted, rates.first())
            assertEquals(rates.distinct(), rates)
            val (above, below) = rates.drop(1).partition { it > wanted }
            assertEquals(above + below, rates.drop(1), "a lower rate loses a band, so it comes last")
        }
    }

    @Test
    fun `a device without a microphone says so in a line`() {
        val lost = assertFailsWith<SourceLost> { MicrophoneSource(app, 32_000) }
        assertTrue("no microphone" in lost.message.orEmpty(), lost.message)
    }

    @Test
    fun `a microphone that another app holds says so in a line`() {
        ShadowDeviceMicrophone.rates = setOf(32_000)
        ShadowDeviceMicrophone.taken = true
        val lost = assertFailsWith<SourceLost> { MicrophoneSource(app, 32_000) }
        assertTrue("Another app" in lost.message.orEmpty(), lost.message)
    }

    @Test
    fun `a microphone that is taken away while it reads says so`() {
        ShadowDeviceMicrophone.rates = setOf(32_000)
        MicrophoneSource(app, 32_000).use { source ->
            ShadowDeviceMicrophone.dead = true
            assertFailsWith<SourceLost> { source.read(FloatArray(100)) }
        }
    }

    @Test
    fun `a microphone that the system silences for another app says so`() {
        ShadowDeviceMicrophone.rates = setOf(32_000)
        MicrophoneSource(app, 32_000).use { source ->
            val told = assertNotNull(ShadowDeviceMicrophone.told)
            val own = configuration(ShadowDeviceMicrophone.SESSION, silenced = false)
            told.onRecordingConfigChanged(listOf(own, configuration(1, silenced = true)))
            assertEquals(100, source.read(FloatArray(100)), "only another app is silenced")
            told.onRecordingConfigChanged(listOf(configuration(ShadowDeviceMicrophone.SESSION, silenced = true)))
            val lost = assertFailsWith<SourceLost> { source.read(FloatArray(100)) }
            assertTrue("Another app" in lost.message.orEmpty(), lost.message)
        }
    }

    @Test
    fun `a microphone that is silenced from the start says so`() {
        ShadowDeviceMicrophone.rates = setOf(32_000)
        ShadowDeviceMicrophone.standing = configuration(ShadowDeviceMicrophone.SESSION, silenced = true)
        MicrophoneSource(app, 32_000).use { source ->
            val lost = assertFailsWith<SourceLost> { source.read(FloatArray(100)) }
            assertTrue("quick settings" in lost.message.orEmpty(), lost.message)
        }
    }

    @Test
    fun `after it was closed it is at its end`() {
        ShadowDeviceMicrophone.rates = setOf(32_000)
        val source = MicrophoneSource(app, 32_000)
        source.close()
        source.close()
        assertEquals(-1, source.read(FloatArray(100)))
    }

    /** Its constructor is the system's own, so that no test can be compiled with it against the SDK. */
    private fun configuration(
        session: Int,
        silenced: Boolean,
    ): AudioRecordingConfiguration {
        val format = AudioFormat.Builder().build()
        val effects = arrayOf<AudioEffect.Descriptor>()
        val whole = AudioRecordingConfiguration::class.java.constructors.maxBy { it.parameterCount }
        val made = whole.newInstance(1, session, 1, format, format, 1, "other", 1, silenced, 1, effects, effects)
        return made as AudioRecordingConfiguration
    }
}
