"""`Recipe`: how a supernet is trained. Not the training: that is `toolkit.train`.

Proved by tests/specs/test_records.py.
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from toolkit.specs.front_end import FrontEndSpec
from toolkit.specs.record import Part, Record
from toolkit.specs.space import TIME_STRIDE, SearchSpace, preset_space


class Augmentation(Part):
    """What is done to a training crop; levels and mixing work on power, masks on log-mel."""

    mix_probability: float = Field(0.6, ge=0, le=1)
    mix_snr_db: tuple[float, float] = (-8.0, 12.0)
    background_probability: float = Field(0.3, ge=0, le=1)
    background_snr_db: tuple[float, float] = (3.0, 30.0)
    silence_probability: float = Field(0.3, ge=0, le=1)
    level_db: tuple[float, float] = (-25.0, 10.0)
    band_limit_probability: float = Field(0.5, ge=0, le=1)
    band_limit_hz: tuple[float, float] = (3_000.0, 14_000.0)
    noise_floor_probability: float = Field(0.5, ge=0, le=1)
    noise_floor_db: tuple[float, float] = (-95.0, -50.0)
    time_masks: int = Field(2, ge=0)
    time_mask_frames: int = Field(20, ge=0)
    frequency_masks: int = Field(2, ge=0)
    frequency_mask_bins: int = Field(8, ge=0)


class Recipe(Record):
    """One training: data it takes, network, augmentation, and the two phases (largest subnet, then K subnets).

    Source: Lin et al. (2023), sections 2.3 and 3.3, for the phases and the loss.
    """

    name: str
    space: str = "ew-ed-22x"
    base_width: int = Field(32, ge=1)
    front_end: FrontEndSpec = FrontEndSpec()
    seed: int = 0
    tier: Literal["open", "any"] = "any"
    background_labels: tuple[str, ...] = ("Silence",)
    min_train_clips: int = Field(10, ge=1)
    min_validation_clips: int = Field(2, ge=1)
    generated: dict[str, int] = Field(default_factory=dict)
    credits: dict[str, str] = Field(default_factory=dict)
    """The line by which a dataset is credited in the model card."""
    crop_frames: int = Field(256, ge=TIME_STRIDE)
    batch_size: int = Field(32, ge=1)
    learning_rate: float = Field(3e-3, gt=0)
    weight_decay: float = Field(1e-2, ge=0)
    dropout: bool = False
    largest_steps: int = Field(900, ge=1)
    supernet_steps: int = Field(1200, ge=0)
    subnets_per_step: int = Field(4, ge=1)
    distillation_weight: float = Field(1.0, ge=0, le=1)
    checkpoint_steps: int = Field(50, ge=1)
    calibration_crops: int = Field(128, ge=1)
    augmentation: Augmentation = Augmentation()

    @model_validator(mode="after")
    def _known(self) -> Self:
        if self.crop_frames % TIME_STRIDE:
            raise ValueError(f"crop_frames must be a multiple of {TIME_STRIDE}, found {self.crop_frames}")
        if unknown := set(self.generated) - {"Alarm", "Siren"}:
            raise ValueError(f"generated sounds exist for Alarm and Siren, found {', '.join(sorted(unknown))}")
        self.search_space()
        return self

    def search_space(self) -> SearchSpace:
        """The space to train."""
        return preset_space(self.space, self.base_width)
