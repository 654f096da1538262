"""A dataset of any layout as shards: 16-bit mono at one rate, long recordings cut into windows.

    shard-000000.tar   000000000-00000.flac, 000000000-00000.json, ...   number of the clip, number of the window
    broken.csv         clips that do not decode, and why
    CREDITS.csv        the dataset's own, if it has one
    shards.json        what was asked for, written first
    shards.npz         the index, written last

The dataset alone decides which clips stand in which shard, and a shard appears whole: one that is there is kept.
Proved by tests/shards/test_write.py.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import logging
import os
import shutil
import tarfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import soundfile

from toolkit.audio.clip import Clip
from toolkit.audio.clips import read_clip
from toolkit.audio.dataset import Dataset
from toolkit.audio.shards import PLAN, PackedClip
from toolkit.audio.windows import stream_windows, window_name
from toolkit.shards.index import SHARDS, write_index
from toolkit.specs.errors import MismatchError, UserError
from toolkit.specs.files import new_file, write_text
from toolkit.specs.record import Part, Record
from toolkit.specs.run import CREDITS

BROKEN = "broken.csv"
FULL_SCALE = 32_768
_log = logging.getLogger(__name__)


class ShardOptions(Part):
    """How shards are to be written."""

    sample_rate_hz: int = 32_000
    window_seconds: float = 10.0
    """Longer clips are cut into windows of this length; 0 keeps them whole."""
    form: Literal["flac", "wav"] = "flac"
    shard_mb: int = 500
    """Recordings for one shard, in MB as they lie in the dataset."""


class ShardPlan(Record):
    """What the shards of one folder are made of."""

    source: str
    """Hash of the dataset in its order: the position of a clip decides on its shard."""
    options: ShardOptions


class Written(Part):
    """What there is, and how many of the shards were there before."""

    shards: int
    shards_kept: int
    clips: int
    broken: int


@dataclass(frozen=True, eq=False)
class Window:
    """One clip as it stands in a shard."""

    facts: PackedClip
    sound: bytes


def write_shards(
    dataset: Dataset,
    folder: Path,
    options: ShardOptions,
    on_progress: Callable[[str, int, int], None],
    threads: int | None = None,
) -> Written:
    """Write the clips of a dataset to `folder`, or go on where an earlier call was stopped.

    Raises:
        UserError: no clip decodes, or the folder cannot be written or holds something else.
        MismatchError: the folder was begun with another dataset or other options.
    """
    clips = dataset.clips
    _begin(folder, ShardPlan(source=_ordered_hash(clips), options=options), clips[0])
    broken = _read_broken(folder / BROKEN)
    shards = list(_parts(clips, options.shard_mb * 1_000_000))
    kept = 0
    with ThreadPoolExecutor(threads or os.cpu_count()) as pool:
        for number, positions in enumerate(shards):
            path = folder / SHARDS.replace("*", f"{number:06d}")
            if path.exists():
                kept += 1
                on_progress("writing shards", positions.stop, len(clips))
                continue
            packed = pool.map(partial(_pack, options=options), clips[positions.start : positions.stop])
            with new_file(path) as temporary:
                with tarfile.open(temporary, "w", format=tarfile.USTAR_FORMAT) as tar:
                    for position, windows in zip(positions, packed, strict=True):
                        if isinstance(windows, str):
                            _log.warning("left out: %s", windows)
                            broken[clips[position].name] = windows
                        else:
                            _add(tar, position, windows, options.form)
                        on_progress("writing shards", position + 1, len(clips))
                # Before the shard gets its name: a kill in between costs this shard, never a line of the list.
                _write_broken(folder / BROKEN, broken)
    index = write_index(folder, partial(on_progress, "indexing"))
    if lost := sorted(set(dataset.labels) - set(index.known.labels)):
        _log.warning("no clip decodes of: %s", ", ".join(lost))
    return Written(shards=len(shards), shards_kept=kept, clips=len(index.shard), broken=len(broken))


def _begin(folder: Path, plan: ShardPlan, first: Clip) -> None:
    """Note in a new folder what is written there; see that a begun one is of the same."""
    if (folder / PLAN).exists():
        if ShardPlan.load(folder / PLAN) != plan:
            found = f"{folder} holds shards of other data or with other options, see {PLAN} there."
            raise MismatchError(f"{found} Ask for the same, or name another --out.")
        for left in folder.glob(f".{SHARDS}.*"):
            left.unlink()
        return
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} is no empty folder. Name another --out.")
    folder.mkdir(parents=True, exist_ok=True)
    if (first.root / CREDITS).is_file():
        shutil.copyfile(first.root / CREDITS, folder / CREDITS)
    plan.save(folder / PLAN)


def _ordered_hash(clips: Sequence[Clip]) -> str:
    digest = hashlib.sha256()
    for clip in clips:
        digest.update(json.dumps([clip.name, clip.labels, clip.split, clip.size_bytes]).encode())
    return digest.hexdigest()[:16]


def _parts(clips: Sequence[Clip], size_bytes: int) -> Iterator[range]:
    """Positions of the clips of each shard: as many as make up the size, one at least."""
    start = held = 0
    for position, clip in enumerate(clips):
        held += clip.size_bytes or 0
        if held >= size_bytes or position + 1 == len(clips):
            yield range(start, position + 1)
            start, held = position + 1, 0


def _pack(clip: Clip, options: ShardOptions) -> list[Window] | str:
    """The windows of a clip, or why it does not decode."""
    rate_hz = options.sample_rate_hz
    seconds: list[float] = []
    sounds: list[bytes] = []
    try:
        whole = None if options.window_seconds else [read_clip(clip, rate_hz)]
        for window in whole or stream_windows(clip, options.window_seconds, rate_hz):
            seconds.append(len(window) / rate_hz)
            sounds.append(encoded(window, rate_hz, options.form))
    except UserError as error:
        return str(error)
    windows = []
    for number, sound in enumerate(sounds):
        start_s = number * options.window_seconds
        name = clip.name if len(sounds) == 1 else window_name(clip.name, start_s, start_s + seconds[number])
        facts = PackedClip(
            name=name,
            labels=clip.labels,
            split=clip.split,
            group=clip.group,
            dataset=clip.dataset,
            tier=clip.tier,
            licence=clip.licence,
        )
        windows.append(Window(facts, sound))
    return windows


def encoded(waveform: np.ndarray, sample_rate_hz: int, form: Literal["flac", "wav"]) -> bytes:
    """A waveform [samples] as a 16-bit file; one that was read from 16 bit at this rate is kept to the bit."""
    samples = np.clip(np.rint(waveform * FULL_SCALE), -FULL_SCALE, FULL_SCALE - 1).astype(np.int16)
    file = io.BytesIO()
    soundfile.write(file, samples, sample_rate_hz, format=form.upper(), subtype="PCM_16")
    return file.getvalue()


def _add(tar: tarfile.TarFile, position: int, windows: Sequence[Window], form: str) -> None:
    for number, window in enumerate(windows):
        facts = window.facts.model_dump_json().encode()
        for suffix, content in ((form, window.sound), ("json", facts)):
            member = tarfile.TarInfo(f"{position:09d}-{number:05d}.{suffix}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


def _read_broken(path: Path) -> dict[str, str]:
    if not path.exists():
        return {}
    with path.open(encoding="utf-8", newline="") as file:
        return {row["name"]: row["reason"] for row in csv.DictReader(file)}


def _write_broken(path: Path, broken: dict[str, str]) -> None:
    if broken:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([("name", "reason"), *broken.items()])
        write_text(path, text.getvalue())
