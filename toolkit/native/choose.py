"""Which agent runs a runtime's files on a device. Proved by tests/native/test_choose.py."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from toolkit.lower.own_environment import Note
from toolkit.native.app import AppAgent
from toolkit.native.benchmark_model import BenchmarkModelAgent
from toolkit.native.build import native_agent
from toolkit.specs.errors import UserError
from toolkit.specs.runtime import Runtime
from toolkit.targets import Agent, PythonAgent

AgentName = Literal["python", "native", "app"]


def choose_agent(
    runtime: Runtime, machine: str, wanted: AgentName | None, note: Note, benchmark_model: Path | None = None
) -> Agent:
    """TFLite files run in the device's Python unless the native runner or the app is wanted; ExecuTorch has that alone.

    Args:
        runtime: of the files.
        machine: the device's architecture.
        wanted: what people ask for.
        note: told before a runner is built.
        benchmark_model: TFLite's own program for the device, to be used in place of ours.

    Raises:
        UserError: the runtime has no such agent, two are named, the runner cannot be built, or the program is none.
        StableDeviceError: runtimes have no libraries for that architecture.
    """
    check_agent(runtime, wanted, benchmark_model)
    if benchmark_model:
        return BenchmarkModelAgent(benchmark_model)
    if wanted == "app":
        return AppAgent()
    return PythonAgent() if runtime == "tflite" and wanted != "native" else native_agent(runtime, machine, note)


def check_agent(
    runtime: str, wanted: AgentName | None, benchmark_model: Path | None = None, python: str | None = None
) -> None:
    """Raises UserError where options contradict one another, before anything is made.

    Args:
        runtime: of the files, or `all`.
        wanted, benchmark_model: as `choose_agent` takes them.
        python: of the device, if one is named.
    """
    if wanted in ("python", "app") and runtime != "tflite":
        raise UserError(f"the {wanted} agent runs tflite files, not {runtime}: leave --agent out, or --agent native.")
    if benchmark_model and runtime != "tflite":
        raise UserError(f"benchmark_model runs tflite files, not {runtime}: leave --benchmark-model out.")
    if benchmark_model and wanted:
        raise UserError(f"--benchmark-model and --agent {wanted} are two agents: leave one out.")
    if python and (benchmark_model or wanted in ("native", "app") or runtime == "executorch"):
        raise UserError("--python is for the Python agent, which is not what runs here: leave it out.")
