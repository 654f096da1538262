package org.aectoolkit.tflite

import org.aectoolkit.core.Bundle
import org.aectoolkit.core.Ear
import org.aectoolkit.core.Moment
import org.aectoolkit.core.Precision
import org.aectoolkit.core.Resampled
import org.aectoolkit.core.WavSource
import java.io.File

/**
 * Listens to a recording: `ListenMain BUNDLE WAV PRECISION` prints the scores of each decision and each event.
 *
 * The whole of what an app needs, which android_demo/README.md shows. tests/android/test_apk.py runs it as R8 shrinks it
 * and compares what it prints with Python's.
 */
fun main(args: Array<String>) {
    val (folder, recording, precision) = args
    val bundle = Bundle.open(File(folder))
    Ear(bundle, TfliteRunners(), precision = Precision.valueOf(precision.uppercase())).use { ear ->
        Resampled(WavSource(File(recording).inputStream()), ear.sampleRateHz).use { sound ->
            val samples = FloatArray(ear.hopSamples)
            while (true) {
                val count = sound.read(samples)
                if (count < 0) break
                ear.hear(samples, count).forEach(::show)
            }
            ear.finish().forEach(::show)
        }
    }
}

private fun show(moment: Moment) {
    if (moment.scores.isNotEmpty()) println(moment.scores.joinToString(" "))
    for (event in moment.ended) println("${event.label}\t${event.startS}\t${event.endS}\t${event.confidence}")
}
