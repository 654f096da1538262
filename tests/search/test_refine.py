"""Rows measured anew in place of wrong ones: what mixes and what does not, and the whole of it for real, here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tests.costs.invented import ENVIRONMENT, invented_row, invented_table, save_table
from tests.search.conftest import Place
from toolkit.costs.predict import predict
from toolkit.profile.measure import Effort
from toolkit.search.__main__ import main
from toolkit.search.refine import check_same, merged
from toolkit.specs.bundle import open_bundle
from toolkit.specs.cost import CostTable, Kind
from toolkit.specs.errors import MismatchError
from toolkit.specs.measured import Measured
from toolkit.specs.run import Run
from toolkit.specs.space import Subnet

FEW = Effort(rounds=2, redo_rounds=0, warmups=1, runs=5, seconds=0.2, note="", peaks=True)


def with_peaks(table: CostTable, peak_bytes: int, **key: Any) -> CostTable:
    """The same with a measured peak in each row, a quarter of which stays."""
    peaks = {"peak_bytes": peak_bytes, "kept_bytes": peak_bytes // 4}
    rows = [row.model_copy(update=peaks) for row in table.rows.values()]
    return CostTable(table.key.model_copy(update={"network_bytes": 1_000, **key}), rows)


def fresh_table(run: Run, subnet: Subnet, **key: Any) -> CostTable:
    """Of the subnet's layers alone: twice as dear as invented, with peaks of 8 kB."""
    manifest = run.manifest
    layers = dict.fromkeys(manifest.space.layers(subnet, manifest.front_end, len(manifest.labels), "stream"))
    rows = [invented_row(layer, "measured") for layer in layers]
    dearer = [row.model_copy(update={"latency_us": 2 * row.latency_us}) for row in rows]
    table = CostTable(invented_table(run).key.model_copy(update={"call_us": 7.0}), dearer)
    return with_peaks(table, 8_000, network_bytes=3_000, runtime_base_bytes=2_000_000, **key)


@pytest.mark.parametrize("kind", ["measured", "modelled"])
def test_a_prediction_of_a_merged_table_is_that_of_its_new_rows(place: Place, kind: Kind) -> None:
    """Of the refined subnet every figure is the fresh table's own, and measured."""
    run = Run.open(place.run)
    manifest, space = run.manifest, run.manifest.space
    old, fresh = invented_table(run, kind=kind), fresh_table(run, space.largest)
    table = merged(old, fresh, new_memory=True)
    both = [predict(each, space, space.largest, manifest.front_end, 4) for each in (table, fresh)]
    assert both[0] == both[1]
    assert both[0].latency_ms.kind == "measured"
    other = predict(table, space, space.smallest, manifest.front_end, 4)
    assert other.latency_ms.kind == kind


def test_memory_that_was_right_is_kept(place: Place) -> None:
    """Only its latency failed: rows take new timings, and their memory and the runtime's stay as they were."""
    run = Run.open(place.run)
    manifest, space = run.manifest, run.manifest.space
    old = with_peaks(invented_table(run, kind="measured", runtime_base_bytes=5_000_000), 16_000)
    kept, taken = (merged(old, fresh_table(run, space.largest), new_memory=new) for new in (False, True))
    costs = [predict(each, space, space.largest, manifest.front_end, 4) for each in (old, kept, taken)]
    assert costs[1].memory_mb == costs[0].memory_mb != costs[2].memory_mb
    assert costs[1].latency_ms == costs[2].latency_ms != costs[0].latency_ms


def test_an_agent_that_tells_no_peak_takes_none_away(place: Place) -> None:
    """New timings without peaks leave the table's memory alone, whatever was wanted."""
    run = Run.open(place.run)
    largest = run.manifest.space.largest
    old = with_peaks(invented_table(run, kind="measured", runtime_base_bytes=5_000_000), 16_000)
    fresh = fresh_table(run, largest)
    rows = [row.model_copy(update={"peak_bytes": None, "kept_bytes": None}) for row in fresh.rows.values()]
    blind = CostTable(fresh.key.model_copy(update={"network_bytes": None}), rows)
    table = merged(old, blind, new_memory=True)
    assert {row.peak_bytes for row in table.rows.values()} == {16_000}
    assert (table.key.network_bytes, table.key.runtime_base_bytes) == (1_000, 5_000_000)


@pytest.mark.parametrize(
    ("name", "value"), [("runtime_version", "2"), ("core_mask", "0x2"), ("threads", 2), ("precision", "fp32")]
)
def test_measured_rows_of_two_keys_do_not_mix(place: Place, name: str, value: Any) -> None:
    """What differs is named; a table of modelled rows alone becomes one of where its new rows were measured."""
    run = Run.open(place.run)
    fresh = fresh_table(run, run.manifest.space.largest, **{name: value})
    with pytest.raises(MismatchError, match=f"{name} .*, not {value}"):
        merged(invented_table(run, kind="measured"), fresh, new_memory=True)
    if name != "precision":
        key = merged(invented_table(run), fresh, new_memory=True).key
        assert getattr(key, name) == value


def test_another_processor_is_noticed_before_anything_is_measured(place: Place) -> None:
    """A table that was measured on one machine is not mended on another."""
    table = invented_table(Run.open(place.run), kind="measured")
    check_same(table, ENVIRONMENT)
    check_same(invented_table(Run.open(place.run)), ENVIRONMENT.model_copy(update={"cpu": "another"}))
    with pytest.raises(MismatchError, match="cpu none, not another"):
        check_same(table, ENVIRONMENT.model_copy(update={"cpu": "another"}))


@pytest.mark.xdist_group("bundle")
def test_a_wrong_table_is_found_out_and_mended_here(
    calibrated_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Real files, really run: a table that says 100 ms of each layer fails, and once refined comes near."""
    monkeypatch.setattr("toolkit.search.measured.FULL", FEW)
    monkeypatch.setattr("toolkit.search.trial.REFINEMENTS", 1)
    run = Run.open(calibrated_run)
    manifest, space = run.manifest, run.manifest.space
    invented = invented_table(run, device="host", precision="int8")
    slow = [row.model_copy(update={"latency_us": 1e5}) for row in invented.rows.values()]
    shipped = save_table(CostTable(invented.key, slow), tmp_path / "mine")
    before = shipped.read_bytes()
    least = space.params(space.smallest, len(manifest.labels))
    options = ("--max-params", str(least), "--max-core-share", "50", "--out", str(tmp_path / "out"), "--json")
    measuring = ("--measure", "--target", "local", "--refine", "--table", str(shipped), "--run", str(calibrated_run))
    result = CliRunner().invoke(main, ["--device", "host", *measuring, *options])
    assert result.exit_code in (0, 1), result.output
    first, last = json.loads(result.stdout)["measured"]
    layers = space.layers(space.smallest, manifest.front_end, len(manifest.labels), "stream")
    names = {layer.name for layer in layers}
    wrong, mended = (Measured.model_validate_json(json.dumps(step["record"])) for step in (first, last))
    assert not wrong.passed
    assert {each.layer for each in wrong.suspects} == names
    assert wrong.latency_ms.error > 1
    assert wrong.peak_bytes is not None
    assert wrong.peak_bytes > wrong.base_bytes
    (bundle,) = (tmp_path / "out" / "measured" / "bundles").iterdir()
    assert open_bundle(bundle).files[0].sha256 == wrong.file_sha256
    assert mended.refinements == 1
    assert 1 / 3 < mended.latency_ms.predicted / mended.latency_ms.measured < 3
    assert mended.memory_mb is not None
    assert abs(mended.memory_mb.error) < 0.1, "most of the process is the runtime, which is known"
    table = CostTable.load(Path(last["refined"]["path"]))
    assert {row.layer.name for row in table.rows.values() if row.kind == "measured"} == names
    assert {row.kind for name, row in table.rows.items() if name not in names} == {"modelled"}
    assert shipped.read_bytes() == before
    assert result.exit_code == (0 if mended.passed else 1)
