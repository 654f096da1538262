"""Bytes and multiply-accumulates of one layer, its front end included: what is counted, neither measured nor modelled.

Knows how `toolkit.frontend.LogMel` computes, without importing it (nor torch); tests/profile/test_counts.py compares.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from toolkit.specs.front_end import FrontEndSpec
from toolkit.specs.layer import Layer
from toolkit.specs.runtime import Precision

BYTES: dict[Precision, int] = {"fp32": 4, "fp16": 2, "int8": 1}
FLOAT_OPERATORS = frozenset({"front_end", "scale"})
"""What stands before the first quantized activation: float32 in every precision."""
_CHANNEL_QUANTIZATION_BYTES = 24
"""Scale (4) and zero point (8) of each output channel's weights, and of its bias. Source: TFLite's schema."""
_BIAS_BYTES = 4


class FrontEndCounts(NamedTuple):
    """Of the factored DFT and the mel filters."""

    constants: int
    macs_per_frame: int
    numbers_per_frame: int
    """Numbers of one frame between the two rounds of the DFT: the widest place."""


def front_end_counts(spec: FrontEndSpec) -> FrontEndCounts:
    """Sizes of the matrices of `LogMel`, from the spec alone."""
    window = spec.window_samples
    columns = max(d for d in range(1, math.isqrt(window) + 1) if window // 2 % d == 0)
    rows = window // columns
    groups = rows // 2 + 1
    bin_hz = spec.sample_rate_hz / window

    def heard(k: int) -> bool:
        return spec.f_min_hz < min(k, window - k) * bin_hz < spec.f_max_hz

    used = sum(any(heard(c + rows * d) for c in range(groups)) for d in range(columns))
    first = groups * rows
    second = groups * 2 * columns * 2 * used
    mel = groups * used * spec.mel_bins
    return FrontEndCounts(
        constants=window + first + second + mel,
        macs_per_frame=first * columns + second + mel,
        numbers_per_frame=2 * groups * columns,
    )


def arithmetic(layer: Layer, precision: Precision) -> Precision:
    """The precision that the layer computes in when the network is of `precision`."""
    return "fp32" if layer.operator in FLOAT_OPERATORS else precision


def macs(layer: Layer, front_end: FrontEndSpec) -> int:
    """Multiply-accumulates of one inference."""
    if layer.operator == "front_end":
        return layer.frames * front_end_counts(front_end).macs_per_frame
    return layer.macs


def file_bytes(layer: Layer, precision: Precision, front_end: FrontEndSpec) -> int:
    """Bytes of the layer's constants in a file; batch norm is folded into weights and bias."""
    width = BYTES[arithmetic(layer, precision)]
    match layer.operator:
        case "front_end":
            return width * front_end_counts(front_end).constants
        case "scale":
            return width * 2 * layer.bins
        case "conv2d" | "linear":
            weights = layer.kernel**2 * layer.channels_in * layer.channels_out // layer.groups
            each_channel = _BIAS_BYTES + (_CHANNEL_QUANTIZATION_BYTES if precision == "int8" else 0)
            return width * weights + each_channel * layer.channels_out
        case _:
            return 0


def activation_bytes(layer: Layer, precision: Precision, front_end: FrontEndSpec) -> int:
    """Bytes that are alive while the layer runs: what enters and what leaves, and in the front end its widest place.

    In `stream` mode a convolution first joins the chunk to its border; that copy is alive instead of the input.
    """
    width = BYTES[arithmetic(layer, precision)]
    if layer.operator == "front_end":
        widest = 2 * layer.frames * front_end_counts(front_end).numbers_per_frame
        return width * (layer.frames * front_end.hop_samples + widest)
    joined = layer.kernel - 1 if layer.operator == "conv2d" and layer.mode == "stream" else 0
    entering = layer.channels_in * (layer.frames + joined) * layer.bins
    return width * (entering + _leaving(layer))


def _leaving(layer: Layer) -> int:
    if layer.operator in ("global_pool", "linear"):
        return layer.channels_out
    return layer.channels_out * (layer.frames // layer.stride) * (layer.bins // layer.stride)
