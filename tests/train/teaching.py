"""What tests of teachers share: three labels with two clips each, and what a teacher says of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from tests.tiny_run import write_sounds
from toolkit.audio.dataset import load_dataset
from toolkit.specs.recipe import Augmentation, Recipe
from toolkit.train.batches import Batch
from toolkit.train.examples import Example, Examples, gather
from toolkit.train.teachers import (
    ClipTeacher,
)

WHOLE = Augmentation(
    mix_probability=0,
    background_probability=0,
    silence_probability=0,
    level_db=(0, 0),
    band_limit_probability=0,
    noise_floor_probability=0,
)
"""Whole clips, unchanged but for the masks."""
RECIPE = Recipe(
    name="test",
    base_width=8,
    min_train_clips=2,
    min_validation_clips=1,
    generated={"Alarm": 1},
    crop_frames=104,
    batch_size=4,
    augmentation=WHOLE,
)
RATE_HZ = 16_000
SECONDS = 1.04
"""Of a clip: as long as a crop."""


def quiet(what: str, done: int, total: int) -> None:
    """Shows no progress."""


def by_hand(*clips: Example, labels: Sequence[str] = ("A", "B", "C")) -> Examples:
    """Training clips alone."""
    return Examples(tuple(labels), clips, (), (), "0" * 16, 0)


def crops(*parts: tuple[str, ...]) -> Batch:
    """A batch of which a teacher of clips sees the names."""
    nothing = np.zeros((len(parts), 1, 8, 4), np.float32)
    return Batch(nothing, nothing, np.zeros((len(parts), 3), np.float32), parts)


def told(teacher: ClipTeacher, examples: Examples) -> dict[str, list[float]]:
    """What a teacher says of every training clip."""
    names = [example.name for example in examples.train]
    return dict(zip(names, teacher(crops(*((name,) for name in names))).tolist(), strict=True))


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Examples:
    """Three labels (Alarm, Dog, Siren), two training clips of a second each, a background and a generated alarm."""
    folder = tmp_path_factory.mktemp("sounds")
    write_sounds(folder, {"Alarm": (2, 1), "Siren": (2, 1), "Dog": (2, 1)}, background=1, seconds=SECONDS)
    return gather(RECIPE, load_dataset(folder), quiet)
