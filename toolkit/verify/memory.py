"""The most memory that something took, as the kernel counted it. Linux; None elsewhere.

Proved by tests/verify/test_memory.py.
"""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_RESET_PEAK = "5"


class Peak:
    """What a block of code took at most, above what the process held before; `bytes` is None until it has ended."""

    bytes: int | None = None


@contextmanager
def measured_peak() -> Iterator[Peak]:
    """Measure the peak of the block. Memory that was free before is given back first, so that using it counts."""
    peak = Peak()
    gc.collect()
    before = _reset()
    yield peak
    if before is not None:
        peak.bytes = max(0, _held("VmHWM") - before)


def _reset() -> int | None:
    """Bytes held now, the kernel's peak set back to them; None where it cannot be."""
    try:
        ctypes.CDLL("libc.so.6").malloc_trim(0)
        _RESET.write_text(_RESET_PEAK, encoding="ascii")
        return _held("VmRSS")
    except (OSError, AttributeError):
        return None


def _held(name: str) -> int:
    for line in _STATUS.read_text(encoding="ascii").splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return int(value.split()[0]) * 1024
    raise OSError(f"{_STATUS} has no {name}")
