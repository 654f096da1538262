"""Small modules to lower: a classifier behind a front end, a streaming convolution, one that nothing can hold.

Axis letters: B C T F.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from toolkit.lower.piece import Piece

SAMPLES = 4096
TAPS = ("entry", "first", "second", "frames", "most", "mean", "pooled", "hidden", "logits")


class Toy(nn.Module):
    """Waveform [1, SAMPLES] to scores [1, 5]: log power of a DFT, two convolutions, global pooling, two layers."""

    cosine: Tensor
    sine: Tensor

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(5)
        angle = 2 * torch.pi * torch.outer(torch.arange(64), torch.arange(1, 17)) / 64
        self.register_buffer("cosine", angle.cos().contiguous())
        self.register_buffer("sine", angle.sin().contiguous())
        self.first, self.second = nn.Conv2d(1, 8, 3, padding=1), nn.Conv2d(8, 12, 3, padding=1)
        self.hidden, self.head = nn.Linear(12, 10), nn.Linear(10, 5)
        for parameter in self.requires_grad_(False).parameters():
            fan_in = parameter[0].numel() if parameter.dim() > 1 else 1
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * (2 / fan_in) ** 0.5)

    def forward(self, wave: Tensor) -> tuple[Tensor, ...]:
        """Scores, then the taps in the order of TAPS."""
        windows = wave.reshape(1, 1, -1, 64)
        power = (windows @ self.cosine) ** 2 + (windows @ self.sine) ** 2
        entry = torch.log(power + 1e-3) * 0.3
        first = functional.relu(self.first(entry))
        second = functional.relu(self.second(functional.avg_pool2d(first, 2)))
        frames = second.mean(3)
        most, mean = frames.amax(2), frames.mean(2)
        pooled = most + mean
        hidden = functional.relu(self.hidden(pooled))
        logits = self.head(hidden)
        return torch.sigmoid(logits), entry, first, second, frames, most, mean, pooled, hidden, logits


class StreamingConvolution(nn.Module):
    """Chunk [1, 3, T, 6] and the two frames before it to [1, 5, T, 6] and the last two frames."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(6)
        self.convolution = nn.Conv2d(3, 5, 3, padding=(0, 1))
        for parameter in self.requires_grad_(False).parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)

    def forward(self, chunk: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """The chunk's output and the next state."""
        joined = torch.cat((state, chunk), dim=2)
        return functional.relu(self.convolution(joined)), joined[:, :, -2:]


class Bessel(nn.Module):
    """Has an operator that no runtime has."""

    def forward(self, x: Tensor) -> Tensor:
        """[N] to [N]."""
        y: Tensor = torch.special.bessel_j0(x)
        return y


def toy_piece() -> Piece:
    """The toy with all its taps."""
    return Piece(Toy().eval(), (torch.zeros(1, SAMPLES),), ("wave",), ("scores",), TAPS)


def streaming_piece(frames: int) -> Piece:
    """The streaming convolution for chunks of `frames`; names are not in the alphabet's order."""
    inputs = (torch.zeros(1, 3, frames, 6), torch.zeros(1, 3, 2, 6))
    return Piece(StreamingConvolution().eval(), inputs, ("chunk", "a_state"), ("out", "next_state"))


def toy_ranges() -> dict[str, tuple[float, float]]:
    """Of the toy's taps, measured on the signals."""
    taps = [Toy()(wave)[1:] for wave in signals()]
    return {
        name: (min(float(tap[k].min()) for tap in taps), max(float(tap[k].max()) for tap in taps))
        for k, name in enumerate(TAPS)
    }


def int8_error(ranges: dict[str, tuple[float, float]]) -> float:
    """How far int8 may move the toy's scores: by a step of the logits, where the sigmoid is steepest."""
    low, high = ranges["logits"]
    return (high - low) / 255 / 4


def signals() -> list[Tensor]:
    """Waveforms [1, SAMPLES]: noise, quiet noise, a tone, a chirp."""
    generator = torch.Generator().manual_seed(7)
    time = torch.arange(SAMPLES) / SAMPLES
    noise = torch.randn(SAMPLES, generator=generator)
    shapes = (noise, 0.05 * noise, torch.sin(900 * time), torch.sin(300 * time + 1500 * time**2))
    return [shape[None] for shape in shapes]


def run(model: bytes, **inputs: Tensor | NDArray[np.float32]) -> dict[str, NDArray[Any]]:
    """Outputs of a TFLite file by name; tensors of torch are handed over channels last."""
    interpreter = Interpreter(model_content=model, num_threads=1)
    arrays = {name: channels_last(value) if isinstance(value, Tensor) else value for name, value in inputs.items()}
    outputs: dict[str, NDArray[Any]] = interpreter.get_signature_runner()(**arrays)
    return outputs


def channels_last(tensor: Tensor) -> NDArray[np.float32]:
    """[B, C, T, F] as the array [B, T, F, C]; other shapes as they are."""
    array: NDArray[np.float32] = (tensor.permute(0, 2, 3, 1) if tensor.dim() == 4 else tensor).numpy()
    return array
