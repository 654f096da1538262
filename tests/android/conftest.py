"""A phone behind the real adb client."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.android.phone import Phone, phone
from tests.targets.adbd import FakeAdbd
from tests.targets.conftest import adb_server

__all__ = ["adb_server", "android_phone"]


@pytest.fixture
def android_phone(tmp_path: Path, adb_server: Callable[[FakeAdbd], None]) -> Iterator[Phone]:
    """A phone with the app on it, attached."""
    folder = tmp_path / "phone"
    folder.mkdir()
    with phone(folder) as made:
        adb_server(made.adbd)
        yield made
