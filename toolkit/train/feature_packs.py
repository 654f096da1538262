"""Features on disk: two files for each process that writes, read at random, sound after kill -9 at any moment.

    3.pack     features of clips, one after the other        3.journal   for each of them: key, offset, frames, checksum

Features are appended to the pack, then their line to the journal: a line that is there whole tells of features that
are. A process adds to a pair that no other one has locked, and reads all of them.
Proved by tests/train/test_features.py.
"""

from __future__ import annotations

import fcntl
import logging
import os
import zlib
from pathlib import Path
from threading import Lock

import numpy as np
from numpy.typing import NDArray

SETTLED_AT = 100_000
LINE = np.dtype([("key", "<u8"), ("offset_bytes", "<u8"), ("frames", "<u4"), ("checksum", "<u4")])
Halves = NDArray[np.float16]
_log = logging.getLogger(__name__)


class FeaturePacks:
    """Features [T, F], float16, by 64-bit key, in a folder that processes share.

    Args:
        folder: made if it is not there; all of its features have `bins` columns.
        bins: F.
    """

    def __init__(self, folder: Path, bins: int) -> None:
        self._folder, self._bins = folder, bins
        self._fresh: dict[int, tuple[int, int, int, int]] = {}
        # Most places lie in columns sorted by key, 40 bytes each: in a dictionary they take some 300.
        self._keys, self._places = np.empty(0, np.uint64), np.empty((0, 4), np.int64)
        self._read_bytes: dict[int, int] = {}
        self._mutex = Lock()
        folder.mkdir(parents=True, exist_ok=True)
        self._own, self._journal = self._lock_one()
        self._end_bytes = self._pack(self._own).stat().st_size
        self.refresh()

    def close(self) -> None:
        """Leave the pack to other processes; nothing can be kept afterwards."""
        if self._journal is not None:
            os.close(self._journal)
            self._journal = None

    def refresh(self) -> None:
        """See what other processes have added."""
        with self._mutex:
            for path in self._folder.glob("*.journal"):
                number = int(path.stem)
                start = self._read_bytes.get(number, 0)
                whole = (path.stat().st_size - start) // LINE.itemsize
                if whole > 0:
                    lines = np.fromfile(path, LINE, count=whole, offset=start)
                    self._read_bytes[number] = start + whole * LINE.itemsize
                    self._learn(number, lines)

    def get(self, key: int) -> Halves | None:
        """Features of a key; None where there are none, or they are damaged."""
        place = self._place(key)
        if place is None:
            return None
        number, offset_bytes, frames, checksum = place
        with self._pack(number).open("rb", buffering=0) as file:
            content = os.pread(file.fileno(), self._size(frames), offset_bytes)
        if len(content) != self._size(frames) or zlib.crc32(content) != checksum:
            _log.warning("%s is damaged at byte %d: computed anew", self._pack(number), offset_bytes)
            return None
        return np.frombuffer(content, np.float16).reshape(frames, self._bins)

    def put(self, key: int, features: Halves) -> None:
        """Keep features; where the disk is full, say so and keep no more."""
        if self._journal is None:
            return
        content = features.tobytes()
        with self._mutex:
            line = np.array([(key, self._end_bytes, len(features), zlib.crc32(content))], LINE)
            try:
                with self._pack(self._own).open("r+b", buffering=0) as file:
                    file.seek(self._end_bytes)
                    _write(file.fileno(), content)
                _write(self._journal, line.tobytes())
            except OSError as error:
                _log.warning("%s: %s; features are computed, not kept", self._folder, error.strerror)
                self.close()
                return
            self._learn(self._own, line)
            self._end_bytes += len(content)

    def _learn(self, number: int, lines: NDArray[np.void]) -> None:
        """Note where the features of a pack's new lines lie; of two for one key the later holds."""
        columns = [lines[name].astype(np.int64) for name in ("offset_bytes", "frames", "checksum")]
        places = np.column_stack([np.full(len(lines), number), *columns])
        if len(lines) + len(self._fresh) < SETTLED_AT:
            self._fresh.update(zip(lines["key"].tolist(), map(tuple, places.tolist()), strict=True))
            return
        fresh = np.array(list(self._fresh.values()), np.int64).reshape(-1, 4)
        keys = np.concatenate([self._keys, np.array(list(self._fresh), np.uint64), lines["key"]])
        order = np.argsort(keys, kind="stable")
        self._keys, self._places = keys[order], np.concatenate([self._places, fresh, places])[order]
        self._fresh = {}

    def _place(self, key: int) -> tuple[int, int, int, int] | None:
        """Pack, offset, frames and checksum."""
        with self._mutex:
            at = int(np.searchsorted(self._keys, np.uint64(key), side="right")) - 1
            if key in self._fresh or at < 0 or self._keys[at] != key:
                return self._fresh.get(key)
            number, offset_bytes, frames, checksum = self._places[at].tolist()
            return number, offset_bytes, frames, checksum

    def _lock_one(self) -> tuple[int, int | None]:
        """The first pair that no process has locked, its journal cut to whole lines and open to append."""
        number = 0
        while True:
            journal = os.open(self._folder / f"{number}.journal", os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
            try:
                fcntl.flock(journal, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(journal)
                number += 1
                continue
            os.ftruncate(journal, os.fstat(journal).st_size // LINE.itemsize * LINE.itemsize)
            self._pack(number).touch()
            return number, journal

    def _pack(self, number: int) -> Path:
        return self._folder / f"{number}.pack"

    def _size(self, frames: int) -> int:
        return frames * self._bins * np.dtype(np.float16).itemsize


def _write(file: int, content: bytes) -> None:
    """All of it: a full disk takes a part first and says so the next time."""
    left = memoryview(content)
    while left:
        left = left[os.write(file, left) :]
