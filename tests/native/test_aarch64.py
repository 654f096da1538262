"""The aarch64 runners under qemu-user, with a bundle's real files, against the Python packages on this machine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.native.conftest import Build
from tests.native.running import executorch_scores, lines_of, played, run_plan
from tests.targets.pi import MODEL, cpuinfo
from tests.tiny_bundle import HOP_SAMPLES, WINDOW_SAMPLES, Played, sounds
from toolkit.specs.runtime import Precision, Runtime
from toolkit.targets.base import Peak, Plan, Play, Start, Visit

pytestmark = [pytest.mark.system, pytest.mark.parametrize("runtime", ["executorch", "tflite"])]

SUFFIXES = {"executorch": "pte", "tflite": "tflite"}


@pytest.fixture
def emulator(tmp_path: Path) -> tuple[str, ...]:
    """A command that runs aarch64 programs as on the cores of a Raspberry Pi 4.

    Runtimes ask /proc/cpuinfo what cores there are, which before qemu 8.2 is this machine's: LiteRT crashes on it. The
    core is named because qemu 7.2's default has SME, in which ExecuTorch's int8 kernels come out wrong.
    """
    root = tmp_path / "root"
    (root / "proc").mkdir(parents=True)
    (root / "lib").symlink_to("/usr/aarch64-linux-gnu/lib")
    (root / "proc" / "cpuinfo").write_text(cpuinfo())
    return ("qemu-aarch64-static", "-cpu", "cortex-a72", "-L", str(root))


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_stream_scores_as_here(
    runtime: Runtime,
    precision: Precision,
    build: Build,
    emulator: tuple[str, ...],
    small_bundle: Path,
    tmp_path: Path,
) -> None:
    """Three hops with the state handed on: what the Python package says on this machine, to float32's precision."""
    model = small_bundle / f"stream.{precision}.{SUFFIXES[runtime]}"
    sound = sounds(10)["late"][: 3 * HOP_SAMPLES]
    plan = Plan(play=(Play(file="model", samples="sound", hop_samples=HOP_SAMPLES),))
    files = {"model": model.read_bytes(), "sound": sound.tobytes()}
    found = played(run_plan(build(runtime, "aarch64"), plan, files, tmp_path, emulator))
    if runtime == "executorch":
        expected = executorch_scores(files["model"], sound.reshape(-1, HOP_SAMPLES))
    else:
        expected = np.array([outputs["scores"][0] for outputs in Played(model).stream(sound)])
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_clip_scores_as_here(
    runtime: Runtime, build: Build, emulator: tuple[str, ...], small_bundle: Path, tmp_path: Path
) -> None:
    """Ten seconds at once: what the Python package says on this machine, to float32's precision."""
    model = small_bundle / f"clip.fp32.{SUFFIXES[runtime]}"
    sound = sounds(10)["chirp"]
    plan = Plan(play=(Play(file="model", samples="sound", hop_samples=WINDOW_SAMPLES),))
    files = {"model": model.read_bytes(), "sound": sound.tobytes()}
    found = played(run_plan(build(runtime, "aarch64"), plan, files, tmp_path, emulator))
    if runtime == "executorch":
        expected = executorch_scores(files["model"], sound[None])
    else:
        expected = Played(model).clip(sound)[None]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_it_measures_there(
    runtime: Runtime, build: Build, emulator: tuple[str, ...], small_bundle: Path, tmp_path: Path
) -> None:
    """Timings and memory come in the words of `targets.base`, from a device that names itself."""
    model = small_bundle / f"stream.fp32.{SUFFIXES[runtime]}"
    plan = Plan(time=("model",), peak="model", warmups=1, runs=2, seconds=60)
    done = run_plan(build(runtime, "aarch64"), plan, {"model": model.read_bytes()}, tmp_path, emulator)
    start, visit, peak = lines_of(done)
    assert isinstance(start, Start)
    assert isinstance(visit, Visit)
    assert isinstance(peak, Peak)
    found = start.environment
    assert (found.machine, found.cpu, found.runtime) == ("aarch64", MODEL, runtime)
    assert len(visit.latencies_us) == 2
    assert peak.peak_bytes > start.base_bytes
