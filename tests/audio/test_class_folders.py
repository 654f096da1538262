"""The class-folder layout: names of folders are labels, and a hash of the file name makes the split."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.audio.class_folders import read_class_folders, validation_names
from toolkit.specs.errors import UserError


def touch(root: Path, *names: str) -> None:
    """Files that look like clips to whoever does not decode them."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"sound")


def test_labels_of_folders(tmp_path: Path) -> None:
    """A folder names one label or several, background none; deeper folders count, other and hidden files do not."""
    touch(tmp_path, "Dog/1.WAV", "Dog/deep/2.mp3", "Bark;Dog/3.ogg", "Background/4.flac")
    touch(tmp_path, "Dog/notes.txt", "Dog/._1.wav", ".cache/x/5.wav")
    assert {clip.name: clip.labels for clip in read_class_folders(tmp_path)} == {
        "Dog/1.WAV": ("Dog",),
        "Dog/deep/2.mp3": ("Dog",),
        "Bark;Dog/3.ogg": ("Bark", "Dog"),
        "Background/4.flac": (),
    }


@pytest.mark.parametrize(("files", "held_out"), [(3, 0), (4, 1), (12, 3), (20, 5), (24, 5), (25, 5), (5_000, 1_000)])
def test_split_by_file_name(files: int, held_out: int) -> None:
    """One in five goes to validation, of a small class a quarter, whatever the files are called."""
    for pattern in ("{}.wav", "Recording {}.mp3", "bell-{:02}.ogg"):
        names = [pattern.format(index) for index in range(files)]
        assert len(set(validation_names(names))) == held_out
        assert set(validation_names(names)) <= set(names)


@given(st.lists(st.from_regex(r"[a-z]{1,6}\.wav", fullmatch=True), min_size=1, max_size=8, unique=True), st.randoms())
def test_split_is_the_same_everywhere(names: list[str], rng: random.Random) -> None:
    """A file name is in the same split in every class, in whatever order and wherever the folder lies."""
    some = rng.sample(names, rng.randint(1, len(names)))
    found = []
    for order in (sorted, reversed):
        with tempfile.TemporaryDirectory() as folder:
            touch(Path(folder), *(f"Dog/{name}" for name in order(names)), *(f"Cat/{name}" for name in order(some)))
            found.append({clip.name: clip.split for clip in read_class_folders(Path(folder))})
    assert found[0] == found[1]
    assert all(found[0][f"Cat/{name}"] == found[0][f"Dog/{name}"] for name in some)


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
