"""Options of the loop: sandwich sampling, in-place distillation, accumulation, precision, compilation, every space."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from tests.train.test_loop import CALM, OFA, PLAN, STEPS, SUPERNET, Told, run, training
from toolkit.specs.errors import UserError
from toolkit.specs.recipe import Recipe, Stage
from toolkit.specs.space import PRESETS, SearchSpace, Subnet
from toolkit.supernet.supernet import Normalizer, Stem, Supernet, batch_norm
from toolkit.train.loop import Training, sampled
from toolkit.train.parallel import launch

LARGE, OTHER = 2.0, -1.0


class TwoMinds(Supernet):
    """The largest subnet says one logit and every other subnet another, whatever they hear."""

    def __init__(self, space: SearchSpace) -> None:
        super().__init__(space, 3, 8)
        self.large, self.other = nn.Parameter(torch.tensor(LARGE)), nn.Parameter(torch.tensor(OTHER))
        self.asked: list[list[Subnet]] = []

    def together(
        self,
        log_mel: Tensor,
        subnets: Sequence[Subnet],
        normalize: Normalizer = batch_norm,
        stem: Stem | None = None,
    ) -> list[Tensor]:
        """Logits [B, 3] of each."""
        self.asked.append(list(subnets))
        says = {True: self.large, False: self.other}
        return [says[subnet == self.space.largest].expand(len(log_mel), 3) for subnet in subnets]


class Invented(Training):
    """A training of that network."""

    def new_net(self) -> TwoMinds:
        """The network."""
        return TwoMinds(self.recipe.search_space())


def with_supernet(recipe: Recipe = PLAN, **changes: object) -> Recipe:
    """The recipe with another `supernet` stage, which starts from nothing."""
    stage = SUPERNET.model_copy(update={"start": None, **changes})
    return recipe.model_copy(update={"stages": {**recipe.stages, "supernet": stage}})


def two_minds(folder: Path, recipe: Recipe) -> tuple[TwoMinds, list[float]]:
    """That network after the `supernet` stage, and the losses; the teacher says no to every label."""
    told = Told()
    plain = training(folder, recipe, told)
    net = run(Invented(recipe, plain.batches, folder, watch=told), "supernet")
    assert isinstance(net, TwoMinds)
    return net, told.losses


@settings(max_examples=30)
@given(step=st.integers(0, 1000), sandwich=st.booleans(), count=st.integers(2, 6))
def test_sampled_subnets_are_of_the_space(step: int, sandwich: bool, count: int) -> None:
    """K of them a step; with the sandwich rule the largest comes first and the smallest is among them."""
    recipe = with_supernet(sandwich=sandwich, subnets_per_step=count)
    space, drawn = recipe.search_space(), sampled(recipe, "supernet", step)
    assert len(drawn) == count
    assert all(subnet in space for subnet in drawn)
    if sandwich:
        assert drawn[:2] == [space.largest, space.smallest]


def test_the_sampled_subnets_learn(tmp_path: Path) -> None:
    """In each step those, no others, all on the same crops."""
    recipe = with_supernet()
    net, _ = two_minds(tmp_path, recipe)
    assert net.asked == [sampled(recipe, "supernet", step) for step in range(STEPS)]
    assert len(set(map(tuple, net.asked))) > 1


@pytest.mark.parametrize("in_place", [False, True])
def test_in_place_the_largest_subnet_teaches_the_others(tmp_path: Path, in_place: bool) -> None:
    """The largest learns from the teacher, the others from what the largest says; nothing flows back to it."""
    net, losses = two_minds(tmp_path, with_supernet(steps=1, sandwich=True, in_place=in_place))
    large, other = torch.tensor([LARGE, OTHER])
    wanted = torch.sigmoid(large) if in_place else torch.tensor(0.0)
    # Binary cross-entropy of a logit z and a target t is softplus(z) - t z; its derivative is sigmoid(z) - t.
    loss = functional.softplus(large) + functional.softplus(other) - wanted * other
    assert losses == pytest.approx([float(loss) / 2])
    assert net.large.grad is not None
    assert net.other.grad is not None
    torch.testing.assert_close(net.large.grad, torch.sigmoid(large) / 2)
    torch.testing.assert_close(net.other.grad, (torch.sigmoid(other) - wanted) / 2)


@pytest.mark.parametrize("parts", [2, 4])
def test_accumulated_parts_add_up(tmp_path: Path, parts: int) -> None:
    """Where rows do not look at each other, a batch computed in parts makes the step of the whole batch."""
    recipe = with_supernet(PLAN.model_copy(update={"distillation_weight": 0.5}))
    whole, in_parts = (
        two_minds(tmp_path / str(number), recipe.model_copy(update={"accumulate": number})) for number in (1, parts)
    )
    assert in_parts[1] == pytest.approx(whole[1], rel=1e-5)
    torch.testing.assert_close(in_parts[0].large, whole[0].large)
    torch.testing.assert_close(in_parts[0].other, whole[0].other)


def test_half_precision_trains(tmp_path: Path) -> None:
    """bf16 mixed precision starts where full precision starts, to bfloat16's rounding, and keeps float32 weights."""
    told = Told()
    full = PLAN.model_copy(update={"dropout": False})
    run(training(tmp_path / "full", full, told), "largest")
    half = full.model_copy(update={"precision": "bf16-mixed"})
    one = training(tmp_path / "half", half, told)
    one.fabric = launch(half, "cpu", 1, 1, None)
    net = run(one, "largest")
    assert told.losses[STEPS] == pytest.approx(told.losses[0], rel=0.02)
    assert told.losses[STEPS] != told.losses[0]
    assert all(value.dtype == torch.float32 for value in net.state_dict().values())


def test_a_compiled_training_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through torch.compile the losses are those of a plain training, to rounding, and the network stays plain."""
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "compiled"))
    monkeypatch.setenv("TORCHINDUCTOR_COMPILE_THREADS", "1")
    plain = with_supernet(PLAN.model_copy(update={"dropout": False, "augmentation": CALM}))
    told = Told()
    run(training(tmp_path / "plain", plain, told), "supernet")
    net = run(training(tmp_path / "other", plain.model_copy(update={"compiled": True}), told), "supernet")
    assert told.losses[STEPS:] == pytest.approx(told.losses[:STEPS], rel=1e-3)
    assert list((tmp_path / "compiled").rglob("*.so"))
    assert "stem" not in vars(net)


def test_without_a_compiler_there_is_no_compiled_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing compiles, the error says what to install or to set."""
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "compiled"))
    monkeypatch.setattr("torch._inductor.config.cpp.cxx", (None, str(tmp_path / "no compiler")))
    with pytest.raises(UserError, match=r"torch\.compile does not work here \(.*set compiled = false"):
        run(training(tmp_path, PLAN.model_copy(update={"compiled": True, "dropout": False})), "largest")


@pytest.mark.parametrize("space", PRESETS)
def test_every_space_trains(tmp_path: Path, space: str) -> None:
    """Two steps of the largest subnet and two of sampled ones leave finite weights, in each space there is."""
    stages = {"largest": Stage(steps=2), "supernet": SUPERNET.model_copy(update={"steps": 2})}
    one = training(tmp_path, PLAN.model_copy(update={"space": space, "base_width": 16, "stages": stages}))
    before, after = one.new_net(), run(one, *OFA)
    assert after.space.name == space
    for name, value in after.state_dict().items():
        assert torch.isfinite(value).all()
        assert not torch.equal(value, before.state_dict()[name]), name
