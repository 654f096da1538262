"""`Clip`: one recording with its labels, and the one rule by which label text is read.

Not the sound itself: `toolkit.audio.decode` reads that. Proved by tests/audio/test_dataset.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

SPLITS = ("train", "validation", "test")


class Span(NamedTuple):
    """Where a sound file lies inside a larger file."""

    offset_bytes: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Clip:
    """One recording. `labels` is sorted; none means background: no listed event is heard.

    `name` is the path within the dataset (what reports show), `group` the source recording: clips of one group
    stay in one split. `size_bytes` is None for a clip that is listed but not there: no `Dataset` holds such a clip.
    `dataset`, `tier` and `licence` are None where the manifest does not tell. `span` is its place in `path` where that
    is a shard; `toolkit.audio.clips.read_clip` reads either kind.
    """

    path: Path
    name: str
    labels: tuple[str, ...]
    split: str
    group: str
    size_bytes: int | None
    dataset: str | None = None
    tier: str | None = None
    licence: str | None = None
    span: Span | None = None

    @property
    def root(self) -> Path:
        """Folder of its dataset."""
        return self.path.parent if self.span else Path(str(self.path).removesuffix(self.name))


def split_labels(text: str) -> tuple[str, ...]:
    """Labels of `;`-separated text: unique, sorted, each run of white space one space; empty text gives none."""
    return tuple(sorted({" ".join(label.split()) for label in text.split(";")} - {""}))


def file_size(path: Path) -> int | None:
    """Bytes of a file; None when it is missing, is a folder or has a name that no file can have."""
    try:
        return path.stat().st_size if path.is_file() else None
    except (OSError, ValueError):
        return None
