"""`Dataset`: labelled clips of one folder, whichever of three layouts it has, and where the data comes from.

Layouts: a manifest CSV (`toolkit.audio.manifest`), a folder for each class (`toolkit.audio.class_folders`), AudioSet
(`toolkit.audio.audioset`). Files are looked at, not decoded: `toolkit.audio.clips` does that.
Proved by tests/audio/test_dataset.py and the tests of each layout.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import logging
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from toolkit.audio.audioset import CLASS_INDEX, read_audioset
from toolkit.audio.class_folders import read_class_folders
from toolkit.audio.clip import Clip
from toolkit.audio.manifest import read_manifest
from toolkit.specs.errors import UserError

MANIFEST = "manifest.csv"

_HOW_TO_GIVE_DATA = "Name a folder of labelled recordings with --data DIR or the environment variable AEC_DATA."
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Dataset:
    """Clips and the sorted labels they are judged by. `missing` names listed clips whose files are not there."""

    clips: tuple[Clip, ...]
    labels: tuple[str, ...]
    missing: tuple[str, ...] = ()

    def subset(
        self, *, split: str | None = None, labels: Sequence[str] | None = None, tier: str | None = None
    ) -> Dataset:
        """Clips of one split, of one tier, or of some labels; background clips stay.

        Only `labels` changes `Dataset.labels`: clips keep those of their labels that are asked for, and a clip with
        none left is left out (other sounds of it may go unlisted).

        Raises:
            UserError: a label is not one of this dataset.
        """
        wanted = self.labels if labels is None else tuple(sorted(set(labels)))
        for label in sorted(set(wanted) - set(self.labels)):
            near = difflib.get_close_matches(label, self.labels, n=1)
            hint = f"did you mean {near[0]}?" if near else f"expected some of: {', '.join(self.labels):.300}"
            raise UserError(f"label {label!r} is not in the data; {hint}")
        kept = []
        for clip in self.clips:
            labels_left = tuple(label for label in clip.labels if label in wanted)
            if (
                (split is None or clip.split == split)
                and (tier is None or clip.tier == tier)
                and (labels_left or not clip.labels)
            ):
                kept.append(clip if labels_left == clip.labels else replace(clip, labels=labels_left))
        return Dataset(tuple(kept), wanted, self.missing)

    def clips_per_label(self) -> dict[str, int]:
        """How many clips carry each label."""
        counts = Counter(label for clip in self.clips for label in clip.labels)
        return {label: counts[label] for label in self.labels}

    @cached_property
    def data_hash(self) -> str:
        """16 hexadecimal digits of the SHA-256 over the sorted (name, labels, split, size in bytes) of the clips.

        Equal wherever the data lies; it does not read the sound, so an edit that keeps a file's size goes unseen.
        """
        rows = sorted([clip.name, list(clip.labels), clip.split, clip.size_bytes] for clip in self.clips)
        return hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:16]


def load_dataset(path: Path, labels: Sequence[str] | None = None) -> Dataset:
    """Read the dataset at `path`: a manifest CSV, or a folder with one, with AudioSet's files, or of class folders.

    Listed files that are not there are left out with a warning. `labels` keeps these alone (as `Dataset.subset`), so
    that other labels may lack clips.

    Raises:
        UserError: nothing usable is there, a CSV is wrong, or a label is left with no clip.
    """
    listed = _listed(path)
    clips = tuple(clip for clip in listed if clip.size_bytes is not None)
    missing = tuple(clip.name for clip in listed if clip.size_bytes is None)
    if missing:
        shown = ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
        _log.warning("%d of %d listed clips are not there and left out: %s", len(missing), len(listed), shown)
    if not clips:
        raise UserError(f"no clip of {path} is there. {_HOW_TO_GIVE_DATA}")
    all_labels = tuple(sorted({label for clip in listed for label in clip.labels}))
    dataset = Dataset(clips, all_labels, missing).subset(labels=labels)
    require_clips(dataset.clips, dataset.labels)
    return dataset


def require_clips(clips: Iterable[Clip], labels: Iterable[str]) -> None:
    """Raise a UserError that names those of `labels` which none of `clips` carries."""
    empty = sorted(set(labels) - {label for clip in clips for label in clip.labels})
    if empty:
        raise UserError(f"no usable clip is left for: {', '.join(empty):.300}. Add clips for it or take the label out.")


def data_root(option: Path | None) -> Path:
    """Where the recordings lie: the option, or else the environment variable AEC_DATA.

    Raises:
        UserError: neither is given, or there is nothing at that place.
    """
    given = option or (Path(os.environ["AEC_DATA"]) if os.environ.get("AEC_DATA") else None)
    if given is None:
        raise UserError(f"no recordings were given. {_HOW_TO_GIVE_DATA}")
    if not given.exists():
        raise UserError(f"{given} does not exist. {_HOW_TO_GIVE_DATA}")
    return given


def _listed(path: Path) -> list[Clip]:
    if path.is_file():
        if path.suffix.lower() != ".csv":
            raise UserError(f"{path} is one file, expected a manifest CSV or a folder. {_HOW_TO_GIVE_DATA}")
        return read_manifest(path)
    if not path.is_dir():
        raise UserError(f"{path} does not exist. {_HOW_TO_GIVE_DATA}")
    if (path / MANIFEST).is_file():
        return read_manifest(path / MANIFEST)
    if (path / CLASS_INDEX).is_file():
        return read_audioset(path)
    clips = read_class_folders(path)
    if not clips:
        raise UserError(f"{path} holds no {MANIFEST}, no {CLASS_INDEX} and no class folder with clips.")
    return clips
