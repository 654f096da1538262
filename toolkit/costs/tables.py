"""Finding the cost table that fits a Run among those that `profile` wrote and those that are shipped.

Measured tables before modelled ones, then the newest. Proved by tests/costs/test_tables.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from toolkit.specs.cost import WEAKNESS, CostKey, CostTable
from toolkit.specs.errors import MismatchError, UserError
from toolkit.specs.front_end import FrontEndSpec
from toolkit.specs.layer import Mode
from toolkit.specs.run import RunManifest
from toolkit.specs.runtime import Precision, Runtime
from toolkit.specs.space import SearchSpace


def find_table(
    device: str,
    runtime: Runtime,
    mode: Mode,
    precision: Precision,
    run: RunManifest,
    folders: Iterable[Path],
    options: str = "",
) -> tuple[Path, CostTable]:
    """The best table of a device for a Run, and its file.

    `folders` is where tables lie, the preferred place first; a folder that does not exist holds none. `options`
    are those of the command that the errors advise.

    Raises:
        UserError: there is none, or one is broken.
        MismatchError: there are some, but for another space, front end or label count.
    """
    places = list(folders)
    pattern = f"{device}-{runtime}-{precision}-{mode}-*.jsonl"
    paths = [path for place in places for path in sorted(place.glob(pattern))]
    if not paths:
        where = " or ".join(str(place) for place in places)
        raise UserError(
            f"no {runtime} {precision} {mode} table of {device} in {where}. "
            f"Make one: {profile_command(device, options)}"
        )
    fitting, others = [], []
    for path in paths:
        table = CostTable.load(path)
        found = differences(table.key, run.space, run.front_end, len(run.labels))
        if found:
            others.append(f"{path} is for {'; '.join(found)}")
        else:
            fitting.append((path, table))
    if not fitting:
        raise MismatchError(
            f"no {runtime} {precision} {mode} table of {device} fits Run {run.name}: {others[-1]}. "
            f"Make one for this Run: {profile_command(device, options)}"
        )
    return min(fitting, key=lambda entry: _rank(entry, places))


def load_table(
    path: Path, device: str, runtime: Runtime, mode: Mode, precision: Precision, run: RunManifest
) -> CostTable:
    """The table that somebody names.

    Raises:
        UserError: it cannot be read.
        MismatchError: it is of another device, runtime, mode or precision, or does not fit the Run.
    """
    table = CostTable.load(path)
    wanted = {"device": device, "runtime": runtime, "mode": mode, "precision": precision}
    for name, value in wanted.items():
        if (found := getattr(table.key, name)) != value:
            raise MismatchError(
                f"{path} is a table for {name} {found}, not {value}. Name another, or pass --{name} {found}."
            )
    check_table(table.key, run.space, run.front_end, len(run.labels))
    return table


def _rank(entry: tuple[Path, CostTable], places: list[Path]) -> tuple[int, int, float, str]:
    path, table = entry
    weakest = max((WEAKNESS[kind] for kind in table.kinds), default=len(WEAKNESS))
    return weakest, places.index(path.parent), -path.stat().st_mtime, path.name


def check_table(key: CostKey, space: SearchSpace, front_end: FrontEndSpec, label_count: int) -> None:
    """Raise MismatchError unless the table's rows are layers of this space, front end and label count."""
    if found := differences(key, space, front_end, label_count):
        raise MismatchError(
            f"the table of {key.device} ({key.mode}, {key.precision}) was made for {'; '.join(found)}. "
            f"Make one for this Run: {profile_command(key.device)}"
        )


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


def profile_command(device: str, options: str = "") -> str:
    """The command that makes a device's tables; `host`, any machine, cannot be modelled but measured only."""
    target = " --target local" if device == "host" else ""
    return f"python -m toolkit.profile --device {device}{target}{options}"


def _space(space: SearchSpace) -> str:
    return f"{space.name} at base width {space.base_width}"
