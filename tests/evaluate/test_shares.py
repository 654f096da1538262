"""Subnets are shared out in parts that cost what a walk through them costs."""

from __future__ import annotations

import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from tests.supernet.built import MEL_BINS, log_mel, supernet
from toolkit.evaluate.shares import next_shares, walk_cost
from toolkit.specs.space import Subnet, preset_space
from toolkit.supernet.norms import walk
from toolkit.supernet.supernet import batch_norm

SPACES = ("ew-ed-22x", "ew-ed-xxx", "ew-layerwise")


def some_of(name: str, count: int, seed: int) -> list[Subnet]:
    """Different subnets of a space, sorted."""
    space, rng = preset_space(name, 8), random.Random(seed)
    return sorted({space.sample(rng) for _ in range(count)}, key=lambda subnet: subnet.blocks)


@settings(max_examples=10)
@given(name=st.sampled_from(SPACES), count=st.integers(1, 20), seed=st.integers(0, 99))
def test_a_cost_is_what_torch_counts(name: str, count: int, seed: int) -> None:
    """Multiply-accumulates of all convolutions of the walk, counted by torch while it runs."""
    net, subnets, frames = supernet(name), some_of(name, count, seed), 16
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        for _ in walk(net, log_mel(1, frames, seed), subnets, batch_norm, lambda x: x):
            pass
    assert walk_cost(net.space, subnets) * frames * MEL_BINS == pytest.approx(counter.get_total_flops() / 2)


@settings(max_examples=50)
@given(
    name=st.sampled_from(SPACES),
    count=st.integers(1, 40),
    seed=st.integers(0, 99),
    processes=st.integers(1, 4),
    times=st.floats(0.01, 3),
)
def test_shares_are_the_next_subnets_each_once(name: str, count: int, seed: int, processes: int, times: float) -> None:
    """Parts follow each other from the front, none costs more than it may, unless it is of one subnet."""
    space, subnets = preset_space(name, 8), some_of(name, count, seed)
    most = times * walk_cost(space, subnets)
    shares = next_shares(space, subnets, most, processes)
    given_out = [subnet for share in shares for subnet in share]
    assert 1 <= len(shares) <= processes
    assert given_out == subnets[: len(given_out)]
    assert all(shares)
    assert all(len(share) == 1 or walk_cost(space, share) <= most for share in shares)


@pytest.mark.parametrize("processes", [1, 2, 3, 4])
def test_where_there_is_time_all_is_shared_out_at_once(processes: int) -> None:
    """All processes have something to do, none more than a quarter above the mean."""
    space = preset_space("ew-ed-22x", 64)
    subnets = sorted(space.subnets(), key=lambda subnet: subnet.blocks)
    shares = next_shares(space, subnets, 2 * walk_cost(space, subnets), processes)
    costs = [walk_cost(space, share) for share in shares]
    assert sum(map(len, shares)) == len(subnets)
    assert len(shares) == processes
    assert max(costs) <= 1.25 * sum(costs) / processes
