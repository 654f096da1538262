package org.aectoolkit.demo

import android.graphics.Rect
import android.view.View
import android.view.ViewGroup
import android.widget.ScrollView
import android.widget.TextView
import kotlin.math.ceil

/** What can be wrong with a laid out screen: text that is cut, views that overlap their parent or cannot be touched. */
object Looks {
    private const val TOUCH_DP = 48

    fun faults(root: View): List<String> =
        visible(root).flatMap { cut(it) + outside(it) + touch(it) + silent(it) }.toList()

    fun visible(view: View): Sequence<View> =
        sequence {
            if (view.visibility != View.VISIBLE) return@sequence
            yield(view)
            if (view is ViewGroup) for (index in 0 until view.childCount) yieldAll(visible(view.getChildAt(index)))
        }

    private fun cut(view: View): List<String> {
        val layout = (view as? TextView)?.layout ?: return emptyList()
        val faults = mutableListOf<String>()
        val height = view.height - view.compoundPaddingTop - view.compoundPaddingBottom
        val width = view.width - view.compoundPaddingLeft - view.compoundPaddingRight
        if (layout.height > height) faults += "'${view.text}' needs ${layout.height} px of height, has $height"
        for (line in 0 until layout.lineCount) {
            if (layout.getEllipsisCount(line) > 0) faults += "'${view.text}' is cut"
            val needed = ceil(layout.getLineMax(line)).toInt()
            if (needed > width + 1) faults += "'${view.text}' needs $needed px of width, has $width"
            val end = layout.getLineEnd(line)
            if (end < view.text.length && view.text[end - 1].isLetter() && view.text[end].isLetter()) {
                faults += "'${view.text}' breaks inside a word"
            }
        }
        return faults
    }

    private fun outside(view: View): List<String> {
        val parent = view.parent as? ViewGroup ?: return emptyList()
        val inside = Rect(0, 0, parent.width, parent.height)
        val own = Rect(view.left, view.top, view.right, view.bottom)
        if (parent is ScrollView) own.set(own.left, 0, own.right, 0) // as long as it likes
        val fits = own.left >= 0 && own.right <= inside.right && own.top >= 0 && own.bottom <= inside.bottom
        return if (fits) emptyList() else listOf("${name(view)} lies at $own, outside its parent of $inside")
    }

    private fun touch(view: View): List<String> {
        if (!view.isClickable) return emptyList()
        val least = TOUCH_DP * view.resources.displayMetrics.density
        return if (view.width >= least && view.height >= least) {
            emptyList()
        } else {
            listOf("${name(view)} is ${view.width} x ${view.height} px, too small to touch")
        }
    }

    /** A screen reader has something to say for all that can be touched or reached. */
    private fun silent(view: View): List<String> {
        val reached = view.isClickable || view.isFocusable
        if (!reached || view is ScrollView) return emptyList()
        val says = view.contentDescription ?: (view as? TextView)?.text
        return if (says.isNullOrBlank()) listOf("${name(view)} has no description") else emptyList()
    }

    private fun name(view: View) =
        if (view.id == View.NO_ID) view.javaClass.simpleName else view.resources.getResourceEntryName(view.id)
}
