"""The native runners on this machine, with real files: what they print, and that they compute what Python computes."""

from __future__ import annotations

import platform
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.fakes import fake_tflite
from tests.lower import toys
from tests.native.conftest import Build
from tests.native.running import executorch_scores, lines_of, noise, played, run_plan
from toolkit.native.build import NativeAgent
from toolkit.specs.runtime import Runtime
from toolkit.targets.base import Peak, Plan, Play, Start, Visit

pytestmark = [pytest.mark.system, pytest.mark.parametrize("runtime", ["executorch", "tflite"])]

Files = Callable[[Runtime], bytes]
STREAM_SAMPLES = 3 * 8 * 6
LARGE_MACHINE = """
#define _GNU_SOURCE
#include <sched.h>
int sched_setaffinity(pid_t pid, size_t size, const cpu_set_t* set) { return 0; }
int sched_getaffinity(pid_t pid, size_t size, cpu_set_t* set) {
  CPU_ZERO(set);
  CPU_SET(3, set);
  CPU_SET(70, set);
  return 0;
}
"""


@pytest.fixture
def agent(runtime: Runtime, build: Build) -> NativeAgent:
    """The runner for this machine."""
    return build(runtime, platform.machine())


def test_it_says_where_it_runs_and_times_each_visit(
    agent: NativeAgent, runtime: Runtime, toy: Files, stream: Files, tmp_path: Path
) -> None:
    """One line for each line of the plan, in its order, in the words of `targets.base`; on the core that was named."""
    plan = Plan(time=("a", "b", "a"), peak="b", warmups=2, runs=5, seconds=60, cores=(0,), seed=3)
    done = run_plan(agent, plan, {"a": toy(runtime), "b": stream(runtime)}, tmp_path)
    start, *visits, peak = lines_of(done)
    assert isinstance(start, Start)
    found = start.environment
    assert (found.machine, found.python, found.runtime) == (platform.machine(), "none", runtime)
    assert (found.threads, found.core_mask) == (1, "0x1")
    assert [visit.file for visit in visits if isinstance(visit, Visit)] == ["a", "b", "a"]
    for visit in visits:
        assert isinstance(visit, Visit)
        assert (len(visit.warmups_us), len(visit.latencies_us)) == (2, 5)
        assert min(visit.latencies_us) > 0
    assert isinstance(peak, Peak)
    assert peak.peak_bytes > start.base_bytes


def test_seconds_end_a_visit_that_has_two_timings(
    agent: NativeAgent, runtime: Runtime, toy: Files, tmp_path: Path
) -> None:
    """A visit whose time is up at once keeps two timings."""
    plan = Plan(time=("toy",), runs=1000, seconds=1e-9)
    _, visit = lines_of(run_plan(agent, plan, {"toy": toy(runtime)}, tmp_path))
    assert isinstance(visit, Visit)
    assert len(visit.latencies_us) == 2


def test_it_rests_between_inferences(agent: NativeAgent, runtime: Runtime, toy: Files, tmp_path: Path) -> None:
    """Five inferences, one each 50 ms, take 200 ms, nearly none of which they compute."""
    begin = time.perf_counter()
    done = run_plan(agent, Plan(time=("toy",), runs=5, seconds=60, every_ms=50), {"toy": toy(runtime)}, tmp_path)
    taken_ms = (time.perf_counter() - begin) * 1e3
    _, visit = lines_of(done)
    assert isinstance(visit, Visit)
    assert taken_ms > 4 * 50 > sum(visit.latencies_us) / 1e3


@pytest.mark.parametrize("threads", [1, 2])
def test_it_scores_as_the_python_package_does(
    agent: NativeAgent, runtime: Runtime, toy: Files, tmp_path: Path, threads: int
) -> None:
    """To float32's precision, hop by hop, on one thread and on two."""
    hops, model = noise(3, toys.SAMPLES), toy(runtime)
    plan = Plan(play=(Play(file="toy", samples="noise", hop_samples=toys.SAMPLES),), threads=threads)
    found = played(run_plan(agent, plan, {"toy": model, "noise": hops.tobytes()}, tmp_path))
    if runtime == "executorch":
        expected = executorch_scores(model, hops)
    else:
        expected = np.concatenate([toys.run(model, wave=hop[None])["scores"] for hop in hops])
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_state_is_fed_back(agent: NativeAgent, runtime: Runtime, stream: Files, tmp_path: Path) -> None:
    """A stream's outputs are those of the Python package, to which each next state is handed; a rest is no hop."""
    hops, model = noise(4, STREAM_SAMPLES), stream(runtime)
    plan = Plan(play=(Play(file="stream", samples="noise", hop_samples=STREAM_SAMPLES),))
    files = {"stream": model, "noise": hops.tobytes() + b"rest"}
    found = played(run_plan(agent, plan, files, tmp_path))
    if runtime == "executorch":
        expected = executorch_scores(model, hops)
    else:
        expected, state = np.empty_like(found), np.zeros((1, 2, 6, 3), np.float32)
        for k, hop in enumerate(hops):
            outputs = toys.run(model, chunk=hop.reshape(1, 8, 6, 3), a_state=state)
            expected[k], state = outputs["out"].ravel(), outputs["next_state"]
    assert len(found) == 4
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("plan", "reason"),
    [
        ("time absent\n", "cannot run absent"),
        ("time broken\n", "cannot run broken"),
        ("cores 4000\n", "core(s) 4000"),
        ("cores 0,1000\n", "core(s) 0 1000"),
        ("cores 0,-1\n", "core(s) 0 -1"),
        ("tune toy\n", "plan.txt line 1 says nothing known: tune toy"),
        ("runs 1e6\n", "plan.txt line 1 says nothing known: runs 1e6"),
        ("play toy noise 100\n", f"toy takes {toys.SAMPLES} samples, the plan plays 100"),
        (f"play toy empty {toys.SAMPLES}\n", "empty is missing, or holds less than one hop"),
    ],
)
def test_what_it_cannot_do_is_its_last_line(
    agent: NativeAgent, runtime: Runtime, toy: Files, tmp_path: Path, plan: str, reason: str
) -> None:
    """It ends badly, and the last line of stderr says why."""
    files = {"toy": toy(runtime), "broken": toy(runtime)[:3000], "empty": b""}
    done = run_plan(agent, plan, files, tmp_path)
    assert done.returncode == 1
    assert reason in done.stderr.splitlines()[-1]


def test_cores_of_a_large_machine_have_their_bits_in_the_mask(
    agent: NativeAgent, runtime: Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Core 70 is the 71st bit; a library stands for the system that has it."""
    (tmp_path / "cores.c").write_text(LARGE_MACHINE)
    library = tmp_path / "cores.so"
    subprocess.run(["g++", "-shared", "-fPIC", "-x", "c", tmp_path / "cores.c", "-o", library], check=True)
    monkeypatch.setenv("LD_PRELOAD", str(library))
    for plan, mask in (("threads 1\n", 1 << 70), ("threads 2\ncores 70,3\n", 1 << 70 | 1 << 3)):
        (start,) = lines_of(run_plan(agent, plan, {}, tmp_path))
        assert isinstance(start, Start)
        assert (start.environment.runtime, start.environment.core_mask) == (runtime, hex(mask))


def test_peak_counts_the_memory_of_a_model(agent: NativeAgent, runtime: Runtime, tmp_path: Path) -> None:
    """A model whose input and output are 8 MB each has a peak that is higher by what it holds; the base is the same."""
    files = {"small": fake_tflite(16), "large": fake_tflite(2_000_000)}
    if runtime == "executorch":
        files = {"small": _relu(16), "large": _relu(2_000_000)}
    peaks = {}
    for name, model in files.items():
        start, peak = lines_of(run_plan(agent, Plan(peak=name), {name: model}, tmp_path))
        assert isinstance(start, Start)
        assert isinstance(peak, Peak)
        peaks[name] = peak.peak_bytes - start.base_bytes
    assert peaks["large"] - peaks["small"] == pytest.approx(16e6, rel=0.05)


def _relu(size: int) -> bytes:
    import torch

    from toolkit.lower.formats import lower
    from toolkit.lower.piece import Piece, Quantization

    piece = Piece(torch.nn.ReLU().eval(), (torch.zeros(size),), ("x",), ("y",))
    return next(iter(lower("executorch", piece, ["fp32"], Quantization())))
