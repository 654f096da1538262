"""A bundle that a test may change."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest


@pytest.fixture
def bundle(tiny_bundle: Path, tmp_path: Path) -> Path:
    """A bundle of one's own, to be changed."""
    return Path(shutil.copytree(tiny_bundle, tmp_path / "mine"))
