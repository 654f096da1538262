package org.aectoolkit.demo

import android.app.Application
import org.aectoolkit.core.TimedModels

/** Hands out the device's parts, the same to all; a test puts others in their place before an activity starts. */
class DemoApp : Application() {
    var makeParts: () -> Parts = { DeviceParts(this) }
    val parts: Parts by lazy { makeParts() }
    var makeTimedModels: () -> TimedModels = ::DeviceRunners
}
