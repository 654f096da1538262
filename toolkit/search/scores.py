"""Where a search's accuracies come from: the Run's own figures, or true evaluations on recordings.

Proved by tests/search/test_search.py and tests/search/test_true_evaluation.py.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from toolkit.search.methods import Method
from toolkit.specs.errors import UserError
from toolkit.specs.run import Run
from toolkit.specs.space import Subnet

if TYPE_CHECKING:
    from toolkit.evaluate.evaluator import Evaluator

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how many are done, how many there are."""
ENUMERATED = 2_000
"""A space with more subnets is never gone through."""
DRAWS = 20_000
"""Of a larger one so many random subnets stand for the whole."""


class Scorer(Protocol):
    """Tells how good subnets are."""

    knows_all: bool
    """Whether any subnet of the space can be scored, or only those that the Run knows."""
    is_first: bool
    """Of several processes that search alike, whether this one writes and talks."""

    @property
    def clips(self) -> int | None:
        """How many validation clips methods compare on, where those may be fewer than there are."""
        ...

    def scores(self, subnets: Sequence[Subnet]) -> Mapping[Subnet, float]:
        """Validation mAP of each, as a method compares them."""
        ...

    def finals(self, subnets: Sequence[Subnet]) -> Mapping[Subnet, float]:
        """The same of a few that were found good, on all recordings."""
        ...

    def complete(self, subnets: Sequence[Subnet]) -> None:
        """Put into the Run all that an export of them needs."""
        ...


class RunScores:
    """The figures that training left in a Run."""

    clips = None

    def __init__(self, run: Run) -> None:
        self._run = run
        self.knows_all = len(run.results) >= len(run.manifest.space)
        self.is_first = True

    def scores(self, subnets: Sequence[Subnet]) -> Mapping[Subnet, float]:
        """Validation mAP of each; raises UserError for a subnet that the Run never evaluated."""
        return {subnet: self._run.result(subnet).mean_average_precision for subnet in subnets}

    finals = scores

    def complete(self, subnets: Sequence[Subnet]) -> None:
        """Nothing is to be done: what the Run evaluated can be exported."""


class TrueScores:
    """Evaluations on recordings, kept in the Run (`toolkit.evaluate`).

    Args:
        run: whose subnets are evaluated.
        data: recordings with labels.
        clips: compare on so many validation clips, a fixed choice; what was found good is scored on all at the end.
        processes, nodes: that share the work, as in training.
        on_progress: told what is done.

    Raises:
        UserError: the processes cannot be had; with the first score, that the data do not do.
    """

    knows_all = True

    def __init__(
        self, run: Run, data: Path | None, clips: int | None, processes: int, nodes: int, on_progress: Progress
    ) -> None:
        from toolkit.evaluate.processes import launch_for

        self._run, self._data, self._clips, self._on_progress = run, data, clips, on_progress
        self._fabric = launch_for(run, "cpu", processes, nodes)
        self.is_first = self._fabric.is_global_zero

    @cached_property
    def _all(self) -> Evaluator:
        """Reads the recordings, which takes a while: nothing else may be wrong by then."""
        from toolkit.audio.dataset import data_root, load_dataset
        from toolkit.evaluate.complete import check_trained_on
        from toolkit.evaluate.evaluator import Evaluator

        dataset = load_dataset(data_root(self._data))
        evaluator = Evaluator(self._run, dataset, None, self._fabric, self._on_progress)
        check_trained_on(self._run, evaluator.examples)  # `complete` refuses other data, after all evaluations
        return evaluator

    @cached_property
    def _some(self) -> Evaluator:
        return self._all.on(self._clips)

    @property
    def clips(self) -> int | None:
        """What is compared on, which is never more than there are; None where no number was asked for."""
        return None if self._clips is None else len(self._some.heard)

    def scores(self, subnets: Sequence[Subnet]) -> Mapping[Subnet, float]:
        """Validation mAP of each on the clips that are compared on."""
        return self._some(subnets)

    def finals(self, subnets: Sequence[Subnet]) -> Mapping[Subnet, float]:
        """Validation mAP of each on all clips."""
        return self._all(subnets)

    def complete(self, subnets: Sequence[Subnet]) -> None:
        """Statistics, ranges and thresholds of each."""
        self._all.complete(subnets)


def pool(run: Run, scorer: Scorer, method: Method, seed: int) -> tuple[Subnet, ...]:
    """The subnets to choose among.

    Args:
        run: whose space is searched.
        scorer: what it knows.
        method: exhaustive needs a space that can be gone through, evolution one that can be scored anywhere.
        seed: of the sample of a large space.

    Raises:
        UserError: the method does not do for this space, or the Run knows no subnet.
    """
    space = run.manifest.space
    if scorer.knows_all and len(space) <= ENUMERATED:
        return tuple(space.subnets())
    if scorer.knows_all:
        if method == "exhaustive":
            raise UserError(
                f"space {space.name} at base width {space.base_width} has {len(space):,} subnets, too many to evaluate "
                "them all. Choose --method evolution or --method random."
            )
        rng = random.Random(seed)
        return tuple(dict.fromkeys([space.smallest, space.largest, *(space.sample(rng) for _ in range(DRAWS))]))
    known = tuple(space.parse(name) for name in run.results)
    if not known:
        raise UserError(f"Run {run.manifest.name} holds no evaluation of any subnet. Train it again.")
    if method == "evolution":
        raise UserError(
            f"the Run knows {len(known)} of {len(space):,} subnets, and evolution breeds others. Give recordings to "
            "evaluate them on: --data FOLDER."
        )
    return known
