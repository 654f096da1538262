"""Where the data that travels with the toolkit lies, in a checkout and in an installed wheel alike.

Proved by tests/test_packaging.py.
"""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent.parent

DEFAULT_RUN = _PACKAGE / "runs" / "default"
RECIPES = _PACKAGE / "recipes"
_IN_WHEEL, _IN_CHECKOUT = _PACKAGE / "devices", _PACKAGE.parent / "devices"
DEVICES = _IN_WHEEL if _IN_WHEEL.is_dir() else _IN_CHECKOUT
"""Profiles `*.toml` and their tables `tables/*.jsonl`; see `toolkit.specs.device.DeviceProfile`."""

OUT = Path("out")
"""Where the verbs write by default, below the folder they are run in: `tables/`, `picks/`, `bundles/`, `runs/`."""
