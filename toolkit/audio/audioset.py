"""Layout 3, AudioSet's own: class_labels_indices.csv, segment CSVs and clips anywhere below the same folder.

Each segment CSV is a split by its name: `eval` or `test` is test, `valid` is validation, `train` is train. A clip is
the cut segment, named YTID, YTID_START or YTID_START_END (seconds as 30 or 30.000, or milliseconds), each with or
without a `Y` in front. Proved by tests/audio/test_audioset.py.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path

from toolkit.audio.clip import Clip, file_size
from toolkit.audio.decode import AUDIO_SUFFIXES
from toolkit.audio.table import Faults, rows
from toolkit.specs.errors import UserError

CLASS_INDEX = "class_labels_indices.csv"

_SPLIT_OF_NAME = (("eval", "test"), ("test", "test"), ("valid", "validation"), ("train", "train"))
_VIDEO = re.compile(r"[A-Za-z0-9_-]+")
_log = logging.getLogger(__name__)


def read_audioset(root: Path) -> list[Clip]:
    """Clips of all segments, labelled with display names; one whose file is not found is named after its segment.

    Raises:
        UserError: no segment CSV, or a CSV is wrong; every fault of a file is listed with its line.
    """
    name_of_mid = _class_names(root / CLASS_INDEX)
    file_of_stem = _clips_below(root)
    clips: list[Clip] = []
    seen: dict[Path, str] = {}
    tables = [(table, split) for table in sorted(root.glob("*.csv")) if (split := _split(table)) is not None]
    if not tables:
        raise UserError(f"{root} holds no segment CSV. Expected names with train, valid or eval beside {CLASS_INDEX}.")
    for table, split in tables:
        faults = Faults(table)
        for line, fields in rows(table):
            segment = None if fields[0].startswith("#") else _segment(line, fields, name_of_mid, faults)
            if segment is None:
                continue
            video, start_s, end_s, labels = segment
            file = next((file_of_stem[stem] for stem in _stems(video, start_s, end_s) if stem in file_of_stem), None)
            if file is None:
                file = root / f"{video}_{start_s:g}"
            elif file in seen:
                faults.add(line, f"{video} from {start_s:g} s: its clip {file.name} is taken by {seen[file]} already")
            seen[file] = f"{table.name}, line {line}"
            clips.append(Clip(file, file.relative_to(root).as_posix(), labels, split, video, file_size(file)))
        faults.raise_any()
    return clips


def _class_names(path: Path) -> dict[str, str]:
    """Display name of each machine id (mid)."""
    faults = Faults(path)
    names: dict[str, str] = {}
    for line, fields in rows(path):
        if fields == ["index", "mid", "display_name"]:
            continue
        if len(fields) != 3 or not fields[1] or not fields[2]:
            faults.add(line, f"found {','.join(fields)!r:.60}, expected index,mid,display_name")
        else:
            names[fields[1]] = fields[2].strip()
    faults.raise_any()
    if not names:
        raise UserError(f"{path} lists no class, expected rows index,mid,display_name.")
    return names


def _segment(
    line: int, fields: list[str], name_of_mid: dict[str, str], faults: Faults
) -> tuple[str, float, float, tuple[str, ...]] | None:
    """(YTID, start, end in seconds, labels) of a row; None after noting what is wrong with it."""
    if len(fields) < 4:
        faults.add(line, f"found {len(fields)} fields, expected YTID, start_seconds, end_seconds, positive_labels")
        return None
    video = fields[0].strip()
    # Mids without quotes fall apart at their commas; they are the rest of the row all the same.
    mids = [mid.strip().strip('"') for field in fields[3:] for mid in field.split(",")]
    try:
        start_s, end_s = float(fields[1]), float(fields[2])
    except ValueError:
        start_s, end_s = 0.0, 0.0
    if not 0 <= start_s < end_s < 1e6:
        faults.add(line, f"segment {fields[1]!r:.20} to {fields[2]!r:.20}, expected seconds, the end after the start")
        return None
    if not _VIDEO.fullmatch(video):
        faults.add(line, f"YTID {video!r:.40}, expected letters, digits, - and _")
        return None
    unknown = [mid for mid in mids if mid and mid not in name_of_mid]
    if unknown:
        faults.add(line, f"unknown mid {', '.join(unknown):.60}, expected those of {CLASS_INDEX}")
        return None
    return video, start_s, end_s, tuple(sorted({name_of_mid[mid] for mid in mids if mid}))


def _stems(video: str, start_s: float, end_s: float) -> Iterator[str]:
    """Accepted file names, without suffix, of a segment; the most telling first."""
    ways = [[f"{time_s:g}", f"{time_s:.3f}", f"{round(1000 * time_s)}"] for time_s in (start_s, end_s)]
    for prefix in ("", "Y"):
        for start, end in zip(*ways, strict=True):
            yield f"{prefix}{video}_{start}_{end}"
            yield f"{prefix}{video}_{start}"
        yield f"{prefix}{video}"


def _clips_below(root: Path) -> dict[str, Path]:
    """Audio files below `root` by their name without suffix."""
    found = {}
    for folder, folders, files in os.walk(root):
        folders.sort()
        for file in (Path(folder, name) for name in sorted(files) if not name.startswith(".")):
            if file.suffix.lower() in AUDIO_SUFFIXES:
                found[file.stem] = file
    return found


def _split(table: Path) -> str | None:
    """Split that a CSV's name tells; None for the class index and, with a warning, for any other CSV."""
    if table.name == CLASS_INDEX:
        return None
    for part, split in _SPLIT_OF_NAME:
        if part in table.name.lower():
            return split
    _log.warning("%s is left out: its name tells no split (train, valid or eval)", table.name)
    return None
