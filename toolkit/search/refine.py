"""From a prediction that failed to a better table: the layers of that subnet measured anew, in place of the rows that
there were.

Timed in the same rounds as the picked file itself, so that a slow spell meets all of them. What a layer costs more in a
network than alone is told by another whole network of the same layers, not by the picked file: the two are compared
afterwards. Rows of other layers stay as they are and as they were known. Proved by tests/search/test_refine.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from toolkit.profile.grid import Grid
from toolkit.profile.pack import ensure_pack
from toolkit.profile.table import Found, make_table
from toolkit.search.measured import Bench, Report, Taken, journal_name, take
from toolkit.search.search import Answer, Question
from toolkit.specs.cost import CostKey, CostRow, CostTable, Environment, Kind
from toolkit.specs.errors import MismatchError
from toolkit.specs.measured import Measured
from toolkit.specs.pack import open_pack
from toolkit.specs.run import Run

PICKED = "picked-"
"""Before the picked file's name, where it is measured among layers."""
_TAKEN_OVER = ("runtime_version", "threads", "core_mask")
"""What a modelled table's key states as it is thought to be, and a measurement as it was."""


@dataclass(frozen=True)
class Change:
    """A row before and after."""

    layer: str
    was: Kind
    before_us: float
    after_us: float


@dataclass(frozen=True)
class Refined:
    """A table with new rows, its file, what changed, and the picked file's own measurements of the same rounds."""

    table: CostTable
    path: Path
    changes: tuple[Change, ...]
    """The greatest first."""
    taken: Taken
    name: str
    """Of the picked file in `taken`."""


def refine(
    bench: Bench,
    run: Run,
    answer: Answer,
    model: Path,
    measured: Measured,
    question: Question,
    resume: bool,
    report: Report,
) -> Refined:
    """Measure the layers of a picked subnet, put them into its table, write that to `out/tables/`.

    Args:
        bench: where.
        run: whose subnet it is.
        answer: the pick and its table.
        model: the pick's file.
        measured: what was found of it.
        question: that was answered; it names the folder of packs, journals and tables.
        resume: whether an interrupted refinement goes on.
        report: told how far it is.

    Raises:
        UserError: what converting needs is not installed.
        MismatchError: the device or its runtime are not those that the table was measured on, or another table of the
            same key lies in `out`.
        DeviceError: the target could not do it.
    """
    pick, manifest, old = answer.pick, run.manifest, answer.table
    here, out = measured.measurement.environment, question.out
    check_same(old, here, question.profile_folders)
    path = _place(old, here, out)
    subnet = manifest.space.parse(pick.subnet)
    every = manifest.space.layers(subnet, manifest.front_end, len(manifest.labels), pick.mode)
    layers = tuple(dict.fromkeys(every))
    folder = ensure_pack(
        manifest, layers, pick.runtime, pick.precision, pick.mode, out / "packs", report, wholes=(subnet,)
    )
    pack, name = open_pack(folder), PICKED + model.name
    files = {each.file: folder / each.file for each in pack.files} | {name: model}
    journal = out / "journals" / journal_name(pick, "refined")
    taken = take(bench, files, journal, f"layers of {pick.subnet}, pack {pack.digest()}", resume, report)
    found = Found(taken.measurements, taken.base_bytes, peaks=taken.peaks)
    fresh = make_table(pick.device, pack, Grid(layers, layers), found, f"refined, with the layers of {subnet} alone")
    memory_failed = measured.memory_mb is not None and not measured.memory_mb.passed
    new_memory = memory_failed or old.key.network_bytes is None
    table = merged(old, fresh, new_memory=new_memory, folders=question.profile_folders)
    table.save(path)
    return Refined(table, path, tuple(_changes(old, fresh)), taken, name)


def merged(old: CostTable, fresh: CostTable, *, new_memory: bool, folders: str = "") -> CostTable:
    """The old table with the fresh one's rows in place of its own.

    A call's own time is one figure of the whole table, now the fresh one. Memory is the fresh one's with `new_memory`
    and where peaks were measured, what any network takes included: for networks of old rows that is then off by what
    the two fits differ in, some hundred KiB. A table without any measured row takes over where the fresh one was
    measured. `folders` are options of the command that an error advises.

    Raises:
        MismatchError: both were measured, and not on one device with one runtime.
    """
    if is_measured(old):
        _refuse(_differences(old.key, fresh.key), old, folders)
    found = {"call_us": fresh.key.call_us}
    if not is_measured(old):
        found |= {name: getattr(fresh.key, name) for name in _TAKEN_OVER}
    takes_memory = new_memory and fresh.key.network_bytes is not None
    if takes_memory:
        found |= {name: getattr(fresh.key, name) for name in ("runtime_base_bytes", "network_bytes")}

    def row(was: CostRow) -> CostRow:
        now = fresh.rows.get(was.layer.name)
        if now is None or takes_memory:
            return now or was
        return now.model_copy(update={"peak_bytes": was.peak_bytes, "kept_bytes": was.kept_bytes})

    return CostTable(old.key.model_copy(update=found), map(row, old.rows.values()))


def check_same(table: CostTable, here: Environment, folders: str = "") -> None:
    """Raise MismatchError where a table's measured rows are of another processor, runtime version, threads or cores."""
    for row in table.rows.values():
        if row.measurement:
            names = ("machine", "cpu", "runtime_version", "threads", "core_mask")
            _refuse(_differences(row.measurement.environment, here, names), table, folders)
            return


def is_measured(table: CostTable) -> bool:
    """Whether any of its rows is."""
    return "measured" in table.kinds


def _place(old: CostTable, here: Environment, out: Path) -> Path:
    """Where the refined table goes: as `profile` would name one that was measured here."""
    taken_over = {} if is_measured(old) else {name: getattr(here, name) for name in _TAKEN_OVER}
    path = out / "tables" / old.key.model_copy(update=taken_over).file_name
    if path.exists() and CostTable.load(path).hash != old.hash:
        raise MismatchError(
            f"{path} is another table of the same device, runtime and space. Refine that one (leave --table out), or "
            "name another folder with --out."
        )
    return path


def _differences(
    was: CostKey | Environment,
    now: CostKey | Environment,
    names: tuple[str, ...] = ("runtime", "runtime_version", "precision", "threads", "core_mask", "mode"),
) -> list[str]:
    return [
        f"{name} {getattr(was, name)}, not {getattr(now, name)}"
        for name in names
        if getattr(was, name) != getattr(now, name)
    ]


def _refuse(differences: list[str], table: CostTable, folders: str) -> None:
    if differences:
        raise MismatchError(
            f"the table of {table.key.device} was measured with {'; '.join(differences)}: its rows do not mix with new "
            f"ones. Profile anew: {table.profile_command(folders)}"
        )


def _changes(old: CostTable, fresh: CostTable) -> Iterator[Change]:
    changes = [
        Change(name, old.rows[name].kind, old.rows[name].latency_us, row.latency_us) for name, row in fresh.rows.items()
    ]
    yield from sorted(changes, key=lambda change: -abs(change.after_us - change.before_us))
