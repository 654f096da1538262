"""The exported files of one subnet, and players of them in each runtime, on one thread. Not a benchmark by itself.

A player hears samples and keeps the state of a `stream` file, as a listener would. Bundles are left out: a file is
made, kept in memory and played. For benchmarks/streaming.py, runtimes.py and frontend.py.
Axis letters: S samples, L labels.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from toolkit.audio.scene import demo_scene
from toolkit.export.export import GOLDEN_SEED, file_shape, load_subnet
from toolkit.export.modules import NEXT, SAMPLES, SCORES, piece, quantization
from toolkit.frontend import LogMel
from toolkit.lower.formats import FORMATS, lower
from toolkit.lower.piece import Piece
from toolkit.specs.front_end import FrontEndSpec
from toolkit.specs.layer import Mode
from toolkit.specs.run import Run
from toolkit.specs.runtime import Precision, Runtime
from toolkit.specs.space import Subnet

SUBNET = "38.38-51.51-204.204"
"""What `search` picks from the default Run for pixel7."""
PRECISIONS: tuple[Precision, ...] = ("fp32", "int8")
MODES: tuple[Mode, ...] = ("clip", "stream")

Samples = NDArray[np.float32]
Arrays = dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class ModelFile:
    """One file and what is needed to play it; in processes of their own too.

    Args:
        inputs: name and shape of each input, in order, in the file's layout.
        outputs: names, in order.
    """

    runtime: Runtime
    precision: Precision
    mode: Mode
    model: bytes
    inputs: dict[str, tuple[int, ...]]
    outputs: tuple[str, ...]

    @property
    def name(self) -> str:
        """For tables: `tflite int8 stream`."""
        return f"{self.runtime} {self.precision} {self.mode}"


def model_files(
    run: Run,
    subnet: Subnet,
    runtimes: Sequence[Runtime],
    modes: Sequence[Mode] = MODES,
    precisions: Sequence[Precision] = PRECISIONS,
) -> Iterator[ModelFile]:
    """Files of a subnet in each mode, runtime and precision, as `export` makes them."""
    front_end, net = LogMel(run.manifest.front_end), load_subnet(run, subnet)
    for mode in modes:
        with torch.no_grad():
            what = piece(mode, front_end, net)
        chosen = quantization(mode, what, run.result(subnet).ranges)
        for runtime in runtimes:
            made = lower(runtime, what, precisions, chosen)
            for precision, model in zip(precisions, made, strict=True):
                yield model_file(what, runtime, precision, mode, model)


def model_file(what: Piece, runtime: Runtime, precision: Precision, mode: Mode, model: bytes) -> ModelFile:
    """A file that was lowered from a piece."""
    shapes = (file_shape(each, channels_last=FORMATS[runtime].channels_last) for each in what.example_inputs)
    inputs = dict(zip(what.input_names, shapes, strict=True))
    return ModelFile(runtime, precision, mode, model, inputs, what.output_names)


def caller(file: ModelFile) -> Callable[[Mapping[str, Samples]], Arrays]:
    """A function from all inputs by name to all outputs by name, on one thread."""
    return {"tflite": _in_litert, "executorch": _in_executorch, "onnx": _in_onnxruntime}[file.runtime](file)


class Player:
    """A file that hears windows or, in `stream` mode, one chunk after the other."""

    def __init__(self, file: ModelFile) -> None:
        self._call = caller(file)
        self._state = {name: np.zeros(shape, np.float32) for name, shape in file.inputs.items() if name != SAMPLES}
        self.samples = file.inputs[SAMPLES][1]
        """How many it hears at once."""

    def hear(self, samples: Samples) -> Samples:
        """Scores [L] after samples [S]."""
        outputs = self._call({SAMPLES: samples[None], **self._state})
        self._state = {name: outputs[NEXT + name] for name in self._state}
        scores: Samples = outputs[SCORES][0]
        return scores


class Scene:
    """The demo's synthesized scene, again and again."""

    def __init__(self, spec: FrontEndSpec) -> None:
        once = demo_scene(spec.sample_rate_hz, GOLDEN_SEED).waveform
        self._period, self._twice, self._begin = len(once), np.concatenate((once, once)), 0

    def next(self, samples: int) -> Samples:
        """The following samples [S], not copied: handing them out takes no time. At most one scene's length."""
        taken: Samples = self._twice[self._begin : self._begin + samples]
        self._begin = (self._begin + samples) % self._period
        return taken


def hearing(file: ModelFile, front_end: FrontEndSpec) -> Callable[[], object]:
    """One decision of a file, on the samples that follow."""
    player, scene = Player(file), Scene(front_end)
    return lambda: player.hear(scene.next(player.samples))


@dataclass(frozen=True)
class Spent:
    """Median milliseconds of one call: of the processor, and by the clock."""

    cpu_ms: float
    wall_ms: float


def medians(ways: Mapping[str, Callable[[], object]], rounds: int, warm_ups: int = 1) -> dict[str, Spent]:
    """What each way takes; the ways take turns, so that a slow spell meets all of them."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for number in range(warm_ups + rounds):
        for name, run in ways.items():
            cpu_s, wall_s = time.process_time(), time.perf_counter()
            run()
            if number >= warm_ups:
                found[name].append((1e3 * (time.process_time() - cpu_s), 1e3 * (time.perf_counter() - wall_s)))
    return {name: Spent(*(median(column) for column in zip(*times, strict=True))) for name, times in found.items()}


def _in_litert(file: ModelFile) -> Callable[[Mapping[str, Samples]], Arrays]:
    from ai_edge_litert.interpreter import Interpreter

    runner = Interpreter(model_content=file.model, num_threads=1).get_signature_runner()
    return lambda inputs: dict(runner(**inputs))


def _in_executorch(file: ModelFile) -> Callable[[Mapping[str, Samples]], Arrays]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its interface is experimental, it says
        from executorch.extension.pybindings import portable_lib
        from executorch.runtime import Runtime as ExecuTorch

    if portable_lib._threadpool_get_thread_count() != 1:  # noqa: SLF001  it has no other way to say so
        portable_lib._unsafe_reset_threadpool(1)  # noqa: SLF001
    method: Any = ExecuTorch.get().load_program(file.model).load_method("forward")

    def call(inputs: Mapping[str, Samples]) -> Arrays:
        results = method.execute([torch.from_numpy(inputs[name]) for name in file.inputs])
        return {name: result.contiguous().numpy() for name, result in zip(file.outputs, results, strict=True)}

    return call


def _in_onnxruntime(file: ModelFile) -> Callable[[Mapping[str, Samples]], Arrays]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(file.model, options, providers=["CPUExecutionProvider"])
    return lambda inputs: dict(zip(file.outputs, session.run(list(file.outputs), dict(inputs)), strict=True))
