"""The credits of a Run: every recording it was trained or evaluated on, with source, licence and author.

A dataset may carry a table of its own, `CREDITS.csv` with `file`, `title_or_source` and `author`, whose lines are taken
over. Proved by tests/train/test_credits.py.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path

from toolkit.audio.clip import Clip
from toolkit.audio.windows import whole_name
from toolkit.specs.files import write_text
from toolkit.specs.record import read_text
from toolkit.specs.run import CREDITS

COLUMNS = ("file", "labels", "split", "source", "dataset", "licence", "title", "author")


def write_credits(path: Path, clips: Iterable[Clip], inherited: Path | None = None) -> None:
    """One line for each recording, sorted by name, after those of a Run whose table is `inherited`.

    Raises:
        UserError: one of these tables cannot be read.
    """
    tables: dict[Path, dict[str, dict[str, str]]] = {}
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    if inherited is not None:
        writer.writerows(list(csv.reader(io.StringIO(read_text(inherited))))[1:])
    for clip in sorted(clips, key=lambda clip: clip.name):
        if clip.root not in tables:
            tables[clip.root] = _own_table(clip.root / CREDITS)
        own = tables[clip.root].get(whole_name(clip.name), {})
        stated = (
            clip.group,
            clip.dataset or "",
            clip.licence or "",
            own.get("title_or_source", ""),
            own.get("author", ""),
        )
        writer.writerow((clip.name, ";".join(clip.labels), clip.split, *stated))
    write_text(path, text.getvalue())


def _own_table(path: Path) -> dict[str, dict[str, str]]:
    if not path.is_file():
        return {}
    rows = csv.DictReader(io.StringIO(read_text(path)))
    return {row["file"]: row for row in rows if row.get("file")}
