"""This machine as a target. Proved by tests/targets/test_targets.py."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from toolkit.specs.errors import DeviceError
from toolkit.targets.job import Connection


class Local:
    """No connection at all; see `Connection`."""

    lost_code = 255

    def argv(self, words: Sequence[str]) -> list[str]:
        """The words themselves."""
        return list(words)

    def fault(self, talk: str) -> DeviceError | None:
        """Nothing stands between."""
        return None


@contextmanager
def local_connection() -> Iterator[Connection]:
    """The way to this machine."""
    yield Local()
