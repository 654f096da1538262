package org.aectoolkit.demo

import android.view.LayoutInflater
import android.view.View
import android.view.ViewGroup
import android.widget.TextView

/** The cost card: a heading over two columns, then a row for each figure. */
class CostPanel(
    private val card: View,
) {
    private val rows: ViewGroup = card.need(R.id.cost_rows)
    private val resources = card.resources

    fun show(
        texts: CostTexts,
        picture: Picture?,
    ) {
        card.shown(picture != null)
        if (picture == null) return
        val figures = texts.rows(picture)
        while (rows.childCount <= figures.size) {
            LayoutInflater.from(card.context).inflate(R.layout.cost_row, rows, true)
        }
        heading(rows.getChildAt(0), texts.heading)
        figures.forEachIndexed { index, row -> show(rows.getChildAt(index + 1), row) }
        card.need<TextView>(R.id.cost_note).text = texts.note(picture)
    }

    private fun heading(
        view: View,
        predicted: String,
    ) {
        view.need<View>(R.id.cost_name).shown(false)
        view.need<TextView>(R.id.cost_measured).column(resources.getString(R.string.measured))
        view.need<TextView>(R.id.cost_predicted).column(predicted)
        view.contentDescription = resources.getString(R.string.cost_columns_description, predicted)
    }

    private fun TextView.column(text: String) {
        this.text = text
        setTextAppearance(R.style.Column)
    }

    private fun show(
        view: View,
        row: CostRow,
    ) {
        val name = resources.getString(row.name)
        val unknown = resources.getString(R.string.unknown_figure)
        val measured = row.measured ?: unknown
        view.need<TextView>(R.id.cost_name).text = name
        view.need<TextView>(R.id.cost_measured).text = measured
        view.need<TextView>(R.id.cost_predicted).text = row.predicted ?: unknown
        view.contentDescription =
            if (row.predicted == null) {
                resources.getString(R.string.cost_row_description_measured, name, measured)
            } else {
                resources.getString(R.string.cost_row_description, name, measured, row.predicted)
            }
    }
}
