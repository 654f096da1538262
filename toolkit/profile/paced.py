"""What back-to-back timings do not tell: latency with the core asleep between decisions, and after minutes of work.

Of the costliest layers alone: they are most of a network, and a minute of listening to each layer is an hour.
Proved by tests/profile/test_paced.py.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

from toolkit.profile.measure import ENDED_EARLY
from toolkit.specs.errors import StableDeviceError
from toolkit.targets import Agent, Lines, Plan, Target, Visit, carry_out, run_plan

COSTLIEST = 3
DUTY_RUNS = 8
SUSTAINED_VISIT_SECONDS = 10.0
_MANY_RUNS = 1_000_000


def duty_cycle_ratio(
    target: Target, agent: Agent, files: Mapping[str, Path], every_ms: float, threads: int, cores: tuple[int, ...]
) -> float:
    """Median latency with one inference each `every_ms` over that back to back, summed over the files.

    Raises:
        DeviceError: the target could not do it.
    """
    shared = Plan(time=tuple(files), warmups=2, runs=DUTY_RUNS, threads=threads, cores=cores)
    asleep = {"every_ms": every_ms, "seconds": 3e-3 * every_ms * DUTY_RUNS}
    with target.workplace() as place:
        place.bring({**agent.files, **files})
        back_to_back, paced = (
            _visits(run_plan(place, agent, shared.model_copy(update=pace)), len(files))
            for pace in ({"seconds": 1.0}, asleep)
        )
    return _total(paced) / _total(back_to_back)


def sustained_ratio(
    target: Target, agent: Agent, files: Mapping[str, Path], minutes: float, threads: int, cores: tuple[int, ...]
) -> float:
    """Median latency in the last ten seconds of minutes of work over that in the first, of one file.

    Raises:
        DeviceError: the target could not do it.
    """
    count = max(2, round(60 * minutes / SUSTAINED_VISIT_SECONDS))
    name = next(iter(files))
    plan = Plan(
        time=(name,) * count, warmups=2, runs=_MANY_RUNS, seconds=SUSTAINED_VISIT_SECONDS, threads=threads, cores=cores
    )
    visits = _visits(carry_out(target, agent, plan, {name: files[name]}), count)
    return _total(visits[-1:]) / _total(visits[:1])


def costliest(latency_us: Mapping[str, float], files: Mapping[str, Path]) -> dict[str, Path]:
    """The files of the costliest layers, the costliest first."""
    names = sorted(latency_us, key=lambda name: -latency_us[name])[:COSTLIEST]
    return {name: files[name] for name in names}


def _visits(lines: Lines, wanted: int) -> list[Visit]:
    with closing(lines):
        visits = [line for line in lines if isinstance(line, Visit)]
    if len(visits) != wanted:
        raise StableDeviceError(ENDED_EARLY)
    return visits


def _total(visits: Sequence[Visit]) -> float:
    return sum(statistics.median(visit.latencies_us) for visit in visits)
