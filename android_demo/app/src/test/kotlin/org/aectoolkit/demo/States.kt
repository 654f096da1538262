package org.aectoolkit.demo

import org.aectoolkit.core.Cost

/** One of every state, those with sound as the exported model heard it. */
object States {
    private const val REFUSED =
        "stream.int8.tflite is damaged: its sha256 begins with 583ebc2b27af, expected f62c7d17e241. " +
            "Copy or export the bundle again."
    private const val TAKEN = "Another app holds the microphone. End it there, then listen again."

    /** Those that are longer than most screens. */
    val long = setOf("listening", "crowded")

    val all: Map<String, UiState> by lazy {
        val bundle = RealPictures.bundle.manifest
        val sirens = RealPictures.at(seconds = 26.0)
        val quiet = RealPictures.at(seconds = 3.0)
        mapOf(
            "opening" to UiState.Opening,
            "no-bundle" to UiState.NoBundle,
            "refused" to UiState.BundleRefused(REFUSED),
            "ready" to UiState.Ready(bundle),
            "asking" to UiState.AskingMicrophone(bundle),
            "refused-once" to UiState.MicrophoneRefused(bundle, forEver = false),
            "refused-for-ever" to UiState.MicrophoneRefused(bundle, forEver = true),
            "taken" to UiState.SoundLost(bundle, source = Heard.Microphone, line = TAKEN, last = null),
            "taken-later" to UiState.SoundLost(bundle, source = Heard.Microphone, line = TAKEN, last = sirens),
            "starting" to UiState.Hearing(bundle, source = Heard.Microphone),
            "listening" to UiState.Hearing(bundle, source = Heard.Microphone, picture = sirens),
            "listening-quiet" to UiState.Hearing(bundle, source = Heard.Microphone, picture = quiet),
            "listening-notice" to UiState.Hearing(bundle, REFUSED, Heard.Microphone, sirens),
            "playing" to UiState.Hearing(bundle, source = Heard.Recording("kitchen at night.wav"), picture = quiet),
            "played" to UiState.Played(bundle, name = "kitchen at night.wav", picture = sirens),
            "stopped" to UiState.Ready(bundle, last = sirens),
            "crowded" to UiState.Hearing(bundle, source = Heard.Microphone, picture = crowded(sirens)),
        )
    }

    /** More than is ever likely: long names, all heard, an hour in, with large figures. */
    private fun crowded(like: Picture): Picture {
        val names =
            listOf("Emergency vehicle (siren)", "Smoke detector, smoke alarm", "Speech", "Dog", "Domestic sounds, home")
        return Picture(
            heardS = 4_000.0,
            strongest = names.map { Score(it, 1f, 0.5f, sounding = true) },
            sounding = names,
            minute = names.flatMap { listOf(Span(it, 3_945.0, 3_960.0, false), Span(it, 3_980.0, 4_000.0, true)) },
            logMel = like.logMel,
            cost = Cost(like.cost.runtime, 4_000, 1_234.5, 2_345.6, 1.23, 12_345),
            memoryMb = 1_234.0,
        )
    }
}
