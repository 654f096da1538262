"""Where a search's accuracies come from: the Run's own figures, or true evaluations on recordings.

Proved by tests/search/test_search.py and tests/search/test_true_evaluation.py.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence

from toolkit.search.methods import Method
from toolkit.specs.errors import UserError
from toolkit.specs.run import Run
from toolkit.specs.space import Subnet

Score = Callable[[Sequence[Subnet]], Mapping[Subnet, float]]
"""Validation mAP of each of some subnets."""

ENUMERATED = 2_000
"""A space with more subnets is never gone through."""
DRAWS = 20_000
"""Of a larger one so many random subnets stand for the whole."""


def run_scores(run: Run) -> Score:
    """The figures that training left in a Run; raises UserError for a subnet that it never evaluated."""
    return lambda subnets: {subnet: run.result(subnet).mean_average_precision for subnet in subnets}


def pool(run: Run, can_evaluate: bool, method: Method, seed: int) -> tuple[Subnet, ...]:
    """The subnets to choose among.

    Args:
        run: whose space is searched.
        can_evaluate: whether any subnet can be scored, or only those that the Run knows.
        method: exhaustive needs a space that can be gone through, evolution one that can be scored anywhere.
        seed: of the sample of a large space.

    Raises:
        UserError: the method does not do for this space, or the Run knows no subnet.
    """
    space = run.manifest.space
    if can_evaluate and len(space) > ENUMERATED:
        if method == "exhaustive":
            raise UserError(
                f"space {space.name} at base width {space.base_width} has {len(space):,} subnets, too many to evaluate "
                "them all. Choose --method evolution or --method random."
            )
        rng = random.Random(seed)
        return tuple(dict.fromkeys([space.smallest, space.largest, *(space.sample(rng) for _ in range(DRAWS))]))
    if can_evaluate:
        return tuple(space.subnets())
    known = tuple(space.parse(name) for name in run.results)
    if not known:
        raise UserError(f"Run {run.manifest.name} holds no evaluation of any subnet. Train it again.")
    if method == "evolution" and len(known) < len(space):
        raise UserError(
            f"the Run knows {len(known)} of {len(space):,} subnets, and evolution breeds others. Give recordings to "
            "evaluate them on: --data FOLDER."
        )
    return known
