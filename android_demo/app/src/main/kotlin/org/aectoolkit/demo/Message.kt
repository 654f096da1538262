package org.aectoolkit.demo

/** What a state has to say in words, and the one thing to do about it. [line] stands for the body where it is given. */
class Message(
    val title: Int,
    val body: Int? = null,
    val line: String? = null,
    val action: Action? = null,
) {
    enum class Action(
        val label: Int,
        val icon: Int,
        val run: Actions.() -> Unit,
    ) {
        CHOOSE_BUNDLE(R.string.choose_bundle, R.drawable.ic_bundle, Actions::chooseBundle),
        ALLOW(R.string.allow_microphone, R.drawable.ic_microphone, Actions::allowMicrophone),
        SETTINGS(R.string.open_settings, R.drawable.ic_settings, Actions::openSettings),
    }

    companion object {
        /** Null where the panels say all. */
        fun of(state: UiState): Message? =
            when (state) {
                UiState.NoBundle -> {
                    Message(R.string.no_bundle_title, R.string.no_bundle_body, action = Action.CHOOSE_BUNDLE)
                }

                is UiState.BundleRefused -> {
                    Message(R.string.refused_title, line = state.line, action = Action.CHOOSE_BUNDLE)
                }

                is UiState.AskingMicrophone -> {
                    Message(R.string.asking_title, R.string.asking_body)
                }

                is UiState.MicrophoneRefused -> {
                    refused(state.forEver)
                }

                is UiState.SoundLost -> {
                    Message(lost(state.source), line = state.line)
                }

                is UiState.Ready -> {
                    if (state.last == null) Message(R.string.ready_title, R.string.ready_body) else null
                }

                UiState.Opening, is UiState.Hearing, is UiState.Played -> {
                    null
                }
            }

        private fun refused(forEver: Boolean) =
            if (forEver) {
                Message(R.string.refused_for_ever_title, R.string.refused_for_ever_body, action = Action.SETTINGS)
            } else {
                Message(R.string.refused_once_title, R.string.refused_once_body, action = Action.ALLOW)
            }

        private fun lost(source: Heard) =
            if (source == Heard.Microphone) R.string.lost_title else R.string.recording_lost_title
    }
}
