"""The training loop: repeatable to the bit, survives being stopped anywhere, learns, and says what is wrong."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.limits import files_end_at
from toolkit.specs.errors import MismatchError, UserError
from toolkit.specs.front_end import FrontEndSpec
from toolkit.specs.recipe import Augmentation, Recipe, Stage
from toolkit.specs.space import Subnet
from toolkit.supernet.supernet import Normalizer, Stem, Supernet, batch_norm
from toolkit.train.batches import Batch, Batches
from toolkit.train.checkpoint import load_checkpoint, read_progress
from toolkit.train.examples import Example, Examples
from toolkit.train.loop import Training, finished, mixup, one_cycle, under_way

STEPS = 5
OFA = ("largest", "supernet")
SUPERNET = Stage(steps=STEPS, subnet="sampled", subnets_per_step=2, labels="teacher", start="largest")
PLAN = Recipe(
    name="test",
    base_width=8,
    front_end=FrontEndSpec(mel_bins=8),
    crop_frames=16,
    batch_size=4,
    stages={
        "largest": Stage(steps=STEPS, mixup_alpha=1.0),
        "supernet": SUPERNET,
        "baseline": Stage(steps=STEPS, subnet="given"),
        "fine-tune": Stage(steps=STEPS, subnet="given", labels="teacher", start="supernet"),
    },
    checkpoint_steps=2,
    calibration_crops=4,
    dropout=True,
)
CALM = Augmentation(mix_probability=0, silence_probability=0, level_db=(0, 0), band_limit_probability=0)


class PowerLostError(Exception):
    """The power goes."""


class Told:
    """A Watch that keeps what it is told, and may do something at each step."""

    def __init__(self, each: Callable[[], object] = lambda: None) -> None:
        self.steps: list[tuple[str, int, int]] = []
        self.losses: list[float] = []
        self.means: list[tuple[str, int, dict[str, float]]] = []
        self._each = each

    def step(self, stage: str, step: int, steps: int, loss: float, clips: int) -> None:
        """Keep it."""
        assert clips == PLAN.batch_size
        self.steps.append((stage, step, steps))
        self.losses.append(loss)
        self._each()

    def evaluated(self, stage: str, step: int, means: dict[str, float]) -> None:
        """Keep it."""
        self.means.append((stage, step, means))


class Nay:
    """A teacher that says no to every label, and counts its lessons."""

    def __init__(self) -> None:
        self.lessons = 0

    def __call__(self, batch: Batch) -> Tensor:
        """Zeros [B, L]."""
        self.lessons += 1
        return torch.zeros(batch.targets.shape)


def clips() -> Examples:
    """Noise in different bands for three labels."""
    rng = np.random.default_rng(0)
    train = [
        Example(f"{label} {number}", rng.uniform(-60, 20 * (row - 2), (30, 8)).astype(np.float16), (label,))
        for row, label in enumerate("ABC")
        for number in range(3)
    ]
    return Examples(("A", "B", "C"), tuple(train), (), (), "0" * 16, 0)


def training(folder: Path, recipe: Recipe = PLAN, told: Told | None = None) -> Training:
    """A training of this recipe as `train` sets it up."""
    return Training(recipe, Batches(clips(), recipe), folder, watch=told or Told())


def run(one: Training, *stages: str) -> Supernet:
    """Its stages one after the other; the last one's network."""
    for stage in stages:
        net, _ = one.train(stage, Nay())
    return net


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tensor]:
    """Weights at the end of a training that nothing disturbed."""
    return run(training(tmp_path_factory.mktemp("undisturbed")), *OFA).state_dict()


@settings(max_examples=12)
@given(stops=st.lists(st.tuples(st.sampled_from(["step", "write"]), st.integers(1, 2 * STEPS)), min_size=1, max_size=3))
def test_a_training_that_is_interrupted_and_resumed_is_the_same(
    stops: list[tuple[str, int]], undisturbed: dict[str, Tensor]
) -> None:
    """Stopped after any step, or in the middle of writing the next checkpoint, as often as it likes: the same."""
    with tempfile.TemporaryDirectory() as folder:
        for kind, number in stops:
            with ExitStack() as disk, suppress(PowerLostError, UserError):
                told = Told(lambda: stop_at(told, number, kind, disk))  # noqa: B023 called in this round alone
                run(training(Path(folder), told=told), *OFA)
        net = run(training(Path(folder)), *OFA)
        assert all(torch.equal(value, undisturbed[name]) for name, value in net.state_dict().items())


def stop_at(told: Told, number: int, kind: str, disk: ExitStack) -> None:
    """When so many steps are done, stop; or let the disk be full."""
    if len(told.steps) == number:
        if kind == "step":
            raise PowerLostError
        disk.enter_context(files_end_at(1000))


def test_a_checkpoint_interval_is_the_most_that_is_lost(tmp_path: Path) -> None:
    """After a stop the steps since the last checkpoint run again, no others; a finished stage does not."""
    seen = Told()

    def stop() -> None:
        if len(seen.steps) == STEPS + 3:
            raise PowerLostError

    seen._each = stop
    with pytest.raises(PowerLostError):
        run(training(tmp_path, told=seen), *OFA)
    run(training(tmp_path, told=seen), *OFA)
    first = [("largest", step, STEPS) for step in range(1, STEPS + 1)]
    assert seen.steps == first + [("supernet", step, STEPS) for step in (1, 2, 3, 3, 4, 5)]
    assert np.isfinite(seen.losses).all()
    assert {path.name for path in tmp_path.iterdir()} == {"largest.safetensors", "supernet.safetensors"}


def test_a_full_disk_loses_nothing_that_was_saved(tmp_path: Path) -> None:
    """When a checkpoint cannot be written the one before it stays, whole; with room again the training goes on."""
    with ExitStack() as disk:
        seen = Told(lambda: disk.enter_context(files_end_at(1000)) if len(seen.steps) == 3 else None)
        with pytest.raises(UserError, match=r"cannot write .*: File too large\. What was saved before is kept"):
            run(training(tmp_path, told=seen), "largest")
    path = under_way(tmp_path, "largest")
    assert list(tmp_path.iterdir()) == [path]
    assert read_progress(path)["step"] == 2
    run(training(tmp_path, told=seen), "largest")
    assert [step for _, step, _ in seen.steps] == [1, 2, 3, 4, 3, 4, 5]


@pytest.mark.parametrize("stage", ["largest", "supernet"])
def test_training_learns(tmp_path: Path, stage: str) -> None:
    """The loss falls, on hard labels and on a teacher's."""
    stages = {
        "largest": Stage(steps=20),
        "supernet": SUPERNET.model_copy(update={"steps": 20, "sandwich": True, "in_place": True}),
    }
    recipe = PLAN.model_copy(update={"stages": stages, "batch_size": 4, "dropout": False, "augmentation": CALM})
    told = Told()
    run(training(tmp_path, recipe, told), *OFA[: OFA.index(stage) + 1])
    losses = [loss for (name, *_), loss in zip(told.steps, told.losses, strict=True) if name == stage]
    assert np.median(losses[10:]) < 0.85 * np.mean(losses[:2])


def test_the_teacher_is_asked_once_a_step(tmp_path: Path) -> None:
    """The sampled subnets share one forward pass of the teacher; a stage with hard labels asks none."""
    one, teacher = training(tmp_path), Nay()
    one.train("largest", teacher)
    assert teacher.lessons == 0
    one.train("supernet", teacher)
    assert teacher.lessons == STEPS


class Contrary(Batches):
    """Batches whose hard labels are the wrong ones from the second stage on."""

    def draw(self, stage: str, step: int, rows: object = None) -> Batch:
        """As they are, but for the labels."""
        batch = super().draw(stage, step, rows)  # type: ignore[arg-type]
        return dataclasses.replace(batch, targets=1 - batch.targets) if stage == "supernet" else batch


@pytest.mark.parametrize(("weight", "heeded"), [(1.0, False), (0.5, True)])
def test_a_teachers_share_of_the_targets_is_the_recipes(tmp_path: Path, weight: float, heeded: bool) -> None:
    """At weight 1 a stage learns from the teacher alone; below it, from the hard labels as well."""
    recipe = PLAN.model_copy(update={"distillation_weight": weight})
    right, wrong = training(tmp_path / "right", recipe), training(tmp_path / "wrong", recipe)
    wrong.batches = Contrary(clips(), recipe)
    one, other = run(right, *OFA), run(wrong, *OFA)
    assert torch.equal(one.head.bias, other.head.bias) != heeded


def test_only_the_weights_of_a_given_subnet_learn(tmp_path: Path) -> None:
    """A stage of one subnet leaves every channel beyond its own as it was."""
    recipe = PLAN.model_copy(update={"weight_decay": 0.0})
    one = training(tmp_path, recipe)
    before, subnet = one.new_net(), recipe.search_space().smallest
    after, _ = one.train("baseline", subnet=subnet)
    for block, widths in enumerate(subnet.blocks, start=1):
        weight, untrained = after.blocks[block][0].weight, before.blocks[block][0].weight
        assert torch.equal(weight[widths[0] :], untrained[widths[0] :])
        assert not torch.equal(weight[: widths[0]], untrained[: widths[0]])


def test_fine_tuning_starts_from_the_supernet(tmp_path: Path) -> None:
    """A searched subnet goes on from the supernet's weights, and each subnet's result is its own."""
    one = training(tmp_path)
    supernet, subnet = run(one, *OFA), one.recipe.search_space().smallest
    tuned, _ = one.train("fine-tune", Nay(), subnet)
    full = tuned.blocks[3][1].weight
    assert torch.allclose(full, supernet.blocks[3][1].weight, atol=1e-2)
    assert not torch.equal(tuned.head.bias, supernet.head.bias)
    with pytest.raises(MismatchError, match="made with other recipe"):
        training(tmp_path).train("fine-tune", Nay(), one.recipe.search_space().largest)


def test_a_given_subnet_is_that_of_its_own_stages(tmp_path: Path) -> None:
    """Naming the subnet of a later stage leaves the stages before it as they are, and in use."""
    subnet, told = PLAN.search_space().smallest, Told()
    for named in (subnet, None, PLAN.search_space().largest):
        for stage in OFA:
            training(tmp_path, told=told).train(stage, Nay(), named)
    training(tmp_path, told=told).train("fine-tune", Nay(), subnet)
    assert [stage for stage, *_ in told.steps] == [stage for stage in (*OFA, "fine-tune") for _ in range(STEPS)]


def test_validation_is_looked_at_on_time(tmp_path: Path) -> None:
    """Every `evaluation_steps` steps the watch is told mAP, and looking changes nothing."""
    told, recipe = Told(), PLAN.model_copy(update={"evaluation_steps": 2})
    one = training(tmp_path / "looking", recipe, told)
    one.look = lambda _net: {"subnet": float(torch.randn(()))}
    looked = run(one, "largest")
    assert [(stage, step) for stage, step, _ in told.means] == [("largest", 2), ("largest", 4)]
    assert torch.equal(looked.head.bias, run(training(tmp_path / "not"), "largest").head.bias)


@pytest.mark.parametrize("culprit", ["weights", "clip"])
def test_a_loss_that_is_no_number_ends_the_training(tmp_path: Path, culprit: str) -> None:
    """The error names step, stage, subnet and clips, and the last checkpoint is still there, whole, from before."""

    class Broken(Batches):
        def draw(self, stage: str, step: int, rows: object = None) -> Batch:
            batch = super().draw(stage, step, rows)  # type: ignore[arg-type]
            if step == 3:
                batch.masked[slice(None) if culprit == "weights" else 1] = np.nan
            return batch

    one = training(tmp_path)
    one.batches = Broken(clips(), PLAN)
    with pytest.raises(UserError) as told:
        one.train("largest")
    message = str(told.value)
    assert f"not a number at step 3 of stage largest, subnet {PLAN.search_space().largest}, clips " in message
    parts = one.batches.draw("largest", 3).parts
    named = parts if culprit == "weights" else parts[1:2]
    assert f"clips {'; '.join(' + '.join(names) for names in named)}. The last" in message
    assert "another --out" in message
    path = under_way(tmp_path, "largest")
    assert read_progress(path)["step"] == 2
    net = one.new_net()
    load_checkpoint(path, net, None)
    assert all(torch.isfinite(value).all() for value in net.state_dict().values())


class Steep(Supernet):
    """A finite loss, and gradients that are no numbers: the slope of a root at zero."""

    def together(
        self, log_mel: Tensor, subnets: Sequence[Subnet], normalize: Normalizer = batch_norm, stem: Stem | None = None
    ) -> list[Tensor]:
        """Logits [B, 3] of each."""
        return [(self.head.bias + self.hidden.bias.square().sum().sqrt()).expand(len(log_mel), 3) for _ in subnets]


class SteepTraining(Training):
    """A training of that network."""

    def new_net(self) -> Supernet:
        """The network."""
        return Steep(self.recipe.search_space(), 3, 8)


def test_a_gradient_that_is_no_number_ends_the_training(tmp_path: Path) -> None:
    """It would make weights no numbers, and the next checkpoint with them: told before it is applied or saved."""
    recipe = PLAN.model_copy(update={"checkpoint_steps": 1})
    plain = training(tmp_path, recipe)
    with pytest.raises(UserError, match="the gradient is not a number at step 0 of stage largest, subnet 16"):
        SteepTraining(recipe, plain.batches, tmp_path).train("largest")
    assert not list(tmp_path.iterdir())


def test_many_clips_are_counted(tmp_path: Path) -> None:
    """Where a whole batch is to blame, some of its clips are named and the others counted."""
    recipe = PLAN.model_copy(update={"batch_size": 20})
    with pytest.raises(UserError, match=r"clips [^;]+(; [^;]+){7} and 12 more\. The last checkpoint"):
        SteepTraining(recipe, Batches(clips(), recipe), tmp_path).train("largest")


def test_a_kill_between_the_last_two_files_leaves_one(tmp_path: Path) -> None:
    """A checkpoint that a stage had when it was finished is removed when the training goes on."""
    run(training(tmp_path), "largest")
    under_way(tmp_path, "largest").write_bytes(b"of the step before")
    run(training(tmp_path), "largest")
    assert list(tmp_path.iterdir()) == [finished(tmp_path, "largest")]


def test_stages_need_what_they_say(tmp_path: Path) -> None:
    """A missing teacher, subnet or stage to start from is named with what to do."""
    one = training(tmp_path)
    with pytest.raises(UserError, match=r"largest\.safetensors does not exist"):
        one.train("supernet", Nay())
    one.train("largest")
    with pytest.raises(UserError, match="supernet learns from a teacher"):
        one.train("supernet")
    with pytest.raises(UserError, match="name it with --subnet"):
        one.train("baseline")


def test_checkpoints_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    """A checkpoint of another recipe or other data is told apart, and a damaged one is named."""
    run(training(tmp_path), "largest")
    path = finished(tmp_path, "largest")
    with pytest.raises(MismatchError, match=r"largest\.safetensors was made with other recipe"):
        run(training(tmp_path, PLAN.model_copy(update={"learning_rate": 1e-4})), "largest")
    elsewhere = training(tmp_path)
    elsewhere.batches = Batches(dataclasses.replace(clips(), data_hash="1" * 16), PLAN)
    with pytest.raises(MismatchError, match=r"largest\.safetensors was made with other data"):
        run(elsewhere, "largest")
    for content in (b"", b"no tensors", path.read_bytes()[:5000]):
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"largest\.safetensors is damaged"):
            run(training(tmp_path), "largest")


def test_a_stage_does_not_depend_on_later_ones(tmp_path: Path) -> None:
    """More steps for the supernet, or another checkpoint interval, leave the first stage's weights in use."""
    run(training(tmp_path), "largest")
    longer = {**PLAN.stages, "supernet": SUPERNET.model_copy(update={"steps": 9})}
    told = Told()
    run(training(tmp_path, PLAN.model_copy(update={"stages": longer, "checkpoint_steps": 7}), told), *OFA)
    assert {stage for stage, *_ in told.steps} == {"supernet"}


@settings(max_examples=40)
@given(rows=st.integers(1, 6), alpha=st.floats(0.1, 3), seed=st.integers(0, 99))
def test_mixup_blends_crops_and_targets_alike(rows: int, alpha: float, seed: int) -> None:
    """Each crop is a blend of itself and its neighbour, in the shares its targets are; the sum of targets stays."""
    inputs = torch.arange(rows, dtype=torch.float32)[:, None, None, None].expand(rows, 1, 2, 3)
    targets = torch.eye(rows)
    mixed, blended = mixup(inputs, targets, np.random.default_rng(seed), alpha)
    torch.testing.assert_close(mixed[:, 0, 0, 0], blended @ torch.arange(rows, dtype=torch.float32))
    torch.testing.assert_close(blended.sum(1), torch.ones(rows))
    assert ((blended > 0).sum(1) <= 2).all()


@given(steps=st.integers(1, 3000), data=st.data())
def test_the_learning_rate_rises_and_falls(steps: int, data: st.DataObject) -> None:
    """One rise to the full rate, then a fall; never more than the full rate, never below zero."""
    factors = [one_cycle(step, steps) for step in range(min(steps, 60))] + [one_cycle(steps - 1, steps)]
    assert all(0 <= factor <= 1 for factor in factors)
    every = [one_cycle(step, steps) for step in range(steps)] if steps < 300 else factors
    peak = int(np.argmax(every))
    assert max(every) == 1.0 or steps >= 300
    later = data.draw(st.integers(0, len(every) - 1))
    assert every[later] <= every[min(later + 1, peak)] if later < peak else every[later] <= every[peak]
    if steps > 20:
        assert every[-1] < 0.02
