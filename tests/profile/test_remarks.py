"""Numbers that are doubtful are called so, with the command that mends them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.fakes import ENVIRONMENT
from tests.profile.boards import start
from toolkit.profile.journal import Journal
from toolkit.profile.remarks import remarks
from toolkit.specs.cost import Measurement
from toolkit.targets import Condition, Visit

STEADY = (100.0, 100.0, 101.0)


def said(
    tmp_path: Path,
    visits: list[tuple[float, ...]],
    *,
    clocks: tuple[float | None, ...] = (),
    throttled: str | tuple[str, ...] | None = None,
    starts: tuple[dict[str, Any], ...] = (),
    **environment: Any,
) -> list[str]:
    """What is said of visits of one file, after one start in `environment`, or several ones in `starts`."""
    journal = Journal.new(tmp_path / "j.jsonl", "a test")
    with journal.open():
        for each in starts or (environment,):
            journal.add(start(**each))
        for number, latencies_us in enumerate(visits):
            clock = clocks[number] if clocks else None
            flags = throttled[number] if isinstance(throttled, tuple) else throttled
            condition = Condition(clock_mhz=clock, temperature_c=None, throttled=flags)
            visit = Visit(
                kind="visit", file="a", warmups_us=(), latencies_us=latencies_us, before=condition, after=condition
            )
            journal.add(visit)
    values = tuple(value for each in visits for value in each)
    return remarks(journal, {"a": Measurement(latencies_us=values, warmups_us=(), environment=ENVIRONMENT)})


def test_good_numbers_are_left_alone(tmp_path: Path) -> None:
    """A steady board with a fixed clock needs no remark."""
    assert said(tmp_path, [STEADY] * 5, clocks=(1500.0,) * 5, throttled="0x0") == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"visits": [(100.0, 130.0, 90.0)] * 5}, ["1 of 1 layers scatter", "`top`"]),
        ({"visits": [STEADY], "governor": "ondemand"}, ["governor is ondemand", "tee", "scaling_governor"]),
        ({"visits": [STEADY], "governor": "ondemand", "system": "Android 14"}, ["governor is ondemand", "takes root"]),
        (
            {"visits": [STEADY], "starts": ({"governor": "ondemand"}, {"governor": "performance"})},
            ["was ondemand and performance in turn", "tee"],
        ),
        ({"visits": [STEADY], "load_average": 3.0}, ["load average was 3.0", "`top`"]),
        ({"visits": [STEADY], "starts": ({"load_average": 0.1}, {"load_average": 3.0})}, ["load average was 3.0"]),
        ({"visits": [STEADY] * 2, "throttled": ("0x0", "0x50000")}, ["the board throttled itself (0x50000", "fan"]),
        ({"visits": [STEADY], "throttled": "0x50005"}, ["throttled itself", "0x50005", "fan"]),
        ({"visits": [STEADY], "throttled": "0x50000"}, ["0x50000", "not while it was measured"]),
        ({"visits": [STEADY, STEADY], "clocks": (1500.0, 600.0)}, ["between 600 and 1500 MHz"]),
        ({"visits": [STEADY, (121.0,) * 3]}, ["1.21 times the first", "--sustained 10"]),
    ],
    ids=[
        "scatter",
        "governor",
        "governor of Android",
        "two governors",
        "load",
        "load of a resumed part",
        "throttled between two visits",
        "throttled",
        "throttled before",
        "clock",
        "drift",
    ],
)
def test_each_doubt_is_one_sentence_with_its_remedy(
    tmp_path: Path, arguments: dict[str, Any], words: list[str]
) -> None:
    """And nothing else is said."""
    found = [each for each in said(tmp_path, **arguments) if "scatter" not in each or words[0].startswith("1 of 1")]
    assert len(found) == 1
    assert all(word in found[0] for word in words)
