"""The pick measured over a connection: a real sshd; the real adb client, and a device that speaks its protocol."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.costs.invented import invented_table, save_table
from tests.targets.conftest import adb_server, adbd, sshd
from toolkit.profile.measure import Effort
from toolkit.search.__main__ import main
from toolkit.specs.bundle import bundle_folder
from toolkit.specs.measured import Measured
from toolkit.specs.run import Run

__all__ = ["adb_server", "adbd", "sshd"]
FEW = Effort(rounds=2, redo_rounds=0, warmups=1, runs=5, seconds=0.2, note="", peaks=True)


@pytest.mark.system
@pytest.mark.xdist_group("bundle")
@pytest.mark.parametrize("way", ["ssh", "adb"])
def test_a_pick_is_measured_over_a_connection(
    way: str,
    calibrated_run: Path,
    tiny_bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    """The device's Python runs the bundle's file; timings and peak come back into the record, nothing stays there."""
    monkeypatch.setattr("toolkit.search.measured.FULL", FEW)
    if way == "ssh":
        server = request.getfixturevalue("sshd")
        monkeypatch.setenv("PATH", f"{server.client}:{os.environ['PATH']}")
        target, folder = "ssh://kitchen", server.folder
    else:
        device = request.getfixturevalue("adbd")
        request.getfixturevalue("adb_server")(device)
        target, folder = f"adb://{device.address}", device.login.parent
    run = Run.open(calibrated_run)
    space = run.manifest.space
    save_table(invented_table(run, device="host"), tmp_path / "tables")
    shutil.copytree(tiny_bundle, bundle_folder(tmp_path, run, space.smallest.id, "host"))
    least = space.params(space.smallest, len(run.manifest.labels))
    options = ("--run", str(calibrated_run), "--out", str(tmp_path), "--max-params", str(least))
    measuring = ("--measure", "--target", target, "--python", sys.executable)
    result = CliRunner().invoke(main, ["--device", "host", *measuring, *options])
    assert result.exit_code in (0, 1), result.output
    (path,) = (tmp_path / "measured").glob("*.json")
    record = Measured.load(path)
    assert (record.target, record.measurement.environment.machine) == (target, platform.machine())
    assert len(record.measurement.latencies_us) == FEW.rounds * FEW.runs
    assert record.peak_bytes is not None
    assert record.peak_bytes > record.base_bytes
    assert result.exit_code == (0 if record.passed else 1)
    assert not list(folder.glob("*/aec-toolkit-*"))
