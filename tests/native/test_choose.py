"""Which agent a runtime's files get."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolkit.native.choose import AgentName, check_agent, choose_agent
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


@pytest.mark.parametrize(
    ("runtime", "wanted", "reason"),
    [
        ("executorch", None, r"benchmark_model runs tflite files, not executorch: leave --benchmark-model out\."),
        ("all", None, r"benchmark_model runs tflite files, not all: leave --benchmark-model out\."),
        ("tflite", "native", "--benchmark-model and --agent native are two agents: leave one out"),
        ("tflite", "python", "--benchmark-model and --agent python are two agents: leave one out"),
        ("tflite", "app", "--benchmark-model and --agent app are two agents: leave one out"),
    ],
)
def test_tflites_own_program_beside_another_choice_is_refused(
    runtime: str, wanted: AgentName | None, reason: str
) -> None:
    """It runs TFLite files, and in no other agent's company; neither choice is dropped without a word."""
    with pytest.raises(UserError, match=reason):
        check_agent(runtime, wanted, benchmark_model=Path("benchmark_model"))


@pytest.mark.parametrize(
    ("runtime", "wanted", "program"),
    [
        ("tflite", "native", None),
        ("tflite", "app", None),
        ("executorch", None, None),
        ("tflite", None, Path("benchmark_model")),
    ],
)
def test_a_python_that_nothing_would_run_in_is_refused(
    runtime: str, wanted: AgentName | None, program: Path | None
) -> None:
    """`--python` is for the Python agent alone."""
    with pytest.raises(UserError, match="--python is for the Python agent, which is not what runs here: leave it out"):
        check_agent(runtime, wanted, benchmark_model=program, python="/usr/bin/python3")


@pytest.mark.parametrize(("runtime", "wanted"), [("tflite", None), ("tflite", "python"), ("all", None)])
def test_a_python_is_taken_where_tflite_files_run_in_it(runtime: str, wanted: AgentName | None) -> None:
    """Of several runtimes one is enough."""
    check_agent(runtime, wanted, python="/usr/bin/python3")
