"""Which agent a runtime's files get."""

from __future__ import annotations

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
