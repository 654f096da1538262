"""What every subnet's `stream` file would score on a scene, from one walk over the whole of it.

Proved by tests/train/test_stream_scores.py: the scores are those of `StreamingNet`, chunk by chunk.
Axis letters: C channels, T frames, F mel bins, D decisions, L labels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from toolkit.specs.space import STREAM_CHUNK_FRAMES, TIME_STRIDE, Subnet
from toolkit.supernet.norms import StoredNorms, walk
from toolkit.supernet.streaming import WINDOW_FRAMES, feature_delay
from toolkit.supernet.supernet import Supernet

HOP_FRAMES = STREAM_CHUNK_FRAMES // TIME_STRIDE
"""Feature frames between two decisions: a block."""
WHOLE_BLOCKS = WINDOW_FRAMES // HOP_FRAMES
"""In a window; a part of one more is in it too."""


def stream_scores(
    net: Supernet, norms: StoredNorms, subnets: Sequence[Subnet], log_mel: Tensor, input_delay: int
) -> Iterator[tuple[Subnet, Tensor]]:
    """Scores [D, L] of each subnet after each chunk of a scene [T, F], T a multiple of the chunk.

    `input_delay` is the front end's, in frames.
    """
    decisions = len(log_mel) // STREAM_CHUNK_FRAMES
    for subnet, features in walk(net, log_mel[None, None], subnets, norms, lambda x: x.mean(3)):
        with torch.no_grad():
            scores = torch.sigmoid(net.judge(window_pooling(features, decisions, feature_delay(subnet, input_delay))))
        yield subnet, scores


def window_pooling(features: Tensor, decisions: int, delay: int) -> Tensor:
    """Maximum plus mean [D, C] over the latest 10 s of features [1, C, T] that lie `delay` frames behind a decision.

    At a scene's start the mean is over what there is, one frame at least; features are positive, so that the zeros
    before a scene change no maximum.
    """
    blocks = functional.pad(features[0], (delay, 0))[:, : HOP_FRAMES * decisions].unflatten(1, (decisions, HOP_FRAMES))
    oldest = blocks[:, :, -(WINDOW_FRAMES % HOP_FRAMES) :]  # of the block that is not in the window as a whole
    most = torch.maximum(_over_blocks(blocks.amax(2)).amax(2), _blocks_ago(oldest.amax(2)))
    total = _over_blocks(blocks.sum(2)).sum(2) + _blocks_ago(oldest.sum(2))
    heard = torch.clamp(HOP_FRAMES * torch.arange(1, decisions + 1) - delay, 1, WINDOW_FRAMES)
    return (most + total / heard).T


def _over_blocks(x: Tensor) -> Tensor:
    """[C, D] to the whole blocks of each window, [C, D, WHOLE_BLOCKS]."""
    return functional.pad(x, (WHOLE_BLOCKS - 1, 0)).unfold(1, WHOLE_BLOCKS, 1)


def _blocks_ago(x: Tensor) -> Tensor:
    """[C, D] as it was before the whole blocks of each window."""
    return functional.pad(x, (WHOLE_BLOCKS, 0))[:, : x.shape[1]]
