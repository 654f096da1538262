"""A tiny Run that may be written to, and the sounds that it was trained on."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import NamedTuple

import pytest

from toolkit.audio.dataset import Dataset, load_dataset
from toolkit.specs.run import Run


class Place(NamedTuple):
    """The Run, and its recordings."""

    run: Run
    sounds: Path

    @property
    def dataset(self) -> Dataset:
        """The recordings."""
        return load_dataset(self.sounds)


@pytest.fixture
def place(tiny_run: Path, tmp_path: Path) -> Place:
    """A copy of the tiny Run, in which nothing was evaluated yet."""
    folder = shutil.copytree(tiny_run, tmp_path / "run", ignore=shutil.ignore_patterns("work"))
    return Place(Run.open(folder), tiny_run.parent / "sounds")
