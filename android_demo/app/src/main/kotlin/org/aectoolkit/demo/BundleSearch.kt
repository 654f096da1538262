package org.aectoolkit.demo

import org.aectoolkit.core.Bundle
import org.aectoolkit.core.Refused
import org.aectoolkit.core.SourceLost
import java.io.InputStream

/**
 * The three ways that a bundle gets in: chosen, pushed over adb, shipped inside the app; and the one taken before.
 * Touches files, so it runs on [Parts.work]. Proved by PresenterTest.
 */
class BundleSearch(
    private val parts: Parts,
) {
    /** [bundle] is null when nothing new was found, [line] says what was refused. */
    class Found(
        val bundle: Bundle?,
        val line: String?,
    )

    /** [known] says that a bundle is in use, so that the one on disk needs no second check. */
    fun look(
        chosen: (() -> InputStream)?,
        known: Boolean,
    ): Found {
        val pushed = if (chosen == null) parts.pushed() else null
        val shipped = if (chosen == null && pushed == null) parts.shipped() else null
        val taken =
            when {
                chosen != null -> {
                    runCatching { chosen().use(parts.store::install) }
                }

                pushed != null -> {
                    runCatching {
                        pushed.inputStream().use(
                            parts.store::install,
                        )
                    }.also { pushed.delete() }
                }

                shipped != null -> {
                    // With no other in use a refusal may pass, as of a full disk: it is tried at the next start.
                    runCatching { parts.store.install(shipped) }.also { if (known || it.isSuccess) parts.shippedDone() }
                }

                else -> {
                    null
                }
            }
        val before = if (known || taken?.isSuccess == true) null else runCatching { parts.store.current() }
        return Found(
            taken?.getOrNull() ?: before?.getOrNull(),
            (taken?.exceptionOrNull() ?: before?.exceptionOrNull())?.let(::line),
        )
    }
}

/** One line for the screen on what went wrong. */
fun line(fault: Throwable): String =
    when (fault) {
        is Refused, is SourceLost -> fault.message
        else -> null
    } ?: "${fault.javaClass.simpleName}: ${fault.message ?: "no reason was given"}"
