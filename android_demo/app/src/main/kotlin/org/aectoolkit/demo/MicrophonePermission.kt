package org.aectoolkit.demo

import android.Manifest
import android.app.Activity
import android.content.Context
import android.content.pm.PackageManager

/**
 * Asks for the microphone and reads the answer. The system does not say whether a no is for ever: it is when it would
 * show no reason any more after an earlier no; a dialog that was merely left looks the same but has no earlier no.
 * Proved by LifeTest.
 */
class MicrophonePermission(
    private val activity: Activity,
) {
    private val kept = activity.getSharedPreferences("permission", Context.MODE_PRIVATE)

    fun ask() = activity.requestPermissions(arrayOf(NAME), REQUEST)

    /** [granted] is null when nothing was answered. */
    class Answer(
        val granted: Boolean?,
        val mayAskAgain: Boolean,
    )

    fun answer(results: IntArray): Answer {
        val granted = results.firstOrNull()?.let { it == PackageManager.PERMISSION_GRANTED }
        val wouldExplain = activity.shouldShowRequestPermissionRationale(NAME)
        val refusedBefore = kept.getBoolean(REFUSED, false)
        if (granted == true || wouldExplain) kept.edit().putBoolean(REFUSED, wouldExplain).apply()
        return Answer(granted, mayAskAgain = wouldExplain || !refusedBefore)
    }

    companion object {
        const val REQUEST = 1
        private const val NAME = Manifest.permission.RECORD_AUDIO
        private const val REFUSED = "refused once"
    }
}
