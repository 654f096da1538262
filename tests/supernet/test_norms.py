"""Each subnet is normalized by statistics of its own, and what subnets share is computed once."""

from __future__ import annotations

import itertools
import random
import weakref
from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.testing import assert_close

from tests.supernet.built import LABELS, MEL_BINS, PlainNet, known, log_mel, points, supernet
from toolkit.specs.errors import UserError
from toolkit.specs.space import PAPER_PRESETS, Subnet
from toolkit.supernet.norms import StoredNorms, recalibrate, walk
from toolkit.supernet.supernet import Normalizer, Step, Supernet, batch_norm, steps


@settings(max_examples=20)
@given(point=points, seed=st.integers(0, 99))
def test_recalibrated_moments_are_the_batch_statistics(point: tuple[str, Subnet], seed: int) -> None:
    """At every norm, mean and variance equal what torch's batch norms see in the same network on the same batch."""
    name, subnet = point
    net, frames = known(name)[0], log_mel(3, 24, seed)
    norms = recalibrate(net, frames, [subnet])
    plain = PlainNet(net, subnet)
    counts: dict[nn.Module, int] = {}
    seen = [module for module in plain.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in seen:
        norm.register_forward_hook(lambda norm, _, out: counts.update({norm: out.numel() // out.shape[1]}))
    plain(frames)
    paths = ["input", "stem.0", "stem.1", *(step.path for step in steps(subnet))]
    assert set(norms.moments) == set(paths)
    for path, norm in zip(paths, seen, strict=True):
        mean, variance = norms.at(path)
        assert norm.running_mean is not None
        assert norm.running_var is not None
        # torch keeps the unbiased estimate; what normalizes is the plain mean of squares.
        plain_variance = norm.running_var * (counts[norm] - 1) / counts[norm]
        assert_close(mean, norm.running_mean, atol=1e-4, rtol=1e-4)
        assert_close(variance, plain_variance, atol=1e-4, rtol=1e-3)


@settings(max_examples=20)
@given(point=points, seed=st.integers(0, 99))
def test_on_its_own_batch_a_recalibrated_subnet_is_as_in_training(point: tuple[str, Subnet], seed: int) -> None:
    """Stored statistics of a batch normalize that batch as training does."""
    name, subnet = point
    net, frames = known(name)[0], log_mel(3, 24, seed)
    stored = net(frames, subnet, recalibrate(net, frames, [subnet]))
    assert_close(stored, net(frames, subnet), atol=1e-5, rtol=1e-4)


def test_shared_statistics_are_those_of_a_subnet_alone() -> None:
    """Recalibrated together or alone, a subnet has the same statistics."""
    net, subnets, together = known("ew-ed-xxx")
    for subnet in subnets[::101]:
        alone = recalibrate(net, log_mel(4, 40, seed=99), [subnet])
        for path, moments in alone.moments.items():
            assert_close(together.at(path), moments, atol=1e-5, rtol=1e-5)


SPACES = ("ew-ed-22x", "ew-ed-2xx", "ew-ed-xxx", "ew-only", "ew-layerwise")


@st.composite
def some_of(draw: st.DrawFn, name: str) -> list[Subnet]:
    """Subnets of a space in any order, some of them twice, many of them alike in their first blocks."""
    space = supernet(name).space
    openings = draw(st.lists(st.sampled_from(space.choices[0]), min_size=1, max_size=2))
    blocks = st.tuples(st.sampled_from(openings), *map(st.sampled_from, space.choices[1:]))
    return [Subnet(blocks=each) for each in draw(st.lists(blocks, max_size=8))]


@settings(max_examples=40)
@given(data=st.data(), name=st.sampled_from(SPACES), seed=st.integers(0, 99))
def test_together_subnets_are_what_they_are_one_by_one(data: st.DataObject, name: str, seed: int) -> None:
    """Recalibrated and walked through together, in any order, each subnet has the logits that it has alone."""
    net, wanted = supernet(name), data.draw(some_of(name))
    crops, frames = log_mel(3, 24, seed), log_mel(2, 16, seed + 100)
    walked = list(walk(net, frames, wanted, recalibrate(net, crops, wanted)))
    assert sorted(subnet.id for subnet, _ in walked) == sorted({subnet.id for subnet in wanted})
    for subnet, logits in walked:
        assert_close(logits, net(frames, subnet, recalibrate(net, crops, [subnet])), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", PAPER_PRESETS)
def test_layers_with_one_input_run_once(name: str) -> None:
    """Through a whole space in any order, one convolution runs for each input, at the greatest width asked for."""
    net, subnets, _ = known(name)
    ran: list[tuple[str, int]] = []

    def normalize(x: Tensor, weight: Tensor, bias: Tensor, path: str) -> Tensor:
        ran.append((path, x.shape[1]))
        return batch_norm(x, weight, bias, path)

    mixed = random.Random(3).sample(subnets, len(subnets))
    assert len(list(walk(net, log_mel(1, 16, seed=0), mixed, normalize))) == len(subnets)
    assert ran[:3] == [("input", MEL_BINS), ("stem.0", net.space.base_width), ("stem.1", net.space.base_width)]
    following: dict[Step | None, set[tuple[int, str]]] = {}
    for subnet in subnets:
        for before, step in itertools.pairwise((None, *steps(subnet))):
            assert step is not None
            following.setdefault(before, set()).add((step.width, step.path))
    assert Counter(ran[3:]) == Counter((path, width) for width, path in map(max, following.values()))


def test_feature_maps_of_one_path_are_kept() -> None:
    """A walk through hundreds of subnets holds no more maps at a time than one subnet has convolutions."""
    net, subnets, _ = known("ew-ed-xxx")
    held: list[weakref.ref[Tensor]] = []
    most = 0

    def normalize(x: Tensor, weight: Tensor, bias: Tensor, path: str) -> Tensor:
        nonlocal most
        y = batch_norm(x, weight, bias, path)
        held.append(weakref.ref(y))
        most = max(most, sum(each() is not None for each in held))
        return y

    for _ in walk(net, log_mel(1, 16, seed=0), subnets, normalize):
        pass
    assert len(held) > 100
    # The last of the static block is the input of the first dynamic layer.
    assert most <= 1 + max(len(steps(subnet)) for subnet in subnets)


class Counted(Supernet):
    """Keeps what ran."""

    ran: Counter[Step]

    def convolve(self, step: Step, x: Tensor, normalize: Normalizer) -> Tensor:
        """As it does, and counted."""
        self.ran[step] += 1
        return super().convolve(step, x, normalize)


@pytest.mark.parametrize("name", PAPER_PRESETS)
def test_every_subnet_is_recalibrated_in_one_walk(name: str) -> None:
    """All subnets of a space get their statistics, and no layer runs twice for them."""
    net, subnets, _ = known(name)
    counted = Counted(net.space, LABELS, MEL_BINS)
    counted.ran = Counter()
    told: list[tuple[int, int]] = []
    norms = recalibrate(counted, log_mel(2, 16, seed=0), subnets, lambda done, of: told.append((done, of)))
    assert told == [(done, len(subnets)) for done in range(1, len(subnets) + 1)]
    assert set(counted.ran.values()) == {1}
    for subnet in subnets:
        assert {step.path for step in steps(subnet)} <= norms.moments.keys()


def test_a_walk_keeps_no_gradients_and_ends_in_evaluation_mode() -> None:
    """A walk is no training step."""
    net = supernet("ew-only").train().requires_grad_(requires_grad=True)
    ((_, logits),) = walk(net, log_mel(2, 16, seed=0), [net.space.smallest], batch_norm)
    assert not logits.requires_grad
    assert not net.training
    assert torch.isfinite(logits).all()


def test_missing_statistics_are_one_clear_error() -> None:
    """A subnet that was not recalibrated cannot run; the error names the path that has no statistics."""
    net, subnets, norms = known("ew-ed-22x")
    largest = net.space.largest
    for path in ("input", "stem.1", largest.id):
        partial = StoredNorms({at: moments for at, moments in norms.moments.items() if at != path})
        with pytest.raises(UserError, match=rf"no batch-norm statistics for '{path}'"):
            net(log_mel(1, 16, seed=0), largest, partial)
        assert torch.isfinite(net(log_mel(1, 16, seed=0), subnets[0], norms)).all()
