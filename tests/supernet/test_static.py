"""A subnet cut out of the supernet, its norms folded into its weights, computes what it computed inside."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from tests.supernet.built import LABELS, MEL_BINS, known, log_mel, points, supernet
from toolkit.specs.errors import UserError
from toolkit.specs.space import Subnet
from toolkit.supernet.norms import StoredNorms, recalibrate
from toolkit.supernet.static import StaticNet


@settings(max_examples=60)
@given(point=points, batch=st.integers(1, 3), frames=st.integers(8, 41), seed=st.integers(0, 999))
def test_an_extracted_subnet_equals_the_supernet(point: tuple[str, Subnet], batch: int, frames: int, seed: int) -> None:
    """On other data than its statistics are of, any subnet of any preset scores the same, to 1e-5."""
    name, subnet = point
    net, _, norms = known(name)
    x = log_mel(batch, frames, seed)
    static = StaticNet.extract(net, subnet, norms)
    with torch.no_grad():
        logits = net(x, subnet, norms)
        assert_close(static(x), torch.sigmoid(logits), atol=1e-5, rtol=0)
        assert_close(static.taps(x)["logits"], logits, atol=1e-5, rtol=1e-5)


def test_the_statistics_of_these_tests_are_not_trivial() -> None:
    """The property above would prove nothing with means of zero and variances of one."""
    _, _, norms = known("ew-ed-22x")
    for path, (mean, variance) in norms.moments.items():
        assert mean.abs().max() > 0.05, path
        assert (variance - 1).abs().max() > 0.1, path


@settings(max_examples=20)
@given(point=points)
def test_taps_name_what_is_quantized(point: tuple[str, Subnet]) -> None:
    """There is a tap for each activation, in the order of the network and with its shape; the last gives the scores."""
    name, subnet = point
    net, _, norms = known(name)
    static, x = StaticNet.extract(net, subnet, norms), log_mel(2, 24, seed=5)
    with torch.no_grad():
        taps, scores = static.taps(x), static(x)
    base = net.space.base_width
    shapes: dict[str, tuple[int, ...]] = {"scale": (2, 1, 24, MEL_BINS)}
    for number, block in enumerate(((base, base), *subnet.blocks)):
        for width in block:
            shapes[f"conv{len(shapes)}"] = (2, width, 24 >> number, MEL_BINS >> number)
    last = subnet.blocks[-1][-1]
    shapes |= {"frequency_mean": (2, 3, last), "time_max": (2, last), "time_mean": (2, last), "pooled": (2, last)}
    shapes |= {"hidden": (2, 8 * base), "logits": (2, LABELS)}
    assert {tap: tuple(value.shape) for tap, value in taps.items()} == shapes
    assert list(taps) == list(shapes)
    assert torch.equal(torch.sigmoid(taps["logits"]), scores)


def test_an_extracted_subnet_is_on_its_own() -> None:
    """Training the supernet further does not change what was cut out of it."""
    net = supernet("ew-only")
    x, smallest = log_mel(2, 16, seed=1), net.space.smallest
    static = StaticNet.extract(net, smallest, recalibrate(net, x, [smallest]))
    before = static(x)
    for parameter in net.parameters():
        parameter.add_(1.0)
    assert torch.equal(static(x), before)
    assert not static.training


def test_a_subnet_without_statistics_is_not_extracted() -> None:
    """What was never recalibrated is one clear error, not a wrong network."""
    net = known("ew-ed-22x")[0]
    with pytest.raises(UserError, match="not recalibrated"):
        StaticNet.extract(net, net.space.largest, StoredNorms({}))
