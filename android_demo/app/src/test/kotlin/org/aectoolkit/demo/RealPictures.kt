package org.aectoolkit.demo

import org.aectoolkit.core.Bundle
import org.aectoolkit.core.Ear
import org.aectoolkit.core.WavSource
import org.aectoolkit.tflite.TfliteRunners
import java.io.File

/**
 * What the exported model makes of a synthesized scene on this machine's TFLite: an alarm 5 s in, a siren 17 s in.
 * Both were made in Python in the same run; `aec.fixtures` names the folder.
 */
object RealPictures {
    val fixtures: File by lazy {
        File(checkNotNull(System.getProperty("aec.fixtures")) { "aec.fixtures names no folder; run make android" })
    }
    val bundle: Bundle by lazy { Bundle.open(File(fixtures, "bundle")) }
    val scene get() = File(fixtures, "listen/scene.wav")

    /** The picture after so many seconds. No memory: that of a test's JVM says nothing of an app's. */
    fun at(seconds: Double): Picture {
        val maker = PictureMaker(bundle.manifest) { null }
        WavSource(scene.inputStream()).use { source ->
            Ear(bundle, TfliteRunners()).use { ear ->
                val block = FloatArray(ear.hopSamples)
                var picture: Picture? = null
                while (picture == null || picture.heardS + ear.hopSamples.toDouble() / ear.sampleRateHz <= seconds) {
                    val count = source.read(block)
                    if (count < 0) break
                    ear.hear(block, count).forEach { picture = maker.add(it) }
                }
                return checkNotNull(picture)
            }
        }
    }
}
