"""A sound bundle gets a certificate of what was measured, a wrong one misses its bars, a damaged one is refused."""

from __future__ import annotations

import csv
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from safetensors.numpy import load_file, save_file
from sklearn.metrics import average_precision_score

from tests.tiny_bundle import (
    HOP_SAMPLES,
    SAMPLE_RATE_HZ,
    WINDOW_SAMPLES,
    Floats,
    Played,
    copy_run,
    make_tiny_bundle,
    sounds,
)
from tests.verify.verbs import certified, keep_runtimes, state_true_hashes, verify_verb
from toolkit.export.export import load_subnet
from toolkit.frontend import LogMel
from toolkit.lower import tflite_file
from toolkit.specs.bundle import BundleManifest
from toolkit.specs.certificate import LabelledScore
from toolkit.specs.files import sha256
from toolkit.specs.run import Run, write_results
from toolkit.verify.verify import Recipient, Reference

pytestmark = pytest.mark.xdist_group("bundle")

MODELS = ("stream.fp32.tflite", "stream.int8.tflite", "clip.fp32.tflite", "clip.int8.tflite")
SECONDS = {"tone": 3.0, "chirp": 12.0}
"""Lengths of the labelled clips that are not 10 s: one is filled up with zeros, one is cut."""


@dataclass(frozen=True)
class Data:
    """A folder of labelled recordings, and those of its split `test` that a bundle of the tiny Run can be judged by."""

    folder: Path
    windows: list[Floats]
    alarms: list[bool]
    sirens: list[bool]

    def mean_average_precision(self, scores: Callable[[Floats], Floats]) -> float:
        """Of scores [L] in the order Alarm, Dog, Siren, by scikit-learn's own macro mean over Alarm and Siren."""
        found = np.stack([scores(window) for window in self.windows])
        targets = np.stack([self.alarms, self.sirens], axis=1)
        return float(average_precision_score(targets, found[:, [0, 2]], average="macro"))


@pytest.fixture(scope="module")
def pytorch(calibrated_run: Path) -> Callable[[Floats], Floats]:
    """PyTorch's scores [L] of a window [S]."""
    run = Run.open(calibrated_run)
    net, front_end = load_subnet(run, run.manifest.space.smallest), LogMel(run.manifest.front_end)

    def scores(window: Floats) -> Floats:
        with torch.no_grad():
            found: Floats = net(front_end(torch.from_numpy(window)[None]))[0].numpy()
        return found

    return scores


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, pytorch: Callable[[Floats], Floats]) -> Data:
    """Six clips with the labels that PyTorch would give, so that its mAP is 1, and others that must not be heard."""
    folder = tmp_path_factory.mktemp("data")
    windows = {}
    for name, sound in sounds(12).items():
        samples = round(SECONDS.get(name, 10.0) * SAMPLE_RATE_HZ)
        soundfile.write(folder / f"{name}.wav", sound[:samples], SAMPLE_RATE_HZ, subtype="PCM_16")
        heard, _ = soundfile.read(folder / f"{name}.wav", dtype="float32")
        windows[name] = np.pad(heard[:WINDOW_SAMPLES], (0, max(0, WINDOW_SAMPLES - len(heard))))
    scores = {name: pytorch(window) for name, window in windows.items()}
    alarms, sirens = (
        set(sorted(scores, key=lambda name: -scores[name][column])[:count]) for column, count in ((0, 3), (2, 2))
    )
    rows = [
        (f"{name}.wav", ";".join(["Alarm"] * (name in alarms) + ["Siren"] * (name in sirens)), "test")
        for name in scores
    ]
    for name, labels, split in (("z", "Zebra", "test"), ("d", "Dog", "train"), ("a", "Alarm", "validation")):
        shutil.copy(folder / "noise.wav", folder / f"{name}.wav")
        rows.append((f"{name}.wav", labels, split))
    with (folder / "manifest.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("path", "labels", "split"), *rows])
    names = list(windows)
    return Data(folder, list(windows.values()), [n in alarms for n in names], [n in sirens for n in names])


@pytest.fixture(scope="module")
def frames_bundle(calibrated_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that takes log-mel."""
    wanted = ("--mode", "frames", "--precision", "fp32")
    return make_tiny_bundle(calibrated_run, tmp_path_factory.mktemp("frames-out"), *wanted)


@pytest.fixture(scope="module")
def reversed_run(calibrated_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same Run with a head that ranks the other way round and shouts: as good as any to the eye."""
    folder = copy_run(calibrated_run, tmp_path_factory.mktemp("reversed") / "run")
    weights = load_file(folder / "weights.safetensors")
    shout = np.float16(6.0)
    run = Run.open(folder)
    spread = max(abs(each) for each in run.result(run.manifest.space.smallest).ranges["logits"])
    weights |= {"head.weight": -weights["head.weight"], "head.bias": shout - weights["head.bias"]}
    save_file(weights, folder / "weights.safetensors")
    hashes = run.manifest.sha256 | {"weights.safetensors": sha256(folder / "weights.safetensors")}
    run.manifest.model_copy(update={"sha256": hashes}).save(folder / "run.json")
    logits = (float(shout) - spread, float(shout) + spread)
    results = [
        result.model_copy(update={"ranges": result.ranges | {"logits": logits}}) for result in run.results.values()
    ]
    write_results(folder / "subnets.jsonl", results)
    return folder


def test_a_fresh_bundle_passes(bundle: Path, calibrated_run: Path) -> None:
    """Exit code 0 and a certificate beside the files: every file by name and hash, its errors below its bar."""
    done = verify_verb(bundle, calibrated_run)
    assert done.exit_code == 0, done.output
    certificate, files = certified(bundle)
    manifest = BundleManifest.load(bundle / "manifest.json")
    assert certificate.passed
    assert (certificate.subnet, certificate.run_hash) == (manifest.subnet, manifest.run_hash)
    assert {name: file.sha256 for name, file in files.items()} == {file.name: file.sha256 for file in manifest.files}
    assert tuple(files) == MODELS
    for name, file in files.items():
        assert file.mean_error is not None
        assert file.max_error is not None
        assert 0 < file.mean_error <= file.max_error <= (1e-4 if "fp32" in name else 0.25)
        assert file.faults == ()
        assert name in done.stdout
    assert str(bundle / "certificate.json") in done.stdout
    assert all(file.runtime.startswith("ai-edge-litert ") for file in files.values())


def test_without_data_it_says_that_map_was_not_computed_and_how(bundle: Path, calibrated_run: Path) -> None:
    """No figure stands where nothing was measured: on screen and in the certificate, with the option to type."""
    done = verify_verb(bundle, calibrated_run)
    certificate, files = certified(bundle)
    for text in (certificate.note, " ".join(done.stdout.split())):
        assert re.search(r"mAP was not computed.*--data DIR", text)
    assert "synthesized" in certificate.audio
    assert {file.labelled for file in files.values()} == {None}


def test_every_runtime_is_certified_or_said_to_lack_one(every_bundle: Path, calibrated_run: Path) -> None:
    """What ran has errors, memory and its runtime's version; Core ML files have passed nothing but were looked into."""
    done = verify_verb(every_bundle, calibrated_run)
    assert done.exit_code == 0, done.output
    _, files = certified(every_bundle)
    lacking = {name for name, file in files.items() if file.not_run}
    assert lacking == {name for name in files if name.endswith(".mlpackage.zip")}
    for name, file in files.items():
        if name in lacking:
            assert (file.verdict, file.max_error, file.runtime) == ("not run: needs macOS", None, "")
        else:
            assert file.verdict == "passed"
            assert file.max_error is not None
            assert file.peak_bytes is not None
            assert file.peak_bytes > 0
            assert re.fullmatch(r"(ai-edge-litert|executorch|onnxruntime) [\d.]+", file.runtime)
    assert files["stream.int8.pte"].fall_backs
    assert "not run: needs macOS" in " ".join(done.stdout.split())


def test_a_bundle_of_which_nothing_ran_has_not_passed(every_bundle: Path, calibrated_run: Path, tmp_path: Path) -> None:
    """Core ML alone, away from a Mac: exit code 1, and both outputs say that nothing was compared."""
    bundle = Path(shutil.copytree(every_bundle, tmp_path / "mine"))
    keep_runtimes(bundle, "coreml")
    plain, document = verify_verb(bundle, calibrated_run), verify_verb(bundle, calibrated_run, "--json")
    assert (plain.exit_code, document.exit_code) == (1, 1), plain.output
    assert "nothing was compared with PyTorch" in plain.stdout
    assert json.loads(document.stdout)["passed"] is False
    certificate, files = certified(bundle)
    assert not certificate.passed
    assert {file.verdict for file in files.values()} == {"not run: needs macOS"}


def test_errors_are_those_of_the_golden_samples(
    bundle: Path, calibrated_run: Path, pytorch: Callable[[Floats], Floats]
) -> None:
    """The clip files' errors are what a bare interpreter and PyTorch differ by on the bundle's own samples."""
    verify_verb(bundle, calibrated_run)
    _, files = certified(bundle)
    window = load_file(bundle / "golden.safetensors")["samples"].astype(np.float32) / np.float32(32_767)
    for precision in ("fp32", "int8"):
        error = np.abs(Played(bundle / f"clip.{precision}.tflite").clip(window) - pytorch(window))
        found = files[f"clip.{precision}.tflite"]
        assert (found.max_error, found.mean_error) == pytest.approx((error.max(), error.mean()), abs=1e-6)


def test_with_data_map_before_and_after_is_scikit_learns(
    bundle: Path, calibrated_run: Path, data: Data, pytorch: Callable[[Floats], Floats]
) -> None:
    """On each clip's first 10 s, a file's mAP is that of its own scores; clips of unknown labels are left out."""
    done = verify_verb(bundle, calibrated_run, "--data", data.folder, "--json")
    certificate, files = certified(bundle)
    said = json.loads(done.stdout)
    assert said.pop("passed") == certificate.passed == (done.exit_code == 0)
    assert said.pop("bundle") == str(bundle)
    assert said == json.loads((bundle / "certificate.json").read_text())
    assert certificate.note == ""
    assert data.mean_average_precision(pytorch) == 1.0
    for name, file in files.items():
        played = Played(bundle / name)
        scores = played.clip if name.startswith("clip") else played.last
        labelled = file.labelled
        assert labelled is not None
        assert (labelled.split, labelled.clips, labelled.labels) == ("test", 6, 2)
        assert labelled.file == pytest.approx(data.mean_average_precision(scores), abs=1e-6)
        if "fp32" in name:
            assert labelled.pytorch == pytest.approx(labelled.file, abs=1e-6)
            assert file.faults == ()
        if name.startswith("clip"):
            assert labelled.pytorch == pytest.approx(1.0)
        assert file.listening is not None
        assert file.listening.events == sum(data.alarms) + sum(data.sirens)
        if "fp32" in name:
            assert file.listening.file == file.listening.pytorch
    clip, stream = (files[name].labelled for name in ("clip.fp32.tflite", "stream.fp32.tflite"))
    assert clip is not None
    assert stream is not None
    assert certificate.window_points == pytest.approx(100 * (clip.pytorch - stream.pytorch))
    before = [file.labelled.pytorch if file.labelled else None for file in certificate.files]
    assert (before[0], before[2]) == (before[1], before[3])


def test_every_mode_decides_hop_by_hop(
    bundle: Path, calibrated_run: Path, frames_bundle: Path, pytorch: Callable[[Floats], Floats]
) -> None:
    """After each hop, `clip` and `frames` files score the last 10 s, zeros before the sound, as PyTorch does."""
    sound, hops = sounds(seconds=15)["late"], 15
    padded = np.concatenate((np.zeros(WINDOW_SAMPLES, np.float32), sound))
    ends = [WINDOW_SAMPLES + hop * HOP_SAMPLES for hop in range(1, hops + 1)]
    wanted = np.stack([pytorch(padded[end - WINDOW_SAMPLES : end]) for end in ends])
    assert np.ptp(wanted, axis=0).max() > 1e-3
    for folder, mode in ((bundle, "clip"), (frames_bundle, "frames")):
        manifest = BundleManifest.load(folder / "manifest.json")
        (file,) = (each for each in manifest.files if each.name == f"{mode}.fp32.tflite")
        reference = Reference(Run.open(calibrated_run), manifest)
        heard = sound[: hops * HOP_SAMPLES]
        assert np.allclose(reference.decisions(file.mode, heard), wanted, atol=1e-6)
        assert np.allclose(Recipient(folder, manifest, file, reference).decisions(heard), wanted, atol=1e-4)


def test_another_split_can_be_named(bundle: Path, calibrated_run: Path, data: Data) -> None:
    """`--split` takes the place of the default, and the table shows both mAP."""
    done = verify_verb(bundle, calibrated_run, "--data", data.folder, "--split", "validation")
    assert done.exit_code == 0, done.output
    _, files = certified(bundle)
    labelled = files["clip.int8.tflite"].labelled
    assert labelled is not None
    assert (labelled.split, labelled.clips, labelled.labels, labelled.file) == ("validation", 1, 1, 1.0)
    assert done.stdout.count("1.0000") == 2 * len(MODELS)


@pytest.fixture(scope="module")
def reversed_bundle(reversed_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The clip files of the Run that ranks the other way round."""
    wanted = ("--mode", "clip", "--precision", "all")
    return make_tiny_bundle(reversed_run, tmp_path_factory.mktemp("reversed-out"), *wanted)


def test_files_of_other_weights_miss_the_bars(
    bundle: Path, calibrated_run: Path, reversed_bundle: Path, data: Data
) -> None:
    """Sound files with true hashes that hear something else: exit code 1, and only these are found at fault."""
    for name in ("clip.fp32.tflite", "clip.int8.tflite"):
        shutil.copy(reversed_bundle / name, bundle)
    state_true_hashes(bundle)
    done = verify_verb(bundle, calibrated_run, "--data", data.folder)
    assert done.exit_code == 1, done.output
    certificate, files = certified(bundle)
    assert not certificate.passed
    for name, bar, points in (("clip.fp32.tflite", "0.0001", "0.1"), ("clip.int8.tflite", "0.25", "1")):
        differs, falls = files[name].faults
        assert re.fullmatch(rf"a score differs from PyTorch by 0\.\d+, the bar is {re.escape(bar)}", differs)
        assert re.fullmatch(rf"mAP falls by \d+\.\d\d points, the bar is {re.escape(points)}", falls)
        assert f"{name}: {differs}\n{name}: {falls}\n" in done.stdout
    assert files["stream.fp32.tflite"].faults == ()


def test_a_quick_look_keeps_what_data_found(
    bundle: Path, tiny_bundle: Path, calibrated_run: Path, reversed_bundle: Path, data: Data
) -> None:
    """Without `--data`, mAP and its bar stand for the files that are the same; a file that changed has none."""
    for name in ("clip.fp32.tflite", "clip.int8.tflite"):
        shutil.copy(reversed_bundle / name, bundle)
    state_true_hashes(bundle)
    verify_verb(bundle, calibrated_run, "--data", data.folder)
    _, before = certified(bundle)
    shutil.copy(tiny_bundle / "clip.fp32.tflite", bundle)
    state_true_hashes(bundle)
    done = verify_verb(bundle, calibrated_run)
    assert done.exit_code == 1, done.output
    certificate, after = certified(bundle)
    assert "mAP is as an earlier verify computed it" in certificate.note
    assert (after["clip.fp32.tflite"].labelled, after["clip.fp32.tflite"].verdict) == (None, "passed")
    for name in ("stream.fp32.tflite", "stream.int8.tflite", "clip.int8.tflite"):
        assert after[name].labelled
        assert (after[name].labelled, after[name].listening) == (before[name].labelled, before[name].listening)
        assert after[name].faults == before[name].faults
    assert any("mAP falls by" in fault for fault in after["clip.int8.tflite"].faults)


@pytest.mark.parametrize("changed", [{"machine": "another"}, {"run_hash": "0" * 16}, {"schema_version": 99}])
def test_a_certificate_of_something_else_lends_nothing(
    bundle: Path, calibrated_run: Path, data: Data, changed: dict[str, object]
) -> None:
    """mAP of another machine, Run or schema does not stand in this machine's certificate."""
    verify_verb(bundle, calibrated_run, "--data", data.folder)
    found = json.loads((bundle / "certificate.json").read_text())
    (bundle / "certificate.json").write_text(json.dumps(found | changed))
    assert verify_verb(bundle, calibrated_run).exit_code == 0
    certificate, files = certified(bundle)
    assert "mAP was not computed" in certificate.note
    assert {file.labelled for file in files.values()} == {None}


def test_the_same_files_pass_beside_their_own_run(reversed_bundle: Path, reversed_run: Path, tmp_path: Path) -> None:
    """What was wrong above was the weights alone."""
    mine = Path(shutil.copytree(reversed_bundle, tmp_path / "mine"))
    assert verify_verb(mine, reversed_run).exit_code == 0


def test_a_score_that_is_no_number_misses_the_bars(bundle: Path, calibrated_run: Path, data: Data) -> None:
    """A file that answers NaN is at fault, by error and by mAP, and the certificate holds numbers."""
    path = bundle / "clip.fp32.tflite"
    tree = tflite_file.read(path.read_bytes())
    graph = tree.subgraphs[0]
    last = [each for each in graph.operators if tflite_file.operator_name(tree, each) == "FULLY_CONNECTED"][-1]
    bias = tree.buffers[graph.tensors[last.inputs[2]].buffer]
    bias.data = np.frombuffer(np.full(3, np.nan, np.float32).tobytes(), np.uint8)
    path.write_bytes(tflite_file.write(tree))
    assert np.isnan(Played(path).clip(np.zeros(WINDOW_SAMPLES, np.float32))).all()
    state_true_hashes(bundle)
    done = verify_verb(bundle, calibrated_run, "--data", data.folder, "--json")
    assert done.exit_code == 1, done.output
    _, files = certified(bundle)
    assert len(files[path.name].faults) == 2
    assert files["stream.fp32.tflite"].faults == ()


def test_loss_is_in_points_of_map() -> None:
    """A file that falls from 0.80 to 0.78 loses two points; one that gains loses less than none."""
    score = LabelledScore(data_hash="0" * 16, split="test", clips=1, labels=1, pytorch=0.80, file=0.78)
    assert score.loss_points == pytest.approx(2.0)
    assert score.model_copy(update={"file": 0.81}).loss_points == pytest.approx(-1.0)
