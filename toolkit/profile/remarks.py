"""The tool criticises its own numbers: what makes them doubtful, and the command that mends it.

Proved by tests/profile/test_remarks.py.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterator, Mapping, Sequence

from toolkit.profile.journal import Journal
from toolkit.specs.cost import MAX_VARIATION, Measurement
from toolkit.targets import Visit

STEADY_GOVERNORS = ("performance", "userspace")
BUSY_LOAD = 0.5
"""Load average before the tool worked, for each thread that is measured, above which other programs had the cores."""
CLOCK_SPREAD = 0.05
DRIFT = 0.1
_SET_GOVERNOR = "echo performance | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor"
_NOW, _SINCE_BOOT = 0xF, 0xF0000
"""Source: Raspberry Pi documentation, vcgencmd get_throttled."""


def remarks(
    journal: Journal, measurements: Mapping[str, Measurement], each: str = "layers", again: str = "profile again"
) -> list[str]:
    """A sentence for each doubt, the gravest first; none for numbers to be trusted.

    `each` is what was measured, and `again` what people do to have it measured anew.
    """
    return [
        *_scatter(measurements, each, again),
        *_throttling(journal.visits, again),
        *_clock(journal, again),
        *_drift(journal),
        *_load(journal, again),
    ]


def _scatter(measurements: Mapping[str, Measurement], each: str, again: str) -> Iterator[str]:
    noisy = {name: found.variation for name, found in measurements.items() if found.variation > MAX_VARIATION}
    if noisy:
        worst = max(noisy, key=lambda name: noisy[name])
        yield (
            f"{len(noisy)} of {len(measurements)} {each} scatter by more than {100 * MAX_VARIATION:.0f} %, {worst} by "
            f"{100 * noisy[worst]:.0f} %: end other programs there (`top` shows them), then {again}."
        )


def _throttling(visits: Sequence[Visit], again: str) -> Iterator[str]:
    flags = [int(text, 16) for visit in visits for text in (visit.before.throttled, visit.after.throttled) if text]
    since = any(later & ~earlier & _SINCE_BOOT for earlier, later in itertools.pairwise(flags))
    if since or any(flag & _NOW for flag in flags):
        yield (
            f"the board throttled itself ({max(flags):#x}; `vcgencmd get_throttled`): give it a fan or a stronger "
            f"power supply, let it cool, then {again}."
        )
    elif any(flag & _SINCE_BOOT for flag in flags):
        yield f"the board throttled itself after it was started ({max(flags):#x}), though not while it was measured."


def _clock(journal: Journal, again: str) -> Iterator[str]:
    governors = sorted({start.environment.governor for start in journal.starts if start.environment.governor})
    clocks = [clock for visit in journal.visits for clock in (visit.before.clock_mhz, visit.after.clock_mhz) if clock]
    is_android = "android" in journal.environment().system.lower()
    remedy = "That takes root to change." if is_android else f"On the device: {_SET_GOVERNOR}"
    if len(governors) > 1:
        yield f"the governor was {' and '.join(governors)} in turn, so that timings are not alike. {remedy}"
    elif governors and governors[0] not in STEADY_GOVERNORS:
        yield f"the governor is {governors[0]}, which moves the clock with the load. {remedy}"
    if clocks and max(clocks) > (1 + CLOCK_SPREAD) * min(clocks):
        yield f"the clock moved between {min(clocks):.0f} and {max(clocks):.0f} MHz: fix it, then {again}."


def _drift(journal: Journal) -> Iterator[str]:
    """The last visits of all layers against their first ones."""
    first: dict[str, float] = {}
    last: dict[str, float] = {}
    for visit in journal.visits:
        median = statistics.median(visit.latencies_us)
        first.setdefault(visit.file, median)
        last[visit.file] = median
    ratio = sum(last.values()) / sum(first.values())
    if abs(ratio - 1) > DRIFT:
        yield (
            f"the last round took {ratio:.2f} times the first: the device warms up or was busy for a while. "
            "See where it settles: profile --sustained 10"
        )


def _load(journal: Journal, again: str) -> Iterator[str]:
    loads = [start.environment.load_average or 0.0 for start in journal.starts]
    if max(loads) > BUSY_LOAD * journal.environment().threads:
        yield (
            f"the load average was {max(loads):.1f} before anything was measured: other programs, or a measurement "
            f"just before, had the cores. End them (`top` shows them), then {again}."
        )
