package org.aectoolkit.tflite

import org.aectoolkit.core.Bundle
import org.aectoolkit.core.Ear
import org.aectoolkit.core.Moment
import org.aectoolkit.core.Precision
import org.aectoolkit.core.Resampled
import org.aectoolkit.core.WavSource
import java.io.File

/**
 * Listens to a recording: `ListenMainKt BUNDLE WAV [PRECISION]` prints the scores of each decision and each event, and on
 * standard error what it took. It is all that an app needs, and android_demo/README.md shows it;
 * tests/android/test_apk.py runs it as R8 shrinks it and compares what it prints with Python's.
 */
fun main(args: Array<String>) {
    val precision = args.getOrNull(2)?.let { Precision.valueOf(it.uppercase()) }
    listen(File(args[0]), File(args[1]), precision, ::show)
}

fun listen(
    folder: File,
    recording: File,
    precision: Precision?,
    show: (Moment) -> Unit,
) {
    val bundle = Bundle.open(folder)
    Ear(bundle, TfliteRunners(), precision = precision).use { ear ->
        Resampled(WavSource(recording.inputStream()), ear.sampleRateHz).use { sound ->
            val samples = FloatArray(ear.hopSamples)
            while (true) {
                val count = sound.read(samples)
                if (count < 0) break
                ear.hear(samples, count).forEach(show)
            }
            ear.finish().forEach(show)
        }
    }
}

private fun show(moment: Moment) {
    if (moment.scores.isNotEmpty()) println(moment.scores.joinToString(" "))
    for (event in moment.ended) println("${event.label}\t${event.startS}\t${event.endS}\t${event.confidence}")
    if (moment.scores.isEmpty()) System.err.println(moment.cost)
}
