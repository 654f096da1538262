"""What always-on listening costs: `stream` files against a 10 s `clip` window computed anew for each decision.

Decisions fall every 0.96 s either way. Multiply-accumulates are counted, front end included; processor time is the
median of interleaved runs on one thread, of TFLite and ExecuTorch files in fp32 and int8. Then the same streams hear an
hour of audio in a process of their own, whose resident memory must stay what it was after the first minute.
Run: python -m benchmarks.streaming [--quick]
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import psutil
import torch

from benchmarks._model_files import PRECISIONS, SUBNET, ModelFile, hearing, medians, model_files
from toolkit.profile.counts import macs
from toolkit.specs.front_end import FrontEndSpec
from toolkit.specs.layer import Mode
from toolkit.specs.run import Run
from toolkit.specs.runtime import Runtime
from toolkit.specs.space import STREAM_CHUNK_FRAMES, Subnet

RUNTIMES: tuple[Runtime, ...] = ("tflite", "executorch")
MACS_GOAL, CPU_GOAL = 8.0, 5.0
GROWTH_GOAL_MB = 4.0
"""An hour's features are 92 MB and its samples 461 MB: what is kept by mistake is seen."""


def main() -> None:
    """Measure, print a table, and the result as one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--quick", action="store_true", help="5 rounds in place of 50, 3 minutes of audio in place of 60"
    )
    rounds, minutes = (5, 3) if parser.parse_args().quick else (50, 60)
    torch.set_num_threads(1)
    run = Run.open(None)
    front_end, subnet = run.manifest.front_end, run.manifest.space.parse(SUBNET)
    files = list(model_files(run, subnet, RUNTIMES))

    counted = {mode: count_macs(run, subnet, mode) for mode in ("clip", "stream")}
    macs_ratio = counted["clip"] / counted["stream"]
    spent = medians({file.name: hearing(file, front_end) for file in files}, rounds)
    print(f"{'a decision each 0.96 s':<24} {'window ms':>10} {'stream ms':>10} {'times less':>11}")
    window_m, stream_m = counted["clip"] / 1e6, counted["stream"] / 1e6
    print(f"{'million MACs, counted':<24} {window_m:10.1f} {stream_m:10.1f} {macs_ratio:11.2f}")
    detail: dict[str, Any] = {"subnet": SUBNET, "rounds": rounds, "macs_ratio": round(macs_ratio, 2)}
    ratios = []
    for runtime in RUNTIMES:
        for precision in PRECISIONS:
            name = f"{runtime} {precision}"
            window_ms, stream_ms = spent[f"{name} clip"].cpu_ms, spent[f"{name} stream"].cpu_ms
            ratios.append(window_ms / stream_ms)
            print(f"{name + ', CPU':<24} {window_ms:10.2f} {stream_ms:10.2f} {ratios[-1]:11.2f}")
            detail[name] = {"window_cpu_ms": round(window_ms, 2), "stream_cpu_ms": round(stream_ms, 2)}
            detail[name]["ratio"] = round(ratios[-1], 2)

    streams = [file for file in files if file.mode == "stream"]
    resident_mb = in_a_process_of_its_own(resident_by_minute, streams, front_end, minutes)
    growth_mb = max(resident_mb) - resident_mb[0]
    print(f"{minutes} minutes of audio: {resident_mb[0]:.1f} MB after the first, at most {growth_mb:.2f} MB more later")
    detail |= {"minutes": minutes, "resident_mb": round(resident_mb[0], 1), "growth_mb": round(growth_mb, 2)}
    detail |= {"macs_goal": MACS_GOAL, "growth_goal_mb": GROWTH_GOAL_MB}
    figure, unit = round(min(ratios), 2), "times less CPU time than a window each decision, the least of all files"
    holds = macs_ratio >= MACS_GOAL and min(ratios) >= CPU_GOAL and growth_mb <= GROWTH_GOAL_MB
    result = {"name": "streaming", "figure": figure, "unit": unit, "goal": CPU_GOAL}
    print(json.dumps({**result, "holds": holds, "detail": detail}))


def count_macs(run: Run, subnet: Subnet, mode: Mode) -> int:
    """Multiply-accumulates of one decision."""
    front_end = run.manifest.front_end
    layers = run.manifest.space.layers(subnet, front_end, len(run.manifest.labels), mode)
    return sum(macs(layer, front_end) for layer in layers)


def in_a_process_of_its_own(
    measure: Callable[..., list[float]], files: Sequence[ModelFile], front_end: FrontEndSpec, minutes: int
) -> list[float]:
    """What `measure` finds where no converter has left memory to be used again."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as others:
        return others.submit(measure, files, front_end, minutes).result()


def resident_by_minute(files: Sequence[ModelFile], front_end: FrontEndSpec, minutes: int) -> list[float]:
    """Resident megabytes after each minute of audio that all the streams have heard."""
    torch.set_num_threads(1)
    listeners = [hearing(file, front_end) for file in files]
    chunk_s = front_end.seconds(STREAM_CHUNK_FRAMES)
    heard_s = 0.0
    resident_mb: list[float] = []
    while len(resident_mb) < minutes:
        for listen in listeners:
            listen()
        heard_s += chunk_s
        if heard_s >= 60 * (len(resident_mb) + 1):
            resident_mb.append(psutil.Process().memory_info().rss / 1e6)
    return resident_mb


if __name__ == "__main__":
    main()
