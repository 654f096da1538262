"""Microarchitectures of cores, and which one a published row is of.

What they can do at most stands in `devices/published/cores.json`, with sources; what a row got out of one is found by
`toolkit.profile.calibration`. Proved by tests/profile/test_published.py.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

from pydantic import Field

from toolkit.specs.record import Part, Record
from toolkit.specs.runtime import Precision
from toolkit.specs.shipped import DEVICES

_USUAL_NUMBER = 8
"""Cores of a chip whose row does not count them."""


class Core(Part):
    """A microarchitecture: what it can do at most, and what its boards usually have beside it."""

    aliases: tuple[str, ...]
    peak_macs_per_cycle: dict[Precision, float]
    in_order: bool
    channel_tile: dict[Precision, int] = Field({"fp32": 8, "fp16": 16, "int8": 16})
    """Output channels of one step of XNNPACK's kernels: 4x8 in float, 4x16 in int8, 8x8 on the A55."""
    memory_mb_s: float = Field(gt=0)
    l2_kb: int = Field(gt=0)
    clock_ghz: float = Field(gt=0)
    """Where a row states no clock."""
    source: str


class Cores(Record):
    """All that are known, by name."""

    cores: dict[str, Core]


class StatedCores(NamedTuple):
    """Cores of one kind, as a row names them."""

    core: str
    clock_ghz: float
    number: int


@cache
def known_cores() -> Mapping[str, Core]:
    """Microarchitectures by name."""
    return Cores.load(DEVICES / "published" / "cores.json").cores


def stated_cores(text: str) -> StatedCores | None:
    """The cores that a row's `4x Cortex-A72 1.5GHz` names first, None where none is known.

    Their clock is the core's usual one where none is stated, or none that a core can have.
    """
    plain = text.lower()
    places = {
        found.start(): name
        for name, core in known_cores().items()
        for alias in core.aliases
        if (found := re.search(rf"(?<![a-z0-9]){alias}(?![0-9])", plain))
    }
    if not places:
        return None
    start, name = min(places.items())
    stated = re.search(r"(\d+\.\d+|\d+(?= ?ghz))", plain[start:].split(",")[0].partition(")")[0])
    stated = stated or re.search(r"(\d+(?:\.\d+)?) ?ghz", plain)
    clock_ghz = float(stated[1]) if stated else 0.0
    number = re.search(r"(\d+)x", plain[:start])
    return StatedCores(
        core=name,
        clock_ghz=clock_ghz if 0.1 <= clock_ghz <= 6 else known_cores()[name].clock_ghz,
        number=int(number[1]) if number else _USUAL_NUMBER,
    )
