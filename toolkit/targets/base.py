"""What every target offers, and the lines that pass between it and the agent. Not a connection: one file each.

Proved by tests/targets/test_local.py.
"""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Protocol

from pydantic import Field

from toolkit.specs.cost import Environment
from toolkit.specs.errors import ToolkitError
from toolkit.specs.record import Part


class Schedule(Part):
    """What the agent does: `rounds` times through all files in a new random order.

    A visit loads the file, warms up, and times it until it has `runs` timings, or `seconds` have passed and it has two.
    """

    files: tuple[str, ...] = Field(min_length=1)
    rounds: int = Field(ge=1)
    warmups: int = Field(ge=0)
    runs: int = Field(ge=1)
    seconds: float = Field(gt=0)
    threads: int = Field(1, ge=1)
    cores: tuple[int, ...] = ()
    """Cores to run on; the last `threads` ones that the process may use if none are named."""
    seed: int = 0

    @property
    def visits(self) -> int:
        """Lines of visits that a whole run gives."""
        return self.rounds * len(self.files)


class Start(Part):
    """The agent's first line: where it runs, and its memory with the runtime loaded and no model."""

    environment: Environment
    base_bytes: int = Field(gt=0)


class Visit(Part):
    """One more line for each file of each round: its timings in microseconds."""

    file: str
    warmups_us: tuple[float, ...]
    latencies_us: tuple[float, ...] = Field(min_length=1)


class Target(Protocol):
    """A place where an agent can run."""

    def machine(self) -> str:
        """The processor's architecture, as `uname -m` says it: aarch64, x86_64, ..."""
        ...

    def run_agent(self, pack: Path, schedule: Schedule) -> Generator[Start | Visit, None, None]:
        """Bring the pack there, run the agent, yield its lines as they come; leave nothing behind, however it ends.

        Raises:
            TransientDeviceError: the connection was lost; another try may work.
            StableDeviceError: the device cannot do it; the message has the remedy.
        """
        ...


def read_line(line: str, *, first: bool, origin: str, error: type[ToolkitError]) -> Start | Visit:
    """One line of the agent; raises `error` when it is none, for then it was not our agent that spoke."""
    try:
        return (Start if first else Visit).from_text(line, origin=f"the agent on {origin}")
    except ToolkitError as fault:
        raise error(str(fault)) from fault
