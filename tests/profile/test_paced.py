"""What listening and lasting work do to latency, as ratios."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.profile.boards import Board, start, visit
from toolkit.profile.paced import COSTLIEST, costliest, duty_cycle_ratio, sustained_ratio
from toolkit.specs.errors import StableDeviceError
from toolkit.targets import PythonAgent, Start, Visit

FILES = {name: Path(name) for name in ("a", "b")}


def test_the_duty_cycle_is_held_against_back_to_back() -> None:
    """A core that has to wake up takes half as long again; the plan asks for one inference each hop."""

    def answer(settings: dict[str, str], files: list[str]) -> Iterator[Start | Visit]:
        yield start()
        for file in files:
            yield visit(file, 150.0 if float(settings["every_ms"]) else 100.0)

    board = Board(answer)
    assert duty_cycle_ratio(board, PythonAgent(), FILES, 960.0, 1, ()) == pytest.approx(1.5)
    paced = board.settings[1]
    assert float(paced["every_ms"]) == 960.0
    assert float(paced["seconds"]) > 0.96 * int(paced["runs"])


def test_sustained_work_is_the_last_ten_seconds_over_the_first() -> None:
    """Of the costliest file alone, for as long as was asked."""
    latency_us = 100.0

    def answer(_: dict[str, str], files: list[str]) -> Iterator[Start | Visit]:
        nonlocal latency_us
        yield start()
        for file in files:
            yield visit(file, latency_us)
            latency_us += 10.0

    board = Board(answer)
    assert sustained_ratio(board, PythonAgent(), FILES, 1.0, 1, ()) == pytest.approx(1.5)
    assert board.visits == [["a"] * 6]


def test_half_an_answer_is_none() -> None:
    """An agent that ends early gives no ratio."""
    with pytest.raises(StableDeviceError, match="before it had measured"):
        duty_cycle_ratio(Board(lambda *_: iter([start()])), PythonAgent(), FILES, 960.0, 1, ())


def test_the_costliest_come_first() -> None:
    """A few of them are most of a network."""
    latency_us = {str(number): float(number) for number in range(9)}
    found = costliest(latency_us, {name: Path(name) for name in latency_us})
    assert list(found) == [str(number) for number in range(8, 8 - COSTLIEST, -1)]
