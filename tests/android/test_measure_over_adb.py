"""A pick measured on a phone through the demo app."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.android.phone import Phone
from tests.costs.invented import invented_table, save_table
from toolkit.profile.measure import Effort
from toolkit.search.__main__ import main as search_verb
from toolkit.specs.bundle import bundle_folder
from toolkit.specs.measured import Measured
from toolkit.specs.run import Run

FEW = Effort(rounds=2, redo_rounds=0, warmups=1, runs=5, seconds=0.2, note="", peaks=True)

pytestmark = pytest.mark.android


def test_a_pick_is_measured_through_the_app(
    android_phone: Phone,
    calibrated_run: Path,
    tiny_bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`search --measure --agent app` writes predicted beside what the app measured, memory of its process included."""
    monkeypatch.setattr("toolkit.search.measured.FULL", FEW)
    run = Run.open(calibrated_run)
    space = run.manifest.space
    save_table(invented_table(run, device="host"), tmp_path / "tables")
    shutil.copytree(tiny_bundle, bundle_folder(tmp_path, run, space.smallest.id, "host"))
    least = space.params(space.smallest, len(run.manifest.labels))
    options = ["--device", "host", "--run", str(calibrated_run), "--out", str(tmp_path), "--max-params", str(least)]
    options += ["--measure", "--target", android_phone.target, "--agent", "app"]
    done = CliRunner().invoke(search_verb, options)
    assert done.exit_code in (0, 1), done.output
    (path,) = (tmp_path / "measured").glob("*.json")
    record = Measured.load(path)
    assert (record.target, record.agent) == (android_phone.target, "AppAgent")
    assert len(record.measurement.latencies_us) == FEW.rounds * FEW.runs
    assert record.measurement.environment.runtime_version.startswith("2.")
    assert record.peak_bytes is not None
    assert record.peak_bytes > record.base_bytes
