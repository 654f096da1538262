"""`profile`: from a device's name to cost tables on disk, measured on a target or modelled from the profile.

Proved by tests/profile/test_profile.py and test_command.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from toolkit.profile.device_model import modelled_table
from toolkit.profile.measure import FULL, QUICK, measured_table
from toolkit.profile.pack import Report, ensure_pack
from toolkit.specs.cost import CostTable
from toolkit.specs.device import DeviceProfile, load_profile
from toolkit.specs.errors import MismatchError, UserError
from toolkit.specs.layer import Mode
from toolkit.specs.run import Run, RunManifest
from toolkit.specs.runtime import Precision
from toolkit.specs.shipped import OUT
from toolkit.targets import Target, open_target

HOST = "host"
MODES: tuple[Mode, ...] = ("stream", "clip")
PRECISIONS: tuple[Precision, ...] = ("int8", "fp32")


@dataclass(frozen=True)
class Question:
    """What is profiled: the space, front end and labels of a Run, on a device."""

    device: str | None = None
    target: str | None = None
    mode: Mode | Literal["all"] = "all"
    precision: Precision | Literal["all"] = "all"
    run: Path | None = None
    quick: bool = False
    threads: int = 1
    devices: Path | None = None
    out: Path = OUT


def profile(question: Question, report: Report) -> tuple[dict[Path, CostTable], RunManifest]:
    """Write a table for each mode and precision to `out/tables/`; give them by file, and the Run they are for.

    Each table is on disk before the next is begun.

    Raises:
        UserError: unknown device or target, no Run, no device model.
        MismatchError: the target cannot be the device.
        DeviceError: the target could not do it.
    """
    target = open_target(question.target) if question.target else None
    device = _device(question, target)
    if target:
        _check_machine(device, target.machine())
    run = Run.open(question.run).manifest
    tables = {}
    for mode in MODES if question.mode == "all" else (question.mode,):
        for precision in PRECISIONS if question.precision == "all" else (question.precision,):
            if target:
                layers = run.space.all_layers(run.front_end, len(run.labels), mode)
                pack = ensure_pack(layers, precision, mode, run.front_end, question.out / "packs", report)
                effort = QUICK if question.quick else FULL
                table = measured_table(device, target, pack, run, effort, question.threads, report)
            else:
                table = modelled_table(device, precision, mode, run)
            path = question.out / "tables" / table.key.file_name
            table.save(path)
            tables[path] = table
    return tables, run


def _device(question: Question, target: Target | None) -> DeviceProfile:
    if question.device:
        return load_profile(question.device, question.devices)
    if target:
        return load_profile(HOST, question.devices)
    raise UserError("which device? Name one: --device rpi4. Or measure this machine: --target local.")


def _check_machine(device: DeviceProfile, machine: str) -> None:
    """An ARM device's table is not measured on something else."""
    core = device.cluster.core if device.clusters else ""
    if core.startswith("Cortex-") and not machine.startswith(("aarch64", "arm")):
        raise MismatchError(
            f"{device.name} has {core} cores, the target is {machine}. Run the command on the device itself, or leave "
            "--device out to measure this machine as what it is."
        )
