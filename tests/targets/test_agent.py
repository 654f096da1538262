"""The agent as it runs on a device: one file, whichever runtime is there, a JSON line for each visit."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import fake_tflite
from toolkit.targets.local import AGENT

SCHEDULE = {"files": ["a.tflite", "b.tflite"], "rounds": 3, "warmups": 2, "runs": 4, "seconds": 9.0}
FAKE_RUNTIME = """
import numpy
class Interpreter:
    def __init__(self, path, num_threads): self.path = path
    def allocate_tensors(self): pass
    def get_input_details(self): return [{"index": 0, "shape": numpy.array([1, 3]), "dtype": numpy.int8}]
    def set_tensor(self, index, values): assert values.dtype == numpy.int8 and values.shape == (1, 3)
    def invoke(self): pass
"""


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    """Two small files."""
    for name, size in (("a.tflite", 4), ("b.tflite", 64)):
        (tmp_path / name).write_bytes(fake_tflite(size))
    return tmp_path


def run(pack: Path, schedule: dict[str, Any], *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The agent, run to its end."""
    defaults = {"threads": 1, "cores": [], "seed": 0}
    return subprocess.run(
        [sys.executable, *(options or ("-P",)), str(AGENT), str(pack), json.dumps(defaults | schedule)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def lines(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    """What it printed; nothing else may stand on stdout."""
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_first_line_says_where_it_runs(pack: Path) -> None:
    """The first line holds machine, runtime version, the one core it took, and its memory before any model."""
    start = lines(run(pack, SCHEDULE))[0]
    environment = start["environment"]
    assert environment["machine"] == platform.machine()
    assert environment["runtime_version"] == metadata.version("ai-edge-litert")
    assert int(environment["core_mask"], 16) in {1 << core for core in os.sched_getaffinity(0)}
    assert 5e6 < start["base_bytes"] < 5e8


def test_each_round_visits_each_file_once(pack: Path) -> None:
    """Three rounds give each file three visits of two warm-ups and four timings, one of each in every round."""
    visits = lines(run(pack, SCHEDULE))[1:]
    assert all({visits[i]["file"], visits[i + 1]["file"]} == set(SCHEDULE["files"]) for i in (0, 2, 4))  # type: ignore[call-overload]
    assert [(len(visit["warmups_us"]), len(visit["latencies_us"])) for visit in visits] == [(2, 4)] * 6
    assert all(value > 0 for visit in visits for value in (*visit["warmups_us"], *visit["latencies_us"]))


def test_time_ends_a_visit_after_two_timings(pack: Path) -> None:
    """When the seconds are over, two timings are enough."""
    visits = lines(run(pack, SCHEDULE | {"runs": 1000, "seconds": 1e-9}))[1:]
    assert {len(visit["latencies_us"]) for visit in visits} == {2}


def test_named_cores_and_threads_are_taken(pack: Path) -> None:
    """The process runs on the cores it is given, and says so."""
    core = min(os.sched_getaffinity(0))
    start = lines(run(pack, SCHEDULE | {"cores": [core], "threads": 2}))[0]
    assert start["environment"]["core_mask"] == hex(1 << core)
    assert start["environment"]["threads"] == 2


def test_a_file_that_is_no_model_ends_it_with_the_files_name(pack: Path) -> None:
    """A damaged file is named in the last line of stderr, and the exit code is not 0."""
    (pack / "b.tflite").write_bytes(b"no model")
    done = run(pack, SCHEDULE)
    assert done.returncode != 0
    assert "cannot run b.tflite" in done.stderr.strip().splitlines()[-1]


def test_without_a_runtime_it_says_what_to_install(pack: Path) -> None:
    """Where neither runtime is installed, one line names both packages."""
    done = run(pack, SCHEDULE, "-S", "-P")
    assert done.returncode != 0
    assert "pip install ai-edge-litert (or tflite-runtime)" in done.stderr
    assert "Traceback" not in done.stderr


def test_takes_the_older_runtime_where_it_is_the_one_that_is_there(pack: Path, tmp_path: Path) -> None:
    """With tflite-runtime alone it measures with that, and says its version."""
    site = tmp_path / "site"
    (site / "tflite_runtime").mkdir(parents=True)
    (site / "tflite_runtime" / "__init__.py").write_text("")
    (site / "tflite_runtime" / "interpreter.py").write_text(FAKE_RUNTIME)
    info = site / "tflite_runtime-2.14.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tflite-runtime\nVersion: 2.14.0\n")
    numpy = importlib.util.find_spec("numpy")
    assert numpy
    assert numpy.origin
    installed = Path(numpy.origin).parent
    for folder in installed.parent.glob("numpy*"):
        (site / folder.name).symlink_to(folder)
    start, *visits = lines(run(pack, SCHEDULE, "-S", "-P", PYTHONPATH=str(site)))
    assert start["environment"]["runtime_version"] == "2.14.0"
    assert len(visits) == 6


def test_is_one_file_for_python_3_9_with_nothing_but_the_standard_library() -> None:
    """The agent parses as Python 3.9 and imports only what comes with Python; numpy and the runtime are found later."""
    tree = ast.parse(AGENT.read_text(), feature_version=(3, 9))
    imported = {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    imported |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in imported} <= sys.stdlib_module_names
