package org.aectoolkit.tflite

import org.bytedeco.tensorflowlite.global.tensorflowlite

/** Of the native library that is loaded. */
fun tfliteVersion(): String = tensorflowlite.TfLiteVersion().string
