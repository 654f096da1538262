package org.aectoolkit.demo

import android.content.Context
import android.util.AttributeSet
import android.view.View
import android.view.ViewGroup

/** Children in lines, as words in a text: those that do not fit begin a new line. `gravity="end"` starts at the end. */
class FlowLayout(
    context: Context,
    attributes: AttributeSet,
) : ViewGroup(context, attributes) {
    private val gap = resources.getDimensionPixelSize(R.dimen.gap)
    private val atEnd =
        context.obtainStyledAttributes(attributes, intArrayOf(android.R.attr.gravity)).run {
            try {
                hasValue(0)
            } finally {
                recycle()
            }
        }
    private val shown get() = (0 until childCount).map(::getChildAt).filter { it.visibility != View.GONE }

    override fun onMeasure(
        widthSpec: Int,
        heightSpec: Int,
    ) {
        val width = MeasureSpec.getSize(widthSpec)
        val atMost = MeasureSpec.makeMeasureSpec(width, MeasureSpec.AT_MOST)
        shown.forEach { it.measure(atMost, MeasureSpec.makeMeasureSpec(0, MeasureSpec.UNSPECIFIED)) }
        val lines = lines(width)
        val height = lines.sumOf { line -> line.maxOf { it.measuredHeight } } + gap * maxOf(0, lines.size - 1)
        setMeasuredDimension(width, height)
    }

    override fun onLayout(
        changed: Boolean,
        left: Int,
        top: Int,
        right: Int,
        bottom: Int,
    ) {
        val width = right - left
        val mirrored = layoutDirection == LAYOUT_DIRECTION_RTL
        var y = 0
        for (line in lines(width)) {
            val used = line.sumOf { it.measuredWidth } + gap * (line.size - 1)
            val height = line.maxOf { it.measuredHeight }
            var x = if (atEnd) width - used else 0
            for (child in line) {
                val from = if (mirrored) width - x - child.measuredWidth else x
                val down = y + (height - child.measuredHeight) / 2
                child.layout(from, down, from + child.measuredWidth, down + child.measuredHeight)
                x += child.measuredWidth + gap
            }
            y += height + gap
        }
    }

    private fun lines(width: Int): List<List<View>> {
        val lines = mutableListOf<MutableList<View>>()
        var used = 0
        for (child in shown) {
            if (lines.isEmpty() || used + gap + child.measuredWidth > width) {
                lines += mutableListOf(child)
                used = child.measuredWidth
            } else {
                lines.last() += child
                used += gap + child.measuredWidth
            }
        }
        return lines
    }
}
