package org.aectoolkit.demo

import android.annotation.SuppressLint
import android.annotation.TargetApi
import android.content.Context
import android.media.AudioFormat
import android.media.AudioManager
import android.media.AudioRecord
import android.media.AudioRecordingConfiguration
import android.media.MediaRecorder
import android.os.Build
import org.aectoolkit.core.AudioSource
import org.aectoolkit.core.SourceLost
import java.util.concurrent.atomic.AtomicBoolean

/**
 * The microphone, as little processed as the device offers. Samples go from the system to the reader; nothing is kept.
 *
 * Asks for [wantedRateHz]; [sampleRateHz] is what the device gave. Proved by MicrophoneSourceTest.
 */
class MicrophoneSource(
    context: Context,
    wantedRateHz: Int,
) : AudioSource {
    private val record = open(context, wantedRateHz)
    private val silenced = if (Build.VERSION.SDK_INT >= Build.VERSION_CODES.Q) SilencedWatch(record) else null
    private val reading = Any()
    private val closed = AtomicBoolean()
    override val sampleRateHz: Int = record.sampleRate

    init {
        silenced?.begin()
        runCatching { record.startRecording() }
        if (record.recordingState != AudioRecord.RECORDSTATE_RECORDING) {
            close()
            throw SourceLost(TAKEN)
        }
        silenced?.ask()
    }

    override fun read(into: FloatArray): Int {
        val wanted = minOf(into.size, sampleRateHz / READS_A_SECOND)
        val count =
            synchronized(reading) { if (closed.get()) 0 else record.read(into, 0, wanted, AudioRecord.READ_BLOCKING) }
        return when {
            closed.get() -> -1
            silenced?.now == true -> throw SourceLost(TAKEN)
            count > 0 -> count
            else -> throw SourceLost("The microphone gave no more sound (error $count). Listen again.")
        }
    }

    /** Ends a read that waits; gives the microphone back when that has returned. */
    override fun close() {
        if (closed.getAndSet(true)) return
        silenced?.end()
        runCatching { record.stop() }
        synchronized(reading) { record.release() }
    }

    /**
     * Since Android 10 an app that lost the microphone, or may not hear now, hears zeros, and is told so here. Changes
     * alone are told: how it stands after the start must be asked for. To be ended before the record is released, for
     * the system keeps a thread and the record for it.
     */
    @TargetApi(Build.VERSION_CODES.Q)
    private class SilencedWatch(
        private val record: AudioRecord,
    ) : AudioManager.AudioRecordingCallback() {
        @Volatile
        var now = false
            private set

        fun begin() = record.registerAudioRecordingCallback(Runnable::run, this)

        fun ask() {
            if (record.activeRecordingConfiguration?.isClientSilenced == true) now = true
        }

        fun end() = record.unregisterAudioRecordingCallback(this)

        override fun onRecordingConfigChanged(configs: List<AudioRecordingConfiguration>) {
            now = configs.any { it.clientAudioSessionId == record.audioSessionId && it.isClientSilenced }
        }
    }

    companion object {
        private const val READS_A_SECOND = 20
        private const val TAKEN =
            "Another app holds the microphone, or it is blocked in the quick settings. Free it there, then listen again."

        /** What devices record at, by preference: the lowest that loses no band, then the highest of the others. */
        internal fun ratesToTry(wantedHz: Int): List<Int> {
            val common = listOf(8_000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000)
            val (above, below) = common.partition { it > wantedHz }
            return (listOf(wantedHz) + above + below.sortedDescending()).distinct()
        }

        private fun open(
            context: Context,
            wantedRateHz: Int,
        ): AudioRecord =
            ratesToTry(wantedRateHz).firstNotNullOfOrNull { tryRate(audioSource(context), it) }
                ?: throw SourceLost("This device offers no microphone, or another app holds it.")

        private fun audioSource(context: Context): Int {
            val manager = requireNotNull(context.getSystemService(AudioManager::class.java))
            val raw = manager.getProperty(AudioManager.PROPERTY_SUPPORT_AUDIO_SOURCE_UNPROCESSED)
            return if (raw.toBoolean()) {
                MediaRecorder.AudioSource.UNPROCESSED
            } else {
                MediaRecorder.AudioSource.VOICE_RECOGNITION
            }
        }

        /** Null where the device refuses the rate. The permission was asked for before (Presenter). */
        @SuppressLint("MissingPermission")
        private fun tryRate(
            source: Int,
            rateHz: Int,
        ): AudioRecord? {
            val leastBytes = AudioRecord.getMinBufferSize(rateHz, CHANNEL, ENCODING)
            if (leastBytes <= 0) return null
            val bytes = maxOf(leastBytes, rateHz * Float.SIZE_BYTES)
            val record =
                runCatching { AudioRecord(source, rateHz, CHANNEL, ENCODING, bytes) }.getOrNull() ?: return null
            if (record.state == AudioRecord.STATE_INITIALIZED) return record
            record.release()
            return null
        }

        private const val CHANNEL = AudioFormat.CHANNEL_IN_MONO
        private const val ENCODING = AudioFormat.ENCODING_PCM_FLOAT
    }
}
