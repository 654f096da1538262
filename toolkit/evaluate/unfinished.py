"""`Unfinished`: an evaluation that is under way, on disk, so that one that was killed goes on where it was.

    RUN/evaluations/KEY.norms.safetensors    statistics so far
    RUN/evaluations/KEY.scores               a line of JSON that names the subnets, then float32 [N, S, L]

Both are gone when the evaluations are known. One process at a time has them: others wait.
Axis letters: N clips, S subnets, L labels. Proved by tests/evaluate/test_unfinished.py.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from io import FileIO
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from toolkit.specs.errors import UserError
from toolkit.specs.evaluation import writable
from toolkit.specs.space import Subnet
from toolkit.supernet.norms import Moments
from toolkit.supernet.weights import load_moments, save_moments

Scores = NDArray[np.float32]
SCALAR = np.dtype("<f4")


class Unfinished:
    """The files of one key.

    Args:
        folder: `evaluations` of a Run.
        key: of the cache.
        scores: the file of scores, open.
    """

    def __init__(self, folder: Path, key: str, scores: FileIO) -> None:
        self.norms_path = folder / f"{key}.norms.safetensors"
        self._path = folder / f"{key}.scores"
        self._scores = scores

    @classmethod
    @contextmanager
    def open(cls, folder: Path, key: str) -> Iterator[Self]:
        """Wait until no other process has the files, and have them; they are removed when the block ends well.

        Raises:
            UserError: the Run's folder cannot be written.
        """
        path = folder / f"{key}.scores"
        with ExitStack() as held:
            with writable(path):
                folder.mkdir(exist_ok=True)
                scores = held.enter_context(_locked(path))
            found = cls(folder, key, scores)
            yield found
            with writable(path):
                found.norms_path.unlink(missing_ok=True)
                path.unlink()

    def norms(self) -> dict[str, Moments]:
        """Statistics so far, by path; none where the file does not do."""
        try:
            return load_moments(self.norms_path) if self.norms_path.is_file() else {}
        except UserError:
            return {}

    def save_norms(self, moments: dict[str, Moments]) -> None:
        """Put all statistics so far on disk."""
        with writable(self.norms_path):
            save_moments(self.norms_path, moments)

    def scores(self, subnets: Sequence[Subnet], labels: int) -> Scores:
        """What there is of the scores [N, S, L] of these very subnets; the file is made ready for more."""
        head = json.dumps({"labels": labels, "subnets": [subnet.id for subnet in subnets]}).encode() + b"\n"
        self._scores.seek(0)
        content = self._scores.readall()
        row_bytes = len(subnets) * labels * SCALAR.itemsize
        if not content.startswith(head):
            content = head
            with writable(self._path):
                self._scores.truncate(0)
                self._write(head)
        rows = (len(content) - len(head)) // row_bytes
        self._scores.truncate(len(head) + rows * row_bytes)
        whole = np.frombuffer(content, SCALAR, rows * len(subnets) * labels, len(head))
        return whole.reshape(rows, len(subnets), labels).astype(np.float32)

    def add_scores(self, scores: Scores) -> None:
        """Put scores [N, S, L] of the clips that come next on disk."""
        with writable(self._path):
            self._write(scores.astype(SCALAR).tobytes())

    def _write(self, content: bytes) -> None:
        left = memoryview(content)
        while left:
            left = left[self._scores.write(left) :]
        os.fsync(self._scores)


@contextmanager
def _locked(path: Path) -> Iterator[FileIO]:
    """A file that no other process has; not one that another has removed while this one waited."""
    while True:
        with path.open("a+b", buffering=0) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat()):
                yield file
                return
