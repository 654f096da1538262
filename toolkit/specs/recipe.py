"""`Recipe`: how a supernet is trained. Not the training: that is `toolkit.train`.

A recipe is a list of stages of one loop; the paper's five methods are stages too:

    teacher    largest subnet, hard labels, mixup            kd         one subnet, teacher's labels
    baseline   one subnet, hard labels                       init       the same, of a searched subnet
    largest -> supernet    OFA: the largest subnet, then K sampled subnets a step, teacher's labels
    supernet -> fine-tune  one searched subnet, from the supernet's weights

Proved by tests/specs/test_recipe.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from toolkit.specs.errors import UserError
from toolkit.specs.front_end import FrontEndSpec
from toolkit.specs.record import Part, Record
from toolkit.specs.shipped import RECIPES
from toolkit.specs.space import TIME_STRIDE, SearchSpace, Subnet, preset_space
from toolkit.specs.teacher import TeacherSpec

SAMPLED, GIVEN = "sampled", "given"


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


class Stage(Part):
    """One pass of the training loop: whose weights it starts from, which subnets learn, and from what.

    `subnet` is `largest`, `smallest`, `sampled` (`subnets_per_step` of them, drawn uniformly), `given` (named when the
    training starts) or a subnet id. With `sandwich` the largest and the smallest are always among the sampled ones,
    with `in_place` the largest teaches the others. Source of both: Yu and Huang (2019).
    """

    steps: int = Field(ge=1)
    subnet: str = "largest"
    subnets_per_step: int = Field(4, ge=1)
    labels: Literal["hard", "teacher"] = "hard"
    start: str | None = None
    mixup_alpha: float = Field(0.0, ge=0)
    sandwich: bool = False
    in_place: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.sandwich and (self.subnet != SAMPLED or self.subnets_per_step < 2):
            raise ValueError('sandwich needs subnet = "sampled" and at least 2 subnets_per_step')
        if self.in_place and not self.sandwich:
            raise ValueError("in_place needs sandwich: the largest subnet teaches, so it must run in each step")
        return self

    def fixed(self, space: SearchSpace, given: Subnet | None) -> Subnet | None:
        """The one subnet that learns; none where they are sampled.

        Raises:
            UserError: it is to be `given`, and is not.
        """
        if self.subnet == SAMPLED:
            return None
        if self.subnet == GIVEN and given is None:
            raise UserError("a stage of the recipe trains one subnet of your choice: name it with --subnet.")
        return given if self.subnet == GIVEN else space.parse(self.subnet)


def _one_for_all() -> dict[str, Stage]:
    supernet = Stage(steps=1200, subnet=SAMPLED, labels="teacher", start="largest")
    return {"largest": Stage(steps=900), "supernet": supernet}


class Recipe(Record):
    """One training: the data it takes, network, augmentation and stages.

    Source: Lin et al. (2023), sections 2.3 and 3.3, for the stages and the loss.
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
    draw: Literal["labels", "clips"] = "labels"
    """What is drawn uniformly for a crop: a label and then a clip of it, or a clip."""
    crop_frames: int = Field(256, ge=TIME_STRIDE)
    batch_size: int = Field(32, ge=1)
    accumulate: int = Field(1, ge=1)
    """Parts that a batch is computed in, one after another; batch norm sees a part at a time."""
    precision: Literal["32-true", "bf16-mixed"] = "32-true"
    compiled: bool = False
    """Run the first block, which all subnets share, through torch.compile: one graph, whichever are drawn."""
    learning_rate: float = Field(3e-3, gt=0)
    schedule: Literal["one-cycle", "constant"] = "one-cycle"
    weight_decay: float = Field(1e-2, ge=0)
    dropout: bool = False
    stages: dict[str, Stage] = Field(default_factory=_one_for_all, min_length=1)
    run: tuple[str, ...] = ("largest", "supernet")
    """Stages that are trained unless others are asked for, in this order; the last one's network becomes the Run."""
    teacher: TeacherSpec = TeacherSpec(stage="largest")
    distillation_weight: float = Field(1.0, ge=0, le=1)
    """Share of the teacher's labels in a `teacher` stage's targets; the rest are the hard labels."""
    checkpoint_steps: int = Field(50, ge=1)
    evaluation_steps: int = Field(0, ge=0)
    """Steps between two looks at validation mAP while training; 0 for none."""
    calibration_crops: int = Field(128, ge=1)
    evaluated_subnets: int = Field(512, ge=1)
    """The Run holds an evaluation of so many subnets at most; of a larger space a sample."""
    false_alarms_per_hour: float = Field(1.0, gt=0)
    """For each label, what its decision threshold is fitted for."""
    augmentation: Augmentation = Augmentation()

    @model_validator(mode="after")
    def _known(self) -> Self:
        if self.crop_frames % TIME_STRIDE:
            raise ValueError(f"crop_frames must be a multiple of {TIME_STRIDE}, found {self.crop_frames}")
        if self.batch_size % self.accumulate:
            raise ValueError(f"batch_size {self.batch_size} is no multiple of accumulate {self.accumulate}")
        if unknown := set(self.generated) - {"Alarm", "Siren"}:
            raise ValueError(f"generated sounds exist for Alarm and Siren, found {', '.join(sorted(unknown))}")
        space = self.search_space()
        for name, stage in self.stages.items():
            if stage.start is not None and stage.start not in self.stages:
                raise ValueError(f"stage {name} starts from {stage.start}, which is not among the stages")
            if stage.subnet not in (SAMPLED, GIVEN):
                try:
                    space.parse(stage.subnet)
                except UserError as error:
                    raise ValueError(f"stage {name}: {error}") from None
        for name in self.run:
            self.needed(name)
        return self

    @classmethod
    def find(cls, name: str) -> Recipe:
        """A shipped recipe by its name, or the one of a TOML file.

        Raises:
            UserError: there is none, or the file is wrong.
        """
        shipped = {path.stem: path for path in sorted(RECIPES.glob("*.toml"))}
        if name not in shipped and not Path(name).exists():
            raise UserError(f"recipe {name} does not exist; shipped: {', '.join(shipped)}. Or name a TOML file.")
        return cls.load(shipped.get(name, Path(name)))

    def search_space(self) -> SearchSpace:
        """The space to train."""
        return preset_space(self.space, self.base_width)

    def stage(self, name: str) -> Stage:
        """A stage by name.

        Raises:
            ValueError: the recipe has no such stage.
        """
        if name not in self.stages:
            raise ValueError(f"recipe {self.name} has no stage {name}; it has {', '.join(self.stages)}")
        return self.stages[name]

    def needed(self, name: str) -> tuple[str, ...]:
        """The stages that a stage stands on, in the order they must run, itself last.

        Raises:
            ValueError: a stage is missing, or stages stand on each other in a circle.
        """
        found: list[str] = []

        def visit(current: str, above: tuple[str, ...]) -> None:
            if current in above:
                raise ValueError(f"stages stand on each other in a circle: {' -> '.join((*above, current))}")
            stage = self.stage(current)
            below = [stage.start] if stage.start is not None else []
            if stage.labels == "teacher" and self.teacher.kind == "stage":
                below.append(self.teacher.stage)
            for other in below:
                visit(other, (*above, current))
            if current not in found:
                found.append(current)

        visit(name, ())
        return tuple(found)

    def stage_digest(self, name: str, subnet: Subnet | None = None) -> str:
        """Identifies all that a stage's weights depend on, but for the data; a checkpoint belongs to one of these."""
        needed = {other: self.stages[other] for other in self.needed(name)}
        others = {"run": (name,), "credits": {}, "checkpoint_steps": 1, "evaluation_steps": 0, "evaluated_subnets": 1}
        same = self.model_copy(update={"name": subnet.id if subnet else "", "stages": needed, **others})
        return same.digest()
