"""A training step's memory is kept for the next step."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from toolkit.train.memory import keep_freed_memory

BLOCK_BYTES = 64 * 2**20
FAULTS = f"""
import resource
from toolkit.train.memory import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(4):
        block = b"x" * {BLOCK_BYTES}
        del block
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults()
plain = faults()
arranged = keep_freed_memory()
faults()
print(arranged, plain, faults())
"""


def test_freed_memory_is_not_mapped_anew() -> None:
    """Large blocks that are freed and asked for again cost page faults by default, and none where it is arranged."""
    told = subprocess.run([sys.executable, "-c", FAULTS], check=True, capture_output=True, text=True).stdout.split()
    arranged, plain, kept = told[0] == "True", int(told[1]), int(told[2])
    assert arranged == (platform.libc_ver()[0] == "glibc")
    assert not arranged or kept < plain / 50


def test_elsewhere_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without glibc there is nothing to arrange, and no error."""
    monkeypatch.setattr("platform.libc_ver", lambda: ("", ""))
    assert not keep_freed_memory()
