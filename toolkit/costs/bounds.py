"""A budget against predicted costs: which bounds are broken and by how much. Not the search itself.

Axis letter: N candidates. Proved by tests/costs/test_bounds.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from toolkit.costs.predict import Costs, Numbers
from toolkit.specs.cost import Figure, PredictedCost
from toolkit.specs.device import Budget
from toolkit.specs.errors import UserError


class Bound(NamedTuple):
    """One field of `Budget`: the figure it bounds, and how people read it."""

    field: str
    name: str
    """Of the figure, in `PredictedCost` and in `Costs`."""
    title: str
    text: Callable[[float], str]

    @property
    def option(self) -> str:
        """The option that sets it."""
        return "--" + self.field.replace("_", "-")

    @property
    def is_least(self) -> bool:
        """Whether it bounds from below."""
        return self.field.startswith("min_")

    def figure(self, cost: PredictedCost) -> float | None:
        """The figure of a cost; None where its mode has none."""
        found: Figure | float | None = getattr(cost, self.name)
        return found.value if isinstance(found, Figure) else found

    def broken_by(self, found: Numbers, limit: float) -> Numbers:
        """By which share of the limit figures break it; 0 where they keep it."""
        beyond = limit - found if self.is_least else found - limit
        return np.maximum(beyond, 0) / limit


class Excess(NamedTuple):
    """A broken bound: what was allowed, what was found, and the distance as a share of what was allowed."""

    bound: Bound
    limit: float
    found: float
    share: float

    def __str__(self) -> str:
        sign = "<" if self.bound.is_least else ">"
        return f"{self.bound.title} {self.bound.text(self.found)} {sign} {self.bound.text(self.limit)}"


def _milliseconds(value: float) -> str:
    return f"{value:.4g} ms"


def _percent(value: float) -> str:
    return f"{100 * value:.3g} %"


def _megabytes(value: float) -> str:
    return f"{value:.3g} MB"


def _millions(value: float) -> str:
    return f"{value / 1e6:.4g}M"


BOUNDS = (
    Bound("max_latency_ms", "latency_ms", "latency", _milliseconds),
    Bound("max_core_share", "core_share", "share of one core", _percent),
    Bound("max_memory_mb", "memory_mb", "memory", _megabytes),
    Bound("max_size_mb", "file_mb", "file", _megabytes),
    Bound("max_params", "params", "parameters", _millions),
    Bound("min_params", "params", "parameters", _millions),
    Bound("max_macs", "macs", "MACs", _millions),
)


def merge(default: Budget, bounds: Mapping[str, float]) -> Budget:
    """The default with some bounds replaced.

    Raises:
        UserError: together they contradict each other, or one is out of range.
    """
    try:
        return Budget.model_validate({**default.model_dump(), **bounds})
    except ValidationError as error:
        faults = "; ".join(
            ": ".join((*map(str, fault["loc"]), fault["msg"].removeprefix("Value error, "))) for fault in error.errors()
        )
        raise UserError(f"no such budget: {faults}. Options replace the device's own bounds one by one.") from None


def excesses(cost: PredictedCost, budget: Budget) -> tuple[Excess, ...]:
    """The bounds that a cost breaks, the worst first; a figure that its mode has not breaks none."""
    broken = []
    for bound in BOUNDS:
        limit, found = getattr(budget, bound.field), bound.figure(cost)
        if limit and found is not None and (share := float(bound.broken_by(np.array(found, np.float64), limit))):
            broken.append(Excess(bound, limit, found, share))
    return tuple(sorted(broken, key=lambda excess: -excess.share))


def latency_limit_ms(budget: Budget, cost: PredictedCost) -> float | None:
    """The latency that a budget allows, by itself or as a share of a core; `cost` of any subnet tells how they relate.

    None where it bounds neither.
    """
    limits = [budget.max_latency_ms]
    if budget.max_core_share and cost.core_share:
        limits.append(budget.max_core_share / cost.core_share.value * cost.latency_ms.value)
    return min((limit for limit in limits if limit), default=None)


def keeps(costs: Costs, budget: Budget) -> NDArray[np.bool_]:
    """Which candidates break no bound [N]."""
    kept: NDArray[np.bool_] = (shares(costs, budget) == 0).all(axis=1)
    return kept


def shares(costs: Costs, budget: Budget) -> Numbers:
    """By which share of what is allowed each candidate breaks each of `BOUNDS` [N, bounds]; 0 where it keeps it."""
    broken = np.zeros((len(costs), len(BOUNDS)))
    for column, bound in enumerate(BOUNDS):
        limit, found = getattr(budget, bound.field), getattr(costs, bound.name)
        if limit and found is not None:
            broken[:, column] = bound.broken_by(found, limit)
    return broken
