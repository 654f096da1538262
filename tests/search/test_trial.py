"""The pick on trial, as people type it: measured on a board that costs what the test says, refined, searched again."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.costs.invented import ENVIRONMENT, invented_row, invented_table, save_table
from tests.search.conftest import Place
from tests.search.measuring import CALL_US, SlowBoard, write_bundles, write_pack
from toolkit.costs.tables import find_table
from toolkit.search.__main__ import main
from toolkit.search.trial import REFINEMENTS
from toolkit.specs.cost import CostTable
from toolkit.specs.errors import TransientDeviceError
from toolkit.specs.layer import Layer
from toolkit.specs.measured import Measured
from toolkit.specs.pick import Pick
from toolkit.specs.run import Run

MEASURE = ("--device", "board", "--measure", "--target", "ssh://pi@garden")
LOOSE = ("--max-core-share", "0.9", "--max-memory-mb", "100")
"""A budget that every subnet keeps: the pick is the best of all, whatever it costs."""


def times(factor: float) -> Callable[[Layer], float]:
    """Layers cost so many times what the invented table says."""
    return lambda layer: factor * invented_row(layer).latency_us


def run_verb(*arguments: str) -> Result:
    """Call the verb in this process."""
    return CliRunner().invoke(main, list(arguments))


@pytest.fixture
def board(place: Place, monkeypatch: pytest.MonkeyPatch) -> SlowBoard:
    """A board that is as quick as its table says, with a bundle of each subnet at hand."""
    run = Run.open(place.run)
    made = SlowBoard(run, times(1.0))
    write_bundles(run, place.out)
    monkeypatch.setattr("toolkit.search.measured.open_target", lambda *_: made)
    monkeypatch.setattr("toolkit.search.refine.ensure_pack", write_pack)
    return made


def the_record(place: Place) -> Measured:
    """The only record that was written."""
    (path,) = (place.out / "measured").glob("*.json")
    return Measured.load(path)


def tables(place: Place) -> list[Path]:
    """What was written to OUT/tables."""
    return sorted((place.out / "tables").glob("*.jsonl"))


def test_a_good_prediction_passes(place: Place, board: SlowBoard) -> None:
    """5 % too low: exit code 0, both figures on screen and in the record, no layer is suspected, no table written."""
    board.cost_us = times(1.05)
    result = run_verb(*MEASURE, *place.arguments)
    assert result.exit_code == 0, result.output
    record = the_record(place)
    (path,) = (place.out / "picks").glob("*.json")
    assert record.pick == Pick.load(path)
    predicted_ms = record.pick.predicted.latency_ms.value
    assert record.latency_ms.predicted == predicted_ms
    assert record.latency_ms.measured == pytest.approx(1.05 * predicted_ms + CALL_US / 1e3)
    assert record.latency_ms.measured == record.measurement.median_us / 1e3
    assert record.passed
    assert record.suspects == ()
    assert not tables(place)
    for words in (f"{record.latency_ms.measured:.4g} ms", "verdict      passed", "within 10 %"):
        assert words in result.stdout


def test_it_runs_on_the_threads_and_cores_of_the_table(place: Place, board: SlowBoard) -> None:
    """Of a modelled table's cluster the last one, as a profile does; several rounds, and once for its peak."""
    table = invented_table(Run.open(place.run), device="board")
    key = table.key.model_copy(update={"core_mask": "0xf0"})
    path = save_table(CostTable(key, table.rows.values()), place.out / "tables")
    run_verb(*MEASURE, "--table", str(path), *place.arguments)
    assert {(settings["threads"], settings["cores"]) for settings in board.settings} == {("1", "7")}
    assert len([files for files in board.visits if files]) >= 5
    assert [settings["peak"] for settings in board.settings if "peak" in settings] == ["stream.int8.tflite"]


def test_a_bad_prediction_fails_and_names_the_layers(place: Place, board: SlowBoard) -> None:
    """25 % too low: exit code 1; modelled layers by their share of the latency, the greatest first."""
    board.cost_us = times(1.25)
    result = run_verb(*MEASURE, *place.arguments)
    assert result.exit_code == 1, result.output
    record = the_record(place)
    assert not record.passed
    assert -0.25 < record.latency_ms.error < -0.2 + 1e-9
    space, front_end = board.run_manifest.space, board.run_manifest.front_end
    layers = space.layers(space.parse(record.pick.subnet), front_end, 4, "stream")
    costs = {layer.name: invented_row(layer).latency_us for layer in layers}
    assert [each.layer for each in record.suspects] == sorted(costs, key=lambda name: -costs[name])
    assert sum(each.share for each in record.suspects) == pytest.approx(1)
    assert "FAILED" in result.stdout
    assert f"to measure   {record.suspects[0].layer}: modelled" in result.stdout
    assert not tables(place)


@pytest.mark.usefixtures("board")
def test_memory_without_the_runtimes_own_is_said_and_not_failed(place: Place) -> None:
    """The invented table counts memory from shapes; the board's process is another thing."""
    result = run_verb(*MEASURE, *place.arguments)
    assert result.exit_code == 0, result.output
    record = the_record(place)
    assert record.memory_mb is None
    assert "without the runtime's own" in record.memory_note
    assert "the process took 1.5 MB, 0.5 MB more than without a model" in result.stdout


def test_refining_measures_the_picks_layers_and_no_others(place: Place, board: SlowBoard) -> None:
    """The prediction then passes on the timings of the same rounds; the shipped table is left alone."""
    board.cost_us = times(3.0)
    shipped = place.devices / "tables"
    before = {path: path.read_bytes() for path in shipped.iterdir()}
    result = run_verb(*MEASURE, "--refine", *LOOSE, *place.arguments)
    assert result.exit_code == 0, result.output
    record = the_record(place)
    assert (record.refinements, record.passed) == (1, True)
    assert abs(record.latency_ms.error) < 0.01
    assert record.latency_ms.kind == "measured"
    assert {path: path.read_bytes() for path in shipped.iterdir()} == before
    (path,) = tables(place)
    refined = CostTable.load(path)
    assert record.pick.table_hash == refined.hash
    assert path.name == refined.key.file_name
    assert refined.key.call_us == CALL_US
    assert (refined.key.runtime_version, refined.key.core_mask) == ("2.14.0", "0xc")
    run = Run.open(place.run).manifest
    layers = run.space.layers(run.space.parse(record.pick.subnet), run.front_end, 4, "stream")
    old = invented_table(Run.open(place.run), device="board")
    assert list(refined.rows) == list(old.rows)
    for name, row in refined.rows.items():
        if name in {layer.name for layer in layers}:
            assert row.kind == "measured"
            assert row.latency_us == pytest.approx(3 * old.rows[name].latency_us, rel=0.01)
            assert row.note.startswith("refined, with the layers of ")
        else:
            assert row == old.rows[name]
    found, _ = find_table("board", "tflite", "stream", "int8", run, [place.out / "tables", shipped])
    assert found == path


def test_when_another_pick_comes_it_is_measured_too(place: Place, board: SlowBoard) -> None:
    """Under a budget that binds, dearer layers make room for another subnet: measured and refined in its turn."""
    board.cost_us = times(1.3)
    roomy = ("--max-memory-mb", "100", "--json")
    first = json.loads(run_verb(*MEASURE, *roomy, *place.arguments).stdout)["answers"][0]["pick"]["subnet"]
    result = run_verb(*MEASURE, "--refine", *roomy, *place.arguments)
    document = json.loads(result.stdout)
    steps = document["measured"]
    assert 2 <= len(steps) <= REFINEMENTS + 1
    assert [step["record"]["refinements"] for step in steps] == list(range(len(steps)))
    last = Measured.model_validate_json(json.dumps(steps[-1]["record"]))
    assert last.pick.subnet != first
    assert document["answers"][0]["pick"]["subnet"] == last.pick.subnet
    assert result.exit_code == (0 if last.passed else 1)
    assert all(Measured.load(Path(step["path"])) for step in steps)
    hashes = [step["refined"]["table_hash"] for step in steps[1:]]
    assert last.pick.table_hash == hashes[-1]


def test_a_budget_that_nothing_keeps_any_more_exits_3(place: Place, board: SlowBoard) -> None:
    """The layers that all subnets share are measured and found too dear; the refined table is kept."""
    board.cost_us = times(100.0)
    result = run_verb(*MEASURE, "--refine", *place.arguments)
    assert result.exit_code == 3, result.output
    assert "closest" in result.stderr
    assert len(tables(place)) == 1


def test_an_interrupted_refinement_goes_on(place: Place, board: SlowBoard, monkeypatch: pytest.MonkeyPatch) -> None:
    """A board that goes away: exit code 4, the verdict is on disk and no table; --resume takes no timing twice."""
    monkeypatch.setattr("toolkit.profile.measure.BACK_OFF_SECONDS", ())
    board.cost_us, board.fault = times(3.0), TransientDeviceError("the cable was pulled.")
    refining = (*MEASURE, "--refine", *LOOSE, *place.arguments)
    result = run_verb(*refining)
    assert result.exit_code == 4
    assert "--resume" in result.stderr
    assert not the_record(place).passed
    assert not tables(place)
    board.fault, board.visits = None, []
    result = run_verb(*refining, "--resume")
    assert result.exit_code == 0, result.output
    assert the_record(place).passed
    visits = Counter(file for files in board.visits for file in files)
    assert sorted(visits.values()) == [4, 4, *[5] * (len(visits) - 2)], "two were taken before the cable was pulled"
    assert not list((place.out / "journals").glob("*.jsonl"))


def test_rows_of_another_runtime_do_not_mix(place: Place, board: SlowBoard) -> None:
    """A measured table is refined where it was measured or not at all: exit code 2, and what differs."""
    run = Run.open(place.run)
    save_table(invented_table(run, kind="measured", device="board"), place.out / "tables")
    board.cost_us = times(3.0)
    result = run_verb(*MEASURE, "--refine", *LOOSE, *place.arguments)
    assert result.exit_code == 2, result.output
    assert "runtime_version 1, not 2.14.0" in result.stderr
    folders = f"--run {place.run} --out {place.out} --devices {place.devices}"
    advised = f"python -m toolkit.profile --device board --target TARGET --mode stream --precision int8 {folders}"
    assert advised in result.stderr
    assert "the table was measured with cpu none, the pick with board." in result.stdout


@pytest.mark.usefixtures("board")
def test_a_measured_table_is_refined_where_it_was_measured(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes the place of the one that lies in OUT, under the same name, and stays measured."""
    run = Run.open(place.run)
    path = save_table(invented_table(run, kind="measured", device="board"), place.out / "tables")
    same = SlowBoard(run, times(3.0), **ENVIRONMENT.model_dump())
    monkeypatch.setattr("toolkit.search.measured.open_target", lambda *_: same)
    result = run_verb(*MEASURE, "--refine", *LOOSE, *place.arguments)
    assert result.exit_code == 0, result.output
    assert tables(place) == [path]
    assert CostTable.load(path).kinds == ("measured",)
    assert the_record(place).refinements == 1


def test_another_table_is_not_written_over(place: Place, board: SlowBoard) -> None:
    """A table that somebody names is refined into OUT unless a different one of its key lies there: exit code 2."""
    run = Run.open(place.run)
    board.cost_us = times(3.0)
    refining = (*MEASURE, "--refine", *LOOSE, *place.arguments)
    assert run_verb(*refining).exit_code == 0
    (path,) = tables(place)
    before = path.read_bytes()
    named = save_table(invented_table(run, device="board"), place.out / "mine")
    result = run_verb(*refining, "--table", str(named))
    assert result.exit_code == 2, result.output
    assert f"{path} is another table" in result.stderr
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--measure",), "--measure needs --target"),
        (("--target", "local"), "--target is for --measure"),
        (("--refine",), "--refine is for --measure"),
        (("--agent", "native"), "--agent is for --measure"),
        (("--benchmark-model", "x"), "--benchmark-model is for --measure"),
        (("--measure", "--target", "local", "--device", "rpi4"), "of one device, found 2"),
        (("--measure", "--target", "local", "--refine", "--processes", "2"), "leave --processes"),
        (("--measure", "--target", "moon"), "known: local"),
        (("--measure", "--target", "local", "--agent", "python", "--runtime", "executorch"), ""),
        (("--measure", "--target", "local"), "measure this machine as what it is: --device host"),
    ],
)
def test_options_that_do_not_belong_together_exit_2(place: Place, arguments: tuple[str, ...], message: str) -> None:
    """One line, no traceback; the last of them: a board of ARM cores is not this machine."""
    result = run_verb("--device", "board", *place.arguments, *arguments)
    assert result.exit_code == 2, result.output
    assert message in result.stderr
    assert "Traceback" not in result.output
    assert not (place.out / "measured").exists()
