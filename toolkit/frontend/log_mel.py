"""`LogMel`: the log-mel of a waveform as one torch module, for training, for streaming and inside exported files.

The DFT is two rounds of small matrix products, so it converts to every runtime and needs no torch.fft.
Not the host's buffering of odd chunk lengths: that is `stream.py`.
Proved by tests/frontend/test_log_mel.py (accuracy), test_streaming.py (chunked equals whole), test_runtimes.py.

Frame k is centred on sample `hop * k`, where hop k begins. With a window of 1024 and a hop of 320 it reaches into
four hops:

    sample   320k-640  320k-320    320k    320k+320  320k+640
    hop          |   k-2   |   k-1   |    k    |   k+1   |
    frame k          |======== 1024 samples =======|
                  320k-512                     320k+511

So frame k needs hop k+1: a stream emits a frame for each hop that comes in, `delay_frames` = 1 behind it, and keeps the
last three hops as its state. The first frame of a stream, number -1, begins before the audio; whoever streams drops
it. The last one comes out with one more hop of zeros. Shown for chunks of four hops, then the end:

    hops in       0    1    2    3  |  4    5    6    7  | (zeros)
    frames out   -1    0    1    2  |  3    4    5    6  |  7
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from toolkit.frontend.mel import mel_filters
from toolkit.frontend.reference import hann
from toolkit.specs.errors import UserError
from toolkit.specs.front_end import FrontEndSpec

STREAM_CHUNK_FRAMES = 96
"""Frames of the chunk that exported streams take: 30,720 samples or 0.96 s, whole after 8-fold pooling."""

_DB_PER_NEPER = 10.0 / math.log(10.0)

# The power of a full-scale bin is 2^18, too much for float16. Window and filters share the scale out: with powers of
# two, float32 results stay the same to the bit.
_WINDOW_SCALE = 0.25


class LogMel(nn.Module):
    """Waveform [B, S] to log-mel [B, 1, T, F] in dB; B batch, S samples, T frames, F mel bands.

    Stateless: constants are buffers that no checkpoint holds, and a stream's state goes in and comes out.

    Args:
        spec: what the features are. A window with a divisor near its square root is fast, any other is as exact.

    Attributes:
        delay_frames: frames that a stream lags behind the hops it was given.
        state_samples: samples that a stream keeps.
    """

    _window: Tensor
    _first_even: Tensor
    _first_odd: Tensor
    _second_real: Tensor
    _second_imag: Tensor
    _mel: Tensor

    def __init__(self, spec: FrontEndSpec) -> None:
        super().__init__()
        self.spec = spec
        reach_hops = -(-spec.window_samples // 2 // spec.hop_samples)
        self.delay_frames = reach_hops - 1
        self.state_samples = (2 * reach_hops - 1) * spec.hop_samples
        for name, values in _constants(spec).items():
            # litert-torch 0.10 mixes up constants that are not contiguous (its issues 1061 and 1238).
            contiguous = np.ascontiguousarray(values, dtype=np.float32)
            self.register_buffer(name, torch.from_numpy(contiguous), persistent=False)

    def initial_state(self, batch: int = 1) -> Tensor:
        """State [batch, state_samples] of a stream that has heard nothing: zeros."""
        return self._window.new_zeros(batch, self.state_samples)

    def forward(self, waveform: Tensor) -> Tensor:
        """All frames [B, 1, T, F] of whole signals [B, S], T = spec.frames(S): a stream of one chunk."""
        batch, samples = waveform.shape
        hops = self.spec.frames(samples) + self.delay_frames
        chunk = nn.functional.pad(waveform, (0, hops * self.spec.hop_samples - samples))
        frames, _ = self.stream(chunk, self.initial_state(batch))
        return frames[:, :, self.delay_frames :]

    def stream(self, chunk: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """The next frames of a stream, and its next state.

        Args:
            chunk: [B, n * hop] samples, those that follow the last call's.
            state: [B, state_samples], from `initial_state` or from the last call.

        Returns:
            n frames [B, 1, n, F], the first of which is `delay_frames` before the chunk's first hop, and the state.
            The first `delay_frames` frames of a stream begin before its first sample: drop them.

        Raises:
            UserError: the chunk is not a whole number of hops.
        """
        if chunk.shape[-1] % self.spec.hop_samples:
            raise UserError(
                f"found a chunk of {chunk.shape[-1]} samples, expected a multiple of the hop, "
                f"{self.spec.hop_samples}. Push other lengths through LogMelStream."
            )
        samples = torch.cat([state, chunk], dim=-1)
        return self._log_mel(*self._halves(samples)), samples[:, chunk.shape[-1] :]

    def _halves(self, samples: Tensor) -> tuple[Tensor, Tensor]:
        """State and chunk [B, state + n * hop] to the windowed halves of n frames, [B, n, window / 2] each.

        Slices of hops side by side, no gather: the halves meet where a hop begins.
        """
        hop, half = self.spec.hop_samples, self.spec.window_samples // 2
        hops = samples.reshape(samples.shape[0], -1, hop)
        count = (samples.shape[-1] - self.state_samples) // hop
        middle = (self.state_samples + hop) // 2
        halves = []
        for begin in (middle - half, middle):
            pieces = []
            for first in range(begin // hop * hop, begin + half, hop):
                inside = slice(max(begin - first, 0), min(begin + half - first, hop))
                pieces.append(hops[:, first // hop : first // hop + count, inside])
            halves.append(torch.cat(pieces, dim=-1))
        return halves[0] * self._window[:half], halves[1] * self._window[half:]

    def _log_mel(self, early: Tensor, late: Tensor) -> Tensor:
        """Windowed halves of frames, [B, n, window / 2] each, to log-mel [B, 1, n, F]."""
        batch, count, _ = early.shape
        groups, pair, _ = self._second_real.shape
        grid = (batch * count, self._first_even.shape[1], pair // 2)
        even = torch.bmm(self._first_even.expand(grid[0], -1, -1), (early + late).reshape(grid))
        odd = torch.bmm(self._first_odd.expand(grid[0], -1, -1), (early - late).reshape(grid))
        first = torch.cat([even, odd], dim=1)
        by_group = first.reshape(batch * count, groups, pair).transpose(0, 1)
        real, imag = torch.bmm(by_group, self._second_real), torch.bmm(by_group, self._second_imag)
        power = (real * real + imag * imag).transpose(0, 1).reshape(batch, 1, count, len(self._mel))
        # The floor stands before the logarithm to keep it finite, and after it for float16, where 1e-10 is 0.
        mel = (power @ self._mel).clamp(min=self.spec.floor_power)
        return (_DB_PER_NEPER * torch.log(mel)).clamp(min=10.0 * math.log10(self.spec.floor_power))


def _constants(spec: FrontEndSpec) -> dict[str, NDArray[np.float64]]:
    """The window, the two rounds of the DFT and the mel filters over their output, by the names of the buffers.

    With `rows * columns = window`, sample n = columns a + b and bin k = c + rows d,

        exp(-2 pi i n k / window) = exp(-2 pi i a c / rows) exp(-2 pi i b k / window),

    so the first round sums over a for each c, the second over b for each group c. Halving the first round, over the sum
    of the frame's halves for even c and over their difference for odd c, halves its rounding errors too. The input is
    real, so groups above rows / 2 mirror those below; and no d is computed whose bins all lie outside the mel bands.

    Source: Cooley and Tukey, An algorithm for the machine calculation of complex Fourier series (1965).

    Returns:
        _window [window]; _first_even, _first_odd [2 * groups of that parity, rows / 2], real and imaginary parts in
        turn; _second_real, _second_imag [groups, 2 columns, D], even groups first, which take columns of real parts,
        then of imaginary parts; _mel [groups * D, F].
    """
    window = spec.window_samples
    columns = max(d for d in range(1, math.isqrt(window) + 1) if window // 2 % d == 0)
    rows = window // columns
    a, b, d = np.arange(rows // 2), np.arange(columns), np.arange(columns)
    even, odd = np.arange(0, rows // 2 + 1, 2), np.arange(1, rows // 2 + 1, 2)
    k = np.concatenate([even, odd])[:, None] + rows * d
    bins, first_of_bin = np.unique(np.minimum(k, window - k), return_index=True)
    mel = np.zeros((k.size, spec.mel_bins))
    mel[first_of_bin] = mel_filters(spec).T[bins]
    mel = mel.reshape(*k.shape, spec.mel_bins)
    used = mel.any(axis=(0, 2))
    second = np.exp(-2j * np.pi * b[:, None] * k[:, None, used] / window)

    def first(c: NDArray[np.int_]) -> NDArray[np.float64]:
        turns = np.exp(-2j * np.pi * np.outer(c, a) / rows)
        return np.stack([turns.real, turns.imag], axis=1).reshape(-1, len(a))

    return {
        "_window": hann(window) * _WINDOW_SCALE,
        "_first_even": first(even),
        "_first_odd": first(odd),
        "_second_real": np.concatenate([second.real, -second.imag], axis=1),
        "_second_imag": np.concatenate([second.imag, second.real], axis=1),
        "_mel": mel[:, used].reshape(-1, spec.mel_bins) / _WINDOW_SCALE**2,
    }
