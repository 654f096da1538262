package org.aectoolkit.core

/** Input that cannot be used; the message is one line for the screen: what was found, and what to do. */
class Refused(
    message: String,
) : Exception(message)

/** A source that ended against its will, as a microphone that another app took; the message is one line. */
class SourceLost(
    message: String,
) : Exception(message)
