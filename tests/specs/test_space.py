"""Spaces and subnets: how many, how named, and what they cost, against the paper and built networks."""

from __future__ import annotations

import functools
import itertools
import random
from collections import Counter
from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from toolkit.specs.errors import UserError
from toolkit.specs.front_end import FrontEndSpec
from toolkit.specs.layer import Layer, Mode
from toolkit.specs.space import PAPER_PRESETS, SearchSpace, Subnet, preset_space
from toolkit.supernet.static import StaticNet
from toolkit.supernet.supernet import Supernet

FRONT_END, PAPER_LABELS = FrontEndSpec(), 527
SPACE = preset_space()

widths = st.integers(1, 999_999)
subnets = st.lists(st.lists(widths, min_size=1, max_size=3), min_size=1, max_size=5).map(
    lambda blocks: Subnet(blocks=tuple(tuple(block) for block in blocks))
)
spaces = st.builds(preset_space, st.sampled_from(PAPER_PRESETS), st.sampled_from([5, 8, 16, 32, 64]))


def paper_subnet(percent: int, depth: int) -> Subnet:
    """The same ratio in all dynamic blocks; `depth` layers in the last, two in the others."""
    full = (128, 256, 512)
    return Subnet(
        blocks=tuple(
            (full_width * percent // 100,) * (depth if number == 2 else 2) for number, full_width in enumerate(full)
        )
    )


def plain_network(base: int, blocks: tuple[tuple[int, ...], ...], labels: int) -> nn.Module:
    """CNN10 by the book, with layers of torch alone."""
    layers: list[nn.Module] = [nn.BatchNorm2d(64)]
    channels = 1
    for block in ((base, base), *blocks):
        for width in block:
            layers += [nn.Conv2d(channels, width, 3, bias=False), nn.BatchNorm2d(width)]
            channels = width
    return nn.Sequential(*layers, nn.Linear(channels, 8 * base), nn.Linear(8 * base, labels))


def trainable(net: nn.Module) -> int:
    """Trainable numbers of a module."""
    return sum(parameter.numel() for parameter in net.parameters())


@given(subnet=subnets)
def test_ids_round_trip(subnet: Subnet) -> None:
    """A subnet's id reads back as the subnet, and its text is the id."""
    assert Subnet.parse(subnet.id) == subnet
    assert str(subnet) == subnet.id


@given(one=subnets, other=subnets)
def test_ids_are_canonical(one: Subnet, other: Subnet) -> None:
    """Two subnets have the same id only if they are the same."""
    assert (one.id == other.id) == (one == other)


@given(text=st.text(alphabet="0123456789.-٣ x\n", max_size=12))
def test_only_canonical_ids_are_read(text: str) -> None:
    """Text is read as a subnet only if it is exactly that subnet's id."""
    try:
        subnet = Subnet.parse(text)
    except UserError:
        return
    assert subnet.id == text


@pytest.mark.parametrize(
    "text", ["", "25", "25.25-51.51", "25.25-51.51-103", "9" * 5_000, "largest ", "25.25-51.51-102\n"]
)
def test_points_outside_the_space_are_refused(text: str) -> None:
    """What is no id, or no point of this space, is one clear error."""
    with pytest.raises(UserError, match="subnet"):
        preset_space().parse(text)


@pytest.mark.parametrize(
    ("name", "count"), [("ew-ed-22x", 128), ("ew-ed-2xx", 256), ("ew-ed-xxx", 512), ("ew-only", 125)]
)
def test_spaces_have_the_papers_sizes(name: str, count: int) -> None:
    """Four ratios a block and a choice of depth in one, two or three blocks; five ratios without depth."""
    space = preset_space(name)
    ids = {subnet.id for subnet in space.subnets()}
    assert len(space) == len(ids) == count


@pytest.mark.parametrize("name", PAPER_PRESETS)
def test_widths_are_rounded_down(name: str) -> None:
    """A block at ratio r of D channels has floor(r D), computed exactly, at any base width."""
    percents = (20, 40, 60, 80, 100) if name == "ew-only" else (40, 60, 80, 100)
    for base in range(5, 130):
        found = [sorted({block[0] for block in choices}) for choices in preset_space(name, base).choices]
        assert found == [[int(Fraction(p, 100) * f * base) for p in percents] for f in (2, 4, 8)]


@given(space=spaces, seed=st.integers(0, 999))
def test_every_subnet_is_a_point_of_its_space(space: SearchSpace, seed: int) -> None:
    """Sampled, enumerated and extreme subnets are in the space, and are read back by their ids."""
    drawn = space.sample(random.Random(seed))
    for subnet in (drawn, space.largest, space.smallest, next(iter(space.subnets()))):
        assert subnet in space
        assert space.parse(subnet.id) == subnet
    assert space.parse("largest") == space.largest
    assert Subnet(blocks=(*drawn.blocks, (1,))) not in space


def test_sampling_is_uniform_and_seeded() -> None:
    """Each of the 128 subnets is drawn about equally often, and a seed repeats its draws."""
    rng, again = random.Random(7), random.Random(7)
    drawn = [SPACE.sample(rng) for _ in range(12_800)]
    assert drawn[:50] == [SPACE.sample(again) for _ in range(50)]
    counts = Counter(subnet.id for subnet in drawn)
    assert set(counts) == {subnet.id for subnet in SPACE.subnets()}
    # Binomial with mean 100 and deviation 10: six deviations either way.
    assert 40 < min(counts.values()) <= max(counts.values()) < 160


@given(space=spaces)
def test_the_largest_and_the_smallest_are_so(space: SearchSpace) -> None:
    """No subnet has more parameters than the largest or fewer than the smallest."""
    counts = [space.params(subnet, 10) for subnet in space.subnets()]
    assert max(counts) == space.params(space.largest, 10)
    assert min(counts) == space.params(space.smallest, 10)


def test_neighbours_share_prefixes() -> None:
    """In the order of enumeration each prefix stands in one run, so that a walk computes it once."""
    for length in (1, 2):
        prefixes = [subnet.blocks[:length] for subnet in SPACE.subnets()]
        assert len(list(itertools.groupby(prefixes))) == len(set(prefixes))


@pytest.mark.parametrize(
    ("percent", "depth", "millions"),
    [(100, 2, "5.219"), (80, 2, "3.49"), (60, 2, "2.15"), (40, 1, "0.79"), (40, 2, "1.17")],
)
def test_parameters_are_the_papers(percent: int, depth: int, millions: str) -> None:
    """The counts at base width 64 and 527 labels.

    Source: Lin et al. (2023), section 2.2 and table 1; 1.17M, where the table says 1.0M, is the arithmetic.
    """
    subnet = paper_subnet(percent, depth)
    assert subnet in SPACE
    digits = len(millions.split(".")[1])
    assert f"{SPACE.params(subnet, PAPER_LABELS) / 1e6:.{digits}f}" == millions


@given(data=st.data(), space=spaces, labels=st.integers(1, 600))
def test_parameters_are_those_of_a_plain_network(data: st.DataObject, space: SearchSpace, labels: int) -> None:
    """The count equals that of the same network built from torch's own layers."""
    subnet = data.draw(st.sampled_from(list(space.subnets())))
    with torch.device("meta"):
        assert space.params(subnet, labels) == trainable(plain_network(space.base_width, subnet.blocks, labels))


@pytest.mark.parametrize("name", PAPER_PRESETS)
def test_parameters_are_those_of_the_built_networks(name: str) -> None:
    """The supernet has the largest subnet's parameters; an extracted subnet its own, less one for each folded norm."""
    space = preset_space(name)
    with torch.device("meta"):
        assert trainable(Supernet(space, PAPER_LABELS)) == space.params(space.largest, PAPER_LABELS)
        for subnet in list(space.subnets())[::17]:
            static = StaticNet(space, subnet, PAPER_LABELS, mel_bins=64)
            folded = sum(conv.conv.out_channels for conv in static.convs)
            assert space.params(subnet, PAPER_LABELS) == trainable(static) + folded


@pytest.mark.parametrize(("mode", "frames"), [("clip", 1000), ("frames", 1000), ("stream", 96)])
def test_macs_are_those_of_the_built_network(mode: Mode, frames: int) -> None:
    """The count equals half the operations that torch counts while the extracted network runs."""
    space = preset_space(base_width=16)
    for subnet in list(space.subnets())[::31]:
        with torch.device("meta"), FlopCounterMode(display=False) as counter:
            StaticNet(space, subnet, 30, mel_bins=64)(torch.empty(1, 1, frames, 64))
        assert 2 * space.macs(subnet, FRONT_END, 30, mode) == counter.get_total_flops()


@pytest.mark.parametrize("mode", ["clip", "frames", "stream"])
@pytest.mark.parametrize("name", PAPER_PRESETS)
def test_a_table_has_a_row_for_every_layer(name: str, mode: Mode) -> None:
    """`all_layers` holds each layer of every subnet once, under a name of its own."""
    space = preset_space(name, 8)
    rows = space.all_layers(FRONT_END, 30, mode)
    assert len({layer.name for layer in rows}) == len(rows)
    used = {layer for subnet in space.subnets() for layer in space.layers(subnet, FRONT_END, 30, mode)}
    assert used == set(rows)
    assert ("front_end" in {layer.operator for layer in rows}) == (mode != "frames")


@given(data=st.data(), space=spaces)
def test_layers_fit_together(data: st.DataObject, space: SearchSpace) -> None:
    """Each layer takes the channels and the shape that the one before it gives."""
    subnet = data.draw(st.sampled_from(list(space.subnets())))
    layers = space.layers(subnet, FRONT_END, 30)
    assert [layer.operator for layer in layers].count("conv2d") == 2 + sum(map(len, subnet.blocks))
    for before, after in itertools.pairwise(layers):
        assert after.channels_in == before.channels_out
        if before.operator not in ("global_pool", "linear"):
            assert (after.frames, after.bins) == (before.frames // before.stride, before.bins // before.stride)
    assert layers[-1].channels_out == 30


@pytest.mark.parametrize(
    "wrong",
    [
        {"ratios": (1.0, 0.5)},
        {"ratios": (0.5, 0.5)},
        {"ratios": (0.0, 1.0)},
        {"ratios": (0.5, 1.5)},
        {"ratios": ()},
        {"ratios": (0.001, 1.0)},
        {"depths": ((2,), (2,))},
        {"depths": ((2,), (2,), (3,))},
        {"depths": ((2,), (2,), ())},
        {"depths": ((2,), (2,), (2, 1))},
        {"base_width": 0},
    ],
)
def test_spaces_that_cannot_be_are_refused(wrong: dict[str, object]) -> None:
    """Ratios and depths that name no network are refused when the space is made."""
    right = {"name": "own", "base_width": 8, "ratios": (0.5, 1.0), "depths": ((2,), (2,), (1, 2))}
    assert len(SearchSpace(**right)) == 16  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=next(iter(wrong)).removesuffix("s")):
        SearchSpace(**(right | wrong))  # type: ignore[arg-type]


def test_an_unknown_preset_is_one_clear_error() -> None:
    """The error names the presets there are."""
    with pytest.raises(UserError, match="ew-ed-22x"):
        preset_space("ew-ed-222")


LAYERWISE = preset_space("ew-layerwise", 16)


def test_each_convolution_of_a_layerwise_space_has_a_width_of_its_own() -> None:
    """Each dynamic convolution takes every multiple of 8 from a fifth of its full width up, whatever others take."""
    assert LAYERWISE.full_widths[1:] == (32, 64, 128)
    widths = [range(least, most + 1, 8) for least, most in ((8, 32), (16, 64), (32, 128))]
    for choices, allowed in zip(LAYERWISE.choices, widths, strict=True):
        assert set(choices) == set(itertools.product(allowed, repeat=2))
    assert len(LAYERWISE) == (4 * 7 * 13) ** 2
    assert (LAYERWISE.smallest.id, LAYERWISE.largest.id) == ("8.8-16.16-32.32", "32.32-64.64-128.128")


@given(seed=st.integers(0, 999))
def test_layerwise_subnets_are_points_of_their_space(seed: int) -> None:
    """A drawn subnet belongs to the space, is named uniquely, and lies between the ends in parameters."""
    subnet = LAYERWISE.sample(random.Random(seed))
    assert subnet in LAYERWISE
    assert LAYERWISE.parse(subnet.id) == subnet
    least, most = (LAYERWISE.params(end, 31) for end in (LAYERWISE.smallest, LAYERWISE.largest))
    assert least <= LAYERWISE.params(subnet, 31) <= most
    assert Subnet(blocks=((12, 8), *subnet.blocks[1:])) not in LAYERWISE


@given(seed=st.integers(0, 999), mode=st.sampled_from(["clip", "stream"]))
def test_the_layers_of_a_large_space_are_known_without_going_through_it(seed: int, mode: Mode) -> None:
    """Whatever subnet is drawn, the rows of a cost table cover it."""
    front_end = FrontEndSpec()
    drawn = LAYERWISE.sample(random.Random(seed))
    assert set(LAYERWISE.layers(drawn, front_end, 31, mode)) <= _layerwise_layers(mode)


@functools.cache
def _layerwise_layers(mode: Mode) -> frozenset[Layer]:
    return frozenset(LAYERWISE.all_layers(FrontEndSpec(), 31, mode))


def test_a_base_width_that_the_step_does_not_divide_is_refused() -> None:
    """Widths must be multiples of 8 from end to end."""
    with pytest.raises(ValueError, match="base width 10 has blocks of 20 channels, which is no multiple of"):
        preset_space("ew-layerwise", 10)


@given(limit=st.integers(2, 200), seed=st.integers(0, 9), name=st.sampled_from([*PAPER_PRESETS, "ew-layerwise"]))
def test_a_run_keeps_figures_of_so_many_subnets_at_most(limit: int, seed: int, name: str) -> None:
    """All of a small space in its order; of a larger one the ends and a sample, the same for the same seed."""
    space = preset_space(name, 16)
    chosen = space.evaluated(limit, seed)
    assert len(set(chosen)) == len(chosen) == min(limit, len(space))
    assert {space.smallest, space.largest} <= set(chosen)
    assert chosen == space.evaluated(limit, seed)
    assert all(subnet in space for subnet in chosen)
