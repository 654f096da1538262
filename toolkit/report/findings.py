"""What a report shows: answers of search, their tables, measurements and certificates, gathered from files.

Not how it looks, and no Pick is written. Proved by tests/report/test_report.py.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from toolkit.search.choice import with_costs
from toolkit.search.front import Scored, pareto_front
from toolkit.search.scores import RunScores
from toolkit.search.search import Answer, Question, look, problem_of, table_of
from toolkit.specs.certificate import Certificate
from toolkit.specs.cost import CostTable
from toolkit.specs.device import Budget, DeviceProfile, load_profile, profile_paths
from toolkit.specs.errors import UserError
from toolkit.specs.layer import Mode
from toolkit.specs.measured import Measured
from toolkit.specs.run import Run, RunManifest
from toolkit.specs.runtime import Precision, Runtime
from toolkit.specs.shipped import OUT


@dataclass(frozen=True)
class Asked:
    """What people typed; without names all devices that have a table for the Run."""

    device_names: tuple[str, ...] = ()
    run: Path | None = None
    runtime: Runtime = "tflite"
    mode: Mode = "stream"
    precision: Precision = "int8"
    out: Path = OUT
    devices: Path | None = None
    to: Path | None = None
    """The page's file, where it is not `report.html` in `out`."""

    @property
    def page(self) -> Path:
        """The page's file."""
        return self.to or self.out / "report.html"

    @property
    def options(self) -> str:
        """As options, as far as they are not the default ones; without the devices' names."""
        given: dict[str, object] = {name: getattr(self, name) for name in ("run", "runtime", "mode", "precision")}
        given |= {"out": self.out, "devices": self.devices}
        default = Asked()
        changed = {name: value for name, value in given.items() if value != getattr(default, name)}
        return "".join(f" --{name} {shlex.quote(str(value))}" for name, value in changed.items())

    @property
    def question(self) -> Question:
        """What search is asked."""
        return Question(**{name: value for name, value in vars(self).items() if name != "to"})

    @property
    def command(self) -> str:
        """The command that makes the page again."""
        names = "".join(f" --device {shlex.quote(name)}" for name in self.device_names)
        to = f" --to {shlex.quote(str(self.to))}" if self.to else ""
        return f"python -m toolkit.report{names}{self.options}{to}"

    @property
    def verify_command(self) -> str:
        """The command that certifies a bundle; `NAME` is for people to fill in."""
        run = f" --run {shlex.quote(str(self.run))}" if self.run else ""
        return f"python -m toolkit.verify --bundle {shlex.quote(str(self.out / 'bundles' / 'NAME'))}{run}"


@dataclass(frozen=True)
class Device:
    """One device: its table, and all subnets with what they cost there."""

    profile: DeviceProfile
    table: CostTable
    table_path: Path
    budget: Budget
    scored: tuple[Scored, ...]
    front: tuple[Scored, ...]
    best: Scored | None
    reason: str = ""
    """Why there is no best one."""

    @property
    def name(self) -> str:
        """Of its profile."""
        return self.profile.name


@dataclass(frozen=True)
class Findings:
    """Everything on the page; measurements and certificates by the path of their file."""

    asked: Asked
    manifest: RunManifest
    run_hash: str
    evaluated: int
    """Subnets that the Run knows."""
    devices: tuple[Device, ...]
    left_out: Mapping[str, str]
    """Devices without a table, and why."""
    for_all: Scored | None
    measured: Mapping[Path, Measured]
    certificates: Mapping[Path, Certificate]
    uncertified: tuple[str, ...]
    """Names of bundles that were never verified."""
    made_utc: str

    @property
    def summary(self) -> dict[str, Any]:
        """What is on the page as plain data."""
        return {
            "run": self.manifest.name,
            "run_hash": self.run_hash,
            "devices": {device.name: _as_json(device) for device in self.devices},
            "left_out": dict(self.left_out),
            "for_all": self.for_all and self.for_all.subnet.id,
            "measured": [str(path) for path in self.measured],
            "certificates": [str(path) for path in self.certificates],
        }


def look_around(asked: Asked) -> Findings:
    """Gather what the page shows.

    Raises:
        UserError: no Run, an unknown device, a named device without a table, none with one, a broken file.
        MismatchError: a file of another schema.
    """
    run = Run.open(asked.run)
    names, left_out = (asked.device_names, {}) if asked.device_names else _with_tables(asked, run.manifest)
    answers = look(replace(asked.question, device_names=names))
    known = {answer.pick.device: answer for answer in answers.each}
    devices = tuple(
        _answered(known[name], asked) if name in known else _unanswered(name, answers.infeasible[name], asked, run)
        for name in names
    )
    measured = {path: Measured.load(path) for path in sorted((asked.out / "measured").glob("*.json"))}
    bundles = asked.out / "bundles"
    certificates = {path: Certificate.load(path) for path in sorted(bundles.glob("*/certificate*.json"))}
    certified = {path.parent for path in certificates}
    return Findings(
        asked=asked,
        manifest=run.manifest,
        run_hash=run.hash,
        evaluated=len(run.results),
        devices=devices,
        left_out=left_out,
        for_all=answers.for_all,
        measured=measured,
        certificates=certificates,
        uncertified=tuple(
            path.parent.name for path in sorted(bundles.glob("*/manifest.json")) if path.parent not in certified
        ),
        made_utc=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _with_tables(asked: Asked, run: RunManifest) -> tuple[tuple[str, ...], dict[str, str]]:
    """Names of the devices that have a whole table for the Run; the others, and what is the matter with them."""
    names, left_out = [], {}
    for name in sorted(profile_paths(asked.devices)):
        try:
            table_of(asked.question, name, run)
        except UserError as error:
            left_out[name] = str(error)
        else:
            names.append(name)
    if not names:
        reasons = "\n".join(f"  {reason}" for reason in left_out.values())
        raise UserError(f"no device has a table for Run {run.name}:\n{reasons}")
    return tuple(names), left_out


def _answered(answer: Answer, asked: Asked) -> Device:
    choice, profile = answer.choice, load_profile(answer.pick.device, asked.devices)
    budget = answer.pick.budget
    return Device(profile, answer.table, answer.table_path, budget, choice.scored, choice.front, choice.best)


def _unanswered(name: str, reason: str, asked: Asked, run: Run) -> Device:
    """A device whose budget no subnet keeps: all of them, outside."""
    path, table = table_of(asked.question, name, run.manifest)
    subnets = [run.manifest.space.parse(text) for text in run.results]
    problem = problem_of(asked.question, name, run.manifest, table, subnets, RunScores(run))
    scored, profile = with_costs(problem, problem.score(subnets)), load_profile(name, asked.devices)
    return Device(profile, table, path, problem.budget, scored, pareto_front(scored), None, reason)


def _as_json(device: Device) -> dict[str, Any]:
    best = device.best
    return {
        "table": str(device.table_path),
        "rows": list(device.table.kinds),
        "error_band": device.table.error_band,
        "subnets": len(device.scored),
        "front": len(device.front),
        "pick": best and best.subnet.id,
        "mean_average_precision": best and best.mean_average_precision,
        "predicted": best and best.cost.model_dump(mode="json"),
        "reason": device.reason,
    }
