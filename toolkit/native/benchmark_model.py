"""`BenchmarkModelAgent`: TFLite's official `benchmark_model`, of which the user gives a binary, as an agent.

For Android, where the native runners do not run: a shell script (benchmark_model.sh) turns a plan into its options, and
what it prints into an agent's lines. It times and tells memory, and plays nothing.
Proved by tests/native/test_benchmark_model.py.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from toolkit.specs.errors import UserError
from toolkit.specs.files import sha256

_SCRIPT = "benchmark_model.sh"


class BenchmarkModelAgent:
    """An `Agent` of `toolkit/targets/base.py`.

    Args:
        binary: `benchmark_model`, built for the device.

    Raises:
        UserError: it is missing or not executable.
    """

    def __init__(self, binary: Path) -> None:
        if not binary.is_file() or not os.access(binary, os.X_OK):
            raise UserError(f"{binary} is no program. Give the path of benchmark_model for the device, executable.")
        self.files: Mapping[str, Path] = {"benchmark_model": binary, _SCRIPT: Path(__file__).with_name(_SCRIPT)}
        self.version = f"benchmark_model-{sha256(binary)[:8]}"
        """Which runtime is in it, it does not say: a table is of this very binary."""

    def command(self, plan: str) -> tuple[str, ...]:
        """The command that carries out a plan, given the name of its file."""
        return ("sh", _SCRIPT, plan, self.version)
