"""The files that several tests read, converted together once."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Literal

import pytest
import torch
from torch import nn

from tests.lower.toys import streaming_piece, toy_piece, toy_ranges
from toolkit.lower.formats import FORMATS, lower
from toolkit.lower.piece import Piece, Quantization
from toolkit.lower.tflite import lower_tflite_many
from toolkit.specs.runtime import Precision, Runtime

Which = Literal["toy", "stream8", "stream16"]
Made = Callable[[Runtime, Precision, Which], bytes]
STREAM_RANGES = {"chunk": (-3.0, 3.0), "a_state": (-3.0, 3.0), "out": (0.0, 10.0)}
INT8_STREAM_ERROR = 2 * 10 / 255
"""How far int8 may move the output: by two steps."""


@pytest.fixture(scope="session")
def ranges() -> dict[str, tuple[float, float]]:
    """Of the toy's taps."""
    return toy_ranges()


@pytest.fixture(scope="session")
def made(ranges: dict[str, tuple[float, float]]) -> Made:
    """A file of the toy, or of the streaming convolution for 8 or 16 frames.

    All precisions of a runtime are converted together, when one is first asked for.
    """

    @cache
    def all_of(runtime: Runtime, which: Which) -> dict[Precision, bytes]:
        piece = toy_piece() if which == "toy" else streaming_piece(int(which.removeprefix("stream")))
        quantization = Quantization(ranges if which == "toy" else STREAM_RANGES)
        precisions = FORMATS[runtime].precisions
        return dict(zip(precisions, lower(runtime, piece, precisions, quantization), strict=True))

    return lambda runtime, precision, which: all_of(runtime, which)[precision]


@pytest.fixture(scope="session")
def files() -> dict[str, bytes]:
    """float32 TFLite files: `toy`, `stream8`, `stream16` (frames of the chunk) and `pool` (2x2 average of `x`)."""
    pool = Piece(nn.AvgPool2d(2).eval(), (torch.zeros(1, 3, 8, 6),), ("x",), ("y",))
    pieces = {"toy": toy_piece(), "stream8": streaming_piece(8), "stream16": streaming_piece(16), "pool": pool}
    return dict(zip(pieces, lower_tflite_many(list(pieces.values())), strict=True))
