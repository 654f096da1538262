"""Scores of clips on disk, so that a teacher hears each clip once, however often a training is killed or begun again.

A folder holds parts of a few hundred clips; a part is written whole, when all of its clips are scored, and never again.
Proved by tests/train/test_teachers.py.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from toolkit.specs.errors import UserError
from toolkit.specs.files import new_file

PART_CLIPS = 256
Halves = NDArray[np.float16]
Score = Callable[[Sequence[str]], Iterable[NDArray[np.float32]]]
"""From the names of some clips to a row of scores [C] for each."""


def cached_scores(
    folder: Path, names: Sequence[str], score: Score, on_progress: Callable[[str, int, int], None]
) -> Halves:
    """Scores [N, C] of `names`; `score` is asked only for those that no part in `folder` holds.

    Parts are named for the clips in them, so processes that fill one folder together do each other no harm.

    Raises:
        UserError: a part is damaged, or the folder cannot be written.
    """
    wanted = set(names)
    rows = {name: row for part in sorted(folder.glob("*.safetensors")) for name, row in _read(part) if name in wanted}
    missing = [name for name in dict.fromkeys(names) if name not in rows]
    for start in range(0, len(missing), PART_CLIPS):
        part_names = missing[start : start + PART_CLIPS]
        scored: list[Halves] = []
        for row in score(part_names):
            scored.append(row.astype(np.float16))
            on_progress("teacher", start + len(scored), len(missing))
        text = json.dumps(part_names)
        with new_file(folder / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.safetensors") as temporary:
            temporary.write_bytes(save({"scores": np.stack(scored)}, metadata={"clips": text}))
        rows.update(zip(part_names, scored, strict=True))
    return np.stack([rows[name] for name in names])


def _read(part: Path) -> Iterator[tuple[str, Halves]]:
    try:
        with safe_open(part, framework="numpy") as file:
            return zip(json.loads(file.metadata()["clips"]), file.get_tensor("scores"), strict=True)
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{part} cannot be read ({error}). Remove it: its clips are scored again.") from None
