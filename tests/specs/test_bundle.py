"""A bundle is what its manifest says, byte for byte, or it is refused."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes_bundle import LABELS, fake_bundle
from toolkit.specs.bundle import open_bundle
from toolkit.specs.errors import MismatchError, UserError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small whole bundle with two modes and two precisions."""
    return fake_bundle(tmp_path / "bundle", ("clip", "stream"), precisions=("int8", "fp32"))


def test_a_whole_bundle_opens(folder: Path) -> None:
    """Labels, files and front end are those that were written."""
    manifest = open_bundle(folder)
    assert manifest.labels == LABELS
    assert len(manifest.files) == 4


def test_files_are_found_by_what_they_are(folder: Path) -> None:
    """A file that fits mode and precision is found, int8 before others; where none fits, those there are listed."""
    manifest = open_bundle(folder)
    assert manifest.find().name == manifest.files[0].name
    backwards = manifest.model_copy(update={"files": manifest.files[::-1]})
    assert backwards.files[0].precision == "fp32"
    assert backwards.find().name == "stream-int8.tflite"
    assert manifest.find(mode="stream", precision="fp32").name == "stream-fp32.tflite"
    with pytest.raises(
        UserError, match=r"frames .*clip int8 tflite, clip fp32 tflite, stream int8 tflite, stream fp32 tflite"
    ):
        manifest.find(mode="frames")


@pytest.mark.parametrize("name", ["clip-int8.tflite", "stream-fp32.tflite", "labels.txt"])
def test_every_file_is_checked(folder: Path, name: str) -> None:
    """A changed byte or a missing file is found, and named."""
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[:-1] + b"?")
    with pytest.raises(UserError, match=f"{name} is damaged"):
        open_bundle(folder)
    (folder / name).unlink()
    with pytest.raises(UserError, match=f"{name} is missing"):
        open_bundle(folder)


def test_no_bundle_names_the_command(tmp_path: Path) -> None:
    """A folder without a manifest is no bundle; the error says how to make one."""
    with pytest.raises(UserError, match=r"python -m toolkit\.export"):
        open_bundle(tmp_path)


CHANGES: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "labels that are not in the file": (
        lambda raw: (raw.update(labels=["Loud", "Silent"]), raw["decisions"][1].update(label="Silent")),
        "labels",
    ),
    "decisions for other labels": (lambda raw: raw["decisions"].pop(), "decisions and labels differ"),
    "another front end": (lambda raw: raw["front_end"].update(mel_bins=32), "fingerprint"),
    "another schema": (lambda raw: raw.update(schema_version=9), "schema 9"),
    "a near miss": (lambda raw: raw.update(hop_sample=1), "did you mean hop_samples?"),
    "no files": (lambda raw: raw.update(files=[]), "files"),
    "a file elsewhere": (lambda raw: raw["files"][0].update(name="../model.tflite"), "files.0.name"),
    "a digest of a file elsewhere": (lambda raw: raw["other_sha256"].update({"/etc/hosts": "0"}), "other_sha256"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_manifest_that_does_not_fit_is_refused(folder: Path, change: str) -> None:
    """A manifest that contradicts itself or its folder, or leads out of it, is a user's error that says why."""
    raw = json.loads((folder / "manifest.json").read_text())
    CHANGES[change][0](raw)
    (folder / "manifest.json").write_text(json.dumps(raw))
    with pytest.raises(UserError) as caught:
        open_bundle(folder)
    assert CHANGES[change][1] in str(caught.value)


@settings(max_examples=50)
@given(labels=st.lists(st.text(min_size=1), min_size=1, max_size=3))
def test_labels_are_any_lines_of_text(labels: list[str]) -> None:
    """A bundle opens with whatever labels are written with; what is blank or two lines is no label to begin with."""
    with tempfile.TemporaryDirectory() as place:
        if all(label.strip() and not set(label) & {"\n", "\r"} for label in labels):
            assert open_bundle(fake_bundle(Path(place), labels=labels)).labels == tuple(labels)
        else:
            with pytest.raises(ValueError, match="a label must be a line of text"):
                fake_bundle(Path(place), labels=labels)


@pytest.mark.parametrize("separator", "\v\f\x1c\x1d\x1e\x85\u2028\u2029")
def test_only_a_line_feed_ends_a_label(tmp_path: Path, separator: str) -> None:
    """As in the Android app; what else Python takes for the end of a line may stand in a label."""
    labels = (f"Wi{separator}nd", "Rain")
    assert open_bundle(fake_bundle(tmp_path, labels=labels)).labels == labels


def test_labels_of_another_bundle_are_a_mismatch(folder: Path) -> None:
    """Labels in another order than the manifest's are refused, though every digest is right."""
    raw = json.loads((folder / "manifest.json").read_text())
    raw["labels"].reverse()
    raw["decisions"].reverse()
    (folder / "manifest.json").write_text(json.dumps(raw))
    with pytest.raises(MismatchError, match="labels"):
        open_bundle(folder)
