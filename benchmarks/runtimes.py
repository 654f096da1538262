"""How long the exported models take for each second of audio, on one thread, beside PyTorch and YAMNet.

`stream` and `clip` files, fp32 and int8, in TFLite, ExecuTorch and ONNX Runtime; PyTorch runs the modules that they
were made from, as written. A clip file hears each sample once here; `benchmarks.streaming` has the cost of windows that
overlap. YAMNet's windows of 0.975 s do not overlap either, which is how it is cheapest. Medians of interleaved runs.
The figure is processor time: our int8 TFLite stream over YAMNet. YAMNet's TFLite file is not ours to give: name it with
--yamnet or the environment variable AEC_YAMNET, or its row reads `not run`, and nothing is claimed.
Run: python -m benchmarks.runtimes [--yamnet FILE] [--quick]
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from ai_edge_litert.interpreter import Interpreter
from torch import nn

from benchmarks._model_files import MODES, SUBNET, Scene, Spent, hearing, medians, model_files
from toolkit.export.export import load_subnet
from toolkit.export.modules import SAMPLES, piece
from toolkit.frontend import LogMel
from toolkit.specs.errors import UserError
from toolkit.specs.layer import Mode
from toolkit.specs.run import Run
from toolkit.specs.runtime import Runtime
from toolkit.supernet.static import StaticNet

RUNTIMES: tuple[Runtime, ...] = ("tflite", "executorch", "onnx")
OURS, SMALLEST, YAMNET = "tflite int8 stream", "tflite int8 stream, smallest subnet", "YAMNet, tflite int8"
GOAL = 1.0
"""Always-on listening with ours is to take no more time than with what users pick today."""
YAMNET_SAMPLES, YAMNET_RATE_HZ = 15_600, 16_000
VARIABLE = "AEC_YAMNET"

Way = tuple[Callable[[], object], float]
"""What to run, and how many seconds of audio it hears."""


def main() -> None:
    """Measure, print a table, and the result as one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--yamnet", type=Path, help=f"YAMNet's TFLite file; otherwise that of ${VARIABLE}")
    parser.add_argument("--quick", action="store_true", help="5 rounds in place of 50")
    options = parser.parse_args()
    rounds = 5 if options.quick else 50
    yamnet = yamnet_file(options.yamnet)
    torch.set_num_threads(1)
    ways = our_files() | in_pytorch()
    if yamnet:
        ways[YAMNET] = with_yamnet(yamnet)
    spent = medians({name: run for name, (run, _) in ways.items()}, rounds)
    each_second = {name: Spent(s.cpu_ms / ways[name][1], s.wall_ms / ways[name][1]) for name, s in spent.items()}

    print(f"{'for each second of audio, one thread':<38} {'ms':>8} {'CPU ms':>8}")
    for name, found in sorted(each_second.items()):
        print(f"{name:<38} {found.wall_ms:8.2f} {found.cpu_ms:8.2f}")
    ratio = each_second[OURS].cpu_ms / each_second[YAMNET].cpu_ms if yamnet else None
    if ratio is None:
        print(f"{YAMNET:<38} not run: no file, name it with --yamnet or {VARIABLE}")
    detail: dict[str, object] = {
        name: {"ms": round(found.wall_ms, 3), "cpu_ms": round(found.cpu_ms, 3)} for name, found in each_second.items()
    }
    if ratio is None:
        detail[YAMNET] = "not run"
    detail = {"subnet": SUBNET, "rounds": rounds, "unit": "for each second of audio", **detail}
    figure = None if ratio is None else round(ratio, 3)
    result = {"name": "runtimes", "figure": figure, "unit": "times YAMNet's processor time", "goal": GOAL}
    print(json.dumps({**result, "holds": ratio is not None and ratio <= GOAL, "detail": detail}))


def yamnet_file(option: Path | None) -> Path | None:
    """The file that the option or else the environment names, if any.

    Raises:
        UserError: it is not there.
    """
    named = option or (Path(os.environ[VARIABLE]) if os.environ.get(VARIABLE) else None)
    if named and not named.is_file():
        raise UserError(f"{named} is no file; name YAMNet's TFLite file with --yamnet or {VARIABLE}.")
    return named


def our_files() -> dict[str, Way]:
    """Every file of the subnet, and the least that a subnet of the Run takes."""
    run = Run.open(None)
    front_end, space = run.manifest.front_end, run.manifest.space
    files = {file.name: file for file in model_files(run, space.parse(SUBNET), RUNTIMES)}
    files |= {SMALLEST: next(model_files(run, space.smallest, ["tflite"], ["stream"], ["int8"]))}
    return {
        name: (hearing(file, front_end), file.inputs[SAMPLES][1] / front_end.sample_rate_hz)
        for name, file in files.items()
    }


def in_pytorch() -> dict[str, Way]:
    """The float modules that the files are made from."""
    run = Run.open(None)
    front_end = LogMel(run.manifest.front_end)
    net = load_subnet(run, run.manifest.space.parse(SUBNET))
    return {f"pytorch fp32 {mode}": _eager(mode, front_end, net) for mode in MODES}


def _eager(mode: Mode, front_end: LogMel, net: StaticNet) -> Way:
    with torch.no_grad():
        what = piece(mode, front_end, net)
    module: nn.Module = what.module
    samples, *state = what.example_inputs
    scene, kept = Scene(front_end.spec), len(what.output_names)

    def hear() -> object:
        heard = torch.from_numpy(scene.next(samples.shape[1]))[None]
        with torch.inference_mode():
            results = module(heard, *state)[:kept]
        state[:] = results[kept - len(state) :]
        return results[0]

    return hear, samples.shape[1] / front_end.spec.sample_rate_hz


def with_yamnet(path: Path) -> Way:
    """YAMNet on a window of noise; what it hears does not change what it costs."""
    interpreter = Interpreter(model_path=str(path), num_threads=1)
    given = interpreter.get_input_details()[0]
    window = np.random.default_rng(0).uniform(-1, 1, YAMNET_SAMPLES).astype(np.float32).reshape(given["shape"])
    interpreter.allocate_tensors()
    scores = interpreter.get_output_details()[0]["index"]

    def hear() -> object:
        interpreter.set_tensor(given["index"], window)
        interpreter.invoke()
        return interpreter.get_tensor(scores)

    return hear, YAMNET_SAMPLES / YAMNET_RATE_HZ


if __name__ == "__main__":
    main()
