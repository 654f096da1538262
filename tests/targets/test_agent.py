"""The Python agent as it runs on a device: one file, whichever runtime is there, a JSON line for each thing done."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.fakes import fake_tflite
from tests.targets.models import adding_tflite
from toolkit.listen.interpreter import Classifier
from toolkit.listen.steps import make_step
from toolkit.specs.bundle import BundleManifest
from toolkit.targets import Plan, Play, PythonAgent

AGENT = PythonAgent().files["agent.py"]
TWO_FILES = Plan(time=("a.tflite", "b.tflite", "a.tflite"), warmups=2, runs=4, seconds=9.0)
FAKE_RUNTIME = """
import numpy
class Interpreter:
    def __init__(self, path, num_threads): self.path = path
    def allocate_tensors(self): pass
    def get_input_details(self): return [{"index": 0, "shape": numpy.array([1, 3]), "dtype": numpy.int8}]
    def get_output_details(self): return self.get_input_details()
    def set_tensor(self, index, values): assert values.dtype == numpy.int8 and values.shape == (1, 3)
    def invoke(self): pass
"""


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    """Two small files."""
    for name, size in (("a.tflite", 4), ("b.tflite", 64)):
        (tmp_path / name).write_bytes(fake_tflite(size))
    return tmp_path


def run(pack: Path, plan: Plan | str, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The agent, run to its end."""
    (pack / "plan.txt").write_text(plan if isinstance(plan, str) else plan.text())
    return subprocess.run(
        [sys.executable, *(options or ("-P",)), str(AGENT), str(pack / "plan.txt")],
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


def last_words(done: subprocess.CompletedProcess[str]) -> str:
    """The last line of stderr of an agent that gave up."""
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    return done.stderr.strip().splitlines()[-1]


def test_first_line_says_where_it_runs(pack: Path) -> None:
    """The first line holds machine, runtime version, the one core it took, and its peak of memory before any model."""
    start = lines(run(pack, TWO_FILES))[0]
    environment = start["environment"]
    assert start["kind"] == "start"
    assert environment["machine"] == platform.machine()
    assert environment["runtime_version"] == metadata.version("ai-edge-litert")
    assert int(environment["core_mask"], 16) in {1 << core for core in os.sched_getaffinity(0)}
    assert 5e6 < start["base_bytes"] < 5e8


def test_visits_come_in_the_plans_order(pack: Path) -> None:
    """Three visits, of which one file has two, give three lines of two warm-ups and four timings."""
    visits = lines(run(pack, TWO_FILES))[1:]
    assert [visit["file"] for visit in visits] == ["a.tflite", "b.tflite", "a.tflite"]
    assert [(len(visit["warmups_us"]), len(visit["latencies_us"])) for visit in visits] == [(2, 4)] * 3
    assert all(value > 0 for visit in visits for value in (*visit["warmups_us"], *visit["latencies_us"]))


def test_time_ends_a_visit_after_two_timings(pack: Path) -> None:
    """When the seconds are over, two timings are enough."""
    visits = lines(run(pack, TWO_FILES.model_copy(update={"runs": 1000, "seconds": 1e-9})))[1:]
    assert {len(visit["latencies_us"]) for visit in visits} == {2}


def test_between_inferences_of_a_duty_cycle_the_core_sleeps(pack: Path) -> None:
    """One inference every 50 ms makes three take at least 100 ms, of which next to nothing is computing."""
    plan = Plan(time=("a.tflite",), runs=3, every_ms=50, seconds=9.0)
    (pack / "plan.txt").write_text(plan.text())
    program = (
        "import sys, time, pathlib; sys.path.insert(0, sys.argv[1]); import agent\n"
        "at = []; agent.main(pathlib.Path(sys.argv[2]), lambda line: at.append((time.perf_counter(), line)))\n"
        "print(at[1][0] - at[0][0], sum(at[1][1]['latencies_us']) / 1e6)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(AGENT.parent), str(pack / "plan.txt")],
        capture_output=True,
        text=True,
        check=True,
    )
    took_s, computed_s = map(float, done.stdout.split())
    assert took_s >= 0.1
    assert computed_s < 0.05


def test_each_visit_says_how_the_device_was_before_and_after(pack: Path) -> None:
    """Clock, temperature and throttle flags stand beside each visit; what the system does not tell is null."""
    for visit in lines(run(pack, TWO_FILES))[1:]:
        assert set(visit["before"]) == set(visit["after"]) == {"clock_mhz", "temperature_c", "throttled"}


def test_throttle_flags_come_from_vcgencmd_where_the_system_has_no_file(pack: Path, tmp_path: Path) -> None:
    """What the Raspberry Pi's own program says is noted."""
    tool = tmp_path / "vcgencmd"
    tool.write_text('#!/bin/sh\n[ "$1" = get_throttled ] && echo throttled=0x50005\n')
    tool.chmod(0o755)
    visit = lines(run(pack, TWO_FILES, PATH=f"{tmp_path}:{os.environ['PATH']}"))[1]
    assert visit["before"]["throttled"] == visit["after"]["throttled"] == "0x50005"


def test_peak_is_of_the_whole_process_with_the_model_in_it(pack: Path) -> None:
    """A model that works on 64 MB raises the peak by that and little more."""
    (pack / "big.tflite").write_bytes(fake_tflite(8_000_000))
    start, peak = lines(run(pack, Plan(peak="big.tflite")))
    assert (peak["kind"], peak["file"]) == ("peak", "big.tflite")
    # Input and output are 32 MB each; the random values are made apart.
    assert 64e6 < peak["peak_bytes"] - start["base_bytes"] < 64e6 + 3 * 64e6


def test_recorded_samples_are_played_hop_by_hop_with_the_state_fed_back(pack: Path) -> None:
    """A model that adds its input to its state gives the running sum of each hop's place; a rest is left out."""
    (pack / "sum.tflite").write_bytes(adding_tflite(3))
    samples = np.arange(1, 12, dtype="<f4")
    samples.tofile(pack / "samples.raw")
    play = Play(file="sum.tflite", samples="samples.raw", hop_samples=3)
    _, played = lines(run(pack, Plan(play=(play,))))
    assert (played["kind"], played["file"]) == ("played", "sum.tflite")
    assert played["scores"] == samples[:9].reshape(3, 3).cumsum(axis=0).tolist()


def test_a_model_that_takes_other_hops_is_refused(pack: Path) -> None:
    """The message has the file's shapes and the hop that was asked for."""
    (pack / "sum.tflite").write_bytes(adding_tflite(3))
    np.zeros(8, "<f4").tofile(pack / "samples.raw")
    plan = Plan(play=(Play(file="sum.tflite", samples="samples.raw", hop_samples=4),))
    assert "sum.tflite takes [1, 3], [1, 3] and gives" in last_words(run(pack, plan))


def test_named_cores_and_threads_are_taken(pack: Path) -> None:
    """The process runs on the cores it is given, and says so."""
    core = min(os.sched_getaffinity(0))
    start = lines(run(pack, TWO_FILES.model_copy(update={"cores": (core,), "threads": 2})))[0]
    assert start["environment"]["core_mask"] == hex(1 << core)
    assert start["environment"]["threads"] == 2


def test_a_core_that_is_named_twice_is_one(pack: Path) -> None:
    """The mask has its bit, not the next one's."""
    core = min(os.sched_getaffinity(0))
    start = lines(run(pack, TWO_FILES.model_copy(update={"cores": (core, core)})))[0]
    assert start["environment"]["core_mask"] == hex(1 << core)


@pytest.mark.parametrize("core", [1000, -1, 10**10])
def test_cores_that_are_not_there_are_refused_with_those_that_are(core: int, pack: Path) -> None:
    """The message lists what the process may use, also where others that were named are there."""
    there = sorted(os.sched_getaffinity(0))
    for cores in ((core,), (there[0], core)):
        words = last_words(run(pack, TWO_FILES.model_copy(update={"cores": cores})))
        assert str(list(cores)) in words
        assert str(there) in words


def test_a_plan_of_another_toolkit_is_refused(pack: Path) -> None:
    """A word that the agent does not know ends it at once."""
    assert "the plan says 'dance'" in last_words(run(pack, "threads 1\ndance a.tflite\n"))


def test_a_file_that_is_no_model_ends_it_with_the_files_name(pack: Path) -> None:
    """A damaged file is named in the last line of stderr, and the exit code is not 0."""
    (pack / "b.tflite").write_bytes(b"no model")
    assert "cannot run b.tflite" in last_words(run(pack, TWO_FILES))


def test_without_a_runtime_it_says_what_to_install(pack: Path, tmp_path: Path) -> None:
    """Where numpy is there but neither runtime, one line names both packages; without numpy, numpy."""
    assert "pip install numpy" in last_words(run(pack, TWO_FILES, "-S", "-P"))
    words = last_words(run(pack, TWO_FILES, "-S", "-P", PYTHONPATH=str(numpy_alone(tmp_path / "site"))))
    assert "pip install ai-edge-litert (or tflite-runtime)" in words


def test_takes_the_older_runtime_where_it_is_the_one_that_is_there(pack: Path, tmp_path: Path) -> None:
    """With tflite-runtime alone it measures with that, and says its version, unknown where its metadata are missing."""
    site = numpy_alone(tmp_path / "site")
    install(site, "tflite_runtime", FAKE_RUNTIME)
    start, *visits = lines(run(pack, TWO_FILES, "-S", "-P", PYTHONPATH=str(site)))
    assert start["environment"]["runtime_version"] == "unknown"
    assert len(visits) == 3
    info = site / "tflite_runtime-2.14.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tflite-runtime\nVersion: 2.14.0\n")
    start, *_ = lines(run(pack, TWO_FILES, "-S", "-P", PYTHONPATH=str(site)))
    assert start["environment"]["runtime_version"] == "2.14.0"


def test_a_runtime_that_does_not_load_is_told_from_none(pack: Path, tmp_path: Path) -> None:
    """The loader's own words are quoted; where the other runtime loads, it is taken."""
    site = numpy_alone(tmp_path / "site")
    install(site, "ai_edge_litert", """raise ImportError("libc.so: version 'X' not found")""")
    words = last_words(run(pack, TWO_FILES, "-S", "-P", PYTHONPATH=str(site)))
    assert "ai-edge-litert" in words
    assert "does not load: libc.so: version 'X' not found" in words
    assert "no LiteRT runtime found" not in words
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "numpy.py").write_text("""raise ImportError("Much advice.\\n\\nlibblas.so.3 not found")""")
    words = last_words(run(pack, TWO_FILES, "-S", "-P", PYTHONPATH=str(tmp_path / "broken")))
    assert "does not load: libblas.so.3 not found" in words
    install(site, "tflite_runtime", FAKE_RUNTIME)
    assert len(lines(run(pack, TWO_FILES, "-S", "-P", PYTHONPATH=str(site)))) == 4


def install(site: Path, package: str, interpreter: str) -> None:
    """A runtime in a folder of packages, without metadata."""
    (site / package).mkdir()
    (site / package / "__init__.py").touch()
    (site / package / "interpreter.py").write_text(interpreter)


def numpy_alone(site: Path) -> Path:
    """A folder of packages that holds numpy and nothing else."""
    numpy = importlib.util.find_spec("numpy")
    assert numpy
    assert numpy.origin
    site.mkdir()
    for folder in Path(numpy.origin).parent.parent.glob("numpy*"):
        (site / folder.name).symlink_to(folder)
    return site


def test_is_one_file_for_python_3_9_with_nothing_but_the_standard_library() -> None:
    """The agent parses as Python 3.9 and imports only what comes with Python; numpy and the runtime are found later."""
    tree = ast.parse(AGENT.read_text(), feature_version=(3, 9))
    imported = {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    imported |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in imported} <= sys.stdlib_module_names


def test_a_bundles_files_are_played_as_listen_hears_them(tiny_bundle: Path, tmp_path: Path) -> None:
    """Scores of each hop equal those of `toolkit.listen`, state and all, in fp32 and int8, clip and stream."""
    manifest = BundleManifest.load(tiny_bundle / "manifest.json")
    samples = np.random.default_rng(1).normal(0, 0.2, 2 * manifest.window_samples).astype("<f4")
    samples.tofile(tmp_path / "samples.raw")
    files = [file for file in manifest.files if file.runtime == "tflite" and file.mode in ("clip", "stream")]
    assert {(file.mode, file.precision) for file in files} >= {("clip", "fp32"), ("stream", "fp32"), ("stream", "int8")}
    hops = {file.name: int(np.prod(file.inputs[0].shape)) for file in files}
    for name in hops:
        shutil.copy(tiny_bundle / name, tmp_path)
    play = tuple(Play(file=name, samples="samples.raw", hop_samples=hop) for name, hop in hops.items())
    _, *played = lines(run(tmp_path, Plan(play=play)))
    for file, line in zip(files, played, strict=True):
        step = make_step(Classifier(tiny_bundle / file.name, file), file, manifest)
        whole = samples[: len(samples) // hops[file.name] * hops[file.name]]
        expected = [step(hop) for hop in whole.reshape(-1, hops[file.name])]
        assert np.abs(np.array(line["scores"]) - expected).max() <= 1e-6
        assert np.ptp(expected, axis=0).max() > 1e-3
