"""Which layers of a large space are measured, and the cost of the others between them: bilinear in their channels.

A layer-wise space has thousands of layers that differ in channels alone. A grid of them is measured; so are some
others, which tell how far interpolation errs.

    channels out  8   16   24   32   40   48   56   64
    in  8         #    .    #    .    .    #    .    #      # measured
       16         .    .    .    .    o    .    .    .      o held out, measured too
       24         #    .    #    .    .    #    .    #      . interpolated
       ...

Proved by tests/profile/test_grid.py.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from toolkit.specs.layer import Layer

MAX_MEASURED = 300
"""A space with more layers than this is measured on a grid."""
GRID_CHANNELS = 5
"""Channel counts of a kind of layer that are measured, each way."""
HELD_OUT_SHARE = 0.04
MIN_HELD_OUT = 12

Kind = tuple[str, int, int, int, int, int, str]


@dataclass(frozen=True)
class Grid:
    """What is measured of a space's layers.

    Args:
        layers: all of them, in their order.
        measured: the grid, and all that stands in none.
        held_out: measured as well, but to test the interpolation.
    """

    layers: tuple[Layer, ...]
    measured: tuple[Layer, ...]
    held_out: tuple[Layer, ...] = ()

    @property
    def packed(self) -> tuple[Layer, ...]:
        """All that needs a file."""
        return self.measured + self.held_out


def choose_grid(layers: Sequence[Layer], limit: int = MAX_MEASURED) -> Grid:
    """All layers of a small space; a grid of those of a large one, the same each time."""
    if len(layers) <= limit:
        return Grid(tuple(layers), tuple(layers))
    measured = {layer for group in _groups(layers).values() for layer in _corners(group)}
    others = [layer for layer in layers if layer not in measured]
    count = min(len(others), max(MIN_HELD_OUT, round(HELD_OUT_SHARE * len(measured))))
    held_out = set(random.Random(0).sample(others, count))
    return Grid(
        tuple(layers),
        tuple(layer for layer in layers if layer in measured),
        tuple(layer for layer in layers if layer in held_out),
    )


def interpolate(layers: Iterable[Layer], known: Mapping[Layer, float]) -> dict[Layer, float]:
    """The cost of layers from the grid's, which must surround them."""
    found = {}
    wanted = _groups(layers)
    for kind, group in _groups(known).items():
        by_in: dict[int, dict[int, float]] = defaultdict(dict)
        for layer in group:
            by_in[layer.channels_in][_across(layer)] = known[layer]
        rows = {channels: (sorted(row), [row[out] for out in sorted(row)]) for channels, row in sorted(by_in.items())}
        for layer in wanted.get(kind, ()):
            column = [float(np.interp(_across(layer), *row)) for row in rows.values()]
            found[layer] = float(np.interp(layer.channels_in, list(rows), column))
    return found


def _kind(layer: Layer) -> Kind:
    """What interpolation never crosses: all but the channels."""
    return layer.operator, layer.frames, layer.bins, layer.kernel, layer.stride, layer.groups, layer.mode


def _groups(layers: Iterable[Layer]) -> dict[Kind, list[Layer]]:
    groups: dict[Kind, list[Layer]] = defaultdict(list)
    for layer in layers:
        groups[_kind(layer)].append(layer)
    return groups


def _across(layer: Layer) -> int:
    """Channels out; those of a pooling are its channels in, so that there is one way to go."""
    return layer.channels_out if layer.operator in ("conv2d", "linear") else 0


def _corners(group: Sequence[Layer]) -> list[Layer]:
    """Layers at a few channel counts each way, ends included; all of them where they are no full rectangle."""
    ins, outs = (sorted({getattr(layer, name) for layer in group}) for name in ("channels_in", "channels_out"))
    chosen_in, chosen_out = set(_spread(ins)), set(_spread(outs))
    if not any(_across(layer) for layer in group):
        return [layer for layer in group if layer.channels_in in chosen_in]
    if len({(layer.channels_in, layer.channels_out) for layer in group}) < len(ins) * len(outs):
        return list(group)
    return [layer for layer in group if layer.channels_in in chosen_in and layer.channels_out in chosen_out]


def _spread(channels: Sequence[int]) -> list[int]:
    """At most `GRID_CHANNELS` of the counts: the ends, and those nearest to even steps between."""
    if len(channels) <= GRID_CHANNELS:
        return list(channels)
    wanted = np.linspace(channels[0], channels[-1], GRID_CHANNELS)
    return [min(channels, key=lambda each: abs(each - value)) for value in wanted]
