"""The shape of the code: who may import whom, and verbs that answer `--help` without loading a framework."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from toolkit.__main__ import VERBS

ROOT = Path(__file__).parent.parent
HEAVY = {
    *("ai_edge_litert", "ai_edge_quantizer", "coremltools", "executorch", "litert_torch", "onnx", "safetensors"),
    *("scipy", "sklearn", "torch", "soundfile", "soxr", "sounddevice", "tflite_runtime"),
}
FRAMEWORKS = ("ai_edge_quantizer", "coremltools", "executorch", "litert_torch", "safetensors", "sklearn", "torch")
ON_BOARDS = ("audio", "cli", "costs", "events", "listen", "profile", "search", "specs", "targets")
IMPORT_WITHOUT = """
import importlib, json, pkgutil, sys
frameworks, rooms = map(json.loads, sys.argv[1:])
sys.modules.update(dict.fromkeys(frameworks))
for room in rooms:
    package = importlib.import_module(f"toolkit.{room}")
    for module in pkgutil.walk_packages(getattr(package, "__path__", []), f"toolkit.{room}."):
        importlib.import_module(module.name)
"""
HELP_THEN_LIST_MODULES = """
import json, runpy, sys
module = sys.argv.pop(1)
try:
    runpy.run_module(module, run_name="__main__", alter_sys=True)
finally:
    print("\\n" + json.dumps(sorted(sys.modules)))
"""


def test_import_contracts_hold() -> None:
    """The import contracts of pyproject.toml are kept."""
    program = Path(sys.executable).parent / "lint-imports"  # in this process it would close the streams of pytest
    done = subprocess.run([program, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("module", ["toolkit", *(f"toolkit.{verb}" for verb in VERBS)])
def test_help_loads_no_framework(module: str) -> None:
    """`--help` of every verb explains it, succeeds, and imports nothing that takes long to import."""
    command = [sys.executable, "-c", HELP_THEN_LIST_MODULES, module, "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    text, _, modules = done.stdout.rstrip().rpartition("\n")
    assert "Usage:" in text
    assert not HEAVY & set(json.loads(modules))
    if module != "toolkit":
        assert "--json" in text, "every verb can print its result as JSON"


def test_rooms_that_run_on_boards_import_where_no_framework_is() -> None:
    """Every module of the rooms that a board runs can be imported where only the extra `device` is installed."""
    command = [sys.executable, "-c", IMPORT_WITHOUT, json.dumps(FRAMEWORKS), json.dumps(ON_BOARDS)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "benchmarks").glob("[a-z]*.py")))
def test_benchmarks_can_be_run_quickly(name: str) -> None:
    """Every benchmark is runnable by its name, explains itself and has a quick form."""
    command = [sys.executable, "-m", f"benchmarks.{name}", "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "--quick" in done.stdout


def test_modules_are_named_for_what_they_hold() -> None:
    """No module is a drawer for odds and ends."""
    drawers = {"common", "helper", "helpers", "manager", "misc", "util", "utils"}
    assert not [path for path in (ROOT / "toolkit").rglob("*") if path.stem in drawers]
