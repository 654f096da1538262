"""Finding the cost table that fits a Run among those that `profile` wrote and those that are shipped.

One must hold every layer of the Run's space; measured tables go before modelled ones, then the newest.
Proved by tests/costs/test_tables.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from toolkit.specs.cost import WEAKNESS, CostKey, CostTable, profile_command
from toolkit.specs.errors import MismatchError, UserError
from toolkit.specs.front_end import FrontEndSpec
from toolkit.specs.layer import Mode
from toolkit.specs.run import RunManifest
from toolkit.specs.runtime import Precision, Runtime
from toolkit.specs.space import SearchSpace

NAMED = 5
"""Missing layers that a message names."""


def find_table(
    device: str,
    runtime: Runtime,
    mode: Mode,
    precision: Precision,
    run: RunManifest,
    folders: Iterable[Path],
    options: str = "",
    *,
    can_model: bool = True,
) -> tuple[Path, CostTable]:
    """The best table of a device for a Run, and its file.

    Args:
        device, runtime, mode, precision: of the table.
        run: whose space it covers.
        folders: where tables lie, the preferred place first; a folder that does not exist holds none.
        options: folders that the errors' command names.
        can_model: whether that command may do without measuring; it never does in place of measured rows.

    Raises:
        UserError: there is none, or one is broken.
        MismatchError: there are some, but for another space, front end or label count, or all lack layers.
    """
    places = list(folders)
    pattern = f"{device}-{runtime}-{precision}-{mode}-*.jsonl"
    paths = [path for place in places for path in sorted(place.glob(pattern))]
    command = profile_command(device, runtime, mode, precision, options, is_modelled=can_model)
    if not paths:
        where = " or ".join(str(place) for place in places)
        raise UserError(f"no {runtime} {precision} {mode} table of {device} in {where}. Make one: {command}")
    whole, holed, others = [], [], []
    for path in paths:
        table = CostTable.load(path)
        if found := differences(table.key, run.space, run.front_end, len(run.labels)):
            others.append(f"{path} is for {'; '.join(found)}")
        elif missing(table, run):
            holed.append((path, table))
        else:
            whole.append((path, table))
    if whole:
        return min(whole, key=lambda entry: _rank(entry, places))
    if holed:
        path, table = min(holed, key=lambda entry: _rank(entry, places))
        can_model = can_model and "measured" not in table.kinds
        command = profile_command(device, runtime, mode, precision, options, is_modelled=can_model)
        raise MismatchError(f"{path} has no layer {named(missing(table, run))}. Make one that has: {command}")
    raise MismatchError(
        f"no {runtime} {precision} {mode} table of {device} fits Run {run.name}: {others[-1]}. "
        f"Make one for this Run: {command}"
    )


def load_table(
    path: Path,
    device: str,
    runtime: Runtime,
    mode: Mode,
    precision: Precision,
    run: RunManifest,
    options: str = "",
    *,
    can_model: bool = True,
) -> CostTable:
    """The table that somebody names; arguments as of `find_table`.

    Raises:
        UserError: it cannot be read.
        MismatchError: it is of another device, runtime, mode or precision, does not fit the Run or lacks layers.
    """
    table = CostTable.load(path)
    wanted = {"device": device, "runtime": runtime, "mode": mode, "precision": precision}
    for name, value in wanted.items():
        if (found := getattr(table.key, name)) != value:
            raise MismatchError(
                f"{path} is a table for {name} {found}, not {value}. Name another, or pass --{name} {found}."
            )
    fault = ""
    if different := differences(table.key, run.space, run.front_end, len(run.labels)):
        fault = f"{path} was made for {'; '.join(different)}"
    elif lacking := missing(table, run):
        fault = f"{path} has no layer {named(lacking)}"
        can_model = can_model and "measured" not in table.kinds
    if fault:
        command = profile_command(device, runtime, mode, precision, options, is_modelled=can_model)
        raise MismatchError(f"{fault}. Leave --table out, after: {command}")
    return table


def missing(table: CostTable, run: RunManifest) -> list[str]:
    """Names of the layers of a Run's space that a table lacks."""
    layers = run.space.all_layers(run.front_end, len(run.labels), table.key.mode)
    return [layer.name for layer in layers if layer.name not in table.rows]


def named(layers: Sequence[str]) -> str:
    """The first of some layers, for people."""
    rest = len(layers) - NAMED
    return ", ".join(layers[:NAMED]) + (f" and {rest} more" if rest > 0 else "")


def _rank(entry: tuple[Path, CostTable], places: list[Path]) -> tuple[int, int, float, str]:
    path, table = entry
    weakest = max((WEAKNESS[kind] for kind in table.kinds), default=len(WEAKNESS))
    return weakest, places.index(path.parent), -path.stat().st_mtime, path.name


def differences(key: CostKey, space: SearchSpace, front_end: FrontEndSpec, label_count: int) -> list[str]:
    """What a table was made for, where that is not what is asked; empty when they belong together."""
    found = []
    if key.space != space:
        found.append(f"space {_space(key.space)}, not {_space(space)}")
    if key.front_end != front_end.fingerprint:
        found.append(f"front end {key.front_end}, not {front_end.fingerprint}")
    if key.label_count != label_count:
        found.append(f"{key.label_count} labels, not {label_count}")
    return found


def _space(space: SearchSpace) -> str:
    return f"{space.name} at base width {space.base_width}"
