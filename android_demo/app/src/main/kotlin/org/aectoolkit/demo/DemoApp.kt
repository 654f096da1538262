package org.aectoolkit.demo

import android.app.Application
import org.aectoolkit.core.TimedModels

/** Hands out the device's parts; a test puts others in their place before an activity starts. */
class DemoApp : Application() {
    var makeParts: () -> Parts = { DeviceParts(this) }
    var makeTimedModels: () -> TimedModels = ::DeviceRunners
}
