"""`StreamingNet`: a static subnet that takes a chunk and the state of the chunks before, and computes each frame once.

A whole pass runs the same lines of `StaticNet`; only what stands at the borders is another.

Convolutions keep their two border frames, so each is one frame late; a pooling whose input is an odd number of frames
late waits one more, so that it pairs the frames that a whole pass pairs. Frames before the signal are zeroed, as the
zeros at a whole pass's border are. The global pooling keeps the last 10 s of feature frames.

    frames in     0 1 2 3 4 5 6 7 | 8 ...         delay 0
    conv1        -1 0 1 2 3 4 5 6 | 7 ...         delay 1     frames -1 are zeros
    conv2        -2-1 0 1 2 3 4 5 | 6 ...         delay 2
    pool          [-1][ 0][ 1][ 2]|[ 3] ...       delay 1 (of half the rate)

Axis letters: B batch, C channels, T frames, F mel bins. Proved by tests/supernet/test_streaming.py.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from toolkit.specs.errors import UserError
from toolkit.specs.space import CONVOLUTIONS_PER_BLOCK, TIME_STRIDE, Subnet
from toolkit.supernet.static import BORDER_FRAMES, Conv, StaticNet, channels_first, channels_last

WINDOW_FRAMES = 125
"""Feature frames behind one decision: 10 s at 8 log-mel frames each."""
SEEN_LIMIT = float(2**13)
"""The frame counter stops here, where float16 still counts in steps of 8; it only tells the start of a stream."""


class StreamingNet(nn.Module):
    """Scores the last 10 s after each chunk.

    Args:
        net: the subnet.
        input_delay: how many frames before the signal's first its first input frame lies (the front end's delay).
    """

    def __init__(self, net: StaticNet, input_delay: int = 0) -> None:
        super().__init__()
        self.net, self.input_delay = net, input_delay
        self.shapes = {"frames_seen": (1,)} | self._border_shapes() | {"window": (1, WINDOW_FRAMES, self._channels)}
        """Name and shape of each state tensor, in the order they are passed."""

    @property
    def _channels(self) -> int:
        return int(self.net.hidden.in_features)

    def _border_shapes(self) -> dict[str, tuple[int, ...]]:
        shapes: dict[str, tuple[int, ...]] = {}
        bins, delay = len(self.net.scale.factor), self.input_delay
        for number, conv in enumerate(self.net.convs, start=1):
            shapes[f"border{number}"] = (1, conv.conv.in_channels, BORDER_FRAMES, bins)
            delay += 1
            if number in self.net.pool_after:
                if delay % 2:
                    shapes[f"waiting{number}"] = (1, conv.conv.out_channels, 1, bins)
                bins, delay = bins // 2, (delay + 1) // 2
        return shapes

    def initial_state(self) -> tuple[Tensor, ...]:
        """The state of a stream that has heard nothing: zeros."""
        return tuple(torch.zeros(shape) for shape in self.shapes.values())

    def forward(self, log_mel: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """Scores [1, L] after the chunk [1, 1, T, F], T a multiple of 8, and the new state.

        Raises:
            UserError: the chunk is no multiple of 8 frames.
        """
        taps, new_state = self.taps(log_mel, state)
        return torch.sigmoid(taps["logits"]), *new_state

    def taps(self, log_mel: Tensor, state: tuple[Tensor, ...]) -> tuple[dict[str, Tensor], tuple[Tensor, ...]]:
        """Every activation that is quantized, and the new state.

        Named as by `StaticNet.taps` but for the time pooling, which stays float, and with `unmasked2` and `mask2` for
        what is multiplied into `conv2`.
        """
        if log_mel.shape[2] % TIME_STRIDE:
            raise UserError(f"found a chunk of {log_mel.shape[2]} frames, expected a multiple of {TIME_STRIDE}.")
        old = dict(zip(self.shapes, state, strict=True))
        borders = ChunkBorders(old, self.input_delay)
        taps = self.net.frame_taps(log_mel, borders)
        new, frames = borders.new, taps["frequency_mean"]
        new["frames_seen"] = torch.clamp(old["frames_seen"] + log_mel.shape[2], max=SEEN_LIMIT)
        window = new["window"] = torch.cat((old["window"], frames), dim=1)[:, -WINDOW_FRAMES:]
        heard = torch.clamp(borders.seen + frames.shape[1] - borders.delay, 1, WINDOW_FRAMES)
        taps |= self.net.classify(window.amax(1) + window.mean(1) * (WINDOW_FRAMES / heard))
        return taps, tuple(new[name] for name in self.shapes)


class ChunkBorders:
    """The last frames of the chunk before stand before the first frame, and each layer is the later for it.

    Args:
        old: state after the chunk before, by name.
        delay: frames before the signal's first at which the chunk's first frame lies, at the depth reached.
    """

    def __init__(self, old: dict[str, Tensor], delay: int) -> None:
        self.old, self.seen, self.delay = old, old["frames_seen"], delay
        self.new: dict[str, Tensor] = {}
        """State for the next chunk."""

    def scaled(self, x: Tensor) -> Tensor:
        """Zeros before the signal: the scale makes others of them."""
        return _masked(x, _mask(x, self.seen, self.delay)) if self.delay else x

    def convolved(self, number: int, conv: Conv, x: Tensor) -> dict[str, Tensor]:
        """As many frames as there were, one frame late, zeros before the signal."""
        x, self.new[f"border{number}"] = conv.stream(x, self.old[f"border{number}"])
        self.delay += 1
        mask = _mask(x, self.seen, self.delay)
        return {f"unmasked{number}": x, f"mask{number}": mask, f"conv{number}": _masked(x, mask)}

    def paired(self, number: int, x: Tensor) -> Tensor:
        """Where an odd number of frames is late, the frame that waited and all but the last, which waits now."""
        if self.delay % 2:
            joined = torch.cat((channels_last(self.old[f"waiting{number}"]), channels_last(x)), dim=1)
            x, self.new[f"waiting{number}"] = channels_first(joined[:, :-1]), channels_first(joined[:, -1:])
        self.seen, self.delay = self.seen / 2, (self.delay + 1) // 2
        return x


def _masked(x: Tensor, mask: Tensor) -> Tensor:
    """[1, C, T, F] times [T, 1, 1]."""
    return channels_first(channels_last(x) * mask)


def _mask(x: Tensor, seen: Tensor, delay: int) -> Tensor:
    """Zeros [T, 1] where a frame of [1, C, T, F] lies before the signal, else ones: x[t] is frame seen + t - delay."""
    place = torch.tensor([float(frame) for frame in range(1 - delay, 1 - delay + x.shape[2])]) + seen
    return (torch.clamp(2 * place - 1, -1, 1) * 0.5 + 0.5)[:, None, None]  # XNNPACK clamps to -1 and 1, not 0 and 1


def feature_delay(subnet: Subnet, input_delay: int) -> int:
    """Feature frames by which a `StreamingNet` is late: one for each convolution, rounded up at each halving."""
    delay = input_delay + CONVOLUTIONS_PER_BLOCK
    for block in subnet.blocks:
        delay = -(-delay // 2) + len(block)
    return delay
