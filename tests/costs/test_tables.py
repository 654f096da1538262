"""Which of several tables a search takes, and what it says when none will do."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest

from tests.costs.invented import invented_table, save_table
from tests.fakes import fake_run
from toolkit.costs.tables import find_table, load_table
from toolkit.specs.cost import CostTable, Kind
from toolkit.specs.errors import MismatchError, UserError
from toolkit.specs.run import Run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A Run at base width 8."""
    return Run.open(fake_run(tmp_path_factory.mktemp("run")))


def test_measured_before_modelled(run: Run, tmp_path: Path) -> None:
    """A measured table wins over a modelled one that is newer and in a place that comes first."""
    measured = save_table(invented_table(run, kind="measured"), tmp_path / "shipped")
    modelled = save_table(invented_table(run), tmp_path / "own")
    os.utime(measured, (1, 1))
    path, table = find_table("rpi4", "tflite", "stream", "int8", run.manifest, [tmp_path / "own", tmp_path / "shipped"])
    assert path == measured != modelled
    assert table.kinds == ("measured",)


def test_own_before_shipped_and_new_before_old(run: Run, tmp_path: Path) -> None:
    """Among tables known alike the first place wins, and in one place the newest file."""
    shipped, own = tmp_path / "shipped", tmp_path / "own"
    save_table(invented_table(run), shipped)
    older = save_table(invented_table(run), own)
    newer = save_table(invented_table(run, runtime_base_bytes=5), own)
    os.utime(older, (2_000, 2_000))
    os.utime(newer, (3_000, 3_000))
    assert find_table("rpi4", "tflite", "stream", "int8", run.manifest, [own, shipped])[0] == newer
    os.utime(newer, (1_000, 1_000))
    assert find_table("rpi4", "tflite", "stream", "int8", run.manifest, [own, shipped])[0] == older


def test_tables_of_others_are_left_alone(run: Run, tmp_path: Path) -> None:
    """A broken table of another device, mode or precision does not disturb the search."""
    good = save_table(invented_table(run), tmp_path)
    for name in ("rpi4-tflite-int8-clip-0.jsonl", "rpi4-tflite-fp32-stream-0.jsonl", "rpi-tflite-int8-stream-0.jsonl"):
        (tmp_path / name).write_text("no table")
    assert find_table("rpi4", "tflite", "stream", "int8", run.manifest, [tmp_path])[0] == good


def test_no_table_names_the_command(run: Run, tmp_path: Path) -> None:
    """Without a table the line says how to make one."""
    advised = r"python -m toolkit\.profile --device rpi4 --mode clip --precision fp32 --out mine$"
    with pytest.raises(UserError, match=advised):
        find_table("rpi4", "tflite", "clip", "fp32", run.manifest, [tmp_path / "missing"], " --out mine")


def test_tables_of_another_run_are_no_tables(run: Run, tmp_path: Path) -> None:
    """Where all tables are for other labels, the line says what they are for."""
    save_table(invented_table(run, label_count=9), tmp_path)
    with pytest.raises(MismatchError, match="9 labels, not 4"):
        find_table("rpi4", "tflite", "stream", "int8", run.manifest, [tmp_path])


def test_a_fitting_table_is_found_among_others(run: Run, tmp_path: Path) -> None:
    """A table for another label count beside the right one is passed over."""
    save_table(invented_table(run, label_count=9, kind="measured"), tmp_path)
    right = save_table(invented_table(run), tmp_path)
    assert find_table("rpi4", "tflite", "stream", "int8", run.manifest, [tmp_path])[0] == right


def holed(table: CostTable) -> CostTable:
    """The table without its last seven layers."""
    return CostTable(table.key, list(table.rows.values())[:-7])


def test_a_table_with_holes_gives_way_to_a_whole_one(run: Run, tmp_path: Path) -> None:
    """However its rows are known and wherever it lies: so a new table helps."""
    save_table(holed(invented_table(run, kind="measured")), tmp_path / "own")
    whole = save_table(invented_table(run), tmp_path / "shipped")
    places = [tmp_path / "own", tmp_path / "shipped"]
    assert find_table("rpi4", "tflite", "stream", "int8", run.manifest, places)[0] == whole


@pytest.mark.parametrize(
    ("kind", "can_model", "target"),
    [("modelled", True, ""), ("modelled", False, " --target TARGET"), ("measured", True, " --target TARGET")],
)
def test_a_table_with_holes_alone_names_what_is_missing(
    run: Run, tmp_path: Path, kind: Kind, can_model: bool, target: str
) -> None:
    """Five layers by name and how many more; what was measured is measured again, found or named alike."""
    table = holed(invented_table(run, kind=kind))
    path = save_table(table, tmp_path)
    first = list(invented_table(run).rows)[-7]
    advised = f"python -m toolkit.profile --device rpi4{target} --mode stream --precision int8 --run mine"
    with pytest.raises(MismatchError, match=re.escape(advised)) as found:
        find_table("rpi4", "tflite", "stream", "int8", run.manifest, [tmp_path], " --run mine", can_model=can_model)
    with pytest.raises(MismatchError, match=re.escape(advised)) as chosen:
        load_table(path, "rpi4", "tflite", "stream", "int8", run.manifest, " --run mine", can_model=can_model)
    for caught in (found, chosen):
        assert f"has no layer {first}, " in str(caught.value)
        assert " and 2 more" in str(caught.value)


@pytest.mark.parametrize(
    "wrong", [{"device": "rpi5"}, {"runtime": "executorch"}, {"mode": "clip"}, {"precision": "fp32"}]
)
def test_a_named_table_must_be_the_right_one(run: Run, tmp_path: Path, wrong: dict[str, Any]) -> None:
    """`--table` of another device, mode or precision is refused, never used in its place."""
    path = save_table(invented_table(run), tmp_path)
    right: dict[str, Any] = {"device": "rpi4", "runtime": "tflite", "mode": "stream", "precision": "int8"}
    assert load_table(path, **right, run=run.manifest).key.device == "rpi4"
    with pytest.raises(MismatchError, match=f"not {next(iter(wrong.values()))}"):
        load_table(path, **(right | wrong), run=run.manifest)
