"""A few layers of a large space stand for all: the grid covers it, and what lies between follows from it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.profile.grid import MIN_HELD_OUT, choose_grid, interpolate
from toolkit.specs.front_end import FrontEndSpec
from toolkit.specs.layer import Layer, Mode
from toolkit.specs.space import PAPER_PRESETS, preset_space


def layers_of(name: str, mode: Mode = "stream", base_width: int = 32) -> tuple[Layer, ...]:
    """Every layer of a preset with 31 labels."""
    return preset_space(name, base_width).all_layers(FrontEndSpec(), 31, mode)


@pytest.mark.parametrize("name", PAPER_PRESETS)
def test_the_papers_spaces_are_measured_whole(name: str) -> None:
    """No row of theirs is interpolated."""
    layers = layers_of(name, base_width=64)
    grid = choose_grid(layers)
    assert grid.measured == grid.layers == layers
    assert grid.held_out == ()


@pytest.mark.parametrize("base_width", [16, 32, 64])
def test_a_layer_wise_space_needs_a_few_hundred_files(base_width: int) -> None:
    """Though it has thousands of layers; every operator and size is among them, ends included."""
    layers = layers_of("ew-layerwise", base_width=base_width)
    grid = choose_grid(layers)
    assert len(grid.packed) < 300 < len(layers)
    assert len(grid.held_out) >= MIN_HELD_OUT
    assert not set(grid.measured) & set(grid.held_out)
    assert {(layer.operator, layer.frames) for layer in grid.measured} == {
        (each.operator, each.frames) for each in layers
    }
    for end in (max, min):
        assert end(layers, key=lambda layer: layer.macs) in grid.measured


@settings(max_examples=10)
@given(slopes=st.tuples(*[st.floats(0, 9)] * 4), base_width=st.sampled_from([16, 32]))
def test_what_is_bilinear_in_channels_is_found_exactly(slopes: tuple[float, ...], base_width: int) -> None:
    """A cost of a + b in + c out + d in out, as a convolution's without stairs is, comes out between the points."""
    a, b, c, d = slopes

    def cost(layer: Layer) -> float:
        return a + b * layer.channels_in + c * layer.channels_out + d * layer.channels_in * layer.channels_out

    grid = choose_grid(layers_of("ew-layerwise", base_width=base_width))
    others = [layer for layer in grid.layers if layer.operator in ("conv2d", "linear")]
    found = interpolate(others, {layer: cost(layer) for layer in grid.measured})
    assert found == pytest.approx({layer: cost(layer) for layer in others}, rel=1e-9, abs=1e-9)


def test_a_measured_layer_keeps_its_own_cost() -> None:
    """At the grid's points nothing is made up, and sizes do not mix."""
    grid = choose_grid(layers_of("ew-layerwise"))
    known = {layer: float(number) for number, layer in enumerate(grid.measured)}
    assert interpolate(grid.measured, known) == known


def test_interpolated_costs_lie_between_the_measured() -> None:
    """Never below the least of the same kind nor above the greatest."""
    grid = choose_grid(layers_of("ew-layerwise"))
    known = {layer: 100.0 + layer.channels_out for layer in grid.measured}
    found = interpolate(grid.layers, known)
    assert min(found.values()) >= min(known.values())
    assert max(found.values()) <= max(known.values())
    assert set(found) == set(grid.layers)
