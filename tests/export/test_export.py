"""A bundle is whole, true to PyTorch, the same each time, made without recordings; or it is not there at all."""

from __future__ import annotations

import getpass
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ai_edge_litert import schema_py_generated as schema
from safetensors.numpy import load_file

from tests.tiny_bundle import HOP_SAMPLES, SAMPLE_RATE_HZ, WINDOW_SAMPLES, Played, copy_run, export_verb, sounds
from toolkit.audio.scene import demo_scene
from toolkit.export.export import load_subnet
from toolkit.export.modules import StreamModule
from toolkit.frontend import LogMel
from toolkit.lower import tflite_file
from toolkit.specs.bundle import BundleManifest, open_bundle
from toolkit.specs.cost import Figure, PredictedCost
from toolkit.specs.device import Budget
from toolkit.specs.errors import UserError
from toolkit.specs.pick import Pick, pick_path
from toolkit.specs.run import Run
from toolkit.supernet.static import StaticNet
from toolkit.supernet.streaming import WINDOW_FRAMES, StreamingNet

pytestmark = pytest.mark.xdist_group("bundle")

ROOT = Path(__file__).parents[2]
MODELS = [f"{mode}.{precision}.tflite" for mode in ("stream", "clip") for precision in ("fp32", "int8")]
CHUNKS = 14
"""13.4 s: more than the 10 s window."""


@pytest.fixture(scope="module")
def run(calibrated_run: Path) -> Run:
    """The Run of the bundle, opened."""
    return Run.open(calibrated_run)


@pytest.fixture(scope="module")
def net(run: Run) -> StaticNet:
    """PyTorch's smallest subnet."""
    return load_subnet(run, run.manifest.space.smallest).requires_grad_(requires_grad=False)


@pytest.fixture(scope="module")
def front_end(run: Run) -> LogMel:
    """PyTorch's front end."""
    return LogMel(run.manifest.front_end)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def some_files(_runtime: str, _piece: Any, precisions: Sequence[str], _quantization: Any) -> Iterator[bytes]:
    """In place of `lower`, where what is in a file does not matter."""
    yield from [b"a file"] * len(precisions)


def pick_of(run: Run, subnet: str, *, minute: int = 0, run_hash: str = "") -> Pick:
    """A search's answer for the device `board`, invented but for subnet and Run."""
    figure = Figure(value=1.0, kind="modelled")
    return Pick(
        device="board",
        subnet=subnet,
        run_name=run.manifest.name,
        run_hash=run_hash or run.hash,
        table_hash="0" * 16,
        runtime="tflite",
        precision="int8",
        mode="clip",
        budget=Budget(max_core_share=0.5),
        predicted=PredictedCost(latency_ms=figure, core_share=None, memory_mb=figure, file_mb=figure, params=1, macs=1),
        mean_average_precision=0.5,
        method="exhaustive",
        seed=0,
        candidates=1,
        created_utc=f"2026-01-01T00:{minute:02}:00+00:00",
    )


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
    assert [path.name for path in tiny_bundle.parent.iterdir()] == ["smallest"]


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
    assert f"python -m toolkit.verify --bundle mine/bundles/smallest --run {run}" in done.stdout
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


def test_the_latest_pick_of_a_device_is_exported(calibrated_run: Path, run: Run, tmp_path: Path) -> None:
    """`--device` takes the pick made last, keeps it in the manifest, and `--json` says what was written."""
    older, newer = (
        pick_of(run, subnet.id, minute=minute)
        for minute, subnet in enumerate((run.manifest.space.largest, run.manifest.space.smallest))
    )
    for pick in (newer, older):
        pick.save(pick_path(pick, tmp_path))
    done = export_verb("--device", "board", "--run", calibrated_run, "--mode", "clip", "--out", tmp_path, "--json")
    assert done.exit_code == 0, done.output
    assert str(pick_path(newer, tmp_path)) in done.stderr
    said = json.loads(done.stdout)
    folder = tmp_path / "bundles" / f"board-{newer.subnet}"
    manifest = open_bundle(folder)
    assert manifest.pick == newer
    assert said == {
        "bundle": str(folder),
        "subnet": newer.subnet,
        "files": json.loads((folder / "manifest.json").read_text())["files"],
    }
    assert set(load_file(folder / "golden.safetensors")) == {"samples", "clip"}


Damage = Callable[[Path, Path], list[str | Path]]
"""Spoils a copy of the Run or the folder of results, and returns the arguments to go with it."""


def _pick_of_another_run(run: Path, out: Path) -> list[str | Path]:
    opened = Run.open(run)
    pick = pick_of(opened, opened.manifest.space.smallest.id, run_hash="f" * 16)
    pick.save(out / "other.json")
    return ["--pick", out / "other.json"]


def _pick_of_another_space(run: Path, out: Path) -> list[str | Path]:
    pick_of(Run.open(run), "25.25-51.51-102").save(out / "other.json")
    return ["--pick", out / "other.json"]


def _broken_pick(_: Path, out: Path) -> list[str | Path]:
    (out / "picks").mkdir()
    (out / "picks" / "board-int8-clip-x.json").write_text("{")
    return ["--device", "board"]


def _spoilt(name: str) -> Damage:
    def spoil(run: Path, _: Path) -> list[str | Path]:
        path = run / name
        content = bytearray(path.read_bytes())
        content[-9] ^= 1
        path.write_bytes(content)
        return ["--subnet", "smallest"]

    return spoil


def _without(name: str) -> Damage:
    def remove(run: Path, _: Path) -> list[str | Path]:
        (run / name).unlink()
        return ["--subnet", "smallest"]

    return remove


def _without_ranges(run: Path, _: Path) -> list[str | Path]:
    path = run / "subnets.jsonl"
    path.write_text(path.read_text().replace('"conv3"', '"conv33"'))
    return ["--subnet", "smallest"]


def _never_evaluated(run: Path, _: Path) -> list[str | Path]:
    path = run / "subnets.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if '"6.6-12.12-25"' not in line))
    return ["--subnet", "6.6-12.12-25"]


def _plain(*arguments: str) -> Damage:
    return lambda _, __: list(arguments)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_plain(), r"one of --device NAME, --pick FILE and --subnet ID"),
        (_plain("--device", "board", "--subnet", "smallest"), r"one of --device NAME, --pick FILE and --subnet ID"),
        (_plain("--pick", "p.json", "--subnet", "smallest"), r"one of --device NAME, --pick FILE and --subnet ID"),
        (_plain("--device", "board", "--pick", "p.json"), r"one of --device NAME, --pick FILE and --subnet ID"),
        (_plain("--device", "board"), r"no pick for board .* python -m toolkit\.search --device board"),
        (_plain("--pick", "nowhere.json"), r"nowhere\.json does not exist"),
        (_plain("--subnet", "tiny"), r"'tiny' is not a subnet id"),
        (_plain("--subnet", "7.7-12.12-25"), r"7\.7-12\.12-25 is not in space ew-ed-22x"),
        (_plain("--subnet", "../smallest"), r"'\.\./smallest' is not a subnet id"),
        (_plain("--subnet", "smallest", "--run", "nowhere"), r"nowhere holds no Run"),
        (_pick_of_another_run, r"made from Run tiny \(ffffffffffffffff\).* python -m toolkit\.search --device board"),
        (_pick_of_another_space, r"25\.25-51\.51-102 is not in space"),
        (_broken_pick, r"board-int8-clip-x\.json is not JSON"),
        (_spoilt("weights.safetensors"), r"weights\.safetensors is damaged"),
        (_spoilt("norms.safetensors"), r"norms\.safetensors is damaged"),
        (_without("weights.safetensors"), r"weights\.safetensors is missing"),
        (_without("run.json"), r"holds no Run"),
        (_never_evaluated, r"no evaluation of subnet 6\.6-12\.12-25"),
        (_without_ranges, r"no activation range for conv3"),
    ],
)
def test_bad_input_is_one_line_and_no_bundle(
    monkeypatch: pytest.MonkeyPatch, calibrated_run: Path, tmp_path: Path, damage: Damage, message: str
) -> None:
    """Wrong options, picks and Runs: exit code 2, one line that says what to do, and nothing is left behind."""
    monkeypatch.setattr("toolkit.export.export.lower", some_files)
    run, out = tmp_path / "run", tmp_path / "out"
    copy_run(calibrated_run, run)
    out.mkdir()
    arguments = damage(run, out)
    done = export_verb("--run", run, "--mode", "stream", "--out", out, *arguments)
    (line,) = (line for line in done.stderr.splitlines() if not line.startswith("pick: "))
    assert done.exit_code == 2
    assert line.startswith("error: ")
    assert re.search(message, line)
    assert not done.stdout
    assert not list((out / "bundles").glob("*"))
    assert not list((out / "bundles").glob(".*"))


@pytest.mark.parametrize("failing", ["lower", "save_file"])
@pytest.mark.parametrize("older", [False, True], ids=["first", "again"])
def test_a_failed_export_leaves_all_as_it_was(
    monkeypatch: pytest.MonkeyPatch, calibrated_run: Path, tiny_bundle: Path, tmp_path: Path, failing: str, older: bool
) -> None:
    """Whether it fails at the first file or the last: no half-written bundle, and an older one is as it was."""

    def fail(*_: Any) -> bytes:
        raise UserError("TFLite cannot hold it.")

    monkeypatch.setattr("toolkit.export.export.lower", some_files)
    monkeypatch.setattr(f"toolkit.export.export.{failing}", fail)
    bundles = tmp_path / "bundles"
    if older:
        shutil.copytree(tiny_bundle, bundles / "smallest")
        (bundles / "smallest" / "certificate.json").write_text("older")
    before = contents(tmp_path)
    wanted = ("--mode", "stream", "--precision", "all")
    done = export_verb("--subnet", "smallest", "--run", calibrated_run, *wanted, "--out", tmp_path)
    assert (done.exit_code, done.stderr) == (2, "error: TFLite cannot hold it.\n")
    assert contents(tmp_path) == before
    assert [path.name for path in bundles.iterdir()] == ["smallest"] * older


def test_a_new_bundle_takes_the_place_of_the_older_one(
    monkeypatch: pytest.MonkeyPatch, calibrated_run: Path, tiny_bundle: Path, tmp_path: Path
) -> None:
    """Nothing of the older one stays: neither a file that is no longer asked for nor a certificate of other files."""
    monkeypatch.setattr("toolkit.export.export.lower", some_files)
    folder = tmp_path / "bundles" / "smallest"
    shutil.copytree(tiny_bundle, folder)
    (folder / "certificate.json").write_text("older")
    one_file = ("--mode", "stream", "--precision", "fp32")
    done = export_verb("--subnet", "smallest", "--run", calibrated_run, *one_file, "--out", tmp_path)
    assert done.exit_code == 0, done.output
    assert {path.name for path in folder.iterdir()} == {
        *("stream.fp32.tflite", "manifest.json", "labels.txt", "golden.safetensors")
    }
    assert open_bundle(folder) == BundleManifest.load(folder / "manifest.json")
