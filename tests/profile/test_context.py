"""A few whole networks tell what layers cost inside one."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.profile.context import ALONE, WHOLES, Context, find_context, whole_subnets
from toolkit.profile.counts import activation_bytes
from toolkit.specs.front_end import FrontEndSpec
from toolkit.specs.layer import Layer
from toolkit.specs.space import PRESETS, SearchSpace, Subnet, preset_space

FRONT_END = FrontEndSpec()
SPACE = preset_space("ew-ed-22x", 32)


def layers_of(subnet: Subnet) -> tuple[Layer, ...]:
    """In `stream` mode with 31 labels."""
    return SPACE.layers(subnet, FRONT_END, 31, "stream")


ALL = SPACE.all_layers(FRONT_END, 31, "stream")
MOVED = {layer: activation_bytes(layer, "fp32", FRONT_END) for layer in ALL}
ALONE_US = {layer: 5.0 + layer.macs / 1e5 for layer in ALL}


@settings(max_examples=50)
@given(scale=st.floats(0.9, 1.4), us_per_mb=st.floats(0, 60))
def test_what_networks_cost_more_is_found(scale: float, us_per_mb: float) -> None:
    """Where layers in a network take so much longer and each MB so much, networks not seen are predicted to 1 %."""

    def whole_us(subnet: Subnet) -> float:
        return sum(scale * ALONE_US[layer] + us_per_mb * MOVED[layer] / 1e6 for layer in layers_of(subnet))

    taught = whole_subnets(SPACE)
    context = find_context(
        {subnet: whole_us(subnet) for subnet in taught}, {s: layers_of(s) for s in taught}, ALONE_US, MOVED
    )
    for subnet in SPACE.subnets():
        predicted = sum(context.latency_us(ALONE_US[layer], MOVED[layer]) for layer in layers_of(subnet))
        assert predicted == pytest.approx(whole_us(subnet), rel=0.01)


def test_without_networks_layers_cost_what_they_cost_alone() -> None:
    """A pack may hold none, or the clock may be too coarse for them."""
    assert find_context({}, {}, ALONE_US, MOVED) == ALONE
    least = {SPACE.smallest: 0.0}
    assert find_context(least, {SPACE.smallest: layers_of(SPACE.smallest)}, ALONE_US, MOVED) == ALONE
    assert ALONE.latency_us(12.5, 1_000_000) == 12.5


@pytest.mark.parametrize("name", PRESETS)
def test_the_ends_of_a_space_are_among_those_that_tell(name: str) -> None:
    """And the choice is the same each time."""
    space = preset_space(name, 32)
    chosen = whole_subnets(space)
    assert len(set(chosen)) == len(chosen) == WHOLES
    assert {space.smallest, space.largest} <= set(chosen)
    assert chosen == whole_subnets(space)


def test_a_tiny_space_is_told_by_all_of_it() -> None:
    """No subnet is chosen twice."""
    space = SearchSpace(name="tiny", base_width=4, ratios=(1.0,), depths=((1,), (1,), (1, 2)))
    assert set(whole_subnets(space)) == set(space.subnets())


def test_two_networks_tell_the_scale_alone() -> None:
    """Their noise is not taken for a cost of bytes."""
    ends = (SPACE.smallest, SPACE.largest)
    noisy = {s: sum(ALONE_US[layer] for layer in layers_of(s)) * f for s, f in zip(ends, (1.3, 1.1), strict=True)}
    context = find_context(noisy, {subnet: layers_of(subnet) for subnet in ends}, ALONE_US, MOVED)
    assert context.us_per_mb == 0
    assert 1.1 <= context.scale <= 1.3


@settings(max_examples=50)
@given(noise=st.lists(st.floats(0.2, 5), min_size=WHOLES, max_size=WHOLES))
def test_noise_is_not_taken_for_a_cost_of_bytes(noise: list[float]) -> None:
    """However wrong the networks' times, they are predicted no worse than by a scale alone."""
    taught = whole_subnets(SPACE)
    layers = {subnet: layers_of(subnet) for subnet in taught}
    wholes = {s: sum(ALONE_US[each] for each in layers[s]) * factor for s, factor in zip(taught, noise, strict=True)}

    def squares(found: Context) -> float:
        sums = {s: sum(found.latency_us(ALONE_US[each], MOVED[each]) for each in layers[s]) for s in taught}
        return sum((sums[s] / wholes[s] - 1) ** 2 for s in taught)

    inverse = [1 / factor for factor in noise]
    best_scale = sum(inverse) / sum(each**2 for each in inverse)
    assert (
        squares(find_context(wholes, layers, ALONE_US, MOVED)) <= squares(Context(best_scale, 0.0)) + 0.02**2 * 4**2
    )  # the prior
