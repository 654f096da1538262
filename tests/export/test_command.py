"""Which pick the verb exports, what it refuses in one line, and that a failed export leaves all as it was."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file

from tests.fakes import pick_of
from tests.tiny_bundle import copy_run, export_verb
from toolkit.specs.bundle import BundleManifest, open_bundle
from toolkit.specs.errors import UserError
from toolkit.specs.pick import pick_path
from toolkit.specs.run import Run

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.xdist_group("bundle")


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def some_files(_runtime: str, _piece: Any, precisions: Sequence[str], _quantization: Any) -> Iterator[bytes]:
    """In place of `lower`, where what is in a file does not matter."""
    yield from [b"a file"] * len(precisions)


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
    folder = tmp_path / "bundles" / f"board-run-{newer.subnet}"
    manifest = open_bundle(folder)
    assert manifest.pick == newer
    assert said == {
        "bundle": str(folder),
        "subnet": newer.subnet,
        "files": json.loads((folder / "manifest.json").read_text())["files"],
    }
    assert set(load_file(folder / "golden.safetensors")) == {"samples", "clip"}


@pytest.mark.parametrize(
    ("typed", "made"),
    [
        ((), "stream.fp32.pte"),
        (("--precision", "int8"), "stream.int8.pte"),
        (("--runtime", "tflite"), "stream.fp32.tflite"),
        (("--runtime", "tflite", "--precision", "fp16"), "stream.fp16.tflite"),
    ],
)
def test_runtime_and_precision_are_the_picks_unless_typed(
    monkeypatch: pytest.MonkeyPatch, calibrated_run: Path, run: Run, tmp_path: Path, typed: Sequence[str], made: str
) -> None:
    """A pick of ExecuTorch in fp32 becomes such a file; what the command line says of either is heeded."""
    monkeypatch.setattr("toolkit.export.export.lower", some_files)
    pick = pick_of(run, run.manifest.space.smallest.id)
    pick.model_copy(update={"runtime": "executorch", "precision": "fp32"}).save(tmp_path / "pick.json")
    wanted = ("--pick", tmp_path / "pick.json", "--run", calibrated_run, "--mode", "stream", "--out", tmp_path)
    done = export_verb(*wanted, *typed, "--json")
    assert done.exit_code == 0, done.output
    assert [file["name"] for file in json.loads(done.stdout)["files"]] == [made]


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
        (
            _pick_of_another_run,
            r"made from Run tiny \(ffffffffffffffff\).* with --run .* toolkit\.search --device board --run \S+/run$",
        ),
        (_pick_of_another_space, r"25\.25-51\.51-102 is not in space"),
        (_plain("--subnet", "smallest", "--data", "sounds"), r"--data is what --qat hears.* add --qat"),
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
        shutil.copytree(tiny_bundle, bundles / "run-smallest")
        (bundles / "run-smallest" / "certificate.json").write_text("older")
    before = contents(tmp_path)
    wanted = ("--mode", "stream", "--precision", "all")
    done = export_verb("--subnet", "smallest", "--run", calibrated_run, *wanted, "--out", tmp_path)
    assert (done.exit_code, done.stderr) == (2, "error: TFLite cannot hold it.\n")
    assert contents(tmp_path) == before
    assert [path.name for path in bundles.iterdir()] == ["run-smallest"] * older


def test_a_new_bundle_takes_the_place_of_the_older_one(
    monkeypatch: pytest.MonkeyPatch, calibrated_run: Path, tiny_bundle: Path, tmp_path: Path
) -> None:
    """Nothing of the older one stays: neither a file that is no longer asked for nor a certificate of other files."""
    monkeypatch.setattr("toolkit.export.export.lower", some_files)
    folder = tmp_path / "bundles" / "run-smallest"
    shutil.copytree(tiny_bundle, folder)
    (folder / "certificate.json").write_text("older")
    one_file = ("--mode", "stream", "--precision", "fp32")
    done = export_verb("--subnet", "smallest", "--run", calibrated_run, *one_file, "--out", tmp_path)
    assert done.exit_code == 0, done.output
    assert {path.name for path in folder.iterdir()} == {
        *("stream.fp32.tflite", "manifest.json", "labels.txt", "golden.safetensors")
    }
    assert open_bundle(folder) == BundleManifest.load(folder / "manifest.json")


def test_bundles_of_several_runs_lie_side_by_side(
    monkeypatch: pytest.MonkeyPatch, calibrated_run: Path, tmp_path: Path
) -> None:
    """The same subnet of another Run is another bundle; the verb says where each is, and takes nothing away."""
    monkeypatch.setattr("toolkit.export.export.lower", some_files)
    runs = [calibrated_run, copy_run(calibrated_run, tmp_path / "kitchen")]
    done = [
        export_verb("--subnet", "smallest", "--run", run, "--mode", "stream", "--out", tmp_path, "--json")
        for run in runs
    ]
    assert [one.stderr for one in done] == ["", ""]
    folders = [Path(json.loads(one.stdout)["bundle"]) for one in done]
    assert folders == [tmp_path / "bundles" / "run-smallest", tmp_path / "bundles" / "kitchen-smallest"]
    assert all(open_bundle(folder).name == folder.name for folder in folders)


def test_what_goes_with_an_earlier_bundle_is_told(
    monkeypatch: pytest.MonkeyPatch, calibrated_run: Path, tmp_path: Path
) -> None:
    """In one line: files of a Run that lay in the same folder, certificates, and a zip of what is no longer there."""
    monkeypatch.setattr("toolkit.export.export.lower", some_files)
    run = copy_run(calibrated_run, tmp_path / "kitchen")
    wanted = ("--subnet", "smallest", "--run", run, "--mode", "stream", "--out", tmp_path)
    assert export_verb(*wanted, "--zip").stderr == ""
    folder, zipped = (tmp_path / "bundles" / name for name in ("kitchen-smallest", "kitchen-smallest.zip"))
    for name in ("certificate.json", "certificate-ssh-kitchen.json"):
        (folder / name).write_text("{}")
    assert zipped.is_file()
    opened = Run.open(run)
    earlier = opened.hash
    opened.manifest.model_copy(update={"seconds": 5.0}).save(run / "run.json")
    again = export_verb(*wanted)
    told = f"files of another Run (tiny, {earlier}), certificate-ssh-kitchen.json, certificate.json, {zipped.name}"
    assert (again.exit_code, again.stderr) == (0, f"gone with the bundle that was there: {told}\n")
    assert not zipped.exists()
    assert export_verb(*wanted).stderr == "", "the same again loses nothing"
