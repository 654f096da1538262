"""The Python agent: carries out a plan on TFLite files and prints JSON lines. Runs on the device.

    python agent.py plan.txt

Plan and lines are described in toolkit/targets/base.py; files are found beside the plan. One file that needs nothing of
the toolkit: Linux, Python 3.9, numpy, and ai-edge-litert or tflite-runtime. Proved by tests/targets/test_agent.py.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import importlib.util
import json
import os
import pathlib
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib import metadata
from typing import Any

RUNTIMES = (("ai_edge_litert", "ai-edge-litert"), ("tflite_runtime", "tflite-runtime"))
NUMBERS = {"threads": int, "warmups": int, "runs": int, "seed": int, "seconds": float, "every_ms": float}
LISTS = ("time", "peak", "play")


def main(plan_path: pathlib.Path, write: Callable[[dict[str, Any]], None]) -> None:
    """Carry out the plan; `write` takes one JSON-ready dict for each line."""
    plan = read_plan(plan_path)
    os.chdir(plan_path.parent)
    there = sorted(os.sched_getaffinity(0))
    cores = plan["cores"] or there[-plan["threads"] :]
    if not take_cores(cores):
        sys.exit(f"core {cores} cannot be taken; there are {there}. Name one: --cores 0")
    started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    runtime = Runtime(plan["threads"], plan["seed"])
    environment = describe(cores)
    environment.update(threads=plan["threads"], runtime_version=runtime.version, started_utc=started)
    write({"kind": "start", "environment": environment, "base_bytes": peak_bytes()})

    for (file,) in plan["time"]:
        before = condition(cores)
        with runtime.blamed_for(file):
            warmups, latencies = time_runs(Model(runtime, file), plan)
        timings = {"warmups_us": warmups, "latencies_us": latencies}
        write({"kind": "visit", "file": file, **timings, "before": before, "after": condition(cores)})
    for (file,) in plan["peak"]:
        with runtime.blamed_for(file):
            Model(runtime, file).run()
        write({"kind": "peak", "file": file, "peak_bytes": peak_bytes()})
    for file, samples, hop_samples in plan["play"]:
        with runtime.blamed_for(file):
            scores = Model(runtime, file).play(samples, int(hop_samples))
        write({"kind": "played", "file": file, "scores": scores})


def take_cores(cores: list[int]) -> bool:
    """Whether this process now runs on these cores and no others; the system itself leaves out those it has not."""
    try:
        os.sched_setaffinity(0, cores)
    except (OSError, OverflowError, ValueError):
        return False
    return os.sched_getaffinity(0) == set(cores)


def read_plan(path: pathlib.Path) -> dict[str, Any]:
    """The plan's numbers by name, and the words of its `time`, `peak` and `play` lines in their order."""
    plan: dict[str, Any] = {"cores": [], **{name: [] for name in LISTS}}
    for line in path.read_text(encoding="utf-8").splitlines():
        name, *words = line.split()
        if name in NUMBERS:
            plan[name] = NUMBERS[name](words[0])
        elif name == "cores":
            plan[name] = [int(core) for core in words[0].split(",")]
        elif name in LISTS:
            plan[name].append(words)
        else:
            sys.exit(f"the plan says {name!r}, which this agent does not know. Take both from one toolkit.")
    return plan


class Runtime:
    """The TFLite runtime that is there."""

    def __init__(self, threads: int, seed: int) -> None:
        self.threads = threads
        try:
            self.numpy: Any = importlib.import_module("numpy")
        except ModuleNotFoundError:
            sys.exit(f"no numpy found for {sys.executable}. Install it there: pip install numpy")
        except ImportError as error:
            sys.exit(f"{does_not_load('numpy', error)}. Install a version that fits this system")
        self.values = self.numpy.random.default_rng(seed)
        faults = []
        for module, package in RUNTIMES:
            if not importlib.util.find_spec(module):
                continue
            try:
                self.interpreter = importlib.import_module(module + ".interpreter").Interpreter
            except (AttributeError, ImportError, OSError) as error:
                faults.append(does_not_load(package, error))
                continue
            self.name, self.version = package, version_of(package)
            return
        if faults:
            sys.exit(f"{'; '.join(faults)}. Install a version that fits this system; tflite-runtime needs numpy<2")
        sys.exit(
            f"no LiteRT runtime found for {sys.executable}. Install one: pip install ai-edge-litert (or tflite-runtime)"
        )

    @contextlib.contextmanager
    def blamed_for(self, file: str) -> Iterator[None]:
        """What goes wrong in the block is the runtime's with this file."""
        try:
            yield
        except (RuntimeError, ValueError, OSError, MemoryError) as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            sys.exit(f"{self.name} {self.version} cannot run {file}: {reason}")


class Model:
    """One TFLite file."""

    def __init__(self, runtime: Runtime, file: str) -> None:
        self.file, self.numpy = file, runtime.numpy
        self.interpreter = runtime.interpreter(file, num_threads=runtime.threads)
        self.interpreter.allocate_tensors()
        self.inputs, self.outputs = self.interpreter.get_input_details(), self.interpreter.get_output_details()
        self.run = self.interpreter.invoke
        for detail in self.inputs:
            # Random: zeros and leftovers in memory may compute faster or slower than signals do. Drawn in few bytes, so
            # that the peak of memory is the model's.
            shape, dtype = detail["shape"], detail["dtype"]
            draw, whole = runtime.values, self.numpy.issubdtype(dtype, self.numpy.integer)
            values = draw.integers(-100, 100, shape, "int8") if whole else draw.standard_normal(shape, "f4")
            self.interpreter.set_tensor(detail["index"], values.astype(dtype, copy=False))

    def play(self, path: str, hop_samples: int) -> list[list[float]]:
        """The first output after each hop of the samples in a file; inputs 1, 2, ... are the last outputs."""
        get, put = self.interpreter.get_tensor, self.interpreter.set_tensor
        audio, *state = self.inputs
        after = self.outputs[len(self.outputs) - len(state) :]
        same = [list(detail["shape"]) for detail in state] == [list(detail["shape"]) for detail in after]
        if len(after) >= len(self.outputs) or not same or int(self.numpy.prod(audio["shape"])) != hop_samples:
            sys.exit(
                f"{self.file} takes {describe_shapes(self.inputs)} and gives {describe_shapes(self.outputs)}; "
                f"expected {hop_samples} samples and the state in, scores and the next state out."
            )
        samples = self.numpy.fromfile(path, "<f4")
        values = [self.numpy.zeros(detail["shape"], detail["dtype"]) for detail in state]
        scores = []
        for end in range(hop_samples, len(samples) + 1, hop_samples):
            put(audio["index"], samples[end - hop_samples : end].reshape(audio["shape"]))
            for detail, value in zip(state, values):  # noqa: B905 (strict: Python 3.10)
                put(detail["index"], value)
            self.run()
            values = [get(detail["index"]) for detail in after]
            scores.append(get(self.outputs[0]["index"]).ravel().tolist())
        return scores


def does_not_load(package: str, error: Exception) -> str:
    """What is said of a package that is installed in vain, with the loader's last words."""
    reason = str(error).strip().rpartition("\n")[2]
    return f"{package} is there for {sys.executable}, but does not load: {reason}"


def version_of(package: str) -> str:
    """Of an installed package; packages of a system may not tell it."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "unknown"


def describe_shapes(details: list[Any]) -> str:
    """`[1, 512], [1, 2, 64, 8]`."""
    return ", ".join(str([int(size) for size in detail["shape"]]) for detail in details)


def time_runs(model: Model, plan: dict[str, Any]) -> tuple[list[float], list[float]]:
    """Microseconds of the warm-ups and of the timed runs."""
    gc.collect()
    gc.disable()
    try:
        begin = time.perf_counter()
        warmups = [time_once(model.run, begin + k * plan["every_ms"] / 1e3) for k in range(plan["warmups"])]
        latencies: list[float] = []
        begin = time.perf_counter()
        while len(latencies) < plan["runs"]:
            latencies.append(time_once(model.run, begin + len(latencies) * plan["every_ms"] / 1e3))
            if len(latencies) > 1 and time.perf_counter() - begin > plan["seconds"]:
                break
        return warmups, latencies
    finally:
        gc.enable()


def time_once(run: Callable[[], None], at: float) -> float:
    """Microseconds of one inference; the core sleeps until the moment `at`, where that has not passed."""
    rest = at - time.perf_counter()
    if rest > 0:
        time.sleep(rest)
    begin = time.perf_counter_ns()
    run()
    return (time.perf_counter_ns() - begin) / 1e3


def describe(cores: list[int]) -> dict[str, Any]:
    """The fields of the toolkit's `Environment` that the system knows."""
    now = condition(cores)
    return {
        "machine": platform.machine(),
        "cpu": cpu_name(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "runtime": "tflite",
        "core_mask": hex(sum(1 << core for core in set(cores))),
        "governor": text(f"/sys/devices/system/cpu/cpu{cores[0]}/cpufreq/scaling_governor"),
        "clock_mhz": now["clock_mhz"],
        "temperature_c": now["temperature_c"],
        "load_average": os.getloadavg()[0],
    }


def condition(cores: list[int]) -> dict[str, Any]:
    """Clock of the first core, temperature, throttle flags at this moment; None for what the system does not tell."""
    clock_khz = number(f"/sys/devices/system/cpu/cpu{cores[0]}/cpufreq/scaling_cur_freq")
    millidegrees = number("/sys/class/thermal/thermal_zone0/temp")
    return {
        "clock_mhz": clock_khz / 1e3 if clock_khz else field("/proc/cpuinfo", "cpu MHz", float),
        "temperature_c": millidegrees / 1e3 if millidegrees else None,
        "throttled": throttled(),
    }


def throttled() -> str | None:
    """A Raspberry Pi's throttle flags, as `0x50005`."""
    flags = text("/sys/devices/platform/soc/soc:firmware/get_throttled")
    if flags is None and shutil.which("vcgencmd"):
        answer = subprocess.run(
            ["vcgencmd", "get_throttled"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False
        )
        flags = answer.stdout.decode().strip().partition("throttled=")[2]
    return hex(int(flags, 16)) if flags else None


def cpu_name() -> str:
    """The name that people know: a board's model where there is one, else the processor's."""
    board = text("/sys/firmware/devicetree/base/model")
    return board or field("/proc/cpuinfo", "model name", str) or platform.processor() or "unknown"


def peak_bytes() -> int:
    """Most memory that this process has had in RAM (VmHWM)."""
    return int(field("/proc/self/status", "VmHWM", str).split()[0]) * 1024


def text(path: str) -> str | None:
    """A small file's text, None where there is no such file."""
    try:
        return pathlib.Path(path).read_text().strip().strip("\0") or None
    except OSError:
        return None


def number(path: str) -> float | None:
    """A small file's number, None where there is none."""
    value = text(path)
    return float(value) if value and value.lstrip("-").isdigit() else None


def field(path: str, name: str, kind: Callable[[str], Any]) -> Any:
    """The first `name : value` of a file, None where there is none."""
    for line in (text(path) or "").splitlines():
        key, colon, value = line.partition(":")
        if colon and key.strip() == name:
            return kind(value.strip())
    return None


if __name__ == "__main__":
    # The runtime talks on stdout's file descriptor; the lines get one of their own.
    with os.fdopen(os.dup(1), "w") as lines:
        os.dup2(2, 1)

        def write_line(line: dict[str, Any]) -> None:
            """Send one line at once."""
            lines.write(json.dumps(line) + "\n")
            lines.flush()

        main(pathlib.Path(sys.argv[1]), write_line)
