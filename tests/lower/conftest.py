"""The files that several tests read, converted together once."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.lower.toys import streaming_piece, toy_piece
from toolkit.lower.piece import Piece
from toolkit.lower.tflite import lower_tflite_many


@pytest.fixture(scope="session")
def files() -> dict[str, bytes]:
    """float32 TFLite files: `toy`, `stream8`, `stream16` (frames of the chunk) and `pool` (2x2 average of `x`)."""
    pool = Piece(nn.AvgPool2d(2).eval(), (torch.zeros(1, 3, 8, 6),), ("x",), ("y",))
    pieces = {"toy": toy_piece(), "stream8": streaming_piece(8), "stream16": streaming_piece(16), "pool": pool}
    return dict(zip(pieces, lower_tflite_many(list(pieces.values())), strict=True))
