"""Layer lists of what benchmarks of architecture search measured: networks of NAS-Bench-201, blocks of FBNet.

They have a text for each candidate and no name; networks with names are those of `toolkit.profile.architectures`.
Proved by tests/profile/test_architectures.py (counts against those of the published rows).
"""

from __future__ import annotations

import re
from collections.abc import Callable

from toolkit.profile.architectures import Architecture
from toolkit.profile.operation import Network

_EDGES: dict[str, Callable[[Network, int], object]] = {
    "none": lambda net, _: net,
    "skip_connect": lambda net, _: net,
    "avg_pool_3x3": lambda net, _: net.pool(3, 1),
    "nor_conv_1x1": lambda net, channels: net.conv(channels),
    "nor_conv_3x3": lambda net, channels: net.conv(channels, 3),
}


def nas_bench_201(cell: str) -> Architecture:
    """A network of NAS-Bench-201 for CIFAR-10 from its text `|op~0|+|op~0|op~1|+|op~0|op~1|op~2|`.

    Source: Dong and Yang, NAS-Bench-201 (2020). A convolution is ReLU, convolution, norm, so its ReLU stands alone.

    Raises:
        ValueError: the text is not of this form.
    """
    nodes = [[edge.split("~")[0] for edge in node.strip("|").split("|")] for node in cell.strip().split("+")]
    if [len(node) for node in nodes] != [1, 2, 3] or not {edge for node in nodes for edge in node} <= set(_EDGES):
        raise ValueError(f"{cell!r} is no cell of NAS-Bench-201")
    live = _live(nodes)
    net = Network(3, 32).conv(16, 3)
    for stage, channels in enumerate((16, 32, 64)):
        if stage:
            net.side(channels, pooled=2).move().conv(channels, 3, 2).move().conv(channels, 3).move(2)
        for _ in range(5):
            for node in live:
                for edge in node:
                    _EDGES[edge](net, channels)
                for _ in node[1:]:
                    net.move(2)
    net.move().global_pool().linear(10)
    return Architecture("nas-bench-201", tuple(net.operations))


def fbnet_block(block: str, channels_in: int, channels_out: int, size: int, stride: int) -> Architecture:
    """A block of FBNet by its text, `k3_e6` or `k5_e1_g2` (kernel, expansion, groups of the 1x1 convolutions).

    Source: Wu et al., FBNet (2019). Groups bring a shuffle of channels.

    Raises:
        ValueError: the text is not of this form.
    """
    found = re.fullmatch(r"k(\d+)_e(\d+)(?:_g(\d+))?", block.strip())
    if not found:
        raise ValueError(f"{block!r} is no block of FBNet")
    kernel, expansion, groups = (int(number or 1) for number in found.groups())
    net = Network(channels_in, size).conv(channels_in * expansion, groups=groups)
    if groups > 1:
        net.move()
    net.depthwise(kernel, stride).conv(channels_out, groups=groups)
    if stride == 1 and channels_in == channels_out:
        net.move(2)
    return Architecture("fbnet", tuple(net.operations))


def _live(nodes: list[list[str]]) -> list[list[str]]:
    """The edges into each node that lead on to the cell's output; what carries only zeros is computed all the same.

    So is what leads into the first node, in the files that were measured: their latencies say so.
    """
    used = {1, 3}
    for number in (3, 2, 1):
        if number in used:
            used |= {source for source, edge in enumerate(nodes[number - 1]) if edge != "none"}
    return [[edge for edge in node if edge != "none" and number in used] for number, node in enumerate(nodes, 1)]
