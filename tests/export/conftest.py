"""What tests of exported bundles share."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolkit.specs.run import Run


@pytest.fixture(scope="module")
def run(calibrated_run: Path) -> Run:
    """The Run of the bundle, opened."""
    return Run.open(calibrated_run)
