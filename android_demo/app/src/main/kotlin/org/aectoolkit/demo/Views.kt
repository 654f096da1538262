package org.aectoolkit.demo

import android.app.Activity
import android.view.View

/** A view that the layout is known to hold. */
fun <V : View> View.need(id: Int): V = requireNotNull(findViewById(id)) { "the layout lacks a view" }

/** Likewise in an activity's layout. */
fun <V : View> Activity.need(id: Int): V = requireNotNull(findViewById(id)) { "the layout lacks a view" }

/** Shows a view or takes it out of the layout. */
fun View.shown(visible: Boolean) {
    visibility = if (visible) View.VISIBLE else View.GONE
}
