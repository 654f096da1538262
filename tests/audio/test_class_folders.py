"""The class-folder layout: names of folders are labels, and a hash of the file name makes the split."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.audio.class_folders import read_class_folders, split_of
from toolkit.specs.errors import UserError


def touch(root: Path, *names: str) -> None:
    """Files that look like clips to whoever does not decode them."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"sound")


def test_labels_of_folders(tmp_path: Path) -> None:
    """A folder names one label or several, background none; deeper folders count, other and hidden files do not."""
    touch(tmp_path, "Dog/1.WAV", "Dog/deep/2.mp3", "Bark;Dog/3.ogg", "background/4.flac")
    touch(tmp_path, "Dog/notes.txt", "Dog/._1.wav", ".cache/x/5.wav")
    assert {clip.name: clip.labels for clip in read_class_folders(tmp_path)} == {
        "Dog/1.WAV": ("Dog",),
        "Dog/deep/2.mp3": ("Dog",),
        "Bark;Dog/3.ogg": ("Bark", "Dog"),
        "background/4.flac": (),
    }


def test_split_by_file_name() -> None:
    """About a fifth of many names goes to validation, wherever the file lies."""
    splits = [split_of(f"{index}.wav") for index in range(5_000)]
    assert set(splits) == {"train", "validation"}
    assert 0.18 < splits.count("validation") / len(splits) < 0.22


@given(st.lists(st.from_regex(r"[a-z]{1,6}\.wav", fullmatch=True), min_size=1, max_size=8, unique=True))
def test_split_is_the_same_everywhere(names: list[str]) -> None:
    """A file name is in the same split in every class and beside any other file."""
    with tempfile.TemporaryDirectory() as folder:
        touch(Path(folder), *(f"{label}/{name}" for label in ("Cat", "Dog") for name in names))
        together = {clip.name: clip.split for clip in read_class_folders(Path(folder))}
    with tempfile.TemporaryDirectory() as folder:
        touch(Path(folder), f"Dog/{names[0]}")
        (alone,) = read_class_folders(Path(folder))
    assert together[f"Dog/{names[0]}"] == together[f"Cat/{names[0]}"] == alone.split


def test_splits_of_the_user(tmp_path: Path) -> None:
    """Top folders train, validation and test are the splits."""
    touch(tmp_path, "train/Dog/1.wav", "validation/Dog/2.wav", "test/Dog/3.wav")
    assert {clip.name: (clip.split, clip.labels) for clip in read_class_folders(tmp_path)} == {
        "train/Dog/1.wav": ("train", ("Dog",)),
        "validation/Dog/2.wav": ("validation", ("Dog",)),
        "test/Dog/3.wav": ("test", ("Dog",)),
    }


def test_stray_folder_beside_splits(tmp_path: Path) -> None:
    """A folder beside the splits is no class: it is named."""
    touch(tmp_path, "train/Dog/1.wav", "val/Dog/2.wav")
    with pytest.raises(UserError, match=r"beside others \(val\)"):
        read_class_folders(tmp_path)


def test_empty_class(tmp_path: Path) -> None:
    """A class folder with no audio file is an error that names it."""
    touch(tmp_path, "Dog/1.wav", "Cat/readme.txt")
    with pytest.raises(UserError, match=r"class folder .*Cat holds no audio file"):
        read_class_folders(tmp_path)


def test_file_that_leads_nowhere(tmp_path: Path) -> None:
    """A dangling link is listed as not there."""
    touch(tmp_path, "Dog/1.wav")
    (tmp_path / "Dog" / "2.wav").symlink_to("nowhere")
    assert {clip.name: clip.size_bytes for clip in read_class_folders(tmp_path)} == {"Dog/1.wav": 5, "Dog/2.wav": None}
