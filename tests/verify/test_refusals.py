"""Damaged bundles, other Runs and data that says nothing of the labels are refused in one line."""

from __future__ import annotations

import csv
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.verify.verbs import certified, state_true_hashes, verify_verb
from toolkit.specs.bundle import BundleManifest
from toolkit.specs.run import Run

pytestmark = pytest.mark.xdist_group("bundle")


Damage = Callable[[Path, Path], list[str | Path]]
"""Spoils a bundle, or a copy of the data, and returns the arguments to go with it."""


def _flipped(name: str) -> Damage:
    def flip(bundle: Path, _: Path) -> list[str | Path]:
        content = bytearray((bundle / name).read_bytes())
        content[len(content) // 2] ^= 1
        (bundle / name).write_bytes(content)
        return []

    return flip


def _missing(name: str) -> Damage:
    def remove(bundle: Path, _: Path) -> list[str | Path]:
        (bundle / name).unlink()
        return []

    return remove


def _no_model(bundle: Path, _: Path) -> list[str | Path]:
    (bundle / "clip.int8.tflite").write_bytes(b"no model at all")
    state_true_hashes(bundle)
    return []


def _swapped(bundle: Path, _: Path) -> list[str | Path]:
    shutil.copy(bundle / "clip.int8.tflite", bundle / "stream.int8.tflite")
    state_true_hashes(bundle)
    return []


def _data(*rows: tuple[str, str, str], split: str = "") -> Damage:
    def write(_: Path, folder: Path) -> list[str | Path]:
        folder.mkdir()
        soundfile.write(folder / "c.wav", np.zeros(800), 8000)
        for row in rows:
            shutil.copy(folder / "c.wav", folder / row[0])
        with (folder / "manifest.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([("path", "labels", "split"), *rows])
        return ["--data", folder, *(["--split", split] if split else [])]

    return write


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_flipped("stream.fp32.tflite"), r"stream\.fp32\.tflite is damaged"),
        (_flipped("clip.int8.tflite"), r"clip\.int8\.tflite is damaged"),
        (_flipped("golden.safetensors"), r"golden\.safetensors is damaged"),
        (_flipped("labels.txt"), r"labels\.txt is damaged"),
        (_missing("clip.int8.tflite"), r"clip\.int8\.tflite is missing"),
        (_missing("golden.safetensors"), r"golden\.safetensors is missing"),
        (_missing("manifest.json"), r"holds no bundle .* python -m toolkit\.export"),
        (_no_model, r"cannot run .*clip\.int8\.tflite"),
        (_swapped, r"stream\.int8\.tflite has inputs .* its manifest says"),
        (lambda *_: ["--data", "nowhere"], r"nowhere does not exist"),
        (_data(("z.wav", "Zebra", "test")), r"none of the bundle's labels; it has Zebra, the bundle Alarm, Dog, Siren"),
        (
            _data(("a.wav", "Alarm", "train"), ("b.wav", "", "test"), ("z.wav", "Zebra", "test"), split="test"),
            r"split 'test' of the data holds no clip with a label of the bundle\. Name another with --split: train\.",
        ),
        (_data(("a.wav", "Alarm", "train"), split="tset"), r"split 'tset' .* Name another with --split: train\."),
    ],
)
def test_what_cannot_be_verified_exits_2(
    bundle: Path, calibrated_run: Path, tmp_path: Path, damage: Damage, message: str
) -> None:
    """Damaged bundles and data that says nothing of the labels: one line, and no certificate."""
    done = verify_verb(bundle, calibrated_run, *damage(bundle, tmp_path / "data"))
    assert done.exit_code == 2, done.output
    assert re.fullmatch(rf"error: .*{message}.*\n", done.stderr)
    assert not done.stdout
    assert not (bundle / "certificate.json").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--agent", "native"), "--agent has no meaning without --target"),
        (("--agent", "python", "--python", "python3.11"), "--agent, --python have no meaning without --target"),
        (("--split", "test"), "--split has no meaning without --data"),
    ],
)
def test_options_that_would_do_nothing_are_refused(
    bundle: Path, calibrated_run: Path, arguments: tuple[str, ...], message: str
) -> None:
    """Nothing that is typed is passed over in silence."""
    done = verify_verb(bundle, calibrated_run, *arguments)
    assert done.exit_code == 2
    assert message in done.stderr
    assert not (bundle / "certificate.json").exists()


def test_another_run_is_refused(bundle: Path, tiny_run: Path) -> None:
    """The same weights with other ranges are another Run, and both are named."""
    done = verify_verb(bundle, tiny_run)
    assert done.exit_code == 2
    manifest = BundleManifest.load(bundle / "manifest.json")
    assert f"made from Run tiny ({manifest.run_hash}), this Run is tiny ({Run.open(tiny_run).hash})" in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_default_split_is_one_that_has_the_labels(bundle: Path, calibrated_run: Path, tmp_path: Path) -> None:
    """A test split of background alone tells nothing: the next split is taken."""
    arguments = _data(("a.wav", "Alarm", "train"), ("b.wav", "", "test"))(bundle, tmp_path / "data")
    done = verify_verb(bundle, calibrated_run, *arguments)
    assert done.exit_code == 0, done.output
    _, files = certified(bundle)
    assert {file.labelled.split for file in files.values() if file.labelled} == {"train"}
