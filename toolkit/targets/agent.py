"""The agent: times the TFLite files of a folder and prints one JSON line for each visit. Runs on the device.

    python agent.py FOLDER '{"files": ["a.tflite"], "rounds": 5, "warmups": 2, "runs": 10, "seconds": 0.5,
                             "threads": 1, "cores": [], "seed": 0}'

One file that needs nothing of the toolkit: Python 3.9, numpy, and ai-edge-litert or tflite-runtime. Linux.
Proved by tests/targets/test_agent.py.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import pathlib
import platform
import random
import sys
import time
from collections.abc import Callable
from importlib import metadata
from typing import Any

RUNTIMES = (("ai_edge_litert", "ai-edge-litert"), ("tflite_runtime", "tflite-runtime"))


def main(folder: str, schedule: dict[str, Any], write: Callable[[dict[str, Any]], None]) -> None:
    """Visit every file in every round; `write` takes one JSON-ready dict for each line."""
    cores = schedule["cores"] or sorted(os.sched_getaffinity(0))[-schedule["threads"] :]
    os.sched_setaffinity(0, cores)
    started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    interpreter, version = load_runtime()
    np = importlib.import_module("numpy")
    environment = describe(cores)
    environment.update(threads=schedule["threads"], runtime_version=version, started_utc=started)
    write({"environment": environment, "base_bytes": resident_bytes()})

    order = random.Random(schedule["seed"])
    values = np.random.default_rng(schedule["seed"])
    files = list(schedule["files"])
    for _ in range(schedule["rounds"]):
        order.shuffle(files)
        for file in files:
            try:
                model = interpreter(str(pathlib.Path(folder, file)), num_threads=schedule["threads"])
                model.allocate_tensors()
                fill(model, np, values)
                warmups, latencies = time_runs(model.invoke, schedule)
            except (RuntimeError, ValueError) as error:
                sys.exit(f"{interpreter.__module__} {version} cannot run {file}: {error}")
            write({"file": file, "warmups_us": warmups, "latencies_us": latencies})


def load_runtime() -> tuple[Any, str]:
    """The interpreter class of the runtime that is there, and its version."""
    for module, package in RUNTIMES:
        try:
            return importlib.import_module(module + ".interpreter").Interpreter, metadata.version(package)
        except ImportError:
            continue
    sys.exit("no LiteRT runtime found. Install one: pip install ai-edge-litert (or tflite-runtime)")


def fill(model: Any, np: Any, values: Any) -> None:
    """Random inputs: zeros and leftovers in memory may compute faster or slower than signals do."""
    for detail in model.get_input_details():
        shape, dtype = detail["shape"], detail["dtype"]
        if np.issubdtype(dtype, np.integer):
            model.set_tensor(detail["index"], values.integers(-100, 100, shape).astype(dtype))
        else:
            model.set_tensor(detail["index"], values.standard_normal(shape).astype(dtype))


def time_runs(invoke: Callable[[], None], schedule: dict[str, Any]) -> tuple[list[float], list[float]]:
    """Microseconds of the warm-ups and of the timed runs."""
    gc.collect()
    gc.disable()
    try:
        warmups = [time_once(invoke) for _ in range(schedule["warmups"])]
        latencies: list[float] = []
        begin = time.perf_counter()
        while len(latencies) < schedule["runs"]:
            latencies.append(time_once(invoke))
            if len(latencies) > 1 and time.perf_counter() - begin > schedule["seconds"]:
                break
        return warmups, latencies
    finally:
        gc.enable()


def time_once(invoke: Callable[[], None]) -> float:
    """Microseconds of one inference."""
    begin = time.perf_counter_ns()
    invoke()
    return (time.perf_counter_ns() - begin) / 1e3


def describe(cores: list[int]) -> dict[str, Any]:
    """The fields of the toolkit's `Environment` that the system knows."""
    core = f"/sys/devices/system/cpu/cpu{cores[0]}/cpufreq/"
    clock_khz = number(core + "scaling_cur_freq")
    millidegrees = number("/sys/class/thermal/thermal_zone0/temp")
    mask = sum(1 << index for index in cores)
    return {
        "machine": platform.machine(),
        "cpu": cpu_name(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "runtime": "tflite",
        "core_mask": hex(mask),
        "governor": text(core + "scaling_governor"),
        "clock_mhz": clock_khz / 1e3 if clock_khz else field("/proc/cpuinfo", "cpu MHz", float),
        "temperature_c": millidegrees / 1e3 if millidegrees else None,
        "load_average": os.getloadavg()[0],
    }


def cpu_name() -> str:
    """The name that people know: a board's model where there is one, else the processor's."""
    board = text("/proc/device-tree/model")
    return board or field("/proc/cpuinfo", "model name", str) or platform.processor() or "unknown"


def resident_bytes() -> int:
    """Memory of this process in RAM."""
    return int(field("/proc/self/status", "VmRSS", str).split()[0]) * 1024


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

        main(sys.argv[1], json.loads(sys.argv[2]), write_line)
