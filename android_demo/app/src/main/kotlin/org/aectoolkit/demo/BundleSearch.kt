package org.aectoolkit.demo

import org.aectoolkit.core.Bundle
import org.aectoolkit.core.Refused
import org.aectoolkit.core.SourceLost
import java.io.File
import java.io.InputStream
import java.nio.file.Files

/**
 * The three ways that a bundle gets in: chosen, pushed over adb, shipped inside the app; and the one taken before.
 * Touches files, so it runs on [Parts.work]. Proved by BundleSearchTest and PresenterTest.
 */
class BundleSearch(
    private val parts: Parts,
) {
    /** [bundle] is null when nothing new was found, [line] says what was refused. */
    class Found(
        val bundle: Bundle?,
        val line: String?,
    )

    private val faults = mutableListOf<Throwable>()

    /** [known] says that a bundle is in use, so that the one on disk needs no second check. */
    fun look(
        chosen: (() -> InputStream)?,
        known: Boolean,
    ): Found {
        faults.clear()
        val isNew = parts.shippedIsNew()
        val taken =
            if (chosen != null) {
                attempt { chosen().use(parts.store::install) }
            } else {
                attempt(::pushed) ?: if (isNew) attempt(::shipped) else null
            }
        // With no other in use a refusal of the shipped one may pass, as of a full disk: it is tried at the next start.
        if (isNew && (taken != null || (known && chosen == null))) parts.shippedDone()
        val bundle = taken ?: if (known) null else before(isNew)
        return Found(bundle, faults.firstOrNull()?.let(::line))
    }

    private fun attempt(take: () -> Bundle?): Bundle? = runCatching(take).onFailure(faults::add).getOrNull()

    private fun shipped(): Bundle? = parts.shipped()?.let(parts.store::install)

    /** The one in use before; where that is damaged or gone, the one inside the app, unless it was just tried. */
    private fun before(shippedWasTried: Boolean): Bundle? =
        attempt(parts.store::current) ?: if (shippedWasTried) null else attempt(::shipped)

    /** Moved aside before it is tried, so that one that ends the app is not tried again at the next start. */
    private fun pushed(): Bundle? {
        val zip = parts.pushed() ?: return null
        val trying = File("$zip.trying")
        val endedTheApp = trying.delete()
        if (!zip.isFile) {
            return if (endedTheApp) throw Refused("The pushed bundle ended the app; it is not used.") else null
        }
        try {
            Files.move(zip.toPath(), trying.toPath())
            return trying.inputStream().use(parts.store::install)
        } finally {
            trying.delete()
        }
    }
}

/** One line for the screen on what went wrong. */
fun line(fault: Throwable): String =
    when (fault) {
        is Refused, is SourceLost -> fault.message
        else -> null
    } ?: "${fault.javaClass.simpleName}: ${fault.message ?: "no reason was given"}"
