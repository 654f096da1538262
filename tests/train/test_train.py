"""A training is repeatable to the bit, survives being killed, says what is wrong, and writes a whole Run."""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor

from tests.tiny_run import TINY, write_sounds
from toolkit.audio.dataset import load_dataset
from toolkit.specs.errors import MismatchError, UserError
from toolkit.specs.files import sha256
from toolkit.specs.front_end import FrontEndSpec
from toolkit.specs.recipe import Augmentation, Recipe
from toolkit.specs.run import CARD, CREDITS, MANIFEST, NORMS, SUBNETS, WEIGHTS, Run
from toolkit.supernet.supernet import Supernet
from toolkit.supernet.weights import load_weights
from toolkit.train.__main__ import main
from toolkit.train.batches import Batch, Batches
from toolkit.train.checkpoint import load_checkpoint, read_progress, save_checkpoint
from toolkit.train.examples import Example, Examples
from toolkit.train.loop import CHECKPOINT, SUPERNET, TEACHER, Training, one_cycle

ROOT = Path(__file__).parents[2]
STEPS = 5
PLAN = Recipe(
    name="test",
    base_width=8,
    front_end=FrontEndSpec(mel_bins=8),
    crop_frames=16,
    batch_size=3,
    largest_steps=STEPS,
    supernet_steps=STEPS,
    subnets_per_step=2,
    checkpoint_steps=2,
    calibration_crops=4,
    dropout=True,
)
TOML = """
name = "small"
base_width = 8
seed = 3
crop_frames = 64
batch_size = 4
largest_steps = 24
supernet_steps = 20
subnets_per_step = 2
checkpoint_steps = 3
calibration_crops = 8
min_train_clips = 2
min_validation_clips = 1
dropout = true

[front_end]
mel_bins = 8
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


class PowerLostError(Exception):
    """The power goes."""


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


def clips() -> Examples:
    """Noise in different bands for three labels."""
    rng = np.random.default_rng(0)
    train = [
        Example(f"{label} {number}", rng.uniform(-60, 20 * (row - 2), (30, 8)).astype(np.float16), (label,))
        for row, label in enumerate("ABC")
        for number in range(3)
    ]
    return Examples(("A", "B", "C"), tuple(train), (), (), "0" * 16, 0)


def training(folder: Path, recipe: Recipe = PLAN, report: Any = None) -> Training:
    """A training of this recipe as `train` sets it up."""
    torch.manual_seed(recipe.seed)
    net = Supernet(recipe.search_space(), 3, recipe.front_end.mel_bins, dropout=recipe.dropout)
    return Training(recipe, net, Batches(clips(), recipe), folder, report or (lambda *_: None))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Tensor], str]:
    """Weights at the end of a training that nothing disturbed, and the hash of its teacher."""
    whole = training(tmp_path_factory.mktemp("undisturbed"))
    assert whole.run(resume=False) > 0
    return whole.net.state_dict(), sha256(whole.folder / TEACHER)


def call(*arguments: object) -> Result:
    """Call the verb."""
    threads = torch.get_num_threads()
    try:
        return CliRunner().invoke(main, [str(argument) for argument in arguments])
    finally:
        torch.set_num_threads(threads)


@settings(max_examples=12)
@given(stops=st.lists(st.tuples(st.sampled_from(["step", "write"]), st.integers(1, 2 * STEPS)), min_size=1, max_size=3))
def test_a_training_that_is_interrupted_and_resumed_is_the_same(
    stops: list[tuple[str, int]], undisturbed: tuple[dict[str, Tensor], str]
) -> None:
    """Stopped after any step, or in the middle of writing any checkpoint, as often as it likes: the same to the bit."""
    weights, teacher = undisturbed
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        left = 0

        def count(*_: object) -> None:
            nonlocal left
            left -= 1
            if not left:
                raise PowerLostError

        def write(tensors: dict[str, Tensor], path: Path, metadata: dict[str, str]) -> None:
            nonlocal left
            left -= 1
            save_file(tensors, path, metadata)
            if not left:
                path.write_bytes(path.read_bytes()[:1000])
                raise PowerLostError

        for kind, number in stops:
            left = number
            if kind == "write":
                patch.setattr("toolkit.train.checkpoint.save_file", write)
            with suppress(PowerLostError):
                resume = Path(folder, CHECKPOINT).exists()
                training(Path(folder), report=count if kind == "step" else None).run(resume)
            patch.undo()
        last = training(Path(folder))
        last.run(resume=Path(folder, CHECKPOINT).exists())
        assert sha256(last.folder / TEACHER) == teacher
        assert all(torch.equal(value, weights[name]) for name, value in last.net.state_dict().items())


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
        resume = ["--resume"] if (killed / "work" / CHECKPOINT).exists() else []
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


def test_both_phases_and_every_step_are_told(tmp_path: Path) -> None:
    """Progress names phase, step, steps and a finite loss; a resumed training goes on where the checkpoint was."""
    told: list[tuple[str, int, int, float]] = []

    def stop(*report: Any) -> None:
        told.append(report)
        if len(told) == STEPS + 3:
            raise PowerLostError

    with pytest.raises(PowerLostError):
        training(tmp_path, report=stop).run(resume=False)
    training(tmp_path, report=lambda *report: told.append(report)).run(resume=True)
    first = [("largest subnet", step, STEPS) for step in range(1, STEPS + 1)]
    second = [("supernet", step, STEPS) for step in (1, 2, 3, 3, 4, 5)]
    assert [entry[:3] for entry in told] == first + second
    assert all(np.isfinite(loss) for *_, loss in told)


def test_training_learns(tmp_path: Path) -> None:
    """In each phase the loss falls: the labels differ in their levels."""
    losses: list[float] = []
    calm = Augmentation(mix_probability=0, silence_probability=0, level_db=(0, 0), band_limit_probability=0)
    changes = {"largest_steps": 20, "supernet_steps": 20, "batch_size": 8, "dropout": False, "augmentation": calm}
    recipe = PLAN.model_copy(update=changes)
    training(tmp_path, recipe, lambda *report: losses.append(report[3])).run(resume=False)
    for phase in (losses[:20], losses[20:]):
        assert np.median(phase[10:]) < 0.85 * np.mean(phase[:2])


class Contrary(Batches):
    """Batches whose hard labels in the second phase are the wrong ones."""

    def draw(self, phase: int, step: int, size: int | None = None) -> Batch:
        """As they are, but for the labels."""
        batch = super().draw(phase, step, size)
        return dataclasses.replace(batch, targets=1 - batch.targets) if phase == SUPERNET else batch


@pytest.mark.parametrize(("weight", "heeded"), [(1.0, False), (0.5, True)])
def test_the_first_phase_teaches_the_second(tmp_path: Path, weight: float, heeded: bool) -> None:
    """At weight 1 the second phase learns from the teacher alone; below it, from the hard labels as well."""
    recipe = PLAN.model_copy(update={"distillation_weight": weight})
    right, wrong = training(tmp_path / "right", recipe), training(tmp_path / "wrong", recipe)
    wrong.batches = Contrary(clips(), recipe)
    right.run(resume=False)
    wrong.run(resume=False)
    assert torch.equal(right.net.head.bias, wrong.net.head.bias) != heeded
    assert sha256(tmp_path / "right" / TEACHER) == sha256(tmp_path / "wrong" / TEACHER)


def test_a_loss_that_is_no_number_ends_the_training(tmp_path: Path) -> None:
    """The error names step, subnet and clips, and the last checkpoint is still there, whole, from before."""
    held: list[bytes] = []

    def spoil(_phase: str, step: int, _steps: int, _loss: float) -> None:
        if step == 3:
            held.append((tmp_path / CHECKPOINT).read_bytes())
            with torch.no_grad():
                broken.net.hidden.bias.fill_(float("nan"))

    broken = training(tmp_path, report=spoil)
    with pytest.raises(UserError) as told:
        broken.run(resume=False)
    message = str(told.value)
    assert f"not a number at step 3, subnet {broken.net.space.largest}, clips " in message
    assert all(name in message for name in broken.batches.draw(1, 3).names)
    assert "another --out" in message
    assert (tmp_path / CHECKPOINT).read_bytes() == held[0]
    assert read_progress(tmp_path / CHECKPOINT)["step"] == 2
    after = training(tmp_path)
    load_checkpoint(tmp_path / CHECKPOINT, after.net, None)
    assert all(torch.isfinite(value).all() for value in after.net.state_dict().values())


@given(steps=st.integers(1, 3000), data=st.data())
def test_the_learning_rate_rises_and_falls(steps: int, data: st.DataObject) -> None:
    """One rise to the full rate, then a fall; never more than the full rate, never below zero."""
    factors = [one_cycle(step, steps) for step in range(min(steps, 60))] + [one_cycle(steps - 1, steps)]
    assert all(0 <= factor <= 1 for factor in factors)
    every = [one_cycle(step, steps) for step in range(steps)] if steps < 300 else factors
    peak = int(np.argmax(every))
    assert max(every) == 1.0 or steps >= 300
    later = data.draw(st.integers(0, len(every) - 1))
    assert every[later] <= every[min(later + 1, peak)] if later < peak else every[later] <= every[peak]
    if steps > 20:
        assert every[-1] < 0.02


def test_checkpoints_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    """A checkpoint of another recipe or another network is told apart, and a damaged or missing one is named."""
    training(tmp_path).run(resume=False)
    path = tmp_path / CHECKPOINT
    done = read_progress(path)
    with pytest.raises(MismatchError, match=r"checkpoint\.safetensors was made with other recipe"):
        training(tmp_path, PLAN.model_copy(update={"learning_rate": 1e-4})).run(resume=True)
    elsewhere = training(tmp_path)
    elsewhere.batches = Batches(dataclasses.replace(clips(), data_hash="1" * 16), PLAN)
    with pytest.raises(MismatchError, match=r"checkpoint\.safetensors was made with other data"):
        elsewhere.run(resume=True)
    with pytest.raises(MismatchError, match=r"holds another network: .* torch\.Size\(\[3, 64\]\) from checkpoint"):
        training(tmp_path, PLAN.model_copy(update={"base_width": 16})).run(resume=True)
    save_checkpoint(
        path, training(tmp_path).net, None, {"recipe": PLAN.digest(), "phase": 1, "step": 1, "seconds": 0.0}
    )
    with pytest.raises(MismatchError, match="made with other data"):
        training(tmp_path).run(resume=True)
    (tmp_path / TEACHER).unlink()
    halfway = training(tmp_path)
    save_checkpoint(path, halfway.net, None, done | {"phase": SUPERNET})
    with pytest.raises(UserError, match=r"teacher\.safetensors does not exist"):
        halfway.run(resume=True)
    for content in (b"", b"no tensors", path.read_bytes()[:5000]):
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"checkpoint\.safetensors is damaged"):
            training(tmp_path).run(resume=True)
    path.unlink()
    with pytest.raises(UserError, match=r"checkpoint\.safetensors does not exist.*without --resume"):
        training(tmp_path).run(resume=True)


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
    assert {path.name for path in (tiny_run / "work").iterdir()} == {CHECKPOINT, TEACHER}


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
