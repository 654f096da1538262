"""Subnets as whole numbers: every subnet has genes, and all genes give a subnet of the space."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.search.genes import Genome
from toolkit.specs.space import PRESETS, SearchSpace, preset_space


@pytest.mark.parametrize("preset", PRESETS)
@given(seed=st.integers(0, 10_000))
def test_genes_and_subnets_belong_together(preset: str, seed: int) -> None:
    """A subnet's genes give it back, within the number of choices of each gene."""
    genome = Genome(preset_space(preset, 16))
    subnet = genome.space.sample(random.Random(seed))
    genes = genome.genes(subnet)
    assert genome.subnet(genes) == subnet
    assert list(genes) == list(genome.sizes)
    assert all(0 <= genes[name] < size for name, size in genome.sizes.items())


@pytest.mark.parametrize("preset", PRESETS)
@given(data=st.data())
def test_all_genes_are_of_the_space(preset: str, data: st.DataObject) -> None:
    """Whatever is bred is a point of the space."""
    genome = Genome(preset_space(preset, 16))
    genes = {name: data.draw(st.integers(0, size - 1)) for name, size in genome.sizes.items()}
    assert genome.subnet(genes) in genome.space


def test_a_block_has_a_width_or_each_layer_its_own() -> None:
    """The default space has a width for each block and a depth for the last; the layer-wise one six widths."""
    assert list(Genome(preset_space()).sizes) == ["width0.0", "width1.0", "depth2", "width2.0"]
    assert [name for name in Genome(preset_space("ew-layerwise")).sizes if name.startswith("width")] == [
        f"width{block}.{layer}" for block in range(3) for layer in range(2)
    ]


def test_ratios_that_round_to_one_width_are_one_choice() -> None:
    """No subnet stands in a space twice, so a Run can know all of it."""
    space = SearchSpace(name="narrow", base_width=2, ratios=(0.4, 0.45, 1.0), depths=((2,), (2,), (1, 2)))
    every = list(space.subnets())
    assert len(space) == len(every) == len(set(every)) == 2 * 2 * 6
    assert space.evaluated(len(every), seed=0) == tuple(every)
