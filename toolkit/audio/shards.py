"""Layout 4, for millions of clips: WebDataset tar files and `shards.npz`, an index that finds any clip with one seek.

`ShardClips` is a sequence that makes a `Clip` when it is asked for one; what it holds are columns, some 100 bytes a
clip. Not the writing: `toolkit.shards` does that. Proved by tests/audio/test_shards.py.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from toolkit.audio.clip import Clip, Span
from toolkit.specs.errors import UserError
from toolkit.specs.files import new_file
from toolkit.specs.record import Part, Record

INDEX, PLAN = "shards.npz", "shards.json"
"""The index, written last, and what the writer was asked for, written first."""

Integers = NDArray[np.int64]


class PackedClip(Part):
    """What a shard says of a clip, as JSON beside its sound."""

    name: str
    labels: tuple[str, ...]
    split: str
    group: str
    dataset: str | None = None
    tier: str | None = None
    licence: str | None = None


class ShardFile(Part):
    """One tar file of the folder."""

    name: str
    size_bytes: int


class Vocabularies(Record):
    """What the numbers in the index stand for. `origins` are the (dataset, tier, licence) that occur together."""

    shards: tuple[ShardFile, ...]
    labels: tuple[str, ...]
    splits: tuple[str, ...]
    origins: tuple[tuple[str | None, str | None, str | None], ...]


@dataclass(frozen=True, eq=False)
class Ragged:
    """Rows of different lengths in one array: row i is `values[ends[i - 1]:ends[i]]`."""

    values: NDArray[Any]
    ends: Integers

    def __getitem__(self, row: int) -> NDArray[Any]:
        return self.values[self.ends[row - 1] if row else 0 : self.ends[row]]

    def text(self, row: int) -> str:
        """A row of UTF-8 as text."""
        return self[row].tobytes().decode()

    @classmethod
    def of_texts(cls, texts: Sequence[str]) -> Ragged:
        """Texts as UTF-8, one a row."""
        return cls(_as_bytes(texts), np.cumsum([len(text.encode()) for text in texts], dtype=np.int64))


@dataclass(frozen=True, eq=False)
class Index:
    """Columns over all clips of a folder of shards."""

    folder: Path
    known: Vocabularies
    shard: NDArray[np.int32]
    offset_bytes: Integers
    size_bytes: Integers
    split: NDArray[np.int32]
    origin: NDArray[np.int32]
    labels: Ragged
    names: Ragged
    groups: Ragged

    def save(self) -> None:
        """Write it beside its shards, whole or not at all."""
        with new_file(self.folder / INDEX) as temporary, temporary.open("wb") as file:
            np.savez(file, known=_as_bytes([self.known.to_json()]), **self.columns)

    @property
    def columns(self) -> dict[str, Any]:
        """Every array by its name in the file."""
        plain = {name: getattr(self, name) for name in _PLAIN}
        ragged = {name: getattr(self, name) for name in _RAGGED}
        ends = {f"{name}_ends": each.ends for name, each in ragged.items()}
        return {**plain, **{name: each.values for name, each in ragged.items()}, **ends}

    @classmethod
    def load(cls, folder: Path) -> Index:
        """Read the index of a folder and see that its shards are there.

        Raises:
            UserError: the index is damaged, or a shard is missing or has another size.
        """
        path = folder / INDEX
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as held:
                known = Vocabularies.from_text(held["known"].tobytes().decode(), origin=str(path))
                plain: dict[str, Any] = {name: held[name] for name in _PLAIN}
                ragged: dict[str, Any] = {name: Ragged(held[name], held[f"{name}_ends"]) for name in _RAGGED}
                index = cls(folder, known, **plain, **ragged)
        except (zipfile.BadZipFile, KeyError, ValueError, EOFError) as error:
            raise UserError(f"{path} is damaged ({error}). Remove it and write the shards again.") from None
        for shard in known.shards:
            there = folder / shard.name
            found = there.stat().st_size if there.is_file() else None
            if found != shard.size_bytes:
                state = "missing" if found is None else f"{found} bytes long"
                raise UserError(f"{there} is {state}, expected {shard.size_bytes} bytes. Copy it anew.")
        return index

    @property
    def label_counts(self) -> Integers:
        """How many labels each clip has."""
        return np.diff(self.labels.ends, prepend=0)


_PLAIN = ("shard", "offset_bytes", "size_bytes", "split", "origin")
_RAGGED = ("labels", "names", "groups")


class ShardClips(Sequence[Clip]):
    """Clips of an index: those of `rows`, with those of their labels that are `heard` (one truth value a label)."""

    def __init__(self, index: Index, rows: Integers | None = None, heard: NDArray[np.bool_] | None = None) -> None:
        self._index = index
        self._rows = np.arange(len(index.shard)) if rows is None else rows
        self._heard = np.ones(len(index.known.labels), bool) if heard is None else heard
        self._paths = [index.folder / shard.name for shard in index.known.shards]

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, at: int) -> Clip: ...
    @overload
    def __getitem__(self, at: slice) -> ShardClips: ...
    def __getitem__(self, at: int | slice) -> Clip | ShardClips:
        if isinstance(at, slice):
            return ShardClips(self._index, self._rows[at], self._heard)
        index, row = self._index, int(self._rows[at])
        known = index.known
        dataset, tier, licence = known.origins[index.origin[row]]
        span = Span(int(index.offset_bytes[row]), int(index.size_bytes[row]))
        return Clip(
            self._paths[index.shard[row]],
            index.names.text(row),
            tuple(known.labels[code] for code in index.labels[row] if self._heard[code]),
            known.splits[index.split[row]],
            index.groups.text(row),
            span.size_bytes,
            dataset,
            tier,
            licence,
            span,
        )

    @property
    def labels(self) -> tuple[str, ...]:
        """Sorted labels that the clips of the whole index carry."""
        return self._index.known.labels

    def where(self, split: str | None, labels: Sequence[str], tier: str | None) -> ShardClips:
        """As `toolkit.audio.dataset.Dataset.subset`."""
        index, known = self._index, self._index.known
        heard = self._heard & np.isin(known.labels, labels)
        counted = self._heard_counts(heard)
        kept = (counted > 0) | (self._heard_counts(self._heard) == 0)
        if split is not None:
            kept &= np.isin(index.split, [code for code, name in enumerate(known.splits) if name == split])
        if tier is not None:
            kept &= np.isin(index.origin, [code for code, origin in enumerate(known.origins) if origin[1] == tier])
        return ShardClips(index, self._rows[kept[self._rows]], heard)

    def hearing(self, labels: Sequence[str]) -> ShardClips:
        """All of these clips, with those of their labels alone; one that has none left counts as background."""
        return ShardClips(self._index, self._rows, self._heard & np.isin(self._index.known.labels, labels))

    def positions(self) -> Mapping[str | None, Integers]:
        """As `toolkit.audio.dataset.Dataset.positions`."""
        index = self._index
        place = np.full(len(index.shard), -1)
        place[self._rows] = np.arange(len(self._rows))
        carriers, codes = np.repeat(place, index.label_counts), index.labels.values
        kept = (carriers >= 0) & self._heard[codes]
        carriers, codes = carriers[kept], codes[kept]
        order = np.lexsort((carriers, codes))
        ends = np.cumsum(np.bincount(codes, minlength=len(self._heard)))
        parts = np.split(carriers[order], ends[:-1]) if len(ends) else []
        found: dict[str | None, Integers] = dict(zip(index.known.labels, parts, strict=True))
        found[None] = np.flatnonzero(self._heard_counts(self._heard)[self._rows] == 0)
        return found

    @cached_property
    def data_hash(self) -> str:
        """16 hexadecimal digits over what the index tells of these clips, their sizes and labels; wherever they lie."""
        digest = hashlib.sha256(self._index.known.to_json().encode())
        for column in (*self._index.columns.values(), self._rows, self._heard):
            digest.update(column.tobytes())
        return digest.hexdigest()[:16]

    def _heard_counts(self, heard: NDArray[np.bool_]) -> Integers:
        """How many of the `heard` labels each clip of the whole index has."""
        running = np.concatenate([[0], np.cumsum(heard[self._index.labels.values])])
        return np.diff(running[self._index.labels.ends], prepend=0)


def _as_bytes(texts: Sequence[str]) -> NDArray[np.uint8]:
    return np.frombuffer("".join(texts).encode(), np.uint8)
