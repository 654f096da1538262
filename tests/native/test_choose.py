"""Which agent a runtime's files get."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolkit.native.choose import choose_agent
from toolkit.specs.errors import UserError
from toolkit.targets import PythonAgent


def test_tflite_runs_in_the_devices_python() -> None:
    """Unless somebody wishes otherwise, on any architecture."""
    assert isinstance(choose_agent("tflite", "riscv64", None, lambda _: None), PythonAgent)


def test_executorch_has_no_python_agent() -> None:
    """Its Python module needs all of torch on the device."""
    with pytest.raises(UserError, match=r"runs tflite files, not executorch: leave --agent out, or --agent native\."):
        choose_agent("executorch", "aarch64", "python", lambda _: None)


def test_tflites_own_program_takes_the_place_of_ours(tmp_path: Path) -> None:
    """For TFLite files alone; what is no program is refused before anything is brought."""
    program = tmp_path / "benchmark_model"
    with pytest.raises(UserError, match="is no program"):
        choose_agent("tflite", "aarch64", None, lambda _: None, program)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    agent = choose_agent("tflite", "aarch64", None, lambda _: None, program)
    assert agent.files["benchmark_model"] == program
