"""What a layer costs inside a network, from what it costs alone: a few whole networks, timed in turn with them, tell.

Alone, a layer finds its weights and maps in the caches; in a network the layers before have used them. So its time is
scaled, and each byte of its maps costs a little more. Two numbers for a table, by least squares of relative errors.
Proved by tests/profile/test_context.py.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toolkit.specs.layer import Layer
from toolkit.specs.space import SearchSpace, Subnet

WHOLES = 6
"""Whole networks in a pack."""
_PRIOR = 0.02
"""How strongly both numbers are drawn to `ALONE`: as much as one network that is off by so much."""

_FEW = 4
"""Fewer networks than this, as a tiny space has, tell the scale alone: two numbers would be fitted to their noise."""


@dataclass(frozen=True)
class Context:
    """How a table's rows follow from timings of single layers.

    Args:
        scale: of a layer's time alone.
        us_per_mb: more for each million bytes of its maps.
    """

    scale: float = 1.0
    us_per_mb: float = 0.0

    def latency_us(self, alone_us: float, activation_bytes: int) -> float:
        """Of a layer in a network."""
        return max(0.0, self.scale * alone_us + self.us_per_mb * activation_bytes / 1e6)

    @property
    def text(self) -> str:
        """For people: `1.04 times as long as alone, 3.2 us more for each MB of maps`."""
        return f"{self.scale:.2f} times as long as alone, {self.us_per_mb:+.1f} us for each MB of its maps"


ALONE = Context()


def whole_subnets(space: SearchSpace) -> tuple[Subnet, ...]:
    """The ends of a space and some between, the same each time; all of a small one."""
    ends = tuple(dict.fromkeys((space.smallest, space.largest)))
    rng, chosen = random.Random(0), dict.fromkeys(ends)
    while len(chosen) < min(WHOLES, len(space)):
        chosen[space.sample(rng)] = None
    return tuple(chosen)


def find_context(
    networks: Mapping[Subnet, float],
    layers: Mapping[Subnet, Sequence[Layer]],
    alone_us: Mapping[Layer, float],
    activation_bytes: Mapping[Layer, int],
) -> Context:
    """From whole networks' microseconds, a call's own time left out, and what their layers take alone.

    Where there are no networks, layers cost what they cost alone. A network that takes no longer than a call tells
    nothing. Where noise fits a cost of bytes that takes layers below nothing, so that the networks themselves come out
    wrong, the scale alone is told.
    """
    telling = {subnet: whole_us for subnet, whole_us in networks.items() if whole_us > 0}
    if not telling:
        return ALONE
    rows = []
    for subnet, whole_us in telling.items():
        sum_us = sum(alone_us[layer] for layer in layers[subnet])
        sum_mb = sum(activation_bytes[layer] for layer in layers[subnet]) / 1e6
        rows.append((sum_us / whole_us, sum_mb / whole_us))
    shares = np.array(rows)

    def squares(context: Context) -> float:
        """Of the networks' relative errors, with the context as it is used: no layer costs less than nothing."""
        return sum(
            (sum(context.latency_us(alone_us[each], activation_bytes[each]) for each in layers[subnet]) / whole_us - 1)
            ** 2
            for subnet, whole_us in telling.items()
        )

    scale_alone = _fit(shares * (1.0, 0.0))
    return scale_alone if len(rows) < _FEW else min(_fit(shares), scale_alone, key=squares)


def _fit(shares: NDArray[np.float64]) -> Context:
    """From networks' sums of both kinds as shares of their time [networks, 2]; a column of zeros is left out."""
    # In units in which both numbers are of the size of one, so that the prior means the same for both.
    typical_us = shares[:, 0].mean() / (shares[:, 1].mean() or 1.0)
    prior = _PRIOR * np.eye(2)
    system = np.concatenate((shares * (1.0, typical_us), prior))
    wanted = np.concatenate((np.ones(len(shares)), prior @ np.array((1.0, 0.0))))
    (scale, weight), *_ = np.linalg.lstsq(system, wanted, rcond=None)
    return Context(float(scale), float(weight * typical_us))
