"""Write a Bundle: extract the subnet, lower each file, describe it all in a manifest. Whole or not at all.

Proved by tests/export/test_export.py.
"""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from safetensors.numpy import save_file

import toolkit
from toolkit.audio.dataset import Dataset
from toolkit.audio.scene import demo_scene
from toolkit.export.modules import ClipModule, FramesModule, StreamModule, piece, quantization
from toolkit.export.qat import quantization_aware, training_clips
from toolkit.frontend import LogMel
from toolkit.lower.formats import FORMATS, lower
from toolkit.lower.tflite_metadata import with_audio_metadata
from toolkit.lower.via_onnx2tf import lower_via_onnx2tf
from toolkit.specs.bundle import GOLDEN, LABELS, MANIFEST, BundleFile, BundleManifest, TensorSpec
from toolkit.specs.errors import MismatchError, UserError
from toolkit.specs.files import new_file, new_folder, sha256
from toolkit.specs.front_end import FrontEndSpec
from toolkit.specs.layer import Mode
from toolkit.specs.pick import Pick
from toolkit.specs.run import Run
from toolkit.specs.runtime import Precision, Runtime
from toolkit.specs.shipped import DEFAULT_RUN
from toolkit.specs.space import CLIP_SECONDS, STREAM_CHUNK_FRAMES, Subnet
from toolkit.supernet.static import StaticNet
from toolkit.supernet.streaming import StreamingNet
from toolkit.supernet.weights import load_weights

GOLDEN_SEED = 1
QAT_PRECISION: Precision = "int8"
_INT16_FULL_SCALE = 32_767

Formats = Mapping[Runtime, tuple[Precision, ...]]
Via = Literal["litert-torch", "onnx2tf"]
"""What makes TFLite files; onnx2tf, which goes through ONNX, to check the other."""
Say = Callable[[str, int, int], None]
"""Called with what is being made, how many files are done, how many there are."""


@dataclass(frozen=True)
class Order:
    """What to export."""

    run: Run
    subnet: Subnet
    modes: tuple[Mode, ...]
    formats: Formats
    pick: Pick | None = None
    qat_data: Dataset | None = None
    """Clips for quantization-aware fine-tuning of what becomes `int8`; without them the Run's weights are rounded."""
    via: Via = "litert-torch"

    def __post_init__(self) -> None:
        if self.qat_data is not None and not any(QAT_PRECISION in held for held in self.formats.values()):
            asked = ", ".join(dict.fromkeys(precision for held in self.formats.values() for precision in held))
            raise UserError(
                f"--qat fine-tunes what becomes int8, and {asked} is all that is asked for; expected --precision int8 "
                "with --qat."
            )
        if self.via == "onnx2tf" and self.formats.get("tflite") != ("fp32",):
            raise UserError(
                "onnx2tf keeps no names of the tensors inside, by which smaller files are made; "
                "expected --runtime tflite and --precision fp32 with --via onnx2tf."
            )

    @classmethod
    def of_pick(cls, run: Run, pick: Pick, modes: tuple[Mode, ...], formats: Formats) -> Order:
        """The order for a Pick.

        Raises:
            MismatchError: the Pick was made from another Run.
        """
        if pick.run_hash != run.hash:
            of_run = "" if run.folder == DEFAULT_RUN else f" --run {shlex.quote(str(run.folder))}"
            raise MismatchError(
                f"the pick was made from Run {pick.run_name} ({pick.run_hash}), this Run is {run.manifest.name} "
                f"({run.hash}). Name the pick's with --run DIR, or search this one: "
                f"python -m toolkit.search --device {pick.device}{of_run}"
            )
        return cls(run, run.manifest.space.parse(pick.subnet), modes, formats, pick)


def choose_formats(
    runtimes: Sequence[Runtime], precisions: Sequence[Precision]
) -> dict[Runtime, tuple[Precision, ...]]:
    """The precisions that each runtime has of those wanted.

    Raises:
        UserError: a runtime has none of them.
    """
    chosen = {
        runtime: tuple(each for each in FORMATS[runtime].precisions if each in precisions) for runtime in runtimes
    }
    for runtime, held in chosen.items():
        if not held:
            raise UserError(
                f"{runtime} files are not made in {', '.join(precisions)}; "
                f"expected --precision {', '.join(FORMATS[runtime].precisions)}."
            )
    return chosen


def load_subnet(run: Run, subnet: Subnet) -> StaticNet:
    """A static subnet of a Run; raises as `load_weights` does."""
    net, norms = load_weights(run)
    return StaticNet.extract(net, subnet, norms)


def export(order: Order, out: Path, say: Say) -> BundleManifest:
    """Write the bundle of `order` to the folder `out`.

    Raises:
        UserError: a format's library is missing, a conversion fails, or the Run is damaged; no bundle is left behind.
    """
    manifest = order.run.manifest
    front_end, net = LogMel(manifest.front_end), load_subnet(order.run, order.subnet)
    parts = _parts(order, front_end, net, say)
    with torch.no_grad(), new_folder(out) as folder:
        files = list(_files(order, front_end, parts, folder, say))
        (folder / LABELS).write_text("".join(f"{label}\n" for label in manifest.labels), encoding="utf-8")
        with new_file(folder / GOLDEN) as path:  # which readers of every account may open, as safetensors' own may not
            save_file(golden(front_end, net, order.modes), path)
        bundle = BundleManifest(
            name=out.name,
            subnet=order.subnet.id,
            run_name=manifest.name,
            run_hash=order.run.hash,
            pick=order.pick,
            labels=manifest.labels,
            decisions=order.run.decisions(order.subnet),
            front_end=manifest.front_end,
            front_end_fingerprint=manifest.front_end.fingerprint,
            window_samples=CLIP_SECONDS * manifest.front_end.sample_rate_hz,
            hop_samples=STREAM_CHUNK_FRAMES * manifest.front_end.hop_samples,
            files=tuple(files),
            other_sha256={name: sha256(folder / name) for name in (LABELS, GOLDEN)},
            qat_data_hash=order.qat_data.data_hash if order.qat_data else None,
            toolkit_version=toolkit.__version__,
        )
        bundle.save(folder / MANIFEST)
    return bundle


def _parts(order: Order, front_end: LogMel, net: StaticNet, say: Say) -> list[tuple[StaticNet, Formats]]:
    """Which network becomes which files: after quantization-aware fine-tuning, `int8` files are another's."""
    if order.qat_data is None:
        return [(net, order.formats)]
    ranges = order.run.result(order.subnet).ranges
    learnt = quantization_aware(net, ranges, training_clips(order.qat_data, front_end, say), say)
    rest = {
        runtime: others
        for runtime, held in order.formats.items()
        if (others := tuple(each for each in held if each != QAT_PRECISION))
    }
    rounded = {runtime: (QAT_PRECISION,) for runtime, held in order.formats.items() if QAT_PRECISION in held}
    return [(net, rest), (learnt, rounded)]


def _files(
    order: Order, front_end: LogMel, parts: Sequence[tuple[StaticNet, Formats]], folder: Path, say: Say
) -> Iterator[BundleFile]:
    total, done = len(order.modes) * sum(len(precisions) for precisions in order.formats.values()), 0
    ranges = order.run.result(order.subnet).ranges
    say("export", done, total)
    for mode, (net, formats) in itertools.product(order.modes, parts):
        what = piece(mode, front_end, net)
        leaving_float, results = quantization(mode, what, ranges), what.module(*what.example_inputs)
        for runtime, precisions in formats.items():
            made: Iterable[bytes] = lower(runtime, what, precisions, leaving_float)
            if runtime == "tflite" and order.via == "onnx2tf":
                made = [lower_via_onnx2tf(what)]
            for precision, lowered in zip(precisions, made, strict=True):
                model = _for_mediapipe(order, lowered) if (runtime, mode) == ("tflite", "clip") else lowered
                name = f"{mode}.{precision}{FORMATS[runtime].suffix}"
                (folder / name).write_bytes(model)
                done += 1
                say("export", done, total)
                yield BundleFile(
                    name=name,
                    runtime=runtime,
                    precision=precision,
                    mode=mode,
                    inputs=_tensors(what.input_names, what.example_inputs, runtime),
                    outputs=_tensors(what.output_names, results, runtime),
                    size_bytes=len(model),
                    sha256=sha256(folder / name),
                )


def _for_mediapipe(order: Order, clip: bytes) -> bytes:
    """A `clip` TFLite file that MediaPipe's audio classifier runs too."""
    manifest = order.run.manifest
    return with_audio_metadata(
        clip,
        name=f"{manifest.name} {order.subnet.id}",
        description=f"Scores of the audio events in {CLIP_SECONDS} s of sound.",
        sample_rate_hz=manifest.front_end.sample_rate_hz,
        labels=manifest.labels,
    )


def _tensors(names: Sequence[str], tensors: Sequence[torch.Tensor], runtime: Runtime) -> tuple[TensorSpec, ...]:
    """Names and shapes of a file's inputs or outputs; behind the outputs stand the taps, which the file has not."""
    return tuple(
        TensorSpec(name=name, shape=file_shape(tensor, channels_last=FORMATS[runtime].channels_last))
        for name, tensor in zip(names, tensors, strict=False)
    )


def file_shape(tensor: torch.Tensor, *, channels_last: bool) -> tuple[int, ...]:
    """Shape of a tensor in a file; where that is channels last, [B, C, T, F] stands as [B, T, F, C]."""
    shape = tuple(tensor.shape)
    return (shape[0], *shape[2:], shape[1]) if channels_last and len(shape) == 4 else shape


def golden(front_end: LogMel, net: StaticNet, modes: Sequence[Mode]) -> dict[str, np.ndarray]:
    """10 s of a synthesized scene as int16 samples, and PyTorch's scores on it: `clip` and `frames` [1, L], `stream`
    [chunks, L]. For `frames` the scene's log-mel stands there too, [1, 1, T, F].
    """
    samples = golden_samples(front_end.spec)
    vectors = {"samples": samples}
    waveform = torch.from_numpy(to_float(samples))[None]
    if "clip" in modes:
        vectors["clip"] = ClipModule(front_end, net)(waveform)[0].numpy()
    if "frames" in modes:
        vectors["log_mel"] = front_end(waveform).numpy()
        vectors["frames"] = FramesModule(net)(torch.from_numpy(vectors["log_mel"]))[0].numpy()
    if "stream" in modes:
        vectors["stream"] = stream_scores(front_end, net, waveform)
    return vectors


def golden_samples(spec: FrontEndSpec) -> np.ndarray:
    """The scene's first 10 s, int16 [S]."""
    scene = demo_scene(spec.sample_rate_hz, GOLDEN_SEED).waveform[: CLIP_SECONDS * spec.sample_rate_hz]
    return np.round(scene * _INT16_FULL_SCALE).astype(np.int16)


def to_float(samples: np.ndarray) -> np.ndarray:
    """Int16 samples as float32 in -1 to 1."""
    return samples.astype(np.float32) / np.float32(_INT16_FULL_SCALE)


def stream_scores(front_end: LogMel, net: StaticNet, waveform: torch.Tensor) -> np.ndarray:
    """PyTorch's scores [chunks, L] after each whole chunk of a waveform [1, S]."""
    streaming = StreamingNet(net, front_end.delay_frames)
    module = StreamModule(front_end, streaming)
    hop = STREAM_CHUNK_FRAMES * front_end.spec.hop_samples
    state = (front_end.initial_state(), *streaming.initial_state())
    scores = []
    with torch.no_grad():
        for start in range(0, waveform.shape[1] - hop + 1, hop):
            result, _, *new_state = module(waveform[:, start : start + hop], *state)
            state = tuple(new_state)
            scores.append(result[0].numpy())
    if not scores:
        raise UserError(f"found {waveform.shape[1]} samples, expected at least one chunk of {hop}.")
    return np.stack(scores)
