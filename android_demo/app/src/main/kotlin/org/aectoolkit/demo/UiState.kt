package org.aectoolkit.demo

import org.aectoolkit.core.Cost
import org.aectoolkit.core.Manifest

/** All that the screen can show. A new state is decided in [Presenter] and drawn in [Screen], nowhere else. */
sealed interface UiState {
    /** The bundle is being looked for, or a new one checked. */
    data object Opening : UiState

    /** There is none yet. */
    data object NoBundle : UiState

    /** None can be used: [line] says what is wrong with the one there was. */
    data class BundleRefused(
        val line: String,
    ) : UiState

    /** A bundle is in use. [notice] is one line on another one that was refused meanwhile. */
    sealed interface InUse : UiState {
        val bundle: Manifest
        val notice: String?

        fun noticed(line: String?): InUse
    }

    /** Nothing is heard now; [last] is what was, if anything. */
    data class Ready(
        override val bundle: Manifest,
        override val notice: String? = null,
        val last: Picture? = null,
    ) : InUse {
        override fun noticed(line: String?) = copy(notice = line)
    }

    /** The system asks whether the app may use the microphone. */
    data class AskingMicrophone(
        override val bundle: Manifest,
        override val notice: String? = null,
    ) : InUse {
        override fun noticed(line: String?) = copy(notice = line)
    }

    /** The answer was no; after a no [forEver] the system asks no more, and only its settings help. */
    data class MicrophoneRefused(
        override val bundle: Manifest,
        override val notice: String? = null,
        val forEver: Boolean,
    ) : InUse {
        override fun noticed(line: String?) = copy(notice = line)
    }

    /** The sound broke off, or never came: [line] says why, as another app that took the microphone. */
    data class SoundLost(
        override val bundle: Manifest,
        override val notice: String? = null,
        val source: Heard,
        val line: String,
        val last: Picture?,
    ) : InUse {
        override fun noticed(line: String?) = copy(notice = line)
    }

    /** Sound is heard; [picture] is null until the first decision. */
    data class Hearing(
        override val bundle: Manifest,
        override val notice: String? = null,
        val source: Heard,
        val picture: Picture? = null,
    ) : InUse {
        override fun noticed(line: String?) = copy(notice = line)
    }

    /** A recording was heard to its end. */
    data class Played(
        override val bundle: Manifest,
        override val notice: String? = null,
        val name: String,
        val picture: Picture?,
    ) : InUse {
        override fun noticed(line: String?) = copy(notice = line)
    }
}

/** Where the sound comes from. */
sealed interface Heard {
    data object Microphone : Heard

    data class Recording(
        val name: String,
    ) : Heard
}

/** One label's score in the latest decision, and whether it counts as heard. */
data class Score(
    val label: String,
    val score: Float,
    val threshold: Float,
    val sounding: Boolean,
)

/** A label heard from [startS] to [endS], or until now where [open]. */
data class Span(
    val label: String,
    val startS: Double,
    val endS: Double,
    val open: Boolean,
)

/** What was heard after one decision. It never changes, but for [logMel], which goes on taking the newest frames. */
class Picture(
    val heardS: Double,
    val strongest: List<Score>,
    val sounding: List<String>,
    val minute: List<Span>,
    val logMel: LogMelRing?,
    val cost: Cost,
    val memoryMb: Double?,
)
