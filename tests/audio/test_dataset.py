"""`Dataset`: the layout is recognised, missing clips are left out, empty labels are an error, the hash is stable."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolkit.audio.dataset import data_root, load_dataset
from toolkit.specs.errors import UserError

ROWS = (
    "file,labels,split,tier",
    "a.wav,Dog;Bark,train,open",
    "b.wav,Dog,validation,research",
    "c.wav,Cat,train,open",
    "d.wav,,train,open",
)


def dataset_folder(folder: Path, *lines: str, there: str = "abcd") -> Path:
    """A folder with a manifest and files that look like clips."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "manifest.csv").write_text("\n".join(lines or ROWS) + "\n")
    for stem in there:
        (folder / f"{stem}.wav").write_bytes(b"sound")
    return folder


def test_layouts_are_told_apart(tmp_path: Path) -> None:
    """A manifest (named or in a folder), AudioSet's files and class folders load through the same call."""
    manifest = dataset_folder(tmp_path / "manifest")
    assert load_dataset(manifest).labels == ("Bark", "Cat", "Dog")
    assert load_dataset(manifest / "manifest.csv").clips == load_dataset(manifest).clips
    folders = tmp_path / "folders"
    audioset = tmp_path / "audioset"
    for clip in (folders / "Dog" / "a.wav", audioset / "abc.wav"):
        clip.parent.mkdir(parents=True)
        clip.write_bytes(b"sound")
    assert load_dataset(folders).labels == ("Dog",)
    (audioset / "class_labels_indices.csv").write_text("index,mid,display_name\n0,/m/0bt9lr,Dog\n")
    (audioset / "eval_segments.csv").write_text('abc, 0.000, 10.000, "/m/0bt9lr"\n')
    (clip_of_audioset,) = load_dataset(audioset).clips
    assert (clip_of_audioset.labels, clip_of_audioset.split) == (("Dog",), "test")


def test_what_is_no_dataset(tmp_path: Path) -> None:
    """A missing place, a sound file, an empty folder and a manifest of nothing each say what was expected."""
    (tmp_path / "a.wav").touch()
    (tmp_path / "empty").mkdir()
    dataset_folder(tmp_path / "bare", "file,labels,split")
    for name, message in (
        ("gone", "does not exist"),
        ("a.wav", "expected a manifest CSV or a folder"),
        ("empty", "holds no manifest.csv, no class_labels_indices.csv and no class folder"),
        ("bare", "no clip of .* is there"),
    ):
        with pytest.raises(UserError, match=message):
            load_dataset(tmp_path / name)


def test_missing_clips_are_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A listed file that is not there is reported and left out."""
    dataset = load_dataset(dataset_folder(tmp_path, there="acd"))
    assert [clip.name for clip in dataset.clips] == ["a.wav", "c.wav", "d.wav"]
    assert dataset.missing == ("b.wav",)
    assert "1 of 4 listed clips are not there and left out: b.wav" in caplog.text


def test_label_left_with_no_clip(tmp_path: Path) -> None:
    """A label whose clips are all missing is an error that names it, unless other labels alone are asked for."""
    folder = dataset_folder(tmp_path, there="abd")
    with pytest.raises(UserError, match=r"no usable clip is left for: Cat\."):
        load_dataset(folder)
    assert load_dataset(folder, labels=["Dog"]).labels == ("Dog",)


def test_subset(tmp_path: Path) -> None:
    """Splits and tiers choose clips and keep the labels; labels cut what clips carry; background stays."""
    dataset = load_dataset(dataset_folder(tmp_path))
    validation = dataset.subset(split="validation")
    assert ([clip.name for clip in validation.clips], validation.labels) == (["b.wav"], dataset.labels)
    assert [clip.name for clip in dataset.subset(tier="open").clips] == ["a.wav", "c.wav", "d.wav"]
    dogs = dataset.subset(labels=["Dog"])
    assert {clip.name: clip.labels for clip in dogs.clips} == {"a.wav": ("Dog",), "b.wav": ("Dog",), "d.wav": ()}
    assert dogs.labels == ("Dog",)
    with pytest.raises(UserError, match="'Dgo' is not in the data; did you mean Dog"):
        dataset.subset(labels=["Dgo"])


def test_clips_per_label(tmp_path: Path) -> None:
    """A clip counts for each of its labels; a label without clips counts zero."""
    dataset = load_dataset(dataset_folder(tmp_path))
    assert dataset.clips_per_label() == {"Bark": 1, "Cat": 1, "Dog": 2}
    assert dataset.subset(split="validation").clips_per_label() == {"Bark": 0, "Cat": 0, "Dog": 1}


def test_data_hash(tmp_path: Path) -> None:
    """The hash goes with the data, not with its place or order, and changes with name, labels, split or size."""
    header, first, *others = ROWS
    original = load_dataset(dataset_folder(tmp_path / "0")).data_hash
    assert len(original) == 16
    assert load_dataset(dataset_folder(tmp_path / "1", header, *others, first)).data_hash == original
    changed = {original}
    for place, line in enumerate(
        ("a.wav,Dog,train,open", "a.wav,Dog;Bark,validation,open", "e.wav,Dog;Bark,train,open")
    ):
        changed.add(
            load_dataset(dataset_folder(tmp_path / f"2{place}", header, line, *others, there="abcde")).data_hash
        )
    longer = dataset_folder(tmp_path / "3")
    (longer / "a.wav").write_bytes(b"more sound")
    changed.add(load_dataset(longer).data_hash)
    assert len(changed) == 5


def test_data_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The option comes before AEC_DATA; with neither, or with a place that is not there, it says how to give data."""
    monkeypatch.setenv("AEC_DATA", str(tmp_path))
    (tmp_path / "other").mkdir()
    assert data_root(tmp_path / "other") == tmp_path / "other"
    assert data_root(None) == tmp_path
    for value in ("", str(tmp_path / "gone")):
        monkeypatch.setenv("AEC_DATA", value)
        with pytest.raises(UserError, match="--data DIR or the environment variable AEC_DATA"):
            data_root(None)
