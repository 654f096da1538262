"""Figures 3 and 4 drawn, as PNG and SVG: the same numbers give the same bytes.

Colours are Okabe and Ito's, which colour-blind readers tell apart; each space has a marker of its own too. No global
state of matplotlib is touched. Proved by tests/reproduce/test_report.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from toolkit.reproduce import paper
from toolkit.reproduce.curves import Box, Point, space_name
from toolkit.reproduce.plan import MAIN_SPACE, SPACES
from toolkit.search.paper import BUDGETS_M, PAPER_FULL_M, TOLERANCE_M
from toolkit.specs.files import new_file

COLOURS = dict(zip(SPACES, ("#D55E00", "#E69F00", "#0072B2", "#009E73", "#CC79A7"), strict=True))
MARKERS = dict(zip(SPACES, ("^", "v", "o", "s", "D"), strict=True))
SHARE_SHOWN = (0.06, 0.86)
"""Of the full subnet's parameters, from the left edge of figure 3 to the right one."""
BOX_WIDTH = 0.15
FORMATS = ("png", "svg")
PIXELS_PER_INCH = 150


def draw_figure_3(
    points: Sequence[Point], seed: int, teacher_percent: float | None, full_params: int, folder: Path
) -> None:
    """Picked subnets' mAP over parameters beside the paper's known points, as `figure3.png` and `figure3.svg`."""
    figure = _new_figure()
    here, there = figure.subplots(1, 2, width_ratios=(3, 2))
    for space in SPACES:
        own = [point for point in points if (point.space, point.seed) == (space, seed)]
        if own:
            _line(here, space, [(point.params / 1e3, point.test_percent.mean) for point in own])
    others = [point for point in points if point.seed != seed]
    if others:
        style = {"facecolors": "none", "edgecolors": COLOURS[MAIN_SPACE], "marker": MARKERS[MAIN_SPACE]}
        label = f"{space_name(MAIN_SPACE)}, other seeds"
        at = [point.params / 1e3 for point in others]
        here.scatter(at, [point.test_percent.mean for point in others], s=22, linewidths=0.8, label=label, **style)
    if teacher_percent is not None:
        here.axhline(teacher_percent, color="0.4", linestyle="--", linewidth=1, label="teacher")
    for space, known in paper.FIGURE_3.items():
        _line(there, space, known)
    there.axhline(paper.TEACHER.map_percent, color="0.4", linestyle="--", linewidth=1)
    for axes, full, unit, title in (
        (here, full_params / 1e3, "thousands", "this reproduction, test mixtures"),
        (there, PAPER_FULL_M, "millions", "the paper, points that it states"),
    ):
        axes.set_xlim(SHARE_SHOWN[0] * full, SHARE_SHOWN[1] * full)
        axes.set_xlabel(f"parameters ({unit})")
        axes.set_ylabel("mAP (%)")
        axes.set_title(title, fontsize=10)
    named = {str(each.get_label()): each for axes in (there, here) for each in axes.get_legend_handles_labels()[0]}
    figure.legend(handles=list(named.values()), fontsize=8, loc="outside upper center", ncols=len(named))
    _save(figure, folder / "figure3")


def draw_figure_4(boxes: Sequence[Box], seed: int, full_params: int, folder: Path) -> None:
    """Box plots of the candidates of each budget, a box for each space, as `figure4.png` and `figure4.svg`."""
    figure = _new_figure()
    axes = figure.subplots()
    shown = [space for space in SPACES if any((box.space, box.seed) == (space, seed) for box in boxes)]
    for number, space in enumerate(shown):
        own = [box for box in boxes if (box.space, box.seed) == (space, seed)]
        aside = (number - (len(shown) - 1) / 2) * BOX_WIDTH * 1.15
        axes.boxplot(
            [box.percents for box in own],
            positions=[BUDGETS_M.index(box.budget) + aside for box in own],
            widths=BOX_WIDTH,
            manage_ticks=False,
            patch_artist=True,
            boxprops={"facecolor": COLOURS[space], "alpha": 0.75},
            medianprops={"color": "black"},
            flierprops={"marker": MARKERS[space], "markersize": 3, "markeredgecolor": COLOURS[space]},
        )
    thousands = [full_params * budget / PAPER_FULL_M / 1e3 for budget in BUDGETS_M]
    names = [f"{budget}M\n({each:.0f} thousand)" for budget, each in zip(BUDGETS_M, thousands, strict=True)]
    axes.set_xticks(range(len(BUDGETS_M)), names)
    axes.set_xlabel(f"parameters of the paper's network, each ± {TOLERANCE_M}M (the same share here)")
    axes.set_ylabel("mAP on validation mixtures (%)")
    swatches = [Patch(facecolor=COLOURS[space], alpha=0.75, label=space_name(space)) for space in shown]
    figure.legend(handles=swatches, fontsize=8, loc="outside upper center", ncols=len(swatches))
    _save(figure, folder / "figure4")


def _new_figure() -> Figure:
    figure = Figure(figsize=(9, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _line(axes: Axes, space: str, points: Sequence[tuple[float, float]]) -> Line2D:
    ordered = sorted(points)
    style = "--" if space not in paper.SPACE_NAMES else "-"
    (line,) = axes.plot(
        [params for params, _ in ordered],
        [percent for _, percent in ordered],
        color=COLOURS[space],
        marker=MARKERS[space],
        markersize=5,
        linewidth=1.3,
        linestyle=style,
        label=space_name(space),
    )
    return line


def _save(figure: Figure, path: Path) -> None:
    for axes in figure.axes:
        axes.grid(visible=True, axis="y", color="0.9")
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    with mpl.rc_context({"svg.hashsalt": path.name}):
        for kind in FORMATS:
            with new_file(path.with_suffix(f".{kind}")) as temporary:
                unmarked = {"Date": None} if kind == "svg" else {"Software": None}
                figure.savefig(temporary, format=kind, dpi=PIXELS_PER_INCH, metadata=unmarked)
