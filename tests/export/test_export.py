"""A bundle is whole, true to PyTorch, the same each time, made without recordings; or it is not there at all."""

from __future__ import annotations

import getpass
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from ai_edge_litert import schema_py_generated as schema
from safetensors.numpy import load_file

from tests.tiny_bundle import HOP_SAMPLES, SAMPLE_RATE_HZ, WINDOW_SAMPLES, Played, copy_run, sounds
from toolkit.audio.scene import demo_scene
from toolkit.export.export import load_subnet
from toolkit.export.modules import StreamModule
from toolkit.frontend import LogMel
from toolkit.lower import tflite_file
from toolkit.specs.bundle import open_bundle
from toolkit.specs.run import Run
from toolkit.supernet.static import StaticNet
from toolkit.supernet.streaming import WINDOW_FRAMES, StreamingNet

pytestmark = pytest.mark.xdist_group("bundle")

ROOT = Path(__file__).parents[2]
MODELS = [f"{mode}.{precision}.tflite" for mode in ("stream", "clip") for precision in ("fp32", "int8")]
CHUNKS = 14
"""13.4 s: more than the 10 s window."""


@pytest.fixture(scope="module")
def net(run: Run) -> StaticNet:
    """PyTorch's smallest subnet."""
    return load_subnet(run, run.manifest.space.smallest).requires_grad_(requires_grad=False)


@pytest.fixture(scope="module")
def front_end(run: Run) -> LogMel:
    """PyTorch's front end."""
    return LogMel(run.manifest.front_end)


def test_a_bundle_is_whole(tiny_bundle: Path, run: Run) -> None:
    """It opens, holds the files asked for and no others, and says all that a listener must know of the Run."""
    manifest = open_bundle(tiny_bundle)
    assert {path.name for path in tiny_bundle.iterdir()} == {
        *MODELS,
        *("manifest.json", "labels.txt", "golden.safetensors"),
    }
    assert [file.name for file in manifest.files] == MODELS
    assert [f"{file.mode}.{file.precision}.{file.runtime}" for file in manifest.files] == MODELS
    assert [file.size_bytes for file in manifest.files] == [(tiny_bundle / name).stat().st_size for name in MODELS]
    assert (manifest.subnet, manifest.run_hash, manifest.pick) == (run.manifest.space.smallest.id, run.hash, None)
    assert (manifest.labels, manifest.decisions) == (run.manifest.labels, run.decisions(run.manifest.space.smallest))
    assert (tiny_bundle / "labels.txt").read_text().splitlines() == list(run.manifest.labels)
    assert manifest.front_end == run.manifest.front_end
    assert (manifest.window_samples, manifest.hop_samples) == (WINDOW_SAMPLES, HOP_SAMPLES)
    assert [path.name for path in tiny_bundle.parent.iterdir()] == ["run-smallest"]


def test_a_bundle_decides_as_its_own_subnet(tiny_bundle: Path, run: Run) -> None:
    """Thresholds are those that the Run has for this subnet, off thresholds follow, and guessed ones are marked."""
    decisions = open_bundle(tiny_bundle).decisions
    assert [(one.threshold, one.off_threshold) for one in decisions] == [(0.25, 0.2), (0.6, 0.48), (0.75, 0.6)]
    assert {one.threshold for one in run.manifest.decisions} == {0.5}
    assert not any(one.calibrated for one in decisions), "a Run of one validation clip a label"
    written = json.loads((tiny_bundle / "manifest.json").read_text())
    assert [one["calibrated"] for one in written["decisions"]] == [False] * 3


def test_everybody_may_read_a_bundle(tiny_bundle: Path) -> None:
    """Files that one account wrote open for another, as on a board or a server."""
    assert {path.stat().st_mode & 0o444 for path in (tiny_bundle, *tiny_bundle.iterdir())} == {0o444}


@pytest.mark.parametrize("name", MODELS)
def test_names_and_shapes_are_those_of_the_file(tiny_bundle: Path, name: str) -> None:
    """What the manifest says of inputs and outputs is what the runtime finds in the file: float32 all."""
    (file,) = (file for file in open_bundle(tiny_bundle).files if file.name == name)
    played = Played(tiny_bundle / name)
    for stated, found in ((file.inputs, played.inputs), (file.outputs, played.outputs)):
        assert {spec.name: spec.shape for spec in stated} == {
            key: tuple(detail["shape"]) for key, detail in found.items()
        }
        assert {detail["dtype"] for detail in found.values()} == {np.float32}
    assert (file.inputs[0].name, file.outputs[0].name) == ("samples", "scores")
    state, after = file.inputs[1:], file.outputs[len(file.outputs) - len(file.inputs) + 1 :]
    assert [(f"next_{spec.name}", spec.shape) for spec in state] == [(spec.name, spec.shape) for spec in after]
    assert bool(state) == (file.mode == "stream")


@pytest.mark.parametrize(("precision", "nearness"), [("fp32", 1e-4), ("int8", 0.05)])
def test_clip_scores_are_pytorchs(
    tiny_bundle: Path, net: StaticNet, front_end: LogMel, precision: str, nearness: float
) -> None:
    """On silence, noises, tones and a chirp: fp32 equal to 1e-4; int8 near, by a fifth of how far the scores move."""
    file = Played(tiny_bundle / f"clip.{precision}.tflite")
    heard = sounds(WINDOW_SAMPLES / SAMPLE_RATE_HZ).values()
    expected = np.concatenate([net(front_end(torch.from_numpy(sound)[None])).numpy() for sound in heard])
    found = np.stack([file.clip(sound) for sound in heard])
    assert np.abs(found - expected).max() <= nearness
    moved = expected - expected.mean(axis=0)
    assert np.abs(found - expected).mean() < 0.2 * np.abs(moved).mean()


def test_a_stream_file_fed_chunk_by_chunk_is_pytorchs_stream(
    tiny_bundle: Path, net: StaticNet, front_end: LogMel
) -> None:
    """Past the 10 s window, scores equal PyTorch's to 1e-4 after each chunk; so does mel power, of its frame's most."""
    file = Played(tiny_bundle / "stream.fp32.tflite")
    streaming = StreamingNet(net, front_end.delay_frames)
    module = StreamModule(front_end, streaming)
    for sound in sounds(CHUNKS * HOP_SAMPLES / SAMPLE_RATE_HZ).values():
        state = (front_end.initial_state(), *streaming.initial_state())
        answers = file.stream(sound)
        assert len(answers) == CHUNKS
        for chunk, answer in zip(torch.from_numpy(sound)[None].split(HOP_SAMPLES, dim=1), answers, strict=True):
            scores, log_mel, *after = module(chunk, *state)
            state = tuple(after)
            np.testing.assert_allclose(answer["scores"], scores.numpy(), rtol=0, atol=1e-4)
            power, expected = 10 ** (answer["log_mel"][0, :, :, 0] / 10), 10 ** (log_mel[0, 0].numpy() / 10)
            assert (np.abs(power - expected).max(axis=1) <= 1e-4 * expected.max(axis=1)).all()


def test_a_streams_last_score_is_that_of_a_whole_pass(tiny_bundle: Path, net: StaticNet, front_end: LogMel) -> None:
    """The file's score after the last chunk is PyTorch's over the same feature frames of the whole sound, to 1e-4."""
    file = Played(tiny_bundle / "stream.fp32.tflite")
    late = front_end.delay_frames + 2  # frames of the front end and of the first block, then halved before each block
    for block in net.subnet.blocks:
        late = -(-late // 2) + len(block)
    heard = CHUNKS * HOP_SAMPLES // 320 // 8 - late
    # A second more than the stream hears: a feature frame rests on some frames after it, never on those of the end.
    for name, sound in sounds(CHUNKS * HOP_SAMPLES / SAMPLE_RATE_HZ + 1).items():
        frames = net.taps(front_end(torch.from_numpy(sound)[None]))[f"conv{len(net.convs)}"].mean(3)
        window = frames[:, :, heard - WINDOW_FRAMES : heard]
        expected = torch.sigmoid(net.classify(window.amax(2) + window.mean(2))["logits"])[0].numpy()
        found = file.stream(sound[: CHUNKS * HOP_SAMPLES])[-1]["scores"][0]
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4, err_msg=name)


def test_an_int8_stream_stays_near_for_minutes(tiny_bundle: Path) -> None:
    """What an int8 stream errs does not pile up in its state: after two minutes it is as near to fp32 as at first."""
    files = [Played(tiny_bundle / f"stream.{precision}.tflite") for precision in ("fp32", "int8")]
    for name, sound in sounds(120).items():
        expected, found = (np.stack([answer["scores"][0] for answer in file.stream(sound)]) for file in files)
        assert np.abs(found - expected)[-CHUNKS:].max() <= 0.05, name


@pytest.mark.parametrize("name", MODELS)
def test_convolutions_are_int8_and_the_front_end_is_float(tiny_bundle: Path, name: str) -> None:
    """In an int8 file all layers but the last run on int8; the DFT's products are float in every file."""
    tree = tflite_file.read((tiny_bundle / name).read_bytes())
    graph = tree.subgraphs[0]
    float32, int8 = schema.TensorType.FLOAT32, schema.TensorType.INT8
    types: dict[str, list[set[int]]] = {}
    for operator in graph.operators:
        found = {graph.tensors[index].type for index in operator.inputs[:2]}
        types.setdefault(tflite_file.operator_name(tree, operator), []).append(found)
    wanted = {int8} if "int8" in name else {float32}
    convolutions = types["CONV_2D"] + types["DEPTHWISE_CONV_2D"]
    assert len(convolutions) >= 7
    assert all(found == wanted for found in convolutions)
    assert types["FULLY_CONNECTED"][-2:] == [wanted, {float32}]
    assert len(types["BATCH_MATMUL"]) >= 4
    assert all(found == {float32} for found in types["BATCH_MATMUL"])


def test_a_fresh_clone_exports_the_same_bytes_without_recordings(
    tiny_bundle: Path, calibrated_run: Path, tmp_path: Path
) -> None:
    """With the Run's files alone, no AEC_DATA, in another process and folder: the model files are the same bytes."""
    run = copy_run(calibrated_run, tmp_path / "run")
    environment = {name: value for name, value in os.environ.items() if name != "AEC_DATA"}
    empty = tmp_path / "empty"
    empty.mkdir()
    command = [sys.executable, "-m", "toolkit.export", "--subnet", "smallest", "--run", str(run), "--out", "mine"]
    done = subprocess.run(
        command,
        cwd=empty,
        env={**environment, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert f"python -m toolkit.verify --bundle mine/bundles/run-smallest --run {run}" in done.stdout
    assert done.stderr == ""
    (folder,) = (empty / "mine" / "bundles").iterdir()
    manifest = open_bundle(folder)
    assert [file.name for file in manifest.files] == ["stream.int8.tflite", "clip.int8.tflite"]
    for file in manifest.files:
        assert (folder / file.name).read_bytes() == (tiny_bundle / file.name).read_bytes()


def test_golden_vectors_are_pytorchs(tiny_bundle: Path, net: StaticNet, front_end: LogMel) -> None:
    """10 s of the synthesized scene as int16, PyTorch's scores of the whole, and after each chunk of it."""
    golden = load_file(tiny_bundle / "golden.safetensors")
    samples = golden["samples"]
    assert samples.dtype == np.int16
    assert samples.shape == (WINDOW_SAMPLES,)
    scene = demo_scene(SAMPLE_RATE_HZ, 1).waveform[:WINDOW_SAMPLES]
    waveform = samples.astype(np.float32) / 32_767
    assert np.abs(waveform - scene).max() <= 0.5 / 32_767 + 1e-7
    heard = torch.from_numpy(waveform)[None]
    np.testing.assert_allclose(golden["clip"], net(front_end(heard)).numpy(), rtol=0, atol=1e-6)
    streaming = StreamingNet(net, front_end.delay_frames)
    before, state = front_end.initial_state(), streaming.initial_state()
    expected = []
    for chunk in heard.split(HOP_SAMPLES, dim=1)[:-1]:
        log_mel, before = front_end.stream(chunk, before)
        scores, *after = streaming(log_mel, *state)
        state = tuple(after)
        expected.append(scores[0].numpy())
    np.testing.assert_allclose(golden["stream"], np.stack(expected), rtol=0, atol=1e-6)
    assert golden["stream"].shape == (10, 3)


def test_a_bundle_tells_nothing_of_its_maker(tiny_bundle: Path, calibrated_run: Path) -> None:
    """No file names a folder of this machine, and the manifest no account."""
    places = (ROOT, calibrated_run.parent, tiny_bundle.parent, sys.prefix)
    for path in tiny_bundle.iterdir():
        content = path.read_bytes()
        assert not [place for place in places if str(place).encode() in content], path.name
    manifest = (tiny_bundle / "manifest.json").read_text()
    assert not re.search(rf"\b{re.escape(getpass.getuser())}\b", manifest)
    texts = re.findall(r'"([^"]*)"', manifest)
    assert not [text for text in texts if text.startswith(("/", "~")) or re.match(r"[A-Za-z]:\\", text)]
