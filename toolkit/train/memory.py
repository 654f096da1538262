"""Keep the memory that a step gives back for the next step, in place of returning it to the system.

A step frees tensors of tens of megabytes and asks for the same again; glibc hands such blocks back at once, and the
system then clears and maps every page anew. Linux with glibc alone: elsewhere nothing is done.
Proved by tests/train/test_memory.py.
"""

from __future__ import annotations

import ctypes
import platform

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4
"""Source: glibc, malloc.h (M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX)."""
_NEVER = -1
_GROWTH_BYTES = 512 * 2**20


def keep_freed_memory() -> bool:
    """From now on this process keeps what it frees and grows by half a gigabyte; whether that could be arranged."""
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    wanted = ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, _NEVER), (_TOP_PAD, _GROWTH_BYTES))
    return all(mallopt(option, value) == 1 for option, value in wanted)
