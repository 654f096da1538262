"""Shards read as any other layout does: the same subsets, counts and positions, by columns instead of clip by clip."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.audio.clip import SPLITS, Clip, Span
from toolkit.audio.clips import decode_all, read_clip
from toolkit.audio.dataset import Dataset, load_dataset
from toolkit.audio.shards import INDEX, PLAN, Index, Ragged, ShardClips, ShardFile, Vocabularies
from toolkit.shards.write import encoded
from toolkit.specs.errors import UserError

LABELS = ("Bark", "Cat", "Dog", "Évier")
TIERS = (None, "open", "research")


def packed(offset_bytes: int, size_bytes: int, **facts: Any) -> Clip:
    """A clip that lies in a shard."""
    return Clip(size_bytes=size_bytes, span=Span(offset_bytes, size_bytes), **facts)


clips_of_shards = st.builds(
    packed,
    offset_bytes=st.integers(0, 1 << 40),
    size_bytes=st.integers(0, 1 << 40),
    path=st.sampled_from([Path("shard-0.tar"), Path("shard-1.tar")]),
    name=st.text(max_size=8),
    labels=st.sets(st.sampled_from(LABELS)).map(lambda labels: tuple(sorted(labels))),
    split=st.sampled_from(SPLITS),
    group=st.text(max_size=3),
    dataset=st.sampled_from([None, "esc50"]),
    tier=st.sampled_from(TIERS),
    licence=st.sampled_from([None, "CC0"]),
)


def index_of(clips: list[Clip], folder: Path = Path()) -> Index:
    """The index that tells of these clips."""
    paths = sorted({clip.path.name for clip in clips})
    labels = sorted({label for clip in clips for label in clip.labels})
    origins = sorted({(clip.dataset, clip.tier, clip.licence) for clip in clips}, key=str)
    spans = [clip.span or Span(0, 0) for clip in clips]
    return Index(
        folder,
        Vocabularies(
            shards=tuple(ShardFile(name=name, size_bytes=0) for name in paths),
            labels=tuple(labels),
            splits=SPLITS,
            origins=tuple(origins),
        ),
        shard=np.array([paths.index(clip.path.name) for clip in clips], np.int32),
        offset_bytes=np.array([span.offset_bytes for span in spans], np.int64),
        size_bytes=np.array([span.size_bytes for span in spans], np.int64),
        split=np.array([SPLITS.index(clip.split) for clip in clips], np.int32),
        origin=np.array([origins.index((clip.dataset, clip.tier, clip.licence)) for clip in clips], np.int32),
        labels=Ragged(
            np.array([labels.index(label) for clip in clips for label in clip.labels], np.int32),
            np.cumsum([len(clip.labels) for clip in clips], dtype=np.int64),
        ),
        names=Ragged.of_texts([clip.name for clip in clips]),
        groups=Ragged.of_texts([clip.group for clip in clips]),
    )


@given(
    st.lists(clips_of_shards, min_size=1, max_size=12),
    st.sampled_from([None, *SPLITS]),
    st.sampled_from(TIERS),
    st.none() | st.sets(st.sampled_from(LABELS)),
    st.sampled_from([None, *SPLITS]),
)
def test_columns_say_what_clips_say(
    clips: list[Clip], split: str | None, tier: str | None, asked: set[str] | None, then: str | None
) -> None:
    """Clips, subsets, subsets of subsets, counts and positions are those of a dataset that holds every clip."""
    held = ShardClips(index_of(clips))
    labels = held.labels
    assert labels == tuple(sorted({label for clip in clips for label in clip.labels}))
    wanted = None if asked is None else sorted(asked & set(labels))
    ours = Dataset(held, labels)
    theirs = Dataset(tuple(clips), labels)
    for one, other in (
        (ours, theirs),
        (ours.subset(split=split, tier=tier, labels=wanted), theirs.subset(split=split, tier=tier, labels=wanted)),
        (ours.subset(labels=wanted).subset(split=then), theirs.subset(labels=wanted).subset(split=then)),
    ):
        assert tuple(one.clips) == tuple(other.clips)
        assert one.labels == other.labels
        assert one.clips_per_label() == other.clips_per_label()
        for label in (None, *one.labels):
            assert one.positions()[label].tolist() == other.positions()[label].tolist()
    assert tuple(held[1:]) == tuple(clips[1:])
    assert held[-1] == clips[-1]


@given(st.lists(clips_of_shards, min_size=1, max_size=8), st.sets(st.sampled_from(LABELS)))
def test_hearing_leaves_every_clip(clips: list[Clip], labels: set[str]) -> None:
    """Labels that are not heard go, the clips stay: one that has none left is background."""
    heard = ShardClips(index_of(clips)).hearing(sorted(labels))
    left = [tuple(label for label in clip.labels if label in labels) for clip in clips]
    assert [clip.labels for clip in heard] == left
    assert heard.positions()[None].tolist() == [place for place, kept in enumerate(left) if not kept]


def written(folder: Path) -> tuple[Dataset, list[np.ndarray]]:
    """A folder of one shard with two sounds between other bytes, and the sounds."""
    rng = np.random.default_rng(1)
    sounds = [rng.uniform(-0.5, 0.5, samples).astype(np.float32) for samples in (320, 64_000)]
    content, clips = b"something else", []
    for number, sound in enumerate(sounds):
        file = encoded(sound, 32_000, "flac")
        span = Span(len(content), len(file))
        path = folder / "shard-000000.tar"
        clips.append(Clip(path, f"{number}.wav", ("Dog",), "train", f"{number}", len(file), span=span))
        content += file
    (folder / "shard-000000.tar").write_bytes(content + b"end")
    index = index_of(clips, folder)
    known = index.known.model_copy(update={"shards": (ShardFile(name=path.name, size_bytes=len(content) + 3),)})
    Index(**{**vars(index), "known": known}).save()
    return load_dataset(folder), sounds


def test_sounds_are_read_from_their_place(tmp_path: Path) -> None:
    """Clips come out of the shard at random, to 16 bit, by the same call that decodes files."""
    dataset, sounds = written(tmp_path)
    for place in (1, 0, 1):
        assert np.abs(read_clip(dataset.clips[place], 32_000) - sounds[place]).max() <= 0.5001 / 32_768
    assert [len(each.waveform) for each in decode_all(dataset.clips, 16_000).clips] == [160, 32_000]
    assert dataset.clips[0].root == tmp_path


def test_the_hash_is_of_the_clips_not_of_the_place(tmp_path: Path) -> None:
    """A copy elsewhere has the same hash; other clips have another."""
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    here, there = written(tmp_path / "one")[0], written(tmp_path / "other")[0]
    assert here.data_hash == there.data_hash
    assert here.subset(split="test").data_hash != here.data_hash


def cut(path: Path) -> None:
    """Leave half of a file."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("shard-000000.tar", Path.unlink, r"shard-000000\.tar is missing, expected \d+ bytes"),
        ("shard-000000.tar", cut, r"shard-000000\.tar is \d+ bytes long, expected \d+"),
        (INDEX, cut, "is damaged"),
        (INDEX, lambda path: path.write_bytes(b"no index"), "is damaged"),
    ],
)
def test_what_is_missing_or_cut_is_named(
    tmp_path: Path, name: str, change: Callable[[Path], object], message: str
) -> None:
    """A folder that was not copied whole says which file, before training begins."""
    written(tmp_path)
    change(tmp_path / name)
    with pytest.raises(UserError, match=message):
        load_dataset(tmp_path)


def test_a_clip_damaged_inside_its_shard_is_named(tmp_path: Path) -> None:
    """Bytes that are no sound any more are an error with the shard and the place, not noise."""
    clip = written(tmp_path)[0].clips[1]
    content = clip.path.read_bytes()
    clip.path.write_bytes(content.replace(b"fLaC", b"????"))
    with pytest.raises(UserError, match=r"shard-000000\.tar from byte \d+ on is not audio"):
        read_clip(clip, 32_000)


def test_unfinished_shards_are_told(tmp_path: Path) -> None:
    """Where the writer was stopped, the folder is no dataset yet, and what to do is said."""
    (tmp_path / PLAN).write_text("{}")
    with pytest.raises(UserError, match=r"not finished\. Run the command that writes them again"):
        load_dataset(tmp_path)
