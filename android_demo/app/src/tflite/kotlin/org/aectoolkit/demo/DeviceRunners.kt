package org.aectoolkit.demo

import org.aectoolkit.tflite.TfliteRunners

/** The runtime that this flavour of the app carries. */
typealias DeviceRunners = TfliteRunners
