"""A board of one's own with a Run and tables, as folders."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.costs.invented import invented_table, save_table, write_profile
from tests.fakes import fake_run
from toolkit.specs.run import Run


@dataclass(frozen=True)
class Place:
    """Folders that a search reads and writes, and a report reads."""

    run: Path
    devices: Path
    out: Path

    @property
    def arguments(self) -> list[str]:
        """Options that point the verb at these folders."""
        return ["--run", str(self.run), "--devices", str(self.devices), "--out", str(self.out)]


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Run at base width 8 with invented evaluations, read only."""
    return fake_run(tmp_path_factory.mktemp("run"))


@pytest.fixture
def place(tmp_path: Path, run_folder: Path) -> Place:
    """A device `board` that allows 1.3 % of a core, with stream and clip tables, and an empty folder for results."""
    devices = tmp_path / "devices"
    write_profile(devices, "board", "max_core_share = 0.013, max_memory_mb = 0.45")
    for mode in ("stream", "clip"):
        save_table(invented_table(Run.open(run_folder), mode, device="board"), devices / "tables")
    return Place(run_folder, devices, tmp_path / "out")
