"""A board that does as it is told, for tests of what stands between it and a table."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.fakes import ENVIRONMENT
from toolkit.targets import Condition, Peak, Start, Visit

Answer = Callable[[dict[str, str], list[str]], Iterator[Start | Visit | Peak]]
"""From a plan's settings, the file for the peak among them, and the files to visit to what the agent says."""


def start(**changes: Any) -> Start:
    """An agent's first line; `changes` are of its environment."""
    return Start(kind="start", environment=ENVIRONMENT.model_copy(update=changes), base_bytes=1_000_000)


def visit(file: str, *latencies_us: float, temperature_c: float | None = None) -> Visit:
    """Timings after a warm-up of a second."""
    condition = Condition(clock_mhz=None, temperature_c=temperature_c, throttled=None)
    return Visit(
        kind="visit", file=file, warmups_us=(1e6,), latencies_us=latencies_us, before=condition, after=condition
    )


def peak(file: str, peak_bytes: int) -> Peak:
    """The peak of a process that ran one file."""
    return Peak(kind="peak", file=file, peak_bytes=peak_bytes)


class Board:
    """A target whose agent is `answer`; it remembers the plans that it was given."""

    name = "board"
    python = "python3"

    def __init__(self, answer: Answer, machine: str = "aarch64") -> None:
        self.answer, self._machine = answer, machine
        self.load_average = 0.0
        self.settings: list[dict[str, str]] = []
        self.visits: list[list[str]] = []
        self.plan = ""

    def machine(self) -> str:
        """As it was made."""
        return self._machine

    @contextmanager
    def workplace(self) -> Iterator[Board]:
        """The board itself."""
        yield self

    def bring(self, files: Mapping[str, Path]) -> None:
        """Keep the plan."""
        if "plan.txt" in files:
            self.plan = files["plan.txt"].read_text()

    def run(self, command: Sequence[str]) -> Generator[str, None, None]:
        """What the agent says to the plan; its load, to one that reads that."""
        if command[0] == "cat":
            yield f"{self.load_average} 0.00 0.00 1/99 1234"
            return
        words = [line.split() for line in self.plan.splitlines()]
        self.settings.append({word[0]: word[1] for word in words if word[0] != "time"})
        self.visits.append([word[1] for word in words if word[0] == "time"])
        for line in self.answer(self.settings[-1], self.visits[-1]):
            yield line.model_dump_json()
