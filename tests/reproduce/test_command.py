"""`python -m toolkit.reproduce`: lists units, makes them, assembles the report."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.reproduce.invented import UNITS, invent
from tests.reproduce.test_units import SMALL
from tests.tiny_run import write_sounds
from toolkit.reproduce.__main__ import main
from toolkit.reproduce.plan import plan_units
from toolkit.reproduce.results import Results
from toolkit.specs.front_end import FrontEndSpec
from toolkit.specs.unit import DataFacts


def call(*arguments: object) -> Result:
    """Run the verb."""
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_units_are_listed_with_what_is_done(tmp_path: Path) -> None:
    """As text a line for each unit, as JSON whether it is done; a named unit is listed with what it needs."""
    invent(tmp_path, UNITS[:3])
    listed = call("--list", "--out", tmp_path, "--json")
    assert json.loads(listed.stdout) == {unit.name: unit in UNITS[:3] for unit in UNITS}
    lines = call("--list", "--out", tmp_path, "--unit", "kd-0.4-0").stdout.splitlines()[1:]
    assert [(line.split()[0], line.endswith("yes")) for line in lines] == [("teacher", True), ("kd-0.4-0", False)]


def test_assembling_runs_nothing(tmp_path: Path) -> None:
    """`--assemble` needs no recordings: it writes the report of what is done and says where it is."""
    invent(tmp_path, UNITS[:4])
    done = call("--assemble", "--out", tmp_path)
    assert done.exit_code == 0, done.stderr
    assert done.stdout == f"4 of {len(UNITS)} units are done; the report is {tmp_path / 'report.md'}\n"
    as_json = json.loads(call("--assemble", "--out", tmp_path, "--json").stdout)
    assert as_json == {"report": str(tmp_path / "report.md"), "units": [unit.name for unit in UNITS[:4]]}


def test_a_unit_is_made_from_recordings(tmp_path: Path) -> None:
    """From a folder of sounds to a result, the facts of the data and a report."""
    sounds = write_sounds(tmp_path / "sounds", {"Dog": (8, 2), "Bell": (8, 2)}, background=8)
    recipe = SMALL.model_copy(update={"front_end": FrontEndSpec(mel_bins=8)})
    recipe.save(tmp_path / "small.json")
    options = ["--data", sounds, "--recipe", tmp_path / "small.json", "--out", tmp_path / "out", "--threads", 1]
    done = call(*options, "--unit", "baseline-0.4-0", "--json")
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["units"] == ["baseline-0.4-0"]
    results = Results(tmp_path / "out" / "units", recipe).all(plan_units(recipe))
    facts = DataFacts.load(tmp_path / "out" / "data.json")
    assert results["baseline-0.4-0"].data_digest == facts.data_digest
    assert "1 of 41 done" in (tmp_path / "out" / "report.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--unit", "nothing"], "no unit is called nothing"),
        (["--assemble"], "no unit is done"),
        (["--recipe", "default"], "lacks stages"),
        (["--data", "nowhere"], "nowhere does not exist"),
    ],
)
def test_what_cannot_be_is_one_line(tmp_path: Path, options: list[str], told: str) -> None:
    """Exit 2 with what is wrong, and no folder is made."""
    refused = call("--out", tmp_path / "out", *options)
    assert refused.exit_code == 2
    assert told in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()
