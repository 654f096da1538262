"""`assemble`: the report of a reproduction, from the units that are done: what was run, tables, figures, what differs.

    units/*.json, data.json, notes.md -> report.md, table*.csv, margins.csv, figure*.csv, figure*.png, figure*.svg

What is not done is named with the command that makes it; nothing is filled in. `notes.md` is a person's account.
Proved by tests/reproduce/test_report.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from toolkit.reproduce.account import different, labels_text, missing, opening
from toolkit.reproduce.csv_files import write_csv_files
from toolkit.reproduce.curves import figure_3, figure_4, first_seed
from toolkit.reproduce.done import Done
from toolkit.reproduce.drawings import draw_figure_3, draw_figure_4
from toolkit.reproduce.markdown import figure_3_text, figure_4_text, table_1_text, table_2_text
from toolkit.reproduce.plan import Unit
from toolkit.reproduce.results import DATA, Results
from toolkit.reproduce.tables import table_1, table_2
from toolkit.specs.errors import MismatchError, UserError
from toolkit.specs.files import write_text
from toolkit.specs.record import read_text
from toolkit.specs.unit import DataFacts

REPORT, NOTES = "report.md", "notes.md"

_TABLE_1 = """For each size the baseline (hard labels) and KD (the teacher's), each trained by itself, and OFA, cut
from the supernet without further training: as in the paper the subnet that was searched on validation within the budget
nearest that size, and, like for like, the very architecture that the baseline and KD have."""
_TABLE_2 = """The searched subnets, tuned with the teacher's labels from the supernet's weights, and the same
architectures trained so from scratch (Init). Below, the differences in points of mAP, with 95 % intervals."""
_FIGURE_3 = """The best subnet on validation within each budget, mAP on test. Below, mAP with its 95 % interval, and
parameters. Lines, boxes and tables are of one seed, the same for every space; `ew-layerwise` is not the paper's."""
_FIGURE_4 = """mAP on validation of all candidates of each budget; boxes hold the middle half, whiskers reach 1.5 times
its width. Below, mean ± standard deviation, and how many candidates there are."""


def assemble(results: Results, units: Sequence[Unit], folder: Path) -> Path:
    """Write the report and its files into `folder`; the path of `report.md`.

    Raises:
        UserError: no unit is done.
        MismatchError: results or `data.json` are of another recipe or of other data.
    """
    recipe, done = results.recipe, Done(units, results.all(units))
    if not done.results:
        raise UserError(f"no unit is done in {results.folder}: run without --assemble first, or name another --out.")
    facts = DataFacts.load(folder / DATA)
    if any(result.data_digest != facts.data_digest for result in done.results.values()):
        raise MismatchError(f"{folder / DATA} is of other data than the units beside it: run the command on theirs.")
    label_count, space, seed = len(facts.labels), recipe.search_space(), first_seed(done)
    full_params = space.params(space.largest, label_count, recipe.front_end)
    table, tunings = table_1(done, recipe, label_count), table_2(done)
    points, boxes = figure_3(done), figure_4(done)
    write_csv_files(table, tunings, points, boxes, folder)
    if points:
        teacher = table.teacher.map_percent
        draw_figure_3(points, seed, teacher.mean if teacher else None, full_params, folder)
    if boxes:
        draw_figure_4(boxes, seed, full_params, folder)
    notes = folder / NOTES
    sections = [
        opening(done, recipe, facts),
        f"## Table 1: the methods\n\n{_TABLE_1}\n\n{table_1_text(table)}",
        f"## Table 2: fine-tuning\n\n{_TABLE_2}\n\n{table_2_text(tunings, recipe)}",
        "## Figure 3: searched subnets",
        *([f"![mAP over parameters of the subnets that were picked](figure3.png)\n\n{_FIGURE_3}"] if points else []),
        figure_3_text(points, seed),
        "## Figure 4: candidates",
        *([f"![box plots of the candidates' mAP](figure4.png)\n\n{_FIGURE_4}"] if boxes else []),
        figure_4_text(boxes, seed),
        *([f"## What was found\n\n{read_text(notes).strip()}"] if notes.exists() else []),
        different(recipe, label_count),
        labels_text(facts),
        *([missing(done, recipe)] if done.missing else []),
    ]
    write_text(folder / REPORT, "\n\n".join(sections) + "\n")
    return folder / REPORT
