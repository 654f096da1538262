"""From a pack and a target to a CostTable whose rows are all measured, with raw timings and environment.

Not the timing itself: that is `toolkit.targets.agent`, on the device. Proved by tests/profile/test_measure.py.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from toolkit.profile.counts import activation_bytes, file_bytes
from toolkit.profile.pack import Report
from toolkit.specs.cost import CostKey, CostRow, CostTable, Measurement
from toolkit.specs.device import DeviceProfile
from toolkit.specs.errors import StableDeviceError
from toolkit.specs.pack import open_pack
from toolkit.specs.run import RunManifest
from toolkit.targets import Schedule, Start, Target, Visit


class Effort(NamedTuple):
    """How often each layer is timed, and what its row says of that."""

    rounds: int
    warmups: int
    runs: int
    seconds: float
    note: str


FULL = Effort(rounds=5, warmups=2, runs=10, seconds=0.5, note="")
"""Source: ten warm-ups and fifty runs as most benchmarks take, spread over five rounds of all layers."""
QUICK = Effort(rounds=2, warmups=1, runs=5, seconds=0.1, note="quick: 2 rounds of at most 5 timings")


def measured_table(
    profile: DeviceProfile,
    target: Target,
    pack_folder: Path,
    run: RunManifest,
    effort: Effort,
    threads: int,
    report: Report,
) -> CostTable:
    """Time every layer of the pack on the target; layers take turns, so that a slow spell falls on all of them.

    Raises:
        UserError: the pack is damaged.
        DeviceError: the target could not do it.
    """
    pack = open_pack(pack_folder)
    files = {packed.file: packed.layer for packed in pack.layers}
    schedule = Schedule(
        files=tuple(files),
        rounds=effort.rounds,
        warmups=effort.warmups,
        runs=effort.runs,
        seconds=effort.seconds,
        threads=threads,
        cores=_cores(profile, threads),
    )
    visits: dict[str, list[Visit]] = {file: [] for file in files}
    start: Start | None = None
    with closing(target.run_agent(pack_folder, schedule)) as lines:
        for number, line in enumerate(lines):
            report(f"measuring {pack.precision} {pack.mode}", number, schedule.visits)
            if isinstance(line, Start):
                start = line
            else:
                visits[line.file].append(line)
    if start is None or not all(visits.values()):
        raise StableDeviceError("the agent ended before it had measured every layer. Profile again.")
    environment = start.environment
    key = CostKey(
        device=profile.name,
        runtime=environment.runtime,
        runtime_version=environment.runtime_version,
        precision=pack.precision,
        threads=threads,
        core_mask=environment.core_mask,
        mode=pack.mode,
        space=run.space,
        front_end=run.front_end.fingerprint,
        label_count=len(run.labels),
        runtime_base_bytes=start.base_bytes,
    )
    rows = []
    for file, layer in files.items():
        measurement = Measurement(
            latencies_us=tuple(value for visit in visits[file] for value in visit.latencies_us),
            warmups_us=tuple(value for visit in visits[file] for value in visit.warmups_us),
            environment=environment,
        )
        rows.append(
            CostRow(
                layer=layer,
                kind="measured",
                latency_us=round(measurement.median_us, 3),
                file_bytes=file_bytes(layer, pack.precision, run.front_end),
                activation_bytes=activation_bytes(layer, pack.precision, run.front_end),
                measurement=measurement,
                note=effort.note,
            )
        )
    return CostTable(key, rows)


def _cores(profile: DeviceProfile, threads: int) -> tuple[int, ...]:
    """Cores of the listening cluster where the profile knows them; else the agent chooses."""
    if not profile.clusters:
        return ()
    mask = int(profile.cluster.mask, 16)
    cores = [index for index in range(mask.bit_length()) if mask >> index & 1]
    return tuple(cores[-threads:])
