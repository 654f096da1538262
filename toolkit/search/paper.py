"""The paper's search: for each of four numbers of parameters the best of 25 random subnets. No device, no table.

Source: Lin et al. (2023), section 2.4. Proved by tests/search/test_paper.py and tests/reproduce/test_plan.py.
"""

from __future__ import annotations

import importlib.util
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Column, Table

from toolkit.search.methods import PAPER_CANDIDATES
from toolkit.search.picture import NO_PICTURE, save_picture
from toolkit.search.scores import DRAWS, ENUMERATED, Scorer
from toolkit.specs.errors import UserError
from toolkit.specs.front_end import FrontEndSpec
from toolkit.specs.run import Run
from toolkit.specs.space import SearchSpace, Subnet

BUDGETS_M = (0.8, 1.8, 2.8, 3.8)
"""Parameters, in millions, that the paper's subnets are searched for."""
TOLERANCE_M = 0.2
PAPER_FULL_M = 5.2
PAPER_BASE_WIDTH = 64


@dataclass(frozen=True)
class PaperRow:
    """What came of one budget: the candidates' mAP, by id, and the best of them; none where no subnet is that large."""

    budget_m: float
    share: float
    """Of the full subnet."""
    params: int
    """In the middle of the budget, for this Run's space."""
    scores: dict[str, float]

    @property
    def best(self) -> str | None:
        """Id of the candidate with the greatest mAP."""
        return max(self.scores, key=lambda name: (self.scores[name], name), default=None)


def candidates(
    space: SearchSpace, label_count: int, seed: int, front_end: FrontEndSpec
) -> dict[float, tuple[Subnet, ...]]:
    """For each of `BUDGETS_M` at most 25 random subnets whose parameters lie within the tolerance.

    From a space that is too large to be gone through they are drawn. In one of another width budgets are the paper's
    shares of the full subnet: 0.15, 0.34, 0.54 and 0.73.
    """
    draw = random.Random(f"{seed} candidates {space.name}")
    if len(space) <= ENUMERATED:
        drawn = list(space.subnets())
        draw.shuffle(drawn)
    else:
        drawn = list(dict.fromkeys(space.sample(draw) for _ in range(DRAWS)))
    full = space.params(space.largest, label_count, front_end)
    scale = 1e-6 if space.base_width == PAPER_BASE_WIDTH else PAPER_FULL_M / full
    sizes_m = [scale * space.params(subnet, label_count, front_end) for subnet in drawn]
    return {
        budget: tuple(
            [subnet for subnet, size_m in zip(drawn, sizes_m, strict=True) if abs(size_m - budget) <= TOLERANCE_M][
                :PAPER_CANDIDATES
            ]
        )
        for budget in BUDGETS_M
    }


def paper_search(run: Run, scorer: Scorer, seed: int) -> tuple[PaperRow, ...]:
    """The paper's four searches in a Run; all candidates are scored at once, so that they share their prefixes.

    Raises:
        UserError: the Run does not know all of its space, and there is nothing to evaluate others on.
    """
    if not scorer.knows_all:
        raise UserError(
            f"Run {run.manifest.name} does not know all of its space. Give recordings to evaluate on: --data FOLDER."
        )
    space, labels, front_end = run.manifest.space, len(run.manifest.labels), run.manifest.front_end
    full = space.params(space.largest, labels, front_end)
    scale = 1e6 if space.base_width == PAPER_BASE_WIDTH else full / PAPER_FULL_M
    found = candidates(space, labels, seed, front_end)
    scores = scorer.scores(list(dict.fromkeys(one for some in found.values() for one in some)))
    return tuple(
        PaperRow(
            budget,
            scale * budget / full,
            round(scale * budget),
            {one.id: scores[one] for one in some},
        )
        for budget, some in found.items()
    )


def as_json(rows: Sequence[PaperRow], picture: Path | None) -> dict[str, Any]:
    """All candidates and the best of each budget, as plain data."""
    every = [asdict(row) | {"best": row.best} for row in rows]
    return {"budgets": every, "candidates": PAPER_CANDIDATES, "picture": str(picture) if picture else None}


def print_rows(rows: Sequence[PaperRow], picture: Path | None) -> None:
    """A line for each budget to stdout."""
    titles = ("parameters", "of the full", "candidates", "mAP", "best")
    columns = [Column(title, overflow="fold") for title in titles]  # an id that is cut off is none
    table = Table(*columns, box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for row in rows:
        means = sorted(row.scores.values())
        spread = f"{means[0]:.3f} to {means[-1]:.3f}" if means else "no subnet is that large"
        table.add_row(f"{row.params / 1e6:.2f}M", f"{row.share:.0%}", str(len(means)), spread, row.best or "")
    console = Console(highlight=False)
    console.print(table)
    console.print(f"\npicture      {picture or NO_PICTURE}", soft_wrap=True, markup=False)


def draw_boxes(rows: Sequence[PaperRow], run: Run, out: Path) -> Path | None:
    """Write the box plot of the candidates of each budget to `out/paper`; gives its path, None without matplotlib."""
    if importlib.util.find_spec("matplotlib") is None:
        return None
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.5, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    percents = [[100 * score for score in row.scores.values()] for row in rows]
    axes.boxplot(percents, manage_ticks=False, showfliers=False, medianprops={"color": "black"})
    for place, own in enumerate(percents, start=1):
        axes.scatter([place] * len(own), own, s=8, color="#0072B2")
    names = [f"{row.params / 1e6:.2f}M\n({row.share:.0%} of the full subnet)" for row in rows]
    axes.set_xticks(range(1, len(rows) + 1), names)
    axes.set_xlabel("parameters")
    axes.set_ylabel("mAP on validation (%)")
    space = run.manifest.space
    axes.set_title(f"Run {run.manifest.name}: {space.name}, base width {space.base_width}", fontsize=10)
    save_picture(figure, path := out / "paper" / f"{run.manifest.name}.png")
    return path
