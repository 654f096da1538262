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
"""Frames of the chunk that exported streams take: 30,720 samples, 0.96 s, a multiple of the network's 8-fold pooling."""

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
    _first: Tensor
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
            self.register_buffer(name, torch.from_numpy(values).float(), persistent=False)

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
        return self._log_mel(self._framed(samples)), samples[:, chunk.shape[-1] :]

    def _framed(self, samples: Tensor) -> Tensor:
        """State and chunk [B, state + n * hop] to frames [B, n, window]: slices of hops side by side, no gather."""
        hop, window = self.spec.hop_samples, self.spec.window_samples
        hops = samples.reshape(samples.shape[0], -1, hop)
        count = (samples.shape[-1] - self.state_samples) // hop
        begin = (self.state_samples + hop - window) // 2
        pieces = []
        for first in range(0, begin + window, hop):
            inside = slice(max(begin - first, 0), min(begin + window - first, hop))
            pieces.append(hops[:, first // hop : first // hop + count, inside])
        return torch.cat(pieces, dim=-1)

    def _log_mel(self, frames: Tensor) -> Tensor:
        """Frames [B, n, window] to log-mel [B, 1, n, F]."""
        batch, count, window = frames.shape
        groups, pair, _ = self._second_real.shape
        grid = (frames * self._window).reshape(batch * count, window // (pair // 2), pair // 2)
        first = torch.bmm(self._first.expand(batch * count, -1, -1), grid)
        by_group = first.reshape(batch * count, groups, pair).transpose(0, 1)
        real, imag = torch.bmm(by_group, self._second_real), torch.bmm(by_group, self._second_imag)
        power = (real * real + imag * imag).transpose(0, 1).reshape(batch, 1, count, len(self._mel))
        # The floor stands after the logarithm: 1e-10 is zero in float16, -100 dB is not.
        floor_db = 10.0 * math.log10(self.spec.floor_power)
        return (_DB_PER_NEPER * torch.log(power @ self._mel)).clamp(min=floor_db)


def _constants(spec: FrontEndSpec) -> dict[str, NDArray[np.float64]]:
    """The window, the two rounds of the DFT and the mel filters over their output, by the names of the buffers.

    With `rows * columns = window`, sample n = columns a + b and bin k = c + rows d,

        exp(-2 pi i n k / window) = exp(-2 pi i a c / rows) exp(-2 pi i b k / window),

    so the first round sums over a for each c, the second over b for each group c. The input is real, so groups above
    rows / 2 mirror those below; and no d is computed whose bins all lie outside the mel bands.

    Source: Cooley and Tukey, An algorithm for the machine calculation of complex Fourier series (1965).

    Returns:
        _window [window]; _first [2 groups, rows], rows of real and imaginary parts in turn;
        _second_real, _second_imag [groups, 2 columns, D], which take columns of real parts, then of imaginary parts;
        _mel [groups * D, F].
    """
    window = spec.window_samples
    columns = max(d for d in range(1, math.isqrt(window) + 1) if window % d == 0)
    rows = window // columns
    a, b, c, d = np.arange(rows), np.arange(columns), np.arange(rows // 2 + 1), np.arange(columns)
    k = c[:, None] + rows * d
    bins, first_of_bin = np.unique(np.minimum(k, window - k), return_index=True)
    mel = np.zeros((k.size, spec.mel_bins))
    mel[first_of_bin] = mel_filters(spec).T[bins]
    mel = mel.reshape(*k.shape, spec.mel_bins)
    used = mel.any(axis=(0, 2))
    first = np.exp(-2j * np.pi * np.outer(c, a) / rows)
    second = np.exp(-2j * np.pi * b[:, None] * k[:, None, used] / window)
    return {
        "_window": hann(window) * _WINDOW_SCALE,
        "_first": np.stack([first.real, first.imag], axis=1).reshape(-1, rows),
        "_second_real": np.concatenate([second.real, -second.imag], axis=1),
        "_second_imag": np.concatenate([second.imag, second.real], axis=1),
        "_mel": mel[:, used].reshape(-1, spec.mel_bins) / _WINDOW_SCALE**2,
    }
