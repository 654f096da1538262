"""What was searched as a picture: mAP over latency, the front, the budget and the pick. Not the numbers.

Same answer, same bytes. Colours are Okabe and Ito's. Proved by tests/search/test_picture.py.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from toolkit.costs.bounds import latency_limit_ms
from toolkit.search.front import Scored, staircase
from toolkit.search.search import Answer, Answers
from toolkit.specs.files import new_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NO_PICTURE = "none: pip install 'aec-toolkit[search]' brings matplotlib"
_PIXELS_PER_INCH = 150
_INSIDE, _OUTSIDE, _FRONT, _PICK = "#0072B2", "0.75", "#009E73", "#D55E00"


def draw_answers(answers: Answers) -> dict[str, Path]:
    """A PNG beside each Pick, by device; none where matplotlib is not installed."""
    if importlib.util.find_spec("matplotlib") is None:
        return {}
    return {answer.pick.device: draw_front(answer, answer.path.with_suffix(".png")) for answer in answers.each}


def draw_front(answer: Answer, path: Path) -> Path:
    """Write a picture of everything that was compared; gives its path."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    pick, choice, key = answer.pick, answer.choice, answer.table.key
    figure = Figure(figsize=(7.5, 4.6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for is_inside, colour, label in ((False, _OUTSIDE, "outside the budget"), (True, _INSIDE, "inside the budget")):
        some = [each for each in choice.scored if each.is_inside is is_inside]
        if some:
            axes.scatter(*_points(some), s=18, color=colour, label=f"{label}: {len(some)}")
    axes.step(*staircase(choice.front), where="post", color=_FRONT, linewidth=1.2, label="front")
    axes.scatter(*_points([choice.best]), s=140, marker="*", color=_PICK, zorder=3, label=f"pick: {pick.subnet}")
    limit_ms = latency_limit_ms(pick.budget, pick.predicted)
    if limit_ms is not None:
        axes.axvline(limit_ms, color="0.3", linestyle="--", linewidth=1, label=f"budget: {limit_ms:.3g} ms")
    kind = pick.predicted.latency_ms.kind
    axes.set_xlabel(f"latency of one {'chunk' if pick.mode == 'stream' else '10 s clip'} (ms, {kind})")
    axes.set_ylabel("mAP on validation")
    axes.set_title(f"{pick.device}: {pick.runtime} {key.runtime_version}, {pick.precision}, {pick.mode}", fontsize=10)
    axes.legend(fontsize=8, loc="lower right")
    save_picture(figure, path)
    return path


def save_picture(figure: Figure, path: Path) -> None:
    """Write a figure as a PNG, whole or not at all."""
    for axes in figure.axes:
        axes.grid(visible=True, color="0.92")
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    with new_file(path) as temporary:
        figure.savefig(temporary, format="png", dpi=_PIXELS_PER_INCH, metadata={"Software": None})


def _points(some: Sequence[Scored]) -> tuple[list[float], list[float]]:
    return [each.cost.latency_ms.value for each in some], [each.mean_average_precision for each in some]
