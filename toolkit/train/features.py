"""`FeatureStore`: the log-mel of any clip when it is asked for, computed at most once as long as memory or disk allow.

Not the choice of clips and not their labels. A clip's features depend on the clip alone, never on those it is asked for
with, so a resumed training hears what it would have heard: each is computed by itself, which on a CPU is quicker too.
Proved by tests/train/test_features.py.
"""

from __future__ import annotations

import hashlib
import os
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import Lock, Thread

import numpy as np
import torch
from numpy.typing import NDArray

from toolkit.audio.clip import Clip
from toolkit.audio.clips import read_clip
from toolkit.frontend import LogMel
from toolkit.specs.front_end import FrontEndSpec
from toolkit.train.feature_packs import FeaturePacks

Halves = NDArray[np.float16]


PIECE_FRAMES = 6000
"""Of a longer recording so many are computed at a time: an hour at once would take ten gigabytes."""


def log_mel(front_end: LogMel, waveform: np.ndarray) -> Halves:
    """Log-mel [T, F] of a waveform [S] in dB, float16 (0.06 dB at worst), computed where the front end lies."""
    hop, delay, state = front_end.spec.hop_samples, front_end.delay_frames, front_end.initial_state()
    frames = front_end.spec.frames(len(waveform)) + delay
    parts = []
    for first in range(0, frames, PIECE_FRAMES):
        last = min(first + PIECE_FRAMES, frames)
        piece = np.zeros((1, (last - first) * hop), dtype=np.float32)
        heard = waveform[first * hop : last * hop]
        piece[0, : len(heard)] = heard
        with torch.no_grad():
            part, state = front_end.stream(torch.from_numpy(piece).to(state.device), state)
        parts.append(part[0, 0].half().cpu().numpy())
    return np.concatenate(parts)[delay:]


class FeatureStore:
    """Log-mel [T, F] of whole clips in dB, float16, read-only arrays; threads may share one.

    Args:
        spec: the front end.
        device: where log-mel is computed.
        memory_bytes: features kept in memory, those least recently asked for given up first.
        folder: features kept on disk too, 128 KB for 10 s, by front end; processes may share it. None: not kept.
        threads: clips at a time, one core each; all cores if None.
    """

    def __init__(
        self,
        spec: FrontEndSpec,
        *,
        device: str | torch.device = "cpu",
        memory_bytes: int = 1 << 30,
        folder: Path | None = None,
        threads: int | None = None,
    ) -> None:
        self._front_end = LogMel(spec).to(device)
        self._pool = ThreadPoolExecutor(threads or os.cpu_count(), initializer=_compute_with_one_thread)
        self._memory_bytes, self._held_bytes = memory_bytes, 0
        self._held: OrderedDict[int, Halves] = OrderedDict()
        self._mutex = Lock()
        self._packs = FeaturePacks(folder / spec.fingerprint, spec.mel_bins) if folder else None

    @property
    def spec(self) -> FrontEndSpec:
        """Of the features."""
        return self._front_end.spec

    def close(self) -> None:
        """End the threads and leave the folder to other processes."""
        self._pool.shutdown(cancel_futures=True)
        if self._packs:
            self._packs.close()

    def many(self, clips: Sequence[Clip], samples: int | None = None) -> list[Halves]:
        """Features of some clips, in their order; one that stands there twice is computed once.

        With `samples` each sound is cut, or zeros put after it, to that length before the front end.

        Raises:
            UserError: a clip does not decode. Those of shards decoded when they were written.
        """
        keys = [clip_key(clip, samples) for clip in clips]
        found: dict[int, Halves] = {}
        missing: dict[int, Clip] = {}
        for key, clip in zip(keys, clips, strict=True):
            held = self._remembered(key)
            if held is None:
                missing[key] = clip
            else:
                found[key] = held
        if missing and self._packs:
            self._packs.refresh()
            for key in list(missing):
                kept = self._packs.get(key)
                if kept is not None:
                    found[key] = self._remember(key, kept)
                    del missing[key]
        computed = self._pool.map(partial(self._compute, samples=samples), missing.values())
        for key, features in zip(missing, computed, strict=True):
            found[key] = self._remember(key, features)
            if self._packs:
                self._packs.put(key, features)
        return [found[key] for key in keys]

    def _compute(self, clip: Clip, samples: int | None) -> Halves:
        waveform = read_clip(clip, self._front_end.spec.sample_rate_hz)
        if samples is not None:
            waveform = np.pad(waveform[:samples], (0, max(0, samples - len(waveform))))
        features = log_mel(self._front_end, waveform)
        features.flags.writeable = False
        return features

    def _remembered(self, key: int) -> Halves | None:
        with self._mutex:
            if key in self._held:
                self._held.move_to_end(key)
            return self._held.get(key)

    def _remember(self, key: int, features: Halves) -> Halves:
        with self._mutex:
            if key not in self._held:
                self._held[key] = features
                self._held_bytes += features.nbytes
            while self._held_bytes > self._memory_bytes:
                _, oldest = self._held.popitem(last=False)
                self._held_bytes -= oldest.nbytes
        return features


def clip_key(clip: Clip, samples: int | None = None) -> int:
    """64 bits that another clip, length, or the same clip written anew does not share; equal wherever the data lies.

    Of name, place in the shard, size and time of change, not of the sound, which need not be read to find its features.
    """
    try:
        changed_ns = clip.path.stat().st_mtime_ns
    except OSError:  # it will not decode either, which says more
        changed_ns = 0
    facts = repr((clip.name, clip.span and tuple(clip.span), clip.size_bytes, changed_ns, samples))
    return int.from_bytes(hashlib.blake2b(facts.encode(), digest_size=8).digest(), "little")


_THREADS_OF_TORCH = Lock()


def _compute_with_one_thread() -> None:
    """Let torch use one thread in the calling thread alone: clips side by side are quicker than clips in slices.

    torch sets the number for the caller and for threads that come, so another thread sets the latter back.
    """
    with _THREADS_OF_TORCH:
        before = torch.get_num_threads()
        torch.set_num_threads(1)
        again = Thread(target=torch.set_num_threads, args=(before,))
        again.start()
        again.join()
