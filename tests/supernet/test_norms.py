"""Each subnet is normalized by statistics of its own; subnets that begin alike share what they share."""

from __future__ import annotations

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


def test_statistics_of_a_prefix_are_shared() -> None:
    """Recalibrated together or alone, a subnet has the same statistics."""
    net, subnets, together = known("ew-ed-xxx")
    for subnet in subnets[::101]:
        alone = recalibrate(net, log_mel(4, 40, seed=99), [subnet])
        for path, moments in alone.moments.items():
            assert_close(together.at(path), moments, atol=1e-6, rtol=1e-6)


@settings(max_examples=20)
@given(data=st.data(), name=st.sampled_from(PAPER_PRESETS), seed=st.integers(0, 99))
def test_a_walk_equals_one_by_one(data: st.DataObject, name: str, seed: int) -> None:
    """Walking through subnets in any order, repeated ones too, gives each the logits that it has alone."""
    net, subnets, norms = known(name)
    wanted = data.draw(st.lists(st.sampled_from(subnets), max_size=6))
    frames = log_mel(2, 16, seed)
    walked = list(walk(net, frames, wanted, norms))
    assert [subnet for subnet, _ in walked] == wanted
    for subnet, logits in walked:
        assert_close(logits, net(frames, subnet, norms), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("name", PAPER_PRESETS)
def test_a_walk_through_a_space_runs_each_layer_once(name: str) -> None:
    """In the order in which a space names its subnets, no shared prefix is computed twice."""
    net, subnets, _ = known(name)
    ran: list[str] = []

    def normalize(x: Tensor, weight: Tensor, bias: Tensor, path: str) -> Tensor:
        ran.append(path)
        return batch_norm(x, weight, bias, path)

    assert len(list(walk(net, log_mel(1, 16, seed=0), subnets, normalize))) == len(subnets)
    every = [step for subnet in subnets for step in steps(subnet)]
    # The first layer of a block is run for either depth, because what comes after it differs.
    assert len(ran) == 3 + len(dict.fromkeys(every))
    assert set(ran) == {"input", "stem.0", "stem.1", *(step.path for step in every)}


class Counted(Supernet):
    """Keeps what ran."""

    ran: Counter[Step]

    def convolve(self, step: Step, x: Tensor, normalize: Normalizer) -> Tensor:
        """As it does, and counted."""
        self.ran[step] += 1
        return super().convolve(step, x, normalize)


@pytest.mark.parametrize("name", PAPER_PRESETS)
def test_every_subnet_is_recalibrated_in_one_walk(name: str) -> None:
    """All subnets of a space get their statistics, and no layer of a shared prefix runs twice for them."""
    net, subnets, _ = known(name)
    counted = Counted(net.space, LABELS, MEL_BINS)
    counted.ran = Counter()
    norms = recalibrate(counted, log_mel(2, 16, seed=0), subnets)
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
