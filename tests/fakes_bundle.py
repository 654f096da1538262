"""A small Bundle folder for tests of what reads bundles: `fake_bundle`. Its models are built without a converter.

The models know loudness alone. `Loud` scores near 1 where the loudest sample of the window is above 0.5, `Quiet` is its
opposite. The clip file takes the window; the stream file takes a hop and remembers its peak, halved at each hop.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import flatbuffers  # type: ignore[import-untyped]
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tests.fakes import label_decision
from toolkit.specs.bundle import BundleFile, BundleManifest, TensorSpec
from toolkit.specs.files import sha256
from toolkit.specs.front_end import FrontEndSpec
from toolkit.specs.layer import Mode
from toolkit.specs.runtime import Precision

LABELS = ("Loud", "Quiet")
STEEPNESS, MIDDLE = 40.0, 0.5
RATE_HZ, HOP, WINDOW = 8_000, 800, 4_000
FRONT_END = FrontEndSpec(
    sample_rate_hz=RATE_HZ, window_samples=256, hop_samples=80, mel_bins=16, f_min_hz=50.0, f_max_hz=4_000.0
)


class _Graph:
    """A TFLite graph under construction: tensors by index, operators in the order they run."""

    def __init__(self) -> None:
        self.part, self.model = schema.SubGraphT(), schema.ModelT()
        self.part.tensors, self.part.operators = [], []
        self.model.version, self.model.buffers, self.model.operatorCodes = 3, [schema.BufferT()], []

    def tensor(self, name: str, shape: Sequence[int], values: Any = None) -> int:
        """Add a tensor, constant if it has values."""
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.buffer = name.encode(), list(shape), 0
        tensor.type = schema.TensorType.FLOAT32
        if values is not None:
            array = np.asarray(values)
            tensor.type = schema.TensorType.INT32 if array.dtype == np.int32 else schema.TensorType.FLOAT32
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(array.tobytes(), np.uint8)
            tensor.buffer = len(self.model.buffers)
            self.model.buffers.append(buffer)
        self.part.tensors.append(tensor)
        return len(self.part.tensors) - 1

    def run(self, operator: str, inputs: Sequence[int], output: int, options: str = "", **fields: Any) -> int:
        """Add a builtin operator and return its output."""
        code = schema.OperatorCodeT()
        code.builtinCode = getattr(schema.BuiltinOperator, operator)
        code.deprecatedBuiltinCode, code.version = min(code.builtinCode, 127), 1
        self.model.operatorCodes.append(code)
        node = schema.OperatorT()
        node.opcodeIndex, node.inputs, node.outputs = len(self.model.operatorCodes) - 1, list(inputs), [output]
        if options:
            node.builtinOptionsType = getattr(schema.BuiltinOptions, options)
            node.builtinOptions = getattr(schema, f"{options}T")()
            for name, value in fields.items():
                setattr(node.builtinOptions, name, value)
        self.part.operators.append(node)
        return output

    def write(self, inputs: dict[str, int], outputs: dict[str, int]) -> bytes:
        """The file's bytes, with one signature."""
        self.part.inputs, self.part.outputs = list(inputs.values()), list(outputs.values())
        signature = schema.SignatureDefT()
        signature.signatureKey, signature.subgraphIndex = "serving_default", 0
        signature.inputs, signature.outputs = _entries(inputs), _entries(outputs)
        self.model.subgraphs, self.model.signatureDefs = [self.part], [signature]
        builder = flatbuffers.Builder(4096)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def _entries(named: dict[str, int]) -> list[Any]:
    entries = []
    for name, index in named.items():
        entry = schema.TensorMapT()
        entry.name, entry.tensorIndex = name, index
        entries.append(entry)
    return entries


def _scores(graph: _Graph, peak: int) -> int:
    weights = graph.tensor("weights", (2, 1), np.array([[STEEPNESS], [-STEEPNESS]], np.float32))
    bias = graph.tensor("bias", (2,), np.array([-STEEPNESS * MIDDLE, STEEPNESS * MIDDLE], np.float32))
    logits = graph.run(
        "FULLY_CONNECTED", (peak, weights, bias), graph.tensor("logits", (1, 2)), "FullyConnectedOptions"
    )
    return graph.run("LOGISTIC", (logits,), graph.tensor("scores", (1, 2)))


def _peak(graph: _Graph, audio: int, samples: int) -> int:
    absolute = graph.run("ABS", (audio,), graph.tensor("absolute", (1, samples)), "AbsOptions")
    axis = graph.tensor("axis", (1,), np.array([1], np.int32))
    return graph.run("REDUCE_MAX", (absolute, axis), graph.tensor("peak", (1, 1)), "ReducerOptions", keepDims=True)


def clip_model(samples: int = WINDOW) -> bytes:
    """Waveform [1, samples] to scores [1, 2]."""
    graph = _Graph()
    audio = graph.tensor("waveform", (1, samples))
    return graph.write({"waveform": audio}, {"scores": _scores(graph, _peak(graph, audio, samples))})


def stream_model(samples: int = HOP) -> bytes:
    """A chunk [1, samples] and the peak before [1, 1] to scores [1, 2] and the peak now [1, 1]."""
    graph = _Graph()
    audio, before = graph.tensor("chunk", (1, samples)), graph.tensor("peak_before", (1, 1))
    half = graph.tensor("half", (1,), np.array([0.5], np.float32))
    faded = graph.run("MUL", (before, half), graph.tensor("faded", (1, 1)), "MulOptions")
    now = graph.run(
        "MAXIMUM", (_peak(graph, audio, samples), faded), graph.tensor("peak_now", (1, 1)), "MaximumMinimumOptions"
    )
    return graph.write({"chunk": audio, "peak_before": before}, {"scores": _scores(graph, now), "peak_now": now})


def fake_bundle(
    folder: Path,
    modes: Sequence[Mode] = ("clip",),
    *,
    precisions: Sequence[Precision] = ("int8",),
    window_samples: int = WINDOW,
    threshold: float = 0.5,
    uncalibrated: Sequence[str] = (),
    labels: Sequence[str] = LABELS,
) -> Path:
    """Write a whole Bundle at 8 kHz with hops of 0.1 s and windows of 0.5 s, and return its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "labels.txt").write_text("\n".join(labels) + "\n", encoding="utf-8")
    scores = TensorSpec(name="scores", shape=(1, 2))
    files = []
    for mode in modes:
        for precision in precisions:
            path = folder / f"{mode}-{precision}.tflite"
            if mode == "clip":
                path.write_bytes(clip_model(window_samples))
                inputs: tuple[TensorSpec, ...] = (TensorSpec(name="waveform", shape=(1, window_samples)),)
                outputs: tuple[TensorSpec, ...] = (scores,)
            else:
                path.write_bytes(stream_model())
                inputs = (TensorSpec(name="chunk", shape=(1, HOP)), TensorSpec(name="peak_before", shape=(1, 1)))
                outputs = (scores, TensorSpec(name="peak_now", shape=(1, 1)))
            files.append(
                BundleFile(
                    name=path.name,
                    runtime="tflite",
                    precision=precision,
                    mode=mode,
                    inputs=inputs,
                    outputs=outputs,
                    size_bytes=path.stat().st_size,
                    sha256=sha256(path),
                )
            )
    decisions = tuple(
        label_decision(label, threshold=threshold, off_threshold=0.8 * threshold, calibrated=label not in uncalibrated)
        for label in labels
    )
    BundleManifest(
        name="fake",
        subnet="3.3-6.6-12",
        run_name="fake",
        run_hash="0" * 16,
        pick=None,
        labels=tuple(labels),
        decisions=decisions,
        front_end=FRONT_END,
        front_end_fingerprint=FRONT_END.fingerprint,
        window_samples=window_samples,
        hop_samples=HOP,
        files=tuple(files),
        other_sha256={"labels.txt": sha256(folder / "labels.txt")},
        toolkit_version="0",
    ).save(folder / "manifest.json")
    return folder
