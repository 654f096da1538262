"""The index of a folder of shards, from the tar files alone: whatever wrote them is believed only as far as they read.

Proved by tests/shards/test_write.py; `toolkit.audio.shards` reads it.
"""

from __future__ import annotations

import tarfile
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from toolkit.audio.clip import Span
from toolkit.audio.decode import AUDIO_SUFFIXES
from toolkit.audio.shards import Index, PackedClip, Ragged, ShardFile, Vocabularies
from toolkit.specs.errors import UserError

SHARDS = "shard-*.tar"


def write_index(folder: Path, on_progress: Callable[[int, int], None]) -> Index:
    """Read the headers of every shard of a folder and write the index beside them.

    Raises:
        UserError: a shard is damaged, or none holds a clip.
    """
    paths = sorted(folder.glob(SHARDS))
    numbers = {name: array("q") for name in ("shard", "offset_bytes", "size_bytes", "split", "origin", "label_ends")}
    codes, names, groups = array("i"), list[str](), list[str]()
    labels: dict[str, int] = {}
    splits: dict[str, int] = {}
    origins: dict[tuple[str | None, str | None, str | None], int] = {}
    for shard, path in enumerate(paths):
        for span, facts in _members(path):
            codes.extend(labels.setdefault(label, len(labels)) for label in facts.labels)
            names.append(facts.name)
            groups.append(facts.group)
            origin = (facts.dataset, facts.tier, facts.licence)
            row = (
                shard,
                *span,
                splits.setdefault(facts.split, len(splits)),
                origins.setdefault(origin, len(origins)),
                len(codes),
            )
            for column, value in zip(numbers.values(), row, strict=True):
                column.append(value)
        on_progress(shard + 1, len(paths))
    if not names:
        raise UserError(f"no clip decodes, the reasons stand in {folder}. Name other recordings with --data.")
    ordered = sorted(labels)
    rank = np.empty(len(labels), np.int32)
    rank[[labels[label] for label in ordered]] = np.arange(len(labels))
    columns = {name: np.array(values, dtype=np.int64) for name, values in numbers.items()}
    index = Index(
        folder,
        Vocabularies(
            shards=tuple(ShardFile(name=path.name, size_bytes=path.stat().st_size) for path in paths),
            labels=tuple(ordered),
            splits=tuple(splits),
            origins=tuple(origins),
        ),
        shard=columns["shard"].astype(np.int32),
        offset_bytes=columns["offset_bytes"],
        size_bytes=columns["size_bytes"],
        split=columns["split"].astype(np.int32),
        origin=columns["origin"].astype(np.int32),
        labels=Ragged(rank[np.array(codes, dtype=np.int64)], columns["label_ends"]),
        names=Ragged.of_texts(names),
        groups=Ragged.of_texts(groups),
    )
    index.save()
    return index


def _members(path: Path) -> Iterator[tuple[Span, PackedClip]]:
    """Each clip of a shard: where its sound lies, and what is said of it."""
    sound: tuple[str, Span] | None = None
    again = f"Remove {path} and write the shards again."
    try:
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                key, _, suffix = member.name.partition(".")
                if f".{suffix}" in AUDIO_SUFFIXES:
                    sound = key, Span(member.offset_data, member.size)
                    continue
                text = tar.extractfile(member)
                if suffix != "json" or text is None or sound is None or sound[0] != key:
                    raise UserError(f"{path} holds {member.name}, expected a sound and then its json. {again}")
                yield sound[1], PackedClip.from_text(text.read().decode(), origin=f"{path}, {member.name}")
                sound = None
            if path.stat().st_size < tar.offset + 2 * tarfile.BLOCKSIZE:  # a cut header looks like the end to tarfile
                raise tarfile.ReadError("it ends early")
    except (tarfile.TarError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is damaged ({error}). {again}") from None
