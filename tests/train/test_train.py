"""A training survives being killed, says what is wrong, and writes a whole Run."""

from __future__ import annotations

import csv
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

from tests.tiny_run import TINY, write_sounds
from toolkit.audio.dataset import load_dataset
from toolkit.specs.front_end import FrontEndSpec
from toolkit.specs.run import CARD, CREDITS, MANIFEST, NORMS, SUBNETS, WEIGHTS, Run
from toolkit.supernet.weights import load_weights
from toolkit.train.__main__ import main

ROOT = Path(__file__).parents[2]
TOML = """
name = "small"
base_width = 8
seed = 3
crop_frames = 64
batch_size = 4
checkpoint_steps = 3
calibration_crops = 8
min_train_clips = 2
min_validation_clips = 1
dropout = true

[front_end]
mel_bins = 8

[stages.largest]
steps = 24

[stages.supernet]
steps = 20
subnet = "sampled"
subnets_per_step = 2
labels = "teacher"
start = "largest"
"""
# Imports once what a training needs, then runs each command line it reads as `python -m toolkit.train` in a fresh copy
# of itself, so that being killed many times does not cost many imports. A copy that was not waited for keeps its id.
STARTER = """
import json, os, runpy, signal, sys, time
import torch, toolkit.audio.dataset, toolkit.progress, toolkit.train.train
torch.optim.AdamW([torch.zeros(1)])
answers = os.fdopen(os.dup(1), "w", 1)
os.dup2(2, 1)
for line in sys.stdin:
    arguments, kill_after_s = json.loads(line)
    started = time.monotonic()
    if not (pid := os.fork()):
        sys.argv = ["toolkit.train", *arguments]
        try:
            runpy.run_module("toolkit.train", run_name="__main__")
        except SystemExit as left:
            os._exit(left.code or 0)
        finally:
            os._exit(70)
    if kill_after_s is not None:
        time.sleep(kill_after_s)
        os.kill(pid, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    print(json.dumps([code, time.monotonic() - started]), file=answers)
"""


class Killable:
    """Trainings as processes of their own."""

    def __init__(self, starter: subprocess.Popen[str]) -> None:
        self.starter = starter

    def run(self, *arguments: object, kill_after_s: float | None = None) -> tuple[int, float]:
        """Exit code (-9 if it was killed in time) and seconds of one training."""
        assert self.starter.stdin is not None
        assert self.starter.stdout is not None
        order = [[str(argument) for argument in arguments], kill_after_s]
        print(json.dumps(order), file=self.starter.stdin, flush=True)
        code, seconds = json.loads(self.starter.stdout.readline())
        return code, seconds


@pytest.fixture
def killable() -> Iterator[Killable]:
    """What starts trainings, with one thread each; what they say is thrown away."""
    command = [sys.executable, "-c", STARTER]
    environment, pipe, nowhere = os.environ | {"OMP_NUM_THREADS": "1"}, subprocess.PIPE, subprocess.DEVNULL
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, text=True, stdin=pipe, stdout=pipe, stderr=nowhere
    ) as starter:
        yield Killable(starter)
        assert starter.stdin is not None
        starter.stdin.close()


def call(*arguments: object) -> Result:
    """Call the verb."""
    threads = torch.get_num_threads()
    try:
        return CliRunner().invoke(main, [str(argument) for argument in arguments])
    finally:
        torch.set_num_threads(threads)


def test_a_training_that_is_killed_and_resumed_is_the_same(killable: Killable, tmp_path: Path) -> None:
    """kill -9 at random moments, then --resume, leaves the Run of a training that was let alone, to the bit."""
    recipe, rng = tmp_path / "small.toml", random.Random(1)
    recipe.write_text(TOML)
    sounds = write_sounds(tmp_path / "sounds", {"Bell": (2, 1), "Dog": (2, 1)})
    options = ("--data", sounds, "--recipe", recipe, "--threads", 1)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    code, seconds = killable.run(*options, "--out", whole)
    assert code == 0
    codes = []
    for kill_after_s in (*(rng.uniform(0, 0.7 * seconds) for _ in range(3)), None):
        resume = ["--resume"] if any((killed / "work").glob("*.safetensors")) else []
        if not resume:
            shutil.rmtree(killed, ignore_errors=True)
        codes.append(killable.run(*options, "--out", killed, *resume, kill_after_s=kill_after_s)[0])
    assert codes[0] == -signal.SIGKILL
    assert set(codes[1:-1]) <= {0, -signal.SIGKILL}
    assert codes[-1] == 0
    for name in (WEIGHTS, NORMS, SUBNETS, CREDITS):
        assert (killed / name).read_bytes() == (whole / name).read_bytes(), name
    one, other = (json.loads((folder / MANIFEST).read_text()) | {"seconds": 0} for folder in (whole, killed))
    assert one == other
    assert Run.open(killed).results.keys() == {subnet.id for subnet in Run.open(whole).manifest.space.subnets()}


def test_a_run_is_whole(tiny_run: Path) -> None:
    """The folder opens as a Run with all subnets, its weights belong to it, and no half-written file is left."""
    run = Run.open(tiny_run)
    net, norms = load_weights(run)
    manifest, every = run.manifest, {subnet.id for subnet in net.space.subnets()}
    assert set(run.results) == every
    assert every <= norms.moments.keys()
    assert manifest.labels == ("Alarm", "Dog", "Siren")
    assert (manifest.name, manifest.recipe, manifest.space) == ("tiny", TINY, TINY.search_space())
    assert manifest.front_end == TINY.front_end
    assert [decision.label for decision in manifest.decisions] == list(manifest.labels)
    assert [(d.train_clips, d.validation_clips) for d in manifest.decisions] == [(2, 1)] * 3
    assert manifest.data_hash == load_dataset(tiny_run.parent / "sounds").data_hash
    files = {path.name for path in tiny_run.iterdir()}
    assert files == {WEIGHTS, NORMS, SUBNETS, MANIFEST, CARD, CREDITS, "work"}
    assert {path.name for path in (tiny_run / "work").iterdir()} == {
        "largest.safetensors",
        "supernet.safetensors",
        "tensorboard",
    }


def test_the_model_card_tells_what_the_run_holds(tiny_run: Path) -> None:
    """Data, licences, generated sounds, training, figures by label with the clips behind them, and limits."""
    run, card = Run.open(tiny_run), (tiny_run / CARD).read_text()
    manifest = run.manifest
    space, maps = manifest.space, sorted(result.mean_average_precision for result in run.results.values())
    assert card.startswith("# Model card: tiny\n")
    for part in ("Data", "Training", "How well it does", "Limits"):
        assert f"\n## {part}\n" in card
    assert manifest.data_summary in card
    assert manifest.data_summary.startswith("6 recordings to train and 3 to validate, 2 generated")
    assert f"Data hash `{manifest.data_hash}`" in card
    assert "| made up | 9 | CC0-1.0 |  |" in card
    for label in ("Alarm", "Siren"):
        assert f"`{label}` was helped by 1 generated sounds" in card
    assert "`Dog` was helped" not in card
    assert "50% of the training crops were band-limited" in card
    for subnet in (space.smallest, space.largest):
        figure = run.result(subnet).mean_average_precision
        assert f"| {subnet} | {space.params(subnet, 3):,} | {figure:.3f} |" in card
    assert f"all 128: least, median, greatest | | {maps[0]:.3f}, {np.median(maps):.3f}, {maps[-1]:.3f} |" in card
    for decision in manifest.decisions:
        figures = f"{decision.average_precision:.3f} | {decision.threshold:.2f}"
        assert f"| {decision.label} | 2 | 1 | {figures} |" in card
    assert "Not for safety" in card
    assert not re.search(r"/(tmp|home|work)\b", card)


def test_credits_name_every_recording(tiny_run: Path) -> None:
    """Each clip that was trained or validated on stands there once, with labels, split, source, dataset and licence."""
    with (tiny_run / CREDITS).open(encoding="utf-8", newline="") as file:
        credits_ = list(csv.DictReader(file))
    clips_ = load_dataset(tiny_run.parent / "sounds").clips
    assert {row["file"]: row for row in credits_} == {
        clip.name: {
            "file": clip.name,
            "labels": ";".join(clip.labels),
            "split": clip.split,
            "source": f"group of {clip.name}",
            "dataset": "made up",
            "licence": "CC0-1.0",
            "title": "",
            "author": "",
        }
        for clip in clips_
    }
    assert [row["file"] for row in credits_] == sorted(clip.name for clip in clips_)
    assert Counter(row["split"] for row in credits_) == {"train": 6, "validation": 3}


@pytest.fixture
def arguments(tiny_run: Path, tmp_path: Path) -> list[object]:
    """The command line that made the tiny Run, but for --out."""
    recipe = tmp_path / "tiny.json"
    TINY.save(recipe)
    return ["--data", tiny_run.parent / "sounds", "--recipe", recipe, "--threads", 1]


def test_the_result_is_printed_as_json_or_text(tmp_path: Path, arguments: list[object]) -> None:
    """stdout holds one JSON document, or three lines, about the Run that was written.

    Resuming a training that is done leaves nothing to do but to evaluate and write again, with the same result.
    """
    out = tmp_path / "out"
    TINY.model_copy(update={"front_end": FrontEndSpec(mel_bins=16)}).save(tmp_path / "tiny.json")
    done = call(*arguments, "--out", out, "--json")
    assert done.exit_code == 0, done.stderr
    run = Run.open(out)
    ends = {"smallest": run.manifest.space.smallest, "largest": run.manifest.space.largest}
    assert json.loads(done.stdout) == {
        "run": str(out),
        "labels": ["Alarm", "Dog", "Siren"],
        "subnets": 128,
        "mean_average_precision": {name: run.result(point).mean_average_precision for name, point in ends.items()},
    }
    text = call(*arguments, "--out", out, "--resume").stdout.splitlines()
    assert Run.open(out).hash == run.hash
    assert text[0] == f"Run tiny: 3 labels, 128 subnets, in {out}"
    assert [line.split()[0] for line in text[1:]] == ["smallest", "largest"]


def test_a_folder_that_is_not_empty_is_left_alone(tiny_run: Path, arguments: list[object]) -> None:
    """A second training into a Run exits 2, says how to go on, and changes nothing."""
    before = {path: path.stat().st_mtime_ns for path in tiny_run.rglob("*")}
    refused = call(*arguments, "--out", tiny_run)
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert re.fullmatch(r"error: .* is not empty\. Go on with --resume, or name another --out\.\n", refused.stderr)
    assert {path: path.stat().st_mtime_ns for path in tiny_run.rglob("*")} == before


def test_a_checkpoint_of_another_recipe_exits_2(tiny_run: Path, tmp_path: Path, arguments: list[object]) -> None:
    """Resuming with a recipe that was changed in between is refused, and the Run stays as it was."""
    shutil.copytree(tiny_run, tmp_path / "run")
    TINY.model_copy(update={"learning_rate": 1e-4}).save(tmp_path / "tiny.json")
    refused = call(*arguments, "--out", tmp_path / "run", "--resume")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "was made with other recipe" in refused.stderr
    assert Run.open(tmp_path / "run").hash == Run.open(tiny_run).hash


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--recipe", "defualt"], "defualt does not exist"),
        (["--data", "nowhere"], "nowhere does not exist"),
        (["--threads", "0"], "0 is not in the range"),
    ],
)
def test_wrong_options_are_one_line(tmp_path: Path, options: list[str], told: str) -> None:
    """What does not exist is named, exit 2, and no folder is made."""
    out = tmp_path / "out"
    refused = call("--out", out, "--data", tmp_path, *options)
    assert refused.exit_code == 2
    assert told in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not out.exists()


def test_a_wrong_recipe_tells_all_its_faults(tmp_path: Path) -> None:
    """A misspelt field is told with the right one, beside every other fault; nothing is written."""
    recipe = tmp_path / "wrong.toml"
    recipe.write_text('name = "x"\nbase_widht = 8\nbatch_size = 0\ncrop_frames = "long"\n')
    refused = call("--recipe", recipe, "--data", tmp_path, "--out", tmp_path / "out")
    assert refused.exit_code == 2
    assert "3 faults" in refused.stderr
    assert "did you mean base_width?" in refused.stderr
    assert not (tmp_path / "out").exists()


def test_data_that_do_not_do_leave_nothing_behind(tmp_path: Path, arguments: list[object]) -> None:
    """Where every clip is broken the training ends in one line, before anything is written."""
    sounds = write_sounds(tmp_path / "sounds", {"Alarm": (2, 1), "Siren": (2, 1)})
    for path in sounds.glob("*.wav"):
        path.write_bytes(path.read_bytes()[:1000])
    refused = call(*arguments, "--data", sounds, "--out", tmp_path / "out")
    assert refused.exit_code == 2
    assert refused.stderr.splitlines()[-1].startswith("error: no usable clip is left for: Alarm, Siren.")
    assert not (tmp_path / "out").exists()
