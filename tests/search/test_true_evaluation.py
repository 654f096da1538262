"""Searches that evaluate subnets on recordings, in a layer-wise space of which the Run knows a few."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.gloo import in_processes
from tests.tiny_run import TINY, write_sounds
from toolkit.audio.dataset import load_dataset
from toolkit.costs.tables import find_table
from toolkit.export.__main__ import main as export_verb
from toolkit.profile.__main__ import main as profile_verb
from toolkit.progress import Progress
from toolkit.search.__main__ import main as search_verb
from toolkit.specs.run import Run
from toolkit.train.train import train

LAYERWISE = TINY.model_copy(update={"name": "layerwise", "space": "ew-layerwise", "evaluated_subnets": 3})


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sounds, a Run of a layer-wise space that knows three subnets, and a modelled table for it."""
    folder = tmp_path_factory.mktemp("layerwise")
    sounds = write_sounds(folder / "sounds", {"Alarm": (2, 2), "Siren": (2, 2), "Dog": (2, 2)})
    with Progress() as progress:
        run = train(LAYERWISE, load_dataset(sounds), folder / "run", progress=progress)
    assert len(run.results) == 3
    options = ["--device", "rpi4", "--run", str(run.folder), "--out", str(folder / "out"), "--mode", "stream"]
    made = CliRunner().invoke(profile_verb, [*options, "--precision", "int8"])
    assert made.exit_code == 0, made.output
    return folder


def search(place: Path, *options: str) -> Result:
    """The verb on the layer-wise Run."""
    folders = ("--run", str(place / "run"), "--out", str(place / "out"))
    return CliRunner().invoke(search_verb, ["--device", "rpi4", *folders, *options])


def known(place: Path) -> int:
    """Lines in the Run's caches of evaluations."""
    return sum(len(path.read_text().splitlines()) for path in (place / "run" / "evaluations").glob("*.jsonl"))


def test_evolution_evaluates_and_its_pick_can_be_exported(place: Path) -> None:
    """Evolution scores so many new subnets, the Run keeps them, and `export` takes the pick at once."""
    options = ("--method", "evolution", "--candidates", "14", "--data", str(place / "sounds"), "--json")
    done = search(place, *options)
    assert done.exit_code == 0, done.output
    (answer,) = json.loads(done.stdout)["answers"]
    assert (answer["pick"]["method"], answer["pick"]["candidates"]) == ("evolution", 14)
    kept = known(place)
    assert kept >= 14
    again = search(place, *options)
    assert json.loads(again.stdout)["answers"][0]["front"] == answer["front"]
    assert known(place) == kept, "what is known is not evaluated again"
    run = Run.open(place / "run")
    assert answer["pick"]["subnet"] in run.results
    made = CliRunner().invoke(
        export_verb,
        ["--device", "rpi4", "--run", str(run.folder), "--out", str(place / "out"), "--mode", "stream"],
    )
    assert made.exit_code == 0, made.output


def test_a_part_of_the_clips_is_compared_on_and_all_decide(place: Path) -> None:
    """With `--clips` the pick's mAP is the one on all recordings, and its front is of those scored twice."""
    data = ("--data", str(place / "sounds"))
    done = search(place, "--method", "random", "--candidates", "8", "--clips", "3", *data, "--json")
    assert done.exit_code == 0, done.output
    (answer,) = json.loads(done.stdout)["answers"]
    whole = search(place, "--method", "random", "--candidates", "8", *data, "--json")
    (exact,) = json.loads(whole.stdout)["answers"]
    means = {each["subnet"]: each["mean_average_precision"] for each in exact["front"]}
    for each in answer["front"]:
        if each["subnet"] in means:
            assert each["mean_average_precision"] == means[each["subnet"]]
    assert answer["pick"]["candidates"] == exact["pick"]["candidates"] == 8
    shown = search(place, "--method", "random", "--candidates", "8", "--clips", "3", *data).stdout
    assert "8 of the" in shown
    assert f"compared on 3 clips; the mAP of {len(answer['front'])} is that on all clips" in shown
    shown = search(place, "--method", "random", "--candidates", "8", "--clips", "999", *data).stdout
    assert "compared on 6 clips; " in shown, "no more than there are"


def test_what_cannot_be_done_is_said(place: Path) -> None:
    """Evolution without recordings, going through a space that is too large, and `--clips` without recordings."""
    without = search(place, "--method", "evolution")
    assert without.exit_code == 2
    assert "--data FOLDER" in without.stderr
    exhaustive = search(place, "--clips", "4")
    assert exhaustive.exit_code == 2
    assert "--data" in exhaustive.output


def test_without_recordings_a_search_is_among_what_the_run_knows(place: Path) -> None:
    """The three subnets that training evaluated are all that is compared."""
    done = search(place, "--json")
    assert done.exit_code == 0, done.output
    (answer,) = json.loads(done.stdout)["answers"]
    assert answer["subnets"] >= 3
    assert answer["pick"]["subnet"] in Run.open(place / "run").results


def test_other_recordings_are_refused_before_anything_is_evaluated(place: Path, tmp_path: Path) -> None:
    """A pick could not be completed on sounds that the Run was not trained on, which is said at once."""
    kept = known(place)
    sounds = write_sounds(tmp_path / "sounds", {"Alarm": (3, 1), "Siren": (3, 1), "Dog": (3, 1)})
    done = search(place, "--method", "random", "--seed", "77", "--data", str(sounds))
    assert done.exit_code == 2, done.output
    assert "was trained on" in done.stderr
    assert known(place) == kept


def search_in_process(folder: str, out: str) -> None:
    """What each of two processes does."""
    done = search(
        Path(folder), "--method", "random", "--candidates", "5", "--seed", "9", "--data", f"{folder}/sounds",
        "--processes", "2", "--out", out,
    )  # fmt: skip
    assert done.exit_code == 0, done.output


def test_two_processes_search_as_one(place: Path, tmp_path: Path) -> None:
    """Under torchrun two processes share the evaluations, and one of them writes the Pick that one process writes."""
    _, table = find_table(
        "rpi4", "tflite", "stream", "int8", Run.open(place / "run").manifest, [place / "out" / "tables"]
    )
    table.save(tmp_path / "out" / "tables" / table.key.file_name)
    in_processes("tests.search.test_true_evaluation:search_in_process", place, tmp_path / "out")
    (together,) = (tmp_path / "out" / "picks").glob("*.json")
    alone = search(
        place, "--method", "random", "--candidates", "5", "--seed", "9", "--data", str(place / "sounds"), "--json"
    )
    pick = json.loads(together.read_text())
    expected = json.loads(alone.stdout)["answers"][0]["pick"]
    assert {**pick, "created_utc": ""} == {**expected, "created_utc": ""}
