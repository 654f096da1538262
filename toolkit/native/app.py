"""`AppAgent`: the Android demo app as an agent, for phones, on which neither Python nor the native runners run.

The app measures where an app runs: with the runtime that it ships, in the state that Android gives it. A shell script
(app_benchmark.sh) starts its BenchmarkActivity and passes on what it writes; the same script ends the app when the
workplace is left. It times and tells memory, and plays nothing. Proved by tests/native/test_app.py and
tests/android/test_benchmark_over_adb.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from toolkit.targets.base import LEAVE

_SCRIPT = Path(__file__).with_name("app_benchmark.sh")


class AppAgent:
    """An `Agent` of `toolkit/targets/base.py`; the app must be installed on the device."""

    files: Mapping[str, Path] = {_SCRIPT.name: _SCRIPT, LEAVE: _SCRIPT}

    def command(self, plan: str) -> tuple[str, ...]:
        """The command that carries out a plan, given the name of its file."""
        return ("sh", _SCRIPT.name, plan)
