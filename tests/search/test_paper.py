"""The paper's four searches: which candidates, of which size, and what comes of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.fakes import fake_run
from toolkit.search.__main__ import main
from toolkit.search.paper import BUDGETS_M, TOLERANCE_M, candidates, paper_search
from toolkit.search.scores import RunScores
from toolkit.specs.front_end import FrontEndSpec
from toolkit.specs.run import Run
from toolkit.specs.space import Subnet, preset_space


@pytest.mark.parametrize("preset", ["ew-ed-22x", "ew-ed-xxx", "ew-layerwise"])
def test_candidates_at_the_papers_width_have_its_parameters(preset: str) -> None:
    """At base width 64 and 527 labels all candidates lie within 0.2M of 0.8M, 1.8M, 2.8M and 3.8M, 25 at most."""
    space = preset_space(preset, 64)
    found = candidates(space, 527, 0, FrontEndSpec())
    assert list(found) == list(BUDGETS_M)
    for budget, some in found.items():
        assert 0 < len(some) == len(set(some)) <= 25
        assert all(abs(space.params(one, 527) / 1e6 - budget) <= TOLERANCE_M for one in some)


def test_budgets_of_another_width_are_shares_of_the_full_subnet(tmp_path: Path) -> None:
    """A Run of another width is searched at 0.15, 0.34, 0.54 and 0.73 of its full subnet's parameters."""
    run = Run.open(fake_run(tmp_path))
    rows = paper_search(run, RunScores(run), 0)
    assert [row.share for row in rows] == pytest.approx([0.15, 0.34, 0.54, 0.73], abs=0.007)
    space = run.manifest.space
    full = space.params(space.largest, len(run.manifest.labels))
    for row in rows:
        assert row.params == pytest.approx(row.share * full, abs=1)
        for name in row.scores:
            share = space.params(space.parse(name), len(run.manifest.labels)) / full
            assert share == pytest.approx(row.share, abs=TOLERANCE_M / 5.2 + 1e-6)


def test_the_best_of_each_budget_is_kept(tmp_path: Path) -> None:
    """The pick of a budget is the candidate with the greatest mAP, and all are scored in one call."""
    run = Run.open(fake_run(tmp_path))
    calls = []

    class Remembering(RunScores):
        def scores(self, subnets: Sequence[Subnet]) -> dict[Subnet, float]:
            calls.append(subnets)
            return dict(super().scores(subnets))

    for row in paper_search(run, Remembering(run), 1):
        assert row.best is None or row.scores[row.best] == max(row.scores.values())
        assert (row.best is None) == (not row.scores)
    assert len(calls) == 1


def test_one_command_draws_the_boxes(tmp_path: Path) -> None:
    """`search --paper` prints four budgets and leaves the box plot."""
    of_run = ["--paper", "--run", str(fake_run(tmp_path / "run")), "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(main, [*of_run, "--json"])
    assert done.exit_code == 0, done.output
    answer = json.loads(done.stdout)
    assert len(answer["budgets"]) == 4
    assert Path(answer["picture"]).read_bytes().startswith(b"\x89PNG")
    shown = CliRunner().invoke(main, of_run).stdout
    assert all(row["best"] in shown for row in answer["budgets"] if row["best"])


@pytest.mark.parametrize("columns", ["60", "40"])
def test_a_narrow_screen_cuts_no_subnet_off(tmp_path: Path, columns: str) -> None:
    """What does not fit a line stands on the next."""
    of_run = ["--paper", "--run", str(fake_run(tmp_path / "run")), "--out", str(tmp_path / "out")]
    budgets = json.loads(CliRunner().invoke(main, [*of_run, "--json"]).stdout)["budgets"]
    shown = CliRunner().invoke(main, of_run, env={"COLUMNS": columns}).stdout.partition("picture")[0].splitlines()
    start = next(line.index("best") for line in shown if "best" in line)
    last_column = "".join(line[start:].strip() for line in shown)
    assert last_column == "best" + "".join(row["best"] or "" for row in budgets)


@pytest.mark.parametrize("other", [("--device", "rpi4"), ("--clips", "4", "--data", ".")])
def test_the_papers_searches_are_for_no_device(other: tuple[str, ...]) -> None:
    """A device or a part of the clips contradicts `--paper`."""
    done = CliRunner().invoke(main, ["--paper", *other])
    assert done.exit_code == 2
    assert "--paper" in done.output
