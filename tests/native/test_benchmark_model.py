"""`BenchmarkModelAgent`: the shell script that speaks for benchmark_model, in this machine's shell.

The binary is not to be had from a package registry, so a script stands in that prints what its source prints (LiteRT,
tflite/tools/benchmark/benchmark_model.cc), and notes how it was called.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from toolkit.native.benchmark_model import BenchmarkModelAgent
from toolkit.specs.errors import StableDeviceError, UserError
from toolkit.targets.base import Peak, Plan, Play, Start, Visit, read_line

STAND_IN = """#!/bin/sh
echo "$@" >> calls
test -f "${1#--graph=}" || { echo "ERROR: Failed to load model"; exit 1; }
cat <<'END'
INFO: count=7 first=1300 curr=1250 min=1240 max=1300 avg=1262.14 std=14%MEDIAN%
INFO: Inference timings in us: Init: 900, First inference: 2200, Warmup (avg): 1400.5, Inference (avg): 1262.14
INFO: Memory footprint delta from the start of the tool (MB): init=2.5 overall=12.25
END
"""


def carry_out(folder: Path, plan: Plan, median: str = "") -> subprocess.CompletedProcess[str]:
    """Carry out a plan in a folder that has one model."""
    binary = folder / "given"
    binary.write_text(STAND_IN.replace("%MEDIAN%", median))
    binary.chmod(0o755)
    agent = BenchmarkModelAgent(binary)
    for name, path in agent.files.items():
        shutil.copy(path, folder / name)
    (folder / "model").touch()
    (folder / "plan.txt").write_text(plan.text())
    command = agent.command("plan.txt")
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=60)


def lines_of(done: subprocess.CompletedProcess[str]) -> list[object]:
    """All that it printed, which ended well."""
    assert done.returncode == 0, done.stderr
    return [read_line(line, "this machine", StableDeviceError) for line in done.stdout.splitlines()]


def test_a_plan_becomes_options_and_what_is_printed_becomes_lines(tmp_path: Path) -> None:
    """Threads, runs, time and rest are handed on; latency, warm-up and growth of memory come back."""
    core = max(os.sched_getaffinity(0))
    plan = Plan(time=("model",), peak="model", warmups=3, runs=7, seconds=2.5, every_ms=960, threads=1, cores=(core,))
    start, visit, peak = lines_of(carry_out(tmp_path, plan))
    assert isinstance(start, Start)
    assert isinstance(visit, Visit)
    assert isinstance(peak, Peak)
    assert (start.environment.runtime, start.environment.core_mask) == ("tflite", hex(1 << core))
    assert start.environment.runtime_version.startswith("benchmark_model-")
    assert (visit.warmups_us, visit.latencies_us) == ((2200,), (1262.14,))
    assert peak.peak_bytes - start.base_bytes == 12.25 * 2**20
    timed, _ = (set(call.split()) for call in (tmp_path / "calls").read_text().splitlines())
    wanted = {"--graph=model", "--num_threads=1", "--use_xnnpack=true", "--warmup_runs=3", "--num_runs=7"}
    assert timed >= wanted | {"--max_secs=2.5", "--min_secs=0"}
    (frequency,) = (option.partition("=")[2] for option in timed if option.startswith("--run_frequency="))
    assert float(frequency) == pytest.approx(1 / 0.96, rel=1e-4)


def test_a_median_is_taken_where_one_is_told(tmp_path: Path) -> None:
    """Newer binaries print percentiles; without a warm-up there is none to tell."""
    _, visit = lines_of(carry_out(tmp_path, Plan(time=("model",)), median=" p5=1241 median=1255.5 p95=1290"))
    assert isinstance(visit, Visit)
    assert (visit.warmups_us, visit.latencies_us) == ((), (1255.5,))


def test_the_last_cores_are_taken_where_none_is_named(tmp_path: Path) -> None:
    """One core for one thread, the last."""
    (start,) = lines_of(carry_out(tmp_path, Plan()))
    assert isinstance(start, Start)
    assert start.environment.core_mask == hex(1 << (os.cpu_count() or 1) - 1)


def test_what_it_cannot_do_is_its_last_line(tmp_path: Path) -> None:
    """A file that does not load, and samples to play: it ends badly and says why."""
    done = carry_out(tmp_path, Plan(time=("absent",)))
    assert done.returncode == 1
    assert done.stderr.strip() == "benchmark_model cannot run absent: ERROR: Failed to load model"
    done = carry_out(tmp_path, Plan(play=(Play(file="model", samples="noise", hop_samples=5),)))
    assert done.returncode == 1
    assert "plays no samples" in done.stderr


def test_a_path_that_is_no_program_is_refused(tmp_path: Path) -> None:
    """A missing or plain file is named before any device is asked."""
    (tmp_path / "plain").touch()
    for name in ("plain", "absent"):
        with pytest.raises(UserError, match=f"{name} is no program"):
            BenchmarkModelAgent(tmp_path / name)
