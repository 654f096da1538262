"""The modules that become runtime files: front end and subnet in one graph, for each mode.

Axis letters: S samples, T frames, L labels. Proved by tests/export/test_modules.py.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from toolkit.frontend import LogMel
from toolkit.lower.piece import Piece, Quantization
from toolkit.specs.errors import UserError
from toolkit.specs.layer import Mode
from toolkit.specs.run import Range
from toolkit.specs.space import CLIP_SECONDS, STREAM_CHUNK_FRAMES
from toolkit.supernet.static import StaticNet
from toolkit.supernet.streaming import StreamingNet

SAMPLES, SCORES, LOG_MEL, SAMPLES_BEFORE = "samples", "scores", "log_mel", "samples_before"
FLOAT_TAP = "logits"
FLOAT_AFTER: dict[Mode, tuple[str, ...]] = {
    "clip": ("hidden",),
    "frames": ("hidden",),
    "stream": ("frequency_mean", "hidden"),
}
"""Where int8 ends: before the last layer, and at a stream's time pooling, which divides by a count too large for it."""
NEXT = "next_"
"""A state input `x` of a `stream` file leaves as the output `next_x`."""


class ClipModule(nn.Module):
    """10 s of waveform [1, S] to scores [1, L]."""

    def __init__(self, front_end: LogMel, net: StaticNet, taps: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.front_end, self.net, self.tap_names = front_end, net, taps

    def forward(self, samples: Tensor) -> tuple[Tensor, ...]:
        """Scores, then the taps asked for."""
        taps = self.net.taps(self.front_end(samples))
        return torch.sigmoid(taps["logits"]), *(taps[name] for name in self.tap_names)


class FramesModule(nn.Module):
    """Log-mel of 10 s [1, 1, T, F] to scores [1, L]."""

    def __init__(self, net: StaticNet, taps: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.net, self.tap_names = net, taps

    def forward(self, log_mel: Tensor) -> tuple[Tensor, ...]:
        """Scores, then the taps asked for."""
        taps = self.net.taps(log_mel)
        return torch.sigmoid(taps["logits"]), *(taps[name] for name in self.tap_names)


class StreamModule(nn.Module):
    """One chunk of waveform [1, S] and the state to scores [1, L], log-mel [1, 1, T, F] and the new state."""

    def __init__(self, front_end: LogMel, net: StreamingNet, taps: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.front_end, self.net, self.tap_names = front_end, net, taps

    def forward(self, samples: Tensor, samples_before: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """Scores, log-mel, the next state in the order of the inputs, then the taps asked for."""
        log_mel, samples_before = self.front_end.stream(samples, samples_before)
        taps, state = self.net.taps(log_mel, state)
        scores = torch.sigmoid(taps["logits"])
        return scores, log_mel, samples_before, *state, *(taps[name] for name in self.tap_names)


def piece(mode: Mode, front_end: LogMel, net: StaticNet) -> Piece:
    """What `lower` takes for one mode; the activations that int8 needs ranges for keep their names in the file."""
    if mode == "stream":
        return _stream_piece(front_end, net)
    samples = torch.zeros(1, CLIP_SECONDS * front_end.spec.sample_rate_hz)
    log_mel = front_end(samples)
    names = tuple(net.taps(log_mel))
    if mode == "clip":
        return Piece(ClipModule(front_end, net, names).eval(), (samples,), (SAMPLES,), (SCORES,), names)
    return Piece(FramesModule(net, names).eval(), (log_mel,), (LOG_MEL,), (SCORES,), names)


def _stream_piece(front_end: LogMel, net: StaticNet) -> Piece:
    streaming = StreamingNet(net, front_end.delay_frames)
    samples = torch.zeros(1, STREAM_CHUNK_FRAMES * front_end.spec.hop_samples)
    state = streaming.initial_state()
    log_mel, _ = front_end.stream(samples, front_end.initial_state())
    names = tuple(streaming.taps(log_mel, state)[0])
    state_names = (SAMPLES_BEFORE, *streaming.shapes)
    return Piece(
        StreamModule(front_end, streaming, names).eval(),
        (samples, front_end.initial_state(), *state),
        (SAMPLES, *state_names),
        (SCORES, LOG_MEL, *(NEXT + name for name in state_names)),
        names,
    )


def quantization(mode: Mode, piece: Piece, ranges: Mapping[str, Range]) -> Quantization:
    """Which part of a piece can leave float, from a Run's ranges; raises as `tap_ranges`."""
    return Quantization(tap_ranges(piece, ranges), FLOAT_AFTER[mode])


def tap_ranges(piece: Piece, ranges: Mapping[str, Range]) -> dict[str, Range]:
    """The Run's ranges for the tensors of a piece; those of a stream's masks and state follow from them.

    The logits get none: the last layer is small and stays float, for a step of int8 there is as large as what
    thresholds tell apart.

    Raises:
        UserError: the Run lacks a range.
    """
    masked = {f"unmasked{n}": f"conv{n}" for n in range(1, len(ranges))}
    kept = {"border1": "scale"} | {f"border{n + 1}": f"conv{n}" for n in range(1, len(ranges))}
    kept |= {f"waiting{n}": f"conv{n}" for n in range(1, len(ranges))}
    found = {}
    for name in (*(name for name in piece.input_names if name in kept), *piece.tap_names):
        if name == FLOAT_TAP:
            continue
        if name.startswith("mask"):
            found[name] = (0.0, 1.0)
        elif (source := (masked | kept).get(name, name)) in ranges:
            found[name] = ranges[source]
        else:
            raise UserError(f"the Run holds no activation range for {source}: train it again.")
    return found
