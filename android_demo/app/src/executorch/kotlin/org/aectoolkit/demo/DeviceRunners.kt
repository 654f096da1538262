package org.aectoolkit.demo

import org.aectoolkit.executorch.ExecutorchRunners

/** The runtime that this flavour of the app carries. */
typealias DeviceRunners = ExecutorchRunners
