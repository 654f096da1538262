package org.aectoolkit.demo

import android.view.View
import android.widget.Button
import android.widget.TextView
import org.aectoolkit.core.Manifest

/** What a person can do. */
interface Actions {
    fun listen()

    fun stop()

    fun playRecording()

    fun chooseBundle()

    fun allowMicrophone()

    fun openSettings()

    fun dismissNotice()
}

/** Draws a [UiState]; decides nothing. Proved by ScreenTest and the pictures of ScreenshotTest. */
class Screen(
    private val root: View,
    private val actions: Actions,
) {
    private val resources = root.resources
    private val numbers = Numbers(resources)
    private val scores = ScoresPanel(root.need(R.id.scores))
    private val cost = CostPanel(root.need(R.id.cost_card))
    private val mainAction: Button = root.need(R.id.main_action)
    private var costTexts: Pair<Manifest, CostTexts>? = null

    init {
        view<View>(R.id.play_recording).setOnClickListener { actions.playRecording() }
        view<View>(R.id.choose_bundle).setOnClickListener { actions.chooseBundle() }
        view<View>(R.id.notice).setOnClickListener { actions.dismissNotice() }
    }

    fun show(state: UiState) {
        root.keepScreenOn = state is UiState.Hearing // a dark screen would end it
        val used = state as? UiState.InUse
        text(R.id.status, status(state))
        text(R.id.bundle_line, used?.bundle?.let(::bundleLine))
        notice(used?.notice)
        message(Message.of(state))
        shown(R.id.play_recording, used != null)
        shown(R.id.choose_bundle, used != null)
        mainAction(state)
        panels(used?.bundle, picture(state), state is UiState.Hearing)
    }

    private fun status(state: UiState): String {
        val heard = numbers.duration(picture(state)?.heardS ?: 0.0)
        return when (state) {
            UiState.Opening -> {
                resources.getString(R.string.opening)
            }

            UiState.NoBundle, is UiState.BundleRefused -> {
                resources.getString(R.string.no_bundle_short)
            }

            is UiState.AskingMicrophone, is UiState.MicrophoneRefused, is UiState.SoundLost -> {
                resources.getString(R.string.not_listening)
            }

            is UiState.Ready -> {
                if (state.last == null) resources.getString(R.string.ready) else stopped(heard)
            }

            is UiState.Played -> {
                resources.getString(R.string.played, state.name, heard)
            }

            is UiState.Hearing -> {
                when (val source = state.source) {
                    Heard.Microphone -> resources.getString(R.string.listening, heard)
                    is Heard.Recording -> resources.getString(R.string.playing, source.name, heard)
                }
            }
        }
    }

    private fun stopped(heard: String) = resources.getString(R.string.stopped, heard)

    private fun bundleLine(bundle: Manifest): String {
        val count = bundle.labels.size
        return resources.getQuantityString(R.plurals.bundle_line, count, bundle.name, count)
    }

    private fun notice(line: String?) {
        val said = line?.let { resources.getString(R.string.notice_refused, it) }
        text(R.id.notice, said)
        view<View>(R.id.notice).contentDescription = said?.let { "$it ${resources.getString(R.string.dismiss)}" }
    }

    private fun message(message: Message?) {
        shown(R.id.message, message != null)
        if (message == null) return
        text(R.id.message_title, resources.getString(message.title))
        text(R.id.message_body, message.line ?: message.body?.let(resources::getString))
        val button: Button = view(R.id.message_action)
        shown(R.id.message_action, message.action != null)
        val action = message.action ?: return
        button.setText(action.label)
        button.setCompoundDrawablesRelativeWithIntrinsicBounds(action.icon, 0, 0, 0)
        button.setOnClickListener { action.run(actions) }
    }

    private fun mainAction(state: UiState) {
        val possible = state is UiState.InUse && state !is UiState.MicrophoneRefused
        shown(R.id.main_action, possible)
        root.findViewById<View>(R.id.main_action_bar)?.shown(possible)
        val hears = state is UiState.Hearing
        mainAction.setText(if (hears) R.string.stop else R.string.listen)
        val icon = if (hears) R.drawable.ic_stop else R.drawable.ic_microphone
        mainAction.setCompoundDrawablesRelativeWithIntrinsicBounds(icon, 0, 0, 0)
        mainAction.setOnClickListener { if (hears) actions.stop() else actions.listen() }
    }

    private fun panels(
        bundle: Manifest?,
        picture: Picture?,
        hears: Boolean,
    ) {
        val any = bundle != null && (hears || picture != null)
        for (card in listOf(R.id.scores, R.id.minute_card, R.id.log_mel_card, R.id.cost_card)) shown(card, any)
        if (bundle == null || !any) return
        scores.show(picture)
        view<MinuteView>(R.id.minute).show(picture)
        val windowS = bundle.windowSamples.toDouble() / bundle.frontEnd.sampleRateHz
        view<LogMelView>(R.id.log_mel).show(bundle.frontEnd, windowS, picture?.logMel)
        val texts = costTexts?.takeIf { it.first === bundle }?.second ?: CostTexts(resources, bundle)
        costTexts = bundle to texts
        cost.show(texts, picture)
    }

    private fun text(
        id: Int,
        value: String?,
    ) {
        val view: TextView = view(id)
        view.shown(value != null)
        if (view.text.toString() != value.orEmpty()) view.text = value
    }

    private fun <V : View> view(id: Int): V = root.need(id)

    private fun shown(
        id: Int,
        visible: Boolean,
    ) = view<View>(id).shown(visible)

    private fun picture(state: UiState): Picture? =
        when (state) {
            is UiState.Hearing -> state.picture
            is UiState.Ready -> state.last
            is UiState.Played -> state.picture
            is UiState.SoundLost -> state.last
            else -> null
        }
}
