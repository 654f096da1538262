package org.aectoolkit.demo

import org.aectoolkit.core.Bundle
import org.aectoolkit.core.Ear
import org.aectoolkit.tflite.TfliteRunners
import java.io.File
import java.util.Random
import kotlin.math.PI
import kotlin.math.sin

/** Synthesized sound: a quiet room in which a smoke alarm beeps and then a siren howls. No recording is in it. */
object Scene {
    private const val LENGTH_S = 30

    fun samples(rateHz: Int): FloatArray {
        val random = Random(7)
        var low = 0.0
        var phase = 0.0
        return FloatArray(LENGTH_S * rateHz) { index ->
            val timeS = index.toDouble() / rateHz
            val white = random.nextGaussian()
            low = 0.95 * low + 0.05 * white
            val sirenHz = 1_000 + 450 * sin(2 * PI * 0.3 * timeS)
            phase += 2 * PI * sirenHz / rateHz
            val room = 0.002 * white + 0.02 * low
            (room + alarm(timeS) + siren(timeS, phase)).toFloat()
        }
    }

    /** Three beeps of half a second and a pause, as smoke alarms do. */
    private fun alarm(timeS: Double): Double {
        val inCycleS = (timeS - 5) % 4
        val beeps = timeS in 5.0..12.0 && inCycleS % 1 < 0.5 && inCycleS < 3
        return if (beeps) 0.25 * sin(2 * PI * 3_100 * timeS) else 0.0
    }

    private fun siren(
        timeS: Double,
        phase: Double,
    ) = if (timeS in 18.0..26.0) 0.2 * sin(phase) + 0.08 * sin(2 * phase) + 0.04 * sin(3 * phase) else 0.0
}

/** What the exported model makes of [Scene] on this machine's TFLite: the pictures after each decision. */
object RealPictures {
    val bundle: Bundle by lazy {
        val folder = System.getProperty("aec.fixtures") ?: System.getenv("AEC_FIXTURES")
        Bundle.open(File(checkNotNull(folder) { "aec.fixtures names no folder with a bundle that was exported" }, "bundle"))
    }
    val all: List<Picture> by lazy {
        val maker = PictureMaker(bundle.manifest) { 96.0 }
        Ear(bundle, TfliteRunners()).use { ear ->
            val samples = Scene.samples(ear.sampleRateHz)
            ear.hear(samples, samples.size).map(maker::add)
        }
    }

    /** The one after so many seconds. The log-mel of all is that of the last: pictures share it. */
    fun at(seconds: Double): Picture {
        val maker = PictureMaker(bundle.manifest) { 96.0 }
        return Ear(bundle, TfliteRunners()).use { ear ->
            val samples = Scene.samples(ear.sampleRateHz)
            ear.hear(samples, (seconds * ear.sampleRateHz).toInt()).map(maker::add).last()
        }
    }
}
