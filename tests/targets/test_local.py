"""The local target: the agent as a real process, its lines as records, and nothing left over."""

from __future__ import annotations

import itertools
from collections.abc import Generator
from pathlib import Path

import psutil
import pytest

from tests.fakes import fake_tflite
from toolkit.specs.errors import StableDeviceError, UserError
from toolkit.targets import Schedule, Start, Visit, open_target

LONG = Schedule(files=("a.tflite",), rounds=1_000_000, warmups=0, runs=1, seconds=1.0)


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    """One small file."""
    (tmp_path / "a.tflite").write_bytes(fake_tflite(8))
    return tmp_path


def agents() -> list[psutil.Process]:
    """Agents that this test has running."""
    children = psutil.Process().children()
    return [child for child in children if any("agent.py" in word for word in child.cmdline())]


def started(pack: Path) -> Generator[Start | Visit, None, None]:
    """An agent that will be busy for long, after its first two lines."""
    lines = open_target("local").run_agent(pack, LONG)
    first, second = itertools.islice(lines, 2)
    assert isinstance(first, Start)
    assert isinstance(second, Visit)
    return lines


def test_lines_come_as_records(pack: Path) -> None:
    """A run gives one start and as many visits as its schedule says."""
    schedule = Schedule(files=("a.tflite",), rounds=3, warmups=1, runs=2, seconds=1.0)
    start, *visits = open_target("local").run_agent(pack, schedule)
    assert isinstance(start, Start)
    assert len(visits) == schedule.visits == 3


def test_lines_come_as_they_are_measured_and_stopping_leaves_no_process(pack: Path) -> None:
    """Lines are there long before the run would end; whoever stops reading has ended the agent."""
    lines = started(pack)
    assert len(agents()) == 1
    lines.close()
    assert agents() == []


def test_an_agent_that_is_killed_is_a_device_error(pack: Path) -> None:
    """When the system ends the agent, the error names the signal and what to do."""
    lines = started(pack)
    (agent,) = agents()
    agent.kill()
    with pytest.raises(StableDeviceError, match=r"signal 9.*memory"):
        list(lines)


def test_a_run_that_stops_gives_the_agents_own_reason(pack: Path) -> None:
    """The agent's last words reach people in one line."""
    (pack / "a.tflite").write_bytes(b"")
    with pytest.raises(StableDeviceError, match=r"cannot run a\.tflite") as error:
        list(open_target("local").run_agent(pack, LONG))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["ssh://pi@garden", "adb://serial"])
def test_remote_targets_are_not_there_yet(text: str) -> None:
    """Asking for one says so, and what can be done instead."""
    with pytest.raises(UserError, match=r"not there yet.*--target local"):
        open_target(text)


def test_an_unknown_target_names_the_known_one() -> None:
    """A typing error gets the list."""
    with pytest.raises(UserError, match="'locl' is no target; known: local"):
        open_target("locl")
