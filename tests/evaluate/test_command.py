"""The verb as people type it: options, output, exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.evaluate.conftest import Place
from tests.fakes import fake_run
from toolkit.evaluate.__main__ import main
from toolkit.specs.run import Run

NAMES = ("6.6-12.12-51.51", "12.12-12.12-64")


def run_verb(place: Place, *arguments: str, data: Path | None = None) -> Result:
    """Call the verb in this process."""
    given = ["--run", str(place.run.folder), "--data", str(data or place.sounds), "--threads", "1"]
    return CliRunner().invoke(main, [*given, *arguments])


def test_subnets_that_are_named(place: Place) -> None:
    """Figures of these alone, the best first, as text and as JSON; the second call computes nothing."""
    named = [word for name in NAMES for word in ("--subnet", name)]
    first = run_verb(place, *named, "--subnet", "largest", "--json")
    assert first.exit_code == 0, first.output
    told = json.loads(first.stdout)
    largest = place.run.manifest.space.largest.id
    assert set(told["mean_average_precision"]) == {*NAMES, largest}
    for name, mean in told["mean_average_precision"].items():
        assert mean == pytest.approx(place.run.results[name].mean_average_precision, abs=1e-4)
    assert list(told["mean_average_precision"].values()) == sorted(told["mean_average_precision"].values())[::-1]
    assert (told["clips"], told["new"], told["data_of_training"]) == (3, 3, True)
    assert Path(told["file"]).is_file()
    assert Path(told["file"]).stem == told["key"]
    second = run_verb(place, *named)
    assert second.exit_code == 0, second.output
    assert f"Run tiny: 2 subnets on 3 validation clips, 0 of them computed now, in {told['file']}" in second.stdout
    assert all(f"{name}: mAP " in second.stdout for name in NAMES)


@pytest.mark.parametrize("wanted", [(), ("--all",)])
def test_what_is_evaluated_if_none_is_named(place: Place, wanted: tuple[str, ...]) -> None:
    """Those that the Run knows, or with --all the whole space, here the same; few lines for people."""
    result = run_verb(place, "--clips", "2", *wanted)
    assert result.exit_code == 0, result.output
    assert "128 subnets on 2 validation clips, 128 of them computed now" in result.stdout
    assert "... and 118 more, down to " in result.stdout


def test_a_subnet_is_completed(place: Place) -> None:
    """With --complete the Run knows afterwards what export needs."""
    lines = (place.run.folder / "subnets.jsonl").read_text().splitlines(keepends=True)
    kept = [line for line in lines if json.loads(line)["subnet"] not in NAMES]
    (place.run.folder / "subnets.jsonl").write_text("".join(kept))
    result = run_verb(place, "--subnet", NAMES[0], "--complete")
    assert result.exit_code == 0, result.output
    assert Run.open(place.run.folder).searched == {NAMES[0]}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--subnet", "7.7-12.12-25"), "error: subnet 7.7-12.12-25 is not in space ew-ed-22x"),
        (("--subnet", "what"), "error: 'what' is not a subnet id"),
        (("--subnet", "largest", "--all"), "--all and --subnet exclude each other"),
        (("--clips", "0"), "0 is not in the range x>=1"),
        (("--data", "nowhere"), "error: nowhere does not exist"),
        (("--run", "nowhere"), "error: nowhere holds no Run"),
        (("--accelerator", "tpu"), "error: cannot run on 1 tpu"),
    ],
)
def test_bad_input_is_one_line(place: Place, arguments: tuple[str, ...], told: str) -> None:
    """Exit code 2, what was found and what to do, and no traceback."""
    result = run_verb(place, *arguments)
    assert result.exit_code == 2, result.output
    assert told in result.stderr
    assert "Traceback" not in result.output


def test_a_space_that_cannot_be_gone_through_is_refused(place: Place, tmp_path: Path) -> None:
    """--all says how many subnets there are."""
    fake = fake_run(tmp_path / "fake")
    manifest = Run.open(fake).manifest
    space = manifest.space.model_copy(update={"base_width": 64, "ratios": (0.2, 1.0), "channel_step": 8})
    manifest.model_copy(update={"space": space}).save(fake / "run.json")
    result = run_verb(place, "--run", str(fake), "--all")
    assert result.exit_code == 2
    assert f"has {len(space):,} subnets, --all goes through 10,000 at most" in result.stderr
