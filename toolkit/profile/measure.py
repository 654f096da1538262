"""From a pack and a target to the timings of every layer: rounds in which layers take turns, so that a slow spell falls
on all of them; redone where they scatter, tried again where the connection breaks, put off where the device is hot.
Then a process for each file, which tells its peak of memory.

Not the timing itself: that is the agent's, on the device. Proved by tests/profile/test_measure.py.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, TypeVar

from toolkit.profile.journal import Journal
from toolkit.specs.cost import MAX_VARIATION, Measurement
from toolkit.specs.errors import DeviceError, StableDeviceError, TransientDeviceError
from toolkit.targets import Agent, Peak, Plan, Start, Target, Visit, Workplace, run_plan

Report = Callable[[str, int, int], None]
"""Told what is being done, how many of it are done, and of how many."""
BACK_OFF_SECONDS = (1.0, 5.0, 20.0)
"""Waits before another try after a lost connection; a new measurement in between begins the row anew."""
HOT_ABOVE_C = 10.0
"""A round is put off, once, when the device is hotter than this above the beginning."""
COOL_DOWN_SECONDS = 60.0
ENDED_EARLY = "the agent ended before it had measured every layer; try again."
_T = TypeVar("_T")


class Effort(NamedTuple):
    """How often each layer is timed, and what its row says of that."""

    rounds: int
    redo_rounds: int
    """More rounds, at most, for layers whose timings scatter."""
    warmups: int
    runs: int
    seconds: float
    note: str
    peaks: bool = False
    """Whether memory is measured too."""


FULL = Effort(rounds=5, redo_rounds=2, warmups=2, runs=10, seconds=0.5, note="", peaks=True)
"""Source: ten warm-ups and fifty runs as most benchmarks take, spread over five rounds of all layers."""
_QUICK_NOTE = "quick: 2 rounds of at most 5 timings, memory counted from shapes"
QUICK = Effort(rounds=2, redo_rounds=0, warmups=1, runs=5, seconds=0.1, note=_QUICK_NOTE)


def tried_again(
    work: Callable[[], _T], sleep: Callable[[float], None] = time.sleep, known: Callable[[], int] = lambda: 0
) -> _T:
    """What `work` gives, called again after a wait where the connection was lost.

    Args:
        work: to be done; called anew it goes on or starts over.
        sleep: waits.
        known: how much of it is kept; more of it begins the row of waits anew.

    Raises:
        TransientDeviceError: it was lost every time.
    """
    failures, before = 0, known()
    while True:
        try:
            return work()
        except TransientDeviceError:
            if known() > before:
                failures, before = 0, known()
            if failures == len(BACK_OFF_SECONDS):
                raise
            sleep(BACK_OFF_SECONDS[failures])
            failures += 1


def load_average(target: Target) -> float | None:
    """A device's load in the last minute, None where it does not tell; asked before the tool itself works there."""
    try:
        with target.workplace() as place, closing(place.run(("cat", "/proc/loadavg"))) as lines:
            return float(next(lines).split()[0])
    except (DeviceError, StopIteration, IndexError, ValueError):
        return None


@dataclass
class Session:
    """One profile of one pack's files on one target.

    Args:
        target, agent: where, and with what.
        files: of the pack, by name.
        effort, threads, cores: of the timings; the agent chooses the cores if none are named.
        journal: where they go.
        report: told how far it is.
        sleep: of back-off and cooling down.
        load_average: of the device before the tool worked there, which what an agent finds is partly of.
    """

    target: Target
    agent: Agent
    files: Mapping[str, Path]
    effort: Effort
    threads: int
    cores: tuple[int, ...]
    journal: Journal
    report: Report
    sleep: Callable[[float], None] = field(default=time.sleep)
    load_average: float | None = None
    untold: str = field(default="", init=False)
    """Why the agent did not tell every file's peak of memory, in its words; empty where it did, or said nothing."""

    def measure(self) -> dict[str, Measurement]:
        """Timings by file; what the journal holds already is not taken again. Peaks of memory stand in the journal.

        Raises:
            DeviceError: the target could not do it.
            UserError: the disk is full.
        """
        with self.journal.open():
            return tried_again(self._measure, self.sleep, lambda: self.journal.count)

    def _measure(self) -> dict[str, Measurement]:
        with self.target.workplace() as place:
            place.bring({**self.agent.files, **self.files})
            self._rounds(place)
            if self.effort.peaks:
                self._peaks(place)
        return self._found()

    def _rounds(self, place: Workplace) -> None:
        """Each file once a round; a round that was begun before goes on."""
        total = self.effort.rounds + self.effort.redo_rounds
        for number in range(total):
            names = list(self.files) if number < self.effort.rounds else self._scattering()
            random.Random(number).shuffle(names)
            visited = self.journal.counts()
            if todo := [name for name in names if visited[name] <= number]:
                self._cool_down()
                self._visit(place, todo, number)

    def _scattering(self) -> list[str]:
        return [name for name, each in self._found().items() if each.variation > MAX_VARIATION]

    def _visit(self, place: Workplace, names: Sequence[str], seed: int) -> None:
        plan = Plan(
            time=tuple(names),
            warmups=self.effort.warmups,
            runs=self.effort.runs,
            seconds=self.effort.seconds,
            threads=self.threads,
            cores=self.cores,
            seed=seed,
        )
        wanted = len(self.journal.visits) + len(names)
        with closing(run_plan(place, self.agent, plan)) as lines:
            for line in lines:
                if isinstance(line, Start | Visit):
                    self._keep(line)
                self.report("measuring", len(self.journal.visits), self.effort.rounds * len(self.files))
        if len(self.journal.visits) < wanted:
            raise StableDeviceError(ENDED_EARLY)

    def _peaks(self, place: Workplace) -> None:
        """A process for each file; none for the rest, should the agent be one that cannot tell."""
        todo = [name for name in self.files if name not in self.journal.peaks]
        try:
            for number, name in enumerate(todo):
                self.report("measuring memory", number, len(todo))
                plan = Plan(peak=name, threads=self.threads, cores=self.cores)
                with closing(run_plan(place, self.agent, plan)) as lines:
                    for line in lines:
                        if isinstance(line, Start | Peak):
                            self._keep(line)
                if name not in self.journal.peaks:
                    return
        except StableDeviceError as error:
            self.untold = str(error)

    def _keep(self, line: Start | Visit | Peak) -> None:
        if isinstance(line, Start):
            found = line.environment.model_copy(update={"load_average": self.load_average})
            line = line.model_copy(update={"environment": found})
        self.journal.add(line)

    def _cool_down(self) -> None:
        """Let the device rest once where it says that it is hotter than at the beginning."""
        if not self.journal.visits:
            return
        first, last = self.journal.visits[0].before.temperature_c, self.journal.visits[-1].after.temperature_c
        if first is not None and last is not None and last > first + HOT_ABOVE_C:
            self.report("cooling down", 0, 1)
            self.sleep(COOL_DOWN_SECONDS)

    def _found(self) -> dict[str, Measurement]:
        environment = self.journal.environment()
        visits: dict[str, list[Visit]] = {name: [] for name in self.files}
        for visit in self.journal.visits:
            visits[visit.file].append(visit)
        return {
            name: Measurement(
                latencies_us=tuple(value for visit in each for value in visit.latencies_us),
                warmups_us=tuple(value for visit in each for value in visit.warmups_us),
                environment=environment,
            )
            for name, each in visits.items()
        }
