"""A CSV file as numbered rows, and a list of faults that is raised at once. Knows no column by meaning.

Proved by tests/audio/test_manifest.py and tests/audio/test_audioset.py.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from toolkit.specs.errors import UserError
from toolkit.specs.record import read_text

_SHOWN = 20


def rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield (line number, fields) of each row that is not blank.

    Raises:
        UserError: the file is missing, is not UTF-8 or not CSV.
    """
    reader = csv.reader(io.StringIO(read_text(path).removeprefix("\ufeff")), skipinitialspace=True, strict=True)
    try:
        for fields in reader:
            if any(field.strip() for field in fields):
                yield reader.line_num, fields
    except csv.Error as error:
        raise UserError(f"{path}, line {reader.line_num}: not CSV ({error}). Mend the line.") from None


class Faults:
    """Faults of one file, gathered while it is read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._found: list[str] = []

    def add(self, line: int, fault: str) -> None:
        """Note what is wrong on a line (counted from 1)."""
        self._found.append(f"line {line}: {fault}")

    def raise_any(self) -> None:
        """Raise a UserError that lists the faults, the first ones in full, when there is one."""
        if not self._found:
            return
        count = f"{len(self._found)} fault" + ("s" if len(self._found) > 1 else "")
        shown = self._found[:_SHOWN]
        if len(self._found) > _SHOWN:
            shown.append(f"and {len(self._found) - _SHOWN} more")
        raise UserError(f"{self._path} cannot be used ({count}):\n" + "\n".join(f"  {fault}" for fault in shown))
