"""Layout 1: a CSV that lists clips: `path` (or `file`), `labels` (;-separated), `split`, and four optional columns.

Optional: `group`, `dataset`, `tier`, `licence`; other columns are left alone. Proved by tests/audio/test_manifest.py.
"""

from __future__ import annotations

import difflib
from pathlib import Path

from toolkit.audio.clip import SPLITS, Clip, file_size, split_labels
from toolkit.audio.table import Faults, rows
from toolkit.specs.errors import UserError

_REQUIRED = ("path", "labels", "split")
_OPTIONAL = ("group", "dataset", "tier", "licence")


def read_manifest(path: Path) -> list[Clip]:
    """Clips that a manifest lists; their paths are relative to its folder.

    Raises:
        UserError: the CSV is wrong; every fault is listed with its line.
    """
    numbered = rows(path)
    faults = Faults(path)
    try:
        line, header = next(numbered)
    except StopIteration:
        raise UserError(f"{path} is empty, expected columns path, labels, split.") from None
    columns = _columns(header, line, faults)
    faults.raise_any()
    clips: list[Clip] = []
    first_line: dict[str, int] = {}
    split_of_group: dict[str, str] = {}
    for line, fields in numbered:
        if len(fields) != len(header):
            faults.add(line, f"found {len(fields)} fields, expected {len(header)} as in the header")
            continue
        row = {name: fields[index].strip() for name, index in columns.items()}
        name, split = row["path"], row["split"]
        if not name:
            faults.add(line, "path is empty")
        if split not in SPLITS:
            faults.add(line, f"split {split!r:.40}, expected {', '.join(SPLITS)}")
        if name in first_line:
            faults.add(line, f"{name} stands on line {first_line[name]} already")
        first_line.setdefault(name, line)
        group = row.get("group") or name
        if split_of_group.setdefault(group, split) != split:
            faults.add(line, f"group {group} is in split {split} and in {split_of_group[group]}, expected one of them")
        file = path.parent / name
        dataset, tier, licence = (row.get(column) or None for column in ("dataset", "tier", "licence"))
        labels = split_labels(row["labels"])
        clips.append(Clip(file, name, labels, split, group, file_size(file), dataset, tier, licence))
    faults.raise_any()
    return clips


def _columns(header: list[str], line: int, faults: Faults) -> dict[str, int]:
    """Index of each known column; `file` is another name of `path`."""
    names = ["path" if name.strip() == "file" else name.strip() for name in header]
    absent = [column for column in _REQUIRED + _OPTIONAL if column not in names]
    hinted = set()
    for name in names:
        near = difflib.get_close_matches(name.lower(), absent, n=1, cutoff=0.75)
        if near:
            hinted.add(near[0])
            faults.add(line, f"column {name!r:.40}: did you mean {near[0]}?")
    for column in absent:
        if column in _REQUIRED and column not in hinted:
            faults.add(line, f"no column {column}, found {', '.join(names):.200}")
    for column in _REQUIRED + _OPTIONAL:
        if names.count(column) > 1:
            faults.add(line, f"column {column} stands there twice")
    return {name: index for index, name in enumerate(names) if name in _REQUIRED + _OPTIONAL}
