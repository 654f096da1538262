"""The fit to published rows: what it gives back, what it keeps apart, and how far it is off on rows it never saw."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.device_model import main
from toolkit.profile.calibration import KERNELS, Place, calibrate, costs, predicted_ms
from toolkit.profile.published import published_rows, read_rows
from toolkit.profile.published_row import Row
from toolkit.profile.validation import (
    PUBLISHED_AS,
    Judged,
    error_band,
    judge,
    model_toml,
    modelled,
    rank_correlation,
    shipped_parameters,
)
from toolkit.specs.device import load_profile
from toolkit.specs.shipped import DEVICES

ROWS = published_rows()


def rows_of(kernels: str) -> list[Row]:
    """Published rows of one set of kernels."""
    return [row for row in ROWS if row.kernels == kernels]


@pytest.fixture(scope="module")
def judged() -> list[Judged]:
    """XNNPACK's rows, each predicted without its family."""
    return judge(rows_of(KERNELS))


@pytest.mark.parametrize("kernels", [KERNELS, "armnn", "paddle"])
def test_the_fit_gives_the_stored_numbers(kernels: str) -> None:
    """`python -m benchmarks.device_model --calibrate` again changes nothing."""
    again, stored = calibrate(rows_of(kernels)), shipped_parameters()
    assert set(again) <= set(stored)
    assert again == pytest.approx({name: stored[name] for name in again}, abs=2e-3)


@pytest.mark.parametrize("device", PUBLISHED_AS)
def test_profiles_hold_what_the_fit_found(device: str, judged: list[Judged]) -> None:
    """Their models and error bands, to the letter."""
    profile = load_profile(device)
    found = modelled(profile, shipped_parameters(), judged)
    assert profile.model == found
    assert model_toml(found) in (DEVICES / f"{device}.toml").read_text()


def test_rows_of_other_kernels_change_nothing() -> None:
    """Not even when they are ten times as slow: Winograd never calibrates a table of TFLite's."""
    slower = [row._replace(latency_ms=10 * row.latency_ms) for row in rows_of("paddle")]
    alone, beside = calibrate(rows_of(KERNELS)), calibrate([*rows_of(KERNELS), *slower])
    assert {name: beside[name] for name in alone} == alone


def test_costs_that_were_put_in_come_out() -> None:
    """Rows that a known set of parameters made are predicted to 5 % by what a fit to them finds."""
    rows = rows_of("armnn")
    truth = {f"armnn {precision}: depthwise": 0.6 for precision in ("fp32", "int8")} | {"armnn fp32: pointwise": -0.3}
    made = [row._replace(latency_ms=predicted_ms(row, truth)) for row in rows]
    fitted = calibrate(made)
    errors = [abs(predicted_ms(row, fitted) / row.latency_ms - 1) for row in made]
    assert max(errors) < 0.05


def test_a_core_without_rows_is_not_another_core() -> None:
    """At one clock an A35 computes half of what an A53 does, by its own peak; a clock scales what is computed alone."""
    parameters = shipped_parameters()
    a35, a53 = (costs(Place(KERNELS, "fp32", core, 1.3), parameters) for core in ("Cortex-A35", "Cortex-A53"))
    assert a35.pointwise > 1.3 * a53.pointwise
    fast = costs(Place(KERNELS, "fp32", "Cortex-A53", 2.6), parameters)
    assert fast.pointwise == pytest.approx(a53.pointwise / 2)
    assert fast.memory == a53.memory


def test_threads_share_what_is_computed_and_not_what_is_started() -> None:
    """Four are faster than one, less than four times."""
    parameters = shipped_parameters()
    one, four = (costs(Place(KERNELS, "int8", "Cortex-A72", 1.5, threads), parameters) for threads in (1, 4))
    assert one.dense / 4 < four.dense < one.dense / 2
    assert one.memory / 4 < four.memory < one.memory
    assert four.operator == one.operator


def test_rows_that_were_held_out_are_predicted(judged: list[Judged]) -> None:
    """XNNPACK's to 15 % in the median, on a Raspberry Pi 4 and on all; benchmarks/device_model.py has the rest."""
    board = [one.error for one in judged if one.row.device == "Raspberry Pi 4B"]
    assert np.median(board) <= 0.15
    assert np.median([one.error for one in judged]) <= 0.15


def test_a_row_is_judged_by_a_fit_without_its_family(judged: list[Judged]) -> None:
    """Its own latency, were it a hundred times as long, does not change what is said of it."""
    (row,) = [one.row for one in judged if one.row.device == "Pixel 2" and one.row.precision == "int8"]
    changed = row._replace(latency_ms=100 * row.latency_ms)
    (one,) = judge([changed])
    (before,) = [old for old in judged if old.row == row]
    assert one.held_out_ms == before.held_out_ms
    assert before.shipped_ms is None
    assert one.shipped_ms is not None


def test_a_band_is_of_the_precision_and_says_what_was_tested(judged: list[Judged]) -> None:
    """No rows, or rows of matrix products alone, are no validation."""
    assert error_band([], "int8") == "not validated"
    products = [one for one in judged if one.row.device == "Pixel 7"]
    assert products
    assert error_band(products, "int8") == "not validated"
    board = [one for one in judged if one.row.device == "Raspberry Pi 4B"]
    band = error_band(board, "int8")
    assert "4 published rows (mobilenet-v1, mobilenet-v2; 4 threads)" in band
    assert "untested: one thread, dense 3x3 networks" in band
    worst = max(one.error for one in board if one.row.precision == "int8")
    assert f"at most {100 * worst:.0f} %" in band
    assert error_band(board, "fp16") == "not validated"


def test_a_file_of_new_rows_is_scored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the benchmark's `--rows`: rows on a new board are predicted from its core, what is unknown is counted."""
    path = tmp_path / "rows.csv"
    path.write_text(
        "device,soc,core,threads,framework,model,precision,latency_ms,gmacs,params_m,source,achieved_gmac_s,notes\n"
        "New Pi,x,4x Cortex-A72 1.8GHz,1,XNNPACK,mobilenet-v2-1.0-224,int8,50,0.3,3.47,a page,,\n"
        "New Pi,x,4x Cortex-A72 1.8GHz,3,XNNPACK,efficientnet-lite0,int8,40,0.39,4.6,a page,,\n"
        "Raspberry Pi 4B,x,4x Cortex-A72 1.5GHz,4,TFLite 2.4.1 (ruy),mobilenet-v1-1.0-224,int8,30,0.57,4.2,a page,,\n"
        "New Pi,x,4x Cortex-A72 1.8GHz,1,MNN,mobilenet-v2-1.0-224,int8,50,0.3,3.47,a page,,\n"
    )
    monkeypatch.setattr("sys.argv", ["device_model", "--rows", str(path)])
    main()
    printed = capsys.readouterr().out
    assert "1  unknown framework: MNN" in printed
    answer = json.loads(printed.splitlines()[-1])
    assert set(answer) == {"name", "figure", "unit", "goal", "holds", "detail"}
    assert answer["detail"]["rows"] == answer["detail"]["rows new to the shipped parameters"] == 3
    (row,) = [row for row in read_rows(path).rows if row.device == "Raspberry Pi 4B"]
    assert answer["figure"] == pytest.approx(abs(predicted_ms(row, shipped_parameters()) / 30 - 1), abs=1e-3)
    assert answer["holds"] is True
    assert answer["detail"]["family held out"]["figure"] != answer["figure"]


def test_a_file_of_other_columns_ends_the_benchmark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With one line that says what was expected."""
    (tmp_path / "rows.csv").write_text("a,b\n1,2\n")
    monkeypatch.setattr("sys.argv", ["device_model", "--rows", str(tmp_path / "rows.csv")])
    with pytest.raises(
        SystemExit, match=r"error: .* has the columns a, b; expected those of a file in devices/published"
    ):
        main()


def test_ranks_share_their_places() -> None:
    """Spearman's: the order alone counts, ties stand in the middle."""
    assert rank_correlation([1, 2, 3], [10, 200, 3000]) == pytest.approx(1)
    assert rank_correlation([1, 2, 3], [3, 2, 1]) == pytest.approx(-1)
    assert rank_correlation([1, 2, 2, 3], [1, 2, 3, 4]) == pytest.approx(0.9487, abs=1e-4)  # scipy.stats.spearmanr
