"""`profile`: from a device's name to cost tables on disk, measured on a target or modelled from the profile.

Proved by tests/profile/test_command.py.
"""

from __future__ import annotations

import importlib.util
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from toolkit.costs.tables import differences
from toolkit.native.choose import AgentName, check_agent, choose_agent
from toolkit.profile.context import whole_subnets
from toolkit.profile.device_model import modelled_table
from toolkit.profile.grid import choose_grid
from toolkit.profile.journal import Journal, journals
from toolkit.profile.measure import FULL, QUICK, Report, Session, load_average, tried_again
from toolkit.profile.paced import costliest, duty_cycle_ratio, sustained_ratio
from toolkit.profile.pack import ensure_pack
from toolkit.profile.remarks import remarks
from toolkit.profile.table import Found, make_table
from toolkit.specs.cost import CostTable
from toolkit.specs.device import DeviceProfile, cores_in, load_profile
from toolkit.specs.errors import MismatchError, UserError
from toolkit.specs.front_end import FrontEndSpec
from toolkit.specs.layer import Mode
from toolkit.specs.pack import LayerPack, open_pack
from toolkit.specs.run import Run
from toolkit.specs.runtime import Precision, Runtime
from toolkit.specs.shipped import OUT
from toolkit.specs.space import STREAM_CHUNK_FRAMES
from toolkit.targets import Agent, Target, open_target

HOST = "host"
MODES: tuple[Mode, ...] = ("stream", "clip")
PRECISIONS: tuple[Precision, ...] = ("int8", "fp32")
RUNTIMES: tuple[Runtime, ...] = ("tflite", "executorch")


@dataclass(frozen=True)
class Question:
    """What is profiled: the space, front end and labels of a Run, or what is in a pack, on a device."""

    device: str | None = None
    target: str | None = None
    runtime: Runtime | Literal["all"] = "tflite"
    mode: Mode | Literal["all"] = "all"
    precision: Precision | Literal["all"] = "all"
    run: Path | None = None
    pack: Path | None = None
    agent: AgentName | None = None
    benchmark_model: Path | None = None
    """TFLite's own program, for devices on which neither agent runs."""
    python: str | None = None
    quick: bool = False
    resume: bool = False
    sustained: float | None = None
    """Minutes of a sustained run."""
    threads: int = 1
    cores: tuple[int, ...] = ()
    """To run on, in place of the profile's listening cluster."""
    devices: Path | None = None
    out: Path = OUT


@dataclass(frozen=True)
class Profiled:
    """A table, its file, and what is said of it."""

    table: CostTable
    path: Path
    front_end: FrontEndSpec
    remarks: tuple[str, ...] = ()
    pictures: tuple[Path, ...] = ()


def profile(question: Question, report: Report) -> Iterator[Profiled]:
    """Write a table for each runtime, mode and precision to `out/tables/`; yields each when it is on disk.

    Raises:
        UserError: unknown device or target, no Run, no device model, a damaged pack, a full disk.
        MismatchError: the target cannot be the device, or an interrupted profile was of something else or elsewhere.
        DeviceError: the target could not do it.
    """
    target = open_target(question.target, question.python) if question.target else None
    device = _device(question)
    if target is None:
        yield from _modelled(question, device)
        return
    runtime = open_pack(question.pack).runtime if question.pack else question.runtime
    check_agent(runtime, question.agent, question.benchmark_model, question.python)
    if question.quick:
        _spare_full_tables(question, device)
    machine = target.machine()
    check_machine(device, machine)
    load = load_average(target)
    names = [_journal_name(device, *each) for each in _asked(question)]
    with journals(question.out / "journals", device.name, names, resume=question.resume):
        for folder in packs(question, report):
            pack = open_pack(folder)
            agent = choose_agent(
                pack.runtime, machine, question.agent, lambda what: report(what, 0, 1), question.benchmark_model
            )
            yield _measured(question, device, target, load, agent, folder, pack, report)


def _asked(question: Question) -> list[tuple[Mode, Runtime, Precision]]:
    """What there is to be a table of, in the order that they are made."""
    if question.pack:
        pack = open_pack(question.pack)
        return [(pack.mode, pack.runtime, pack.precision)]
    modes = MODES if question.mode == "all" else (question.mode,)
    runtimes = RUNTIMES if question.runtime == "all" else (question.runtime,)
    precisions = PRECISIONS if question.precision == "all" else (question.precision,)
    return list(itertools.product(modes, runtimes, precisions))


def _journal_name(device: DeviceProfile, mode: Mode, runtime: Runtime, precision: Precision) -> str:
    return f"{device.name}-{runtime}-{precision}-{mode}.jsonl"


def _modelled(question: Question, device: DeviceProfile) -> Iterator[Profiled]:
    known = device.modelled_runtime
    if known and question.runtime != known:
        raise UserError(
            f"the device model of {device.name} knows {known} alone, found --runtime {question.runtime}. "
            f"Measure it with --target (local, ssh://USER@HOST, adb://SERIAL), or pass --runtime {known}."
        )
    run = Run.open(question.run).manifest
    for mode, _, precision in _asked(question):
        table = modelled_table(device, precision, mode, run)
        yield _kept(question, table, run.front_end, ())


def packs(question: Question, report: Report) -> Iterator[Path]:
    """The pack that was given, or one for each runtime, mode and precision, made where it is not there yet.

    Raises:
        UserError: no Run, the converter is not installed, or the runtime has no such precision.
    """
    if question.pack:
        yield question.pack
        return
    run = Run.open(question.run).manifest
    for mode, runtime, precision in _asked(question):
        layers = choose_grid(run.space.all_layers(run.front_end, len(run.labels), mode)).packed
        folder = question.out / "packs"
        yield ensure_pack(run, layers, runtime, precision, mode, folder, report, whole_subnets(run.space))


def _measured(
    question: Question,
    device: DeviceProfile,
    target: Target,
    load: float | None,
    agent: Agent,
    folder: Path,
    pack: LayerPack,
    report: Report,
) -> Profiled:
    effort = QUICK if question.quick else FULL
    cores = question.cores or _cores(device, question.threads)
    asked = (
        f"{device.name} over {target.name}, pack {pack.digest()}, {type(agent).__name__}, {effort.rounds} rounds of "
        f"{effort.runs}, threads {question.threads}, cores {','.join(map(str, cores)) or 'any'}"
    )
    name = _journal_name(device, pack.mode, pack.runtime, pack.precision)
    journal = Journal.resume(question.out / "journals" / name, asked)
    files = {each.file: folder / each.file for each in pack.files}
    session = Session(target, agent, files, effort, question.threads, cores, journal, report, load_average=load)
    measurements = session.measure()
    hop_ms = 1e3 * pack.front_end.seconds(STREAM_CHUNK_FRAMES)
    heavy = costliest({each.file: measurements[each.file].median_us for each in pack.layers}, files)
    duty = sustained = None
    with journal.resumable():
        if pack.mode == "stream" and not question.quick:
            report("one decision each hop", 0, 1)
            duty = tried_again(lambda: duty_cycle_ratio(target, agent, heavy, hop_ms, question.threads, cores))
        if minutes := question.sustained:
            report("working on and on", 0, 1)
            sustained = tried_again(lambda: sustained_ratio(target, agent, heavy, minutes, question.threads, cores))
    found = Found(measurements, journal.base_bytes(), duty, sustained, journal.peaks)
    grid = choose_grid(pack.space.all_layers(pack.front_end, pack.label_count, pack.mode))
    table = make_table(device.name, pack, grid, found, effort.note)
    doubts = tuple(remarks(journal, measurements))
    if effort.peaks and table.key.network_bytes is None:
        said = f" It said: {session.untold}" if session.untold else ""
        doubts += (f"memory is counted from shapes: the agent did not tell the peak of every file.{said}",)
    return _kept(question, table, pack.front_end, doubts)


def _spare_full_tables(question: Question, device: DeviceProfile) -> None:
    """A quick profile does not take the place of a full one."""
    made = open_pack(question.pack) if question.pack else Run.open(question.run).manifest
    label_count = made.label_count if isinstance(made, LayerPack) else len(made.labels)
    for mode, runtime, precision in _asked(question):
        for path in (question.out / "tables").glob(f"{device.name}-{runtime}-{precision}-{mode}-*.jsonl"):
            table = CostTable.load(path)
            is_same = not differences(table.key, made.space, made.front_end, label_count)
            is_full = "modelled" not in table.kinds and not any(QUICK.note in row.note for row in table.rows.values())
            if is_same and is_full and table.key.threads == question.threads:
                raise UserError(f"{path} holds a full profile: leave --quick out, or name another --out.")


def _kept(question: Question, table: CostTable, front_end: FrontEndSpec, doubts: tuple[str, ...]) -> Profiled:
    """Write the table, and its picture beside it."""
    path = question.out / "tables" / table.key.file_name
    table.save(path)
    if importlib.util.find_spec("matplotlib") is None:
        lacking = "no picture was drawn: matplotlib is not installed (pip install 'aec-toolkit[profile]')."
        return Profiled(table, path, front_end, (*doubts, lacking))
    from toolkit.profile.picture import draw_table

    return Profiled(table, path, front_end, doubts, tuple(draw_table(table, front_end, path.with_suffix(""))))


def _device(question: Question) -> DeviceProfile:
    if question.device:
        return load_profile(question.device, question.devices)
    if question.target == "local":
        return load_profile(HOST, question.devices)
    if question.target:
        raise UserError(f"which device is {question.target}? Name its profile: --device rpi4, or one of your own.")
    raise UserError("which device? Name one: --device rpi4. Or measure this machine: --target local.")


def _cores(device: DeviceProfile, threads: int) -> tuple[int, ...]:
    """Cores of the listening cluster where the profile knows them; else the agent chooses."""
    if not device.clusters:
        return ()
    return cores_in(device.cluster.mask)[-threads:]


def check_machine(device: DeviceProfile, machine: str) -> None:
    """An ARM device's figures are not measured on something else; raises MismatchError."""
    core = device.cluster.core if device.clusters else ""
    if core.startswith("Cortex-") and not machine.startswith(("aarch64", "arm")):
        raise MismatchError(
            f"{device.name} has {core} cores, the target is {machine}. Name the device itself with --target ssh://..., "
            "or measure this machine as what it is: --device host."
        )
