"""From a Pick to what it costs in truth: the subnet exported, its file run on the device as whole networks are run in a
profile, predicted against measured.

Not what is done when they differ: that is `toolkit.search.refine`. Proved by tests/search/test_measured.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import toolkit
from toolkit.costs.predict import BYTES_PER_MB
from toolkit.native.choose import check_agent, choose_agent
from toolkit.profile.journal import Journal
from toolkit.profile.measure import FULL, Session, load_average
from toolkit.profile.profile import check_machine
from toolkit.profile.remarks import remarks
from toolkit.search.how import How
from toolkit.search.search import Answer
from toolkit.search.suspects import suspects
from toolkit.specs.bundle import BundleManifest, bundle_folder, open_bundle
from toolkit.specs.cost import CostKey, CostTable, Environment, Measurement
from toolkit.specs.device import DeviceProfile, cores_in
from toolkit.specs.errors import UserError
from toolkit.specs.files import sha256
from toolkit.specs.measured import Comparison, Measured, measured_path
from toolkit.specs.pick import Pick
from toolkit.specs.run import Run
from toolkit.targets import Agent, Target, open_target

Report = Callable[[str, int, int], None]
"""Told what is being done, how many of it are done, and of how many."""
NO_PEAK = "memory is not compared: the agent does not tell the peak of a process."
NO_BASE = "memory is not compared: the table counts it from shapes and without the runtime's own"


@dataclass(frozen=True)
class Bench:
    """A device that is ready to measure, on the threads and cores that a table is valid for."""

    target: Target
    agent: Agent
    threads: int
    cores: tuple[int, ...]
    load_average: float | None
    """Before the tool worked there."""

    @property
    def asked(self) -> str:
        """For the heads of journals."""
        cores = ",".join(map(str, self.cores)) or "any"
        return f"{self.target.name}, {type(self.agent).__name__}, threads {self.threads}, cores {cores}"


class Taken(NamedTuple):
    """What running files on a bench gave, by the files' names."""

    measurements: Mapping[str, Measurement]
    peaks: Mapping[str, int]
    base_bytes: int
    journal: Journal


def open_bench(how: How, device: DeviceProfile, table: CostTable, report: Report) -> Bench:
    """Reach the target and choose its agent.

    Raises:
        UserError: no such target or agent.
        MismatchError: it cannot be the device.
        DeviceError: it cannot be reached.
    """
    check_agent(table.key.runtime, how.agent, how.benchmark_model, how.python)
    target = open_target(how.target, how.python)
    machine = target.machine()
    check_machine(device, machine)
    load = load_average(target)
    agent = choose_agent(table.key.runtime, machine, how.agent, lambda what: report(what, 0, 1), how.benchmark_model)
    return Bench(target, agent, table.key.threads, cores_of(table), load)


def cores_of(table: CostTable) -> tuple[int, ...]:
    """The cores that a table is valid for; a modelled one names a cluster, of which a profile takes the last ones."""
    cores = cores_in(table.key.core_mask)
    return cores[-table.key.threads :] if table.kinds == ("modelled",) else cores


def take(bench: Bench, files: Mapping[str, Path], journal: Path, what: str, resume: bool, report: Report) -> Taken:
    """Time files by the protocol of a profile, and measure the peak of each.

    Args:
        bench: where.
        files: to run, by the names that they get there.
        journal: file of every measurement as it comes.
        what: is measured, in words; an interrupted measurement goes on with the same alone.
        resume: whether one goes on.
        report: told how far it is.

    Raises:
        DeviceError: the target could not do it.
        MismatchError: the interrupted measurement was of something else.
    """
    kept = (Journal.resume if resume else Journal.new)(journal, f"{what} over {bench.asked}")
    session = Session(
        bench.target,
        bench.agent,
        files,
        FULL,
        bench.threads,
        bench.cores,
        kept,
        report,
        load_average=bench.load_average,
    )
    return Taken(session.measure(), kept.peaks, kept.base_bytes(), kept)


def measure(bench: Bench, run: Run, answer: Answer, out: Path, resume: bool, report: Report) -> Measured:
    """Export the pick unless a bundle holds it, run its file on the bench, compare.

    Raises:
        UserError: what exporting needs is not installed, or the Run is damaged.
        DeviceError: the target could not do it.
    """
    model = exported(run, answer.pick, out, report)
    name = journal_name(answer.pick, "measured")
    what = f"subnet {answer.pick.subnet}, file {sha256(model)[:16]}"
    taken = take(bench, {model.name: model}, out / "journals" / name, what, resume, report)
    return judge(bench, run, answer, model, model.name, taken)


def exported(run: Run, pick: Pick, out: Path, report: Report) -> Path:
    """The pick's model file: from the bundle that people made, where it is of this Run and holds the file.

    Else from one that is made below `out/measured`, where nothing is kept that cannot be made again.
    """
    own = out / "measured" / "bundles" / measured_path(pick).stem
    ours = (run.hash, pick.subnet, toolkit.__version__, None)
    for folder in (bundle_folder(out, run, pick.subnet, pick.device), own):
        with suppress(UserError):  # none there, or one that is damaged or lacks the file
            bundle = open_bundle(folder)
            if (bundle.run_hash, bundle.subnet, bundle.toolkit_version, bundle.qat_data_hash) == ours:
                return folder / _file_of(pick, bundle)
    try:
        from toolkit.export.export import Order, choose_formats, export
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("toolkit"):
            raise
        raise UserError(
            f"--measure exports the pick, which needs {error.name}. Install it: pip install 'aec-toolkit[export]'"
        ) from error
    order = Order.of_pick(run, pick, (pick.mode,), choose_formats((pick.runtime,), (pick.precision,)))
    return own / _file_of(pick, export(order, own, report))


def _file_of(pick: Pick, bundle: BundleManifest) -> str:
    return bundle.find(mode=pick.mode, precision=pick.precision, runtime=pick.runtime).name


def journal_name(pick: Pick, what: str) -> str:
    """One a device, runtime, precision and mode: the last measurement's."""
    return f"{what}-{pick.device}-{pick.runtime}-{pick.precision}-{pick.mode}.jsonl"


def judge(bench: Bench, run: Run, answer: Answer, model: Path, name: str, taken: Taken) -> Measured:
    """The verdict on a pick whose file was measured under `name`, with the rows in doubt where it failed."""
    pick, table, manifest = answer.pick, answer.table, run.manifest
    measurement, peak_bytes = taken.measurements[name], taken.peaks.get(name)
    predicted = pick.predicted.latency_ms
    latency_ms = Comparison.of(predicted.value, predicted.kind, measurement.median_us / 1e3)
    memory_mb, memory_note = compare_memory(pick, table.key, taken.base_bytes, peak_bytes)
    passed = latency_ms.passed and (memory_mb is None or memory_mb.passed)
    subnet = manifest.space.parse(pick.subnet)
    layers = manifest.space.layers(subnet, manifest.front_end, len(manifest.labels), pick.mode)
    doubts = remarks(taken.journal, {name: measurement}, "files", "measure again")
    return Measured(
        pick=pick,
        target=bench.target.name,
        agent=type(bench.agent).__name__,
        file_sha256=sha256(model),
        measurement=measurement,
        base_bytes=taken.base_bytes,
        peak_bytes=peak_bytes,
        latency_ms=latency_ms,
        memory_mb=memory_mb,
        memory_note=memory_note,
        suspects=() if passed else suspects(table, layers),
        remarks=(*_elsewhere(table, measurement.environment), *doubts),
        passed=passed,
        created_utc=datetime.now(UTC).isoformat(),
    )


def compare_memory(pick: Pick, key: CostKey, base_bytes: int, peak_bytes: int | None) -> tuple[Comparison | None, str]:
    """Whole processes: what the table says of the network on top of the runtime's own, as it was measured here.

    So what is compared is alike, whichever agent ran. Where nothing can be compared, the reason.
    """
    if peak_bytes is None:
        return None, NO_PEAK
    predicted = pick.predicted.memory_mb
    if not key.runtime_base_bytes:
        own_mb, peak_mb = (peak_bytes - base_bytes) / BYTES_PER_MB, peak_bytes / BYTES_PER_MB
        return None, (
            f"{NO_BASE} ({predicted.value:.1f} MB); the process took {peak_mb:.1f} MB, {own_mb:.1f} MB more than "
            "without a model."
        )
    moved_mb = (base_bytes - key.runtime_base_bytes) / BYTES_PER_MB
    return Comparison.of(max(0.0, predicted.value + moved_mb), predicted.kind, peak_bytes / BYTES_PER_MB), ""


def _elsewhere(table: CostTable, here: Environment) -> Iterator[str]:
    """Where the table's rows were measured, if that is not what ran the pick."""
    there = next((row.measurement.environment for row in table.rows.values() if row.measurement), None)
    if there is None:
        return
    for name in ("cpu", "runtime_version", "threads", "core_mask", "governor"):
        if (was := getattr(there, name)) != (now := getattr(here, name)):
            yield f"the table was measured with {name} {was}, the pick with {now}."
