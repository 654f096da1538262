package org.aectoolkit.demo

import android.app.Activity
import android.os.Bundle

/** Shows a state without anything behind it. */
class ScreenActivity : Activity() {
    lateinit var screen: Screen
    val done = mutableListOf<String>()

    override fun onCreate(savedInstanceState: Bundle?) {
        setTheme(R.style.Theme_Demo)
        super.onCreate(savedInstanceState)
        setContentView(R.layout.main)
        screen = Screen(need(R.id.root), actions)
    }

    private val actions =
        object : Actions {
            override fun listen() = did("listen")

            override fun stop() = did("stop")

            override fun playRecording() = did("playRecording")

            override fun chooseBundle() = did("chooseBundle")

            override fun allowMicrophone() = did("allowMicrophone")

            override fun openSettings() = did("openSettings")

            override fun dismissNotice() = did("dismissNotice")
        }

    private fun did(what: String) {
        done += what
    }
}
