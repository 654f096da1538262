"""Activation ranges: looked up by name, checked, joined, and turned into int8 scales, the same for every format.

Proved by tests/lower/test_tflite_quantize.py and tests/lower/test_pt2e.py.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping
from typing import TypeVar

from toolkit.lower.piece import Range
from toolkit.specs.errors import UserError

LOWEST, HIGHEST = -128, 127
SMALLEST_SCALE = 2.0**-20
_STEPS = HIGHEST - LOWEST

Tensor = TypeVar("Tensor")
"""What a format calls a tensor by: an index, a node."""


def find(name: str, tensors: Mapping[str, Tensor], where: str) -> Tensor:
    """The tensor of that name.

    Raises:
        UserError: there is none in `where`; a near name is offered.
    """
    if name in tensors:
        return tensors[name]
    near = difflib.get_close_matches(name, tensors, n=1)
    hint = f"Did you mean {near[0]}?" if near else "Name it as an input, output or tap of the piece."
    raise UserError(f"there is no tensor {name} in the {where} to give a range to. {hint}")


def by_tensor(ranges: Mapping[str, Range], tensors: Mapping[str, Tensor], where: str) -> dict[Tensor, Range]:
    """Ranges by tensor instead of name.

    Raises:
        UserError: as `find`, or a range is not finite and rising.
    """
    found = {}
    for name, (low, high) in ranges.items():
        tensor = find(name, tensors, where)
        if not (math.isfinite(low) and math.isfinite(high) and low <= high):
            raise UserError(
                f"the range of {name} is {low} to {high}, expected finite, rising numbers. Measure it anew."
            )
        found[tensor] = (float(low), float(high))
    return found


def joined(ranges: Iterable[Range]) -> Range:
    """The range of values that lie in any of some."""
    lows, highs = zip(*ranges, strict=True)
    return min(lows), max(highs)


def int8_scale(given: Range) -> tuple[float, int]:
    """Scale and zero point of a range, zero included."""
    low, high = min(given[0], 0.0), max(given[1], 0.0)
    scale = max((high - low) / _STEPS, SMALLEST_SCALE)
    return scale, max(LOWEST, min(HIGHEST, round(LOWEST - low / scale)))
