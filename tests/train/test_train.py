"""A training writes a whole Run with its card and credits, and says what is wrong with what it was given."""

from __future__ import annotations

import csv
import json
import re
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

from tests.tiny_run import TINY, write_sounds
from toolkit.audio.dataset import load_dataset
from toolkit.specs.front_end import FrontEndSpec
from toolkit.specs.recipe import Stage
from toolkit.specs.run import CARD, CREDITS, IMPRINTS, MANIFEST, NORMS, SUBNETS, WEIGHTS, Run
from toolkit.specs.teacher import TeacherSpec
from toolkit.supernet.weights import load_weights
from toolkit.train.__main__ import main


def call(*arguments: object) -> Result:
    """Call the verb."""
    threads = torch.get_num_threads()
    try:
        return CliRunner().invoke(main, [str(argument) for argument in arguments])
    finally:
        torch.set_num_threads(threads)


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
    assert files == {WEIGHTS, NORMS, IMPRINTS, SUBNETS, MANIFEST, CARD, CREDITS, "work"}
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
    for subnet in space.subnets():
        figure = run.result(subnet).mean_average_precision
        assert f"| {subnet} | {space.params(subnet, 3):,} | {figure:.3f} |" in card
    assert f"{maps[0]:.3f} to {maps[-1]:.3f}, in the median {np.median(maps):.3f}." in card
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
    TINY.model_copy(update={"front_end": FrontEndSpec(mel_bins=8), "evaluated_subnets": 3}).save(tmp_path / "tiny.json")
    done = call(*arguments, "--out", out, "--json")
    assert done.exit_code == 0, done.stderr
    run = Run.open(out)
    ends = (run.manifest.space.smallest, run.manifest.space.largest)
    assert json.loads(done.stdout) == {
        "run": str(out),
        "labels": ["Alarm", "Dog", "Siren"],
        "subnets": 3,
        "mean_average_precision": {end.id: run.result(end).mean_average_precision for end in ends},
    }
    text = call(*arguments, "--out", out, "--resume").stdout.splitlines()
    assert Run.open(out).hash == run.hash
    assert text[0] == f"Run tiny: 3 labels, 3 subnets, in {out}"
    assert [line.split(":")[0].strip() for line in text[1:]] == [end.id for end in ends]


def test_every_method_of_the_paper_is_a_stage(tiny_run: Path, tmp_path: Path) -> None:
    """Teacher, baseline, KD, OFA, fine-tuning and init: one command each; what is finished is not trained again.

    The Run holds the subnets that were trained: of the supernet all that are evaluated, of the others the one.
    """
    methods = {
        "teacher": Stage(steps=1, mixup_alpha=1.0),
        "baseline": Stage(steps=1, subnet="given"),
        "kd": Stage(steps=1, subnet="given", labels="teacher"),
        "largest": Stage(steps=1, labels="teacher"),
        "supernet": TINY.stage("supernet"),
        "fine-tune": Stage(steps=1, subnet="given", labels="teacher", start="supernet"),
        "init": Stage(steps=1, subnet="given", labels="teacher"),
    }
    changes = {"stages": methods, "teacher": TeacherSpec(stage="teacher"), "run": ("supernet",)}
    recipe = TINY.model_copy(update={**changes, "front_end": FrontEndSpec(mel_bins=8), "evaluated_subnets": 3})
    recipe.save(tmp_path / "methods.json")
    out, subnet = tmp_path / "out", recipe.search_space().smallest.id
    paths = ["--data", tiny_run.parent / "sounds", "--recipe", tmp_path / "methods.json", "--out", out]
    trained: dict[str, int] = {}
    for stage in ("supernet", "fine-tune", "init", "baseline", "kd"):
        options = ["--subnet", subnet] if stage != "supernet" else []
        done = call(*paths, "--threads", 1, "--resume", "--stages", stage, *options)
        assert done.exit_code == 0, done.stderr
        results = Run.open(out).results
        assert len(results) == (3 if stage == "supernet" else 1)
        assert subnet in results
        files = {path.stem: path.stat().st_mtime_ns for path in (out / "work").glob("*.safetensors")}
        assert files.keys() == {"teacher", "largest", "supernet", stage, *trained}
        assert trained.items() <= files.items()
        trained = files


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
