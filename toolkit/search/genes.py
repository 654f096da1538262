"""A subnet as a few whole numbers, which evolution crosses and mutates: for each block a depth and its widths.

Works from the choices of a space alone and knows no family. Proved by tests/search/test_genes.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from toolkit.specs.space import SearchSpace, Subnet

Genes = Mapping[str, int]
"""By name the number of a choice, from 0."""


@dataclass(frozen=True)
class _Block:
    depths: tuple[int, ...]
    widths: tuple[tuple[int, ...], ...]
    """Of each of its convolutions, or of all together where a block has one width."""


@dataclass(frozen=True)
class Genome:
    """The genes of a space: names and how many choices each has."""

    space: SearchSpace

    @cached_property
    def _blocks(self) -> tuple[_Block, ...]:
        blocks = []
        for choices in self.space.choices:
            depths = tuple(sorted({len(choice) for choice in choices}))
            places = zip(*(choice for choice in choices if len(choice) == depths[-1]), strict=True)
            widths = tuple(tuple(sorted(set(place))) for place in places)
            is_tied = all(len(set(choice)) == 1 for choice in choices)
            blocks.append(_Block(depths, widths[:1] if is_tied else widths))
        return tuple(blocks)

    @cached_property
    def sizes(self) -> Mapping[str, int]:
        """How many choices each gene has; one without a choice is no gene."""
        sizes = {}
        for number, block in enumerate(self._blocks):
            sizes[f"depth{number}"] = len(block.depths)
            sizes |= {f"width{number}.{layer}": len(widths) for layer, widths in enumerate(block.widths)}
        return {name: size for name, size in sizes.items() if size > 1}

    def subnet(self, genes: Genes) -> Subnet:
        """The subnet with these genes."""
        blocks = []
        for number, block in enumerate(self._blocks):
            depth = block.depths[genes.get(f"depth{number}", 0)]
            widths = [each[genes.get(f"width{number}.{layer}", 0)] for layer, each in enumerate(block.widths)]
            blocks.append(tuple((widths * depth if len(widths) == 1 else widths)[:depth]))
        return Subnet(blocks=tuple(blocks))

    def genes(self, subnet: Subnet) -> dict[str, int]:
        """The genes of a subnet of the space; those of layers that it does not run are the least."""
        genes = {}
        for number, (block, own) in enumerate(zip(self._blocks, subnet.blocks, strict=True)):
            genes[f"depth{number}"] = block.depths.index(len(own))
            for layer, (widths, width) in enumerate(zip(block.widths, own, strict=False)):
                genes[f"width{number}.{layer}"] = widths.index(width)
        return {name: genes.get(name, 0) for name in self.sizes}
