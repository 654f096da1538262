"""A budget against a predicted cost: which bounds are broken and by how much. Not the search itself.

Proved by tests/search/test_budget.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from pydantic import ValidationError

from toolkit.specs.cost import PredictedCost
from toolkit.specs.device import Budget
from toolkit.specs.errors import UserError


class Bound(NamedTuple):
    """One field of `Budget`: the figure it bounds, and how people read it."""

    field: str
    title: str
    figure: Callable[[PredictedCost], float | None]
    text: Callable[[float], str]

    @property
    def option(self) -> str:
        """The option that sets it."""
        return "--" + self.field.replace("_", "-")

    @property
    def is_least(self) -> bool:
        """Whether it bounds from below."""
        return self.field.startswith("min_")


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
    return f"{value / 1e6:.2f}M"


def _core_share(cost: PredictedCost) -> float | None:
    return cost.core_share.value if cost.core_share else None


BOUNDS = (
    Bound("max_latency_ms", "latency", lambda cost: cost.latency_ms.value, _milliseconds),
    Bound("max_core_share", "share of one core", _core_share, _percent),
    Bound("max_memory_mb", "memory", lambda cost: cost.memory_mb.value, _megabytes),
    Bound("max_size_mb", "file", lambda cost: cost.file_mb.value, _megabytes),
    Bound("max_params", "parameters", lambda cost: cost.params, _millions),
    Bound("min_params", "parameters", lambda cost: cost.params, _millions),
    Bound("max_macs", "MACs", lambda cost: cost.macs, _millions),
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
        if limit is not None and found is not None and (found < limit if bound.is_least else found > limit):
            broken.append(Excess(bound, limit, found, abs(found - limit) / limit))
    return tuple(sorted(broken, key=lambda excess: -excess.share))
