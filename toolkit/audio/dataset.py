"""`Dataset`: labelled clips of one folder, whichever of four layouts it has, and where the data comes from.

Layouts: a manifest CSV (`toolkit.audio.manifest`), a folder for each class (`toolkit.audio.class_folders`), AudioSet
(`toolkit.audio.audioset`), shards (`toolkit.audio.shards`). Files are looked at, not decoded: `toolkit.audio.clips`
does that.
Proved by tests/audio/test_dataset.py and the tests of each layout.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from toolkit.audio.audioset import CLASS_INDEX, read_audioset
from toolkit.audio.class_folders import read_class_folders
from toolkit.audio.clip import Clip
from toolkit.audio.manifest import read_manifest
from toolkit.audio.shards import INDEX, PLAN, Index, ShardClips
from toolkit.specs.errors import UserError

MANIFEST = "manifest.csv"

_HOW_TO_GIVE_DATA = "Name a folder of labelled recordings with --data DIR or the environment variable AEC_DATA."
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Dataset:
    """Clips and the sorted labels they are judged by. `missing` names listed clips whose files are not there.

    Every method is quick for the millions of clips that shards hold; going through `clips` one by one is not.
    """

    clips: Sequence[Clip]
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
        if isinstance(self.clips, ShardClips):
            return Dataset(self.clips.where(split, wanted, tier), wanted, self.missing)
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
        carriers = self.positions()
        return {label: len(carriers[label]) for label in self.labels}

    def positions(self) -> Mapping[str | None, NDArray[np.int64]]:
        """For each label the places in `clips` of those that carry it, rising; under None, of those without label."""
        if isinstance(self.clips, ShardClips):
            return self.clips.positions()
        found: dict[str | None, list[int]] = {label: [] for label in (None, *self.labels)}
        for place, clip in enumerate(self.clips):
            for label in clip.labels or (None,):
                found.setdefault(label, []).append(place)
        return {label: np.array(places, dtype=np.int64) for label, places in found.items()}

    @cached_property
    def data_hash(self) -> str:
        """16 hexadecimal digits of the SHA-256 over the sorted (name, labels, split, size in bytes) of the clips.

        Equal wherever the data lies; it does not read the sound, so an edit that keeps a file's size goes unseen.
        """
        if isinstance(self.clips, ShardClips):
            return self.clips.data_hash
        rows = sorted([clip.name, list(clip.labels), clip.split, clip.size_bytes] for clip in self.clips)
        return hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:16]


def load_dataset(path: Path, labels: Sequence[str] | None = None) -> Dataset:
    """Read the dataset at `path`: a manifest CSV, or a folder with one, of shards, with AudioSet's files, or of class
    folders.

    Listed files that are not there are left out with a warning. `labels` keeps these alone (as `Dataset.subset`), so
    that other labels may lack clips.

    Raises:
        UserError: nothing usable is there, a CSV is wrong, or a label is left with no clip.
    """
    if (path / INDEX).is_file():
        clips_of_shards = ShardClips(Index.load(path))
        return _complete(Dataset(clips_of_shards, clips_of_shards.labels).subset(labels=labels))
    listed = _listed(path)
    clips = tuple(clip for clip in listed if clip.size_bytes is not None)
    missing = tuple(clip.name for clip in listed if clip.size_bytes is None)
    if missing:
        shown = ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
        _log.warning("%d of %d listed clips are not there and left out: %s", len(missing), len(listed), shown)
    if not clips:
        raise UserError(f"no clip of {path} is there. {_HOW_TO_GIVE_DATA}")
    all_labels = tuple(sorted({label for clip in listed for label in clip.labels}))
    return _complete(Dataset(clips, all_labels, missing).subset(labels=labels))


def _complete(dataset: Dataset) -> Dataset:
    require_carried(dataset.labels, (label for label, count in dataset.clips_per_label().items() if count))
    return dataset


def require_carried(labels: Iterable[str], carried: Iterable[str]) -> None:
    """Raise a UserError that names those of `labels` which are not `carried` by a clip."""
    empty = sorted(set(labels) - set(carried))
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
    if (path / PLAN).is_file():
        raise UserError(f"the shards of {path} are not finished. Run the command that writes them again, it goes on.")
    if (path / MANIFEST).is_file():
        return read_manifest(path / MANIFEST)
    if (path / CLASS_INDEX).is_file():
        return read_audioset(path)
    clips = read_class_folders(path)
    if not clips:
        raise UserError(f"{path} holds no {MANIFEST}, no {CLASS_INDEX} and no class folder with clips.")
    return clips
