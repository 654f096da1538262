"""The paper's numbers that the report stands beside, and nothing that was measured here.

Where the paper only draws (most of figure 3, all of figure 4) its words are kept in place of numbers.
Source: Lin et al. (2023), tables 1 and 2, figures 3 and 4, section 3. Proved by tests/reproduce/test_report.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class PaperModel:
    """A row of table 1: parameters in millions, mAP in percent on AudioSet's evaluation set, percent of the teacher."""

    params_m: float
    map_percent: float
    teacher_percent: float


@dataclass(frozen=True)
class PaperTuning:
    """A row of table 2, mAP in percent: the searched subnet, tuned for 10K and 100K steps, and trained from scratch."""

    params_m: float
    searched: float
    short: float
    long: float
    init: float

    @property
    def map_percent(self) -> Mapping[str, float]:
        """By the name of the column."""
        return {"searched": self.searched, "short": self.short, "long": self.long, "init": self.init}


TEACHER = PaperModel(5.2, 29.6, 100.0)
TABLE_1: Mapping[float, Mapping[str, PaperModel]] = {
    0.4: {
        "baseline": PaperModel(1.0, 21.2, 71.6),
        "kd": PaperModel(1.0, 24.8, 83.7),
        "ofa": PaperModel(0.9, 26.6, 89.9),
    },
    0.6: {
        "baseline": PaperModel(2.1, 22.6, 76.4),
        "kd": PaperModel(2.1, 26.4, 89.2),
        "ofa": PaperModel(1.8, 27.2, 91.9),
    },
    0.8: {
        "baseline": PaperModel(3.5, 24.8, 83.8),
        "kd": PaperModel(3.5, 28.3, 95.6),
        "ofa": PaperModel(3.6, 27.9, 94.3),
    },
}
"""By width ratio of the model that is trained by itself, at depth 2 in all dynamic blocks."""

TABLE_2: Mapping[float, PaperTuning] = {
    0.8: PaperTuning(0.9, 26.6, 26.7, 26.7, 24.8),
    1.8: PaperTuning(1.8, 27.2, 27.6, 27.8, 26.6),
    2.8: PaperTuning(2.7, 27.7, 28.2, 28.4, 28.1),
    3.8: PaperTuning(3.6, 27.9, 28.3, 28.5, 28.3),
}
"""By the budget that was searched, in millions of parameters."""

FIGURE_3: Mapping[str, tuple[tuple[float, float], ...]] = {
    "ew-ed-22x": tuple((row.params_m, row.searched) for row in TABLE_2.values()),
    "ew-only": ((1.0, 22.8),),
}
"""The points (parameters in millions, mAP in percent) that the paper writes down, by space."""
FIGURE_3_WORDS = "[2,2,X] is best, [X,X,X] worst; EW-only equals [2,2,X] above 2M and falls to 22.8 at 1M"
FIGURE_4_WORDS = "[2,2,X] has the highest mean and a small spread, [X,X,X] the lowest mean and the largest spread"

SPACE_NAMES: Mapping[str, str] = {
    "ew-ed-xxx": "[X,X,X]",
    "ew-ed-2xx": "[2,X,X]",
    "ew-ed-22x": "[2,2,X]",
    "ew-only": "EW-only",
}

STEPS: Mapping[str, int] = {
    "teacher": 400_000,
    "baseline": 100_000,
    "kd": 100_000,
    "largest": 100_000,
    "supernet": 200_000,
    "fine-tune-short": 10_000,
    "fine-tune": 100_000,
    "init": 100_000,
}
"""Of each stage; the teacher's are the most it was given."""
BATCH = 64
BASE_WIDTH = 64
CROP_SECONDS = 10
LABELS = 527
TRAIN_CLIPS, TEST_CLIPS = 22_160, 20_371
