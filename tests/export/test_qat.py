"""Quantization-aware fine-tuning brings an int8 subnet nearer to its float self, and touches nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.tiny_bundle import export_verb, sounds
from tests.tiny_run import write_sound, write_sounds
from toolkit.export.export import load_subnet
from toolkit.export.qat import quantization_aware, rounded_logits
from toolkit.frontend import LogMel
from toolkit.specs.bundle import BundleManifest
from toolkit.specs.run import Range, Run
from toolkit.supernet.static import StaticNet
from toolkit.train.evaluate import activation_ranges

Frames = torch.Tensor


@pytest.fixture(scope="module")
def frames(calibrated_run: Path) -> Frames:
    """Log-mel [B, 1, T, F] of 4 s of the tests' sounds."""
    front_end = LogMel(Run.open(calibrated_run).manifest.front_end)
    return torch.cat([front_end(torch.from_numpy(sound)[None]) for sound in sounds(4).values()])


@pytest.fixture(scope="module")
def net(calibrated_run: Path) -> StaticNet:
    """The smallest subnet; one weight of each channel is far larger than the others, which int8 suffers from."""
    run = Run.open(calibrated_run)
    made = load_subnet(run, run.manifest.space.smallest).requires_grad_(requires_grad=False)
    for conv in made.convs:
        weight = conv.conv.weight
        before = weight.flatten(1).norm(dim=1)
        weight[:, 0, 0, 0] *= 300
        weight *= (before / weight.flatten(1).norm(dim=1))[:, None, None, None]
    return made


@pytest.fixture(scope="module")
def ranges(net: StaticNet, frames: Frames) -> dict[str, Range]:
    """Of the subnet on the sounds."""
    return activation_ranges(net, frames)


def distance(net: StaticNet, other: torch.Tensor, frames: Frames) -> float:
    """Mean absolute difference of scores."""
    return float((torch.sigmoid(net.taps(frames)["logits"]) - torch.sigmoid(other)).abs().mean())


def test_fine_tuning_brings_int8_nearer(net: StaticNet, ranges: dict[str, Range], frames: Frames) -> None:
    """After forty steps the rounded network is at most three quarters as far from the float one as before."""
    before = {name: value.clone() for name, value in net.state_dict().items()}
    clips = [each[0].numpy() for each in frames]
    learnt = quantization_aware(net, ranges, clips, lambda *_: None, steps=40)
    assert distance(net, rounded_logits(learnt, ranges, frames), frames) < 0.75 * distance(
        net, rounded_logits(net, ranges, frames), frames
    )
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_the_verb_fine_tunes_int8_alone_and_says_on_what(
    calibrated_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The manifest names the data by its hash; the fp32 file is what it is without."""
    monkeypatch.setattr("toolkit.export.qat.STEPS", 2)
    (tmp_path / "data").mkdir()
    data = write_sounds(tmp_path / "data", {"Alarm": (2, 1)})
    wanted = ("--subnet", "smallest", "--run", calibrated_run, "--mode", "frames")
    both = ("--precision", "fp32", "--precision", "int8")
    plain = export_verb(*wanted, *both, "--out", tmp_path)
    tuned = export_verb(*wanted, *both, "--qat", "--data", data, "--out", tmp_path)
    assert (plain.exit_code, tuned.exit_code) == (0, 0), tuned.output
    bundles = [tmp_path / "bundles" / name for name in ("run-smallest", "run-smallest-qat")]
    manifests = [BundleManifest.load(bundle / "manifest.json") for bundle in bundles]
    assert manifests[0].qat_data_hash is None
    assert manifests[1].qat_data_hash
    hashes = [{file.precision: file.sha256 for file in manifest.files} for manifest in manifests]
    assert hashes[0]["fp32"] == hashes[1]["fp32"]
    assert hashes[0]["int8"] != hashes[1]["int8"]


def no_training(*_: object, **__: object) -> None:
    """In place of the fine-tuning that must not begin."""
    pytest.fail("trained for nothing")


def test_without_clips_it_says_so(calibrated_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No data named at all, or none to train on: exit code 2, one line, no bundle."""
    monkeypatch.delenv("AEC_DATA", raising=False)
    done = export_verb("--subnet", "smallest", "--run", calibrated_run, "--qat", "--out", tmp_path / "out")
    assert done.exit_code == 2
    assert "--data" in done.stderr
    assert not (tmp_path / "out" / "bundles").exists()


def test_where_nothing_becomes_int8_it_says_so(
    calibrated_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--qat` for files in fp32 alone is refused before any training, and a manifest never tells of one in vain."""
    monkeypatch.setattr("toolkit.export.export.quantization_aware", no_training)
    (tmp_path / "data").mkdir()
    data = write_sounds(tmp_path / "data", {"Alarm": (2, 1)})
    wanted = ("--subnet", "smallest", "--run", calibrated_run, "--precision", "fp32", "--qat", "--data", data)
    done = export_verb(*wanted, "--out", tmp_path / "out")
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
    assert "expected --precision int8 with --qat" in done.stderr
    assert not (tmp_path / "out" / "bundles").exists()


@pytest.mark.parametrize("folder", ["Dog", "background"])
def test_clips_that_do_not_decode_are_told(
    folder: str, calibrated_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where not one clip can be heard, labelled or not, it is one line; where one can, the others do not matter."""
    monkeypatch.setattr("toolkit.export.qat.STEPS", 1)
    sounds_there = tmp_path / "data" / folder
    sounds_there.mkdir(parents=True)
    (sounds_there / "broken.wav").write_bytes(b"no sound")
    wanted = ("--subnet", "smallest", "--run", calibrated_run, "--mode", "frames", "--qat", "--data", tmp_path / "data")
    done = export_verb(*wanted, "--out", tmp_path / "out")
    assert done.exit_code == 2
    assert done.stderr.splitlines()[-1] == (
        "error: --qat needs clips to listen to: of the 1 clips in the data's split `train` none decodes."
    )
    write_sound(tmp_path / "data" / "Kettle" / "good.wav", ["Kettle"], np.random.default_rng(1))
    assert export_verb(*wanted, "--out", tmp_path / "out").exit_code == 0


def test_a_flat_folder_of_sounds_is_heard(
    calibrated_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Labels are not needed: sounds that lie in no class folder do as well, and have a hash of their own."""
    monkeypatch.setattr("toolkit.export.qat.STEPS", 1)
    for number in range(3):
        write_sound(tmp_path / "data" / f"{number}.wav", ["Bell"], np.random.default_rng(number))
    wanted = ("--subnet", "smallest", "--run", calibrated_run, "--mode", "frames", "--qat", "--data", tmp_path / "data")
    done = export_verb(*wanted, "--out", tmp_path)
    assert done.exit_code == 0, done.output
    assert BundleManifest.load(tmp_path / "bundles" / "run-smallest-qat" / "manifest.json").qat_data_hash
