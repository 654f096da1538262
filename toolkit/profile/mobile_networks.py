"""Layer lists of networks of depthwise convolutions: MobileNet, EfficientNet-lite, MnasNet, ShuffleNet.

Shapes only, no weights; names that published rows give them stand in `toolkit.profile.architectures`.
Proved by tests/profile/test_architectures.py (counts against published ones).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from toolkit.profile.operation import Network

_V2 = (
    (1, 16, 3, 1, 1),
    (6, 24, 3, 2, 2),
    (6, 32, 3, 2, 3),
    (6, 64, 3, 2, 4),
    (6, 96, 3, 1, 3),
    (6, 160, 3, 2, 3),
    (6, 320, 3, 1, 1),
)
"""Stages, here and below: expansion, channels, kernel, stride of the first block, number of blocks."""
_LITE = (
    (1, 16, 3, 1, 1),
    (6, 24, 3, 2, 2),
    (6, 40, 5, 2, 2),
    (6, 80, 3, 2, 3),
    (6, 112, 5, 1, 3),
    (6, 192, 5, 2, 4),
    (6, 320, 3, 1, 1),
)
_LITE_SCALES = ((1.0, 1.0, 224), (1.0, 1.1, 240), (1.1, 1.2, 260), (1.2, 1.4, 280), (1.4, 1.8, 300))
"""Width, depth and size of the image of each version; the first and last stage are not deepened."""
_MNASNET = (
    (3, 24, 3, 2, 3),
    (3, 40, 5, 2, 3),
    (6, 80, 5, 2, 3),
    (6, 96, 3, 1, 2),
    (6, 192, 5, 2, 4),
    (6, 320, 3, 1, 1),
)
_V3 = {
    "large": (
        (
            (3, 16, 16, 0, 0, 1),
            (3, 64, 24, 0, 0, 2),
            (3, 72, 24, 0, 0, 1),
            (5, 72, 40, 1, 0, 2),
            *[(5, 120, 40, 1, 0, 1)] * 2,
            (3, 240, 80, 0, 1, 2),
            (3, 200, 80, 0, 1, 1),
            *[(3, 184, 80, 0, 1, 1)] * 2,
            (3, 480, 112, 1, 1, 1),
            (3, 672, 112, 1, 1, 1),
            (5, 672, 160, 1, 1, 2),
            *[(5, 960, 160, 1, 1, 1)] * 2,
        ),
        960,
        1280,
    ),
    "small": (
        (
            (3, 16, 16, 1, 0, 2),
            (3, 72, 24, 0, 0, 2),
            (3, 88, 24, 0, 0, 1),
            (5, 96, 40, 1, 1, 2),
            *[(5, 240, 40, 1, 1, 1)] * 2,
            (5, 120, 48, 1, 1, 1),
            (5, 144, 48, 1, 1, 1),
            (5, 288, 96, 1, 1, 2),
            *[(5, 576, 96, 1, 1, 1)] * 2,
        ),
        576,
        1024,
    ),
}
"""Blocks (kernel, channels inside and out, squeeze and excite, swish, stride), then channels of the last layers."""


def mobilenet_v1(width: str | None = None, size: str | None = None) -> Network:
    """Of width 1 for images of 224 if they are not given. Source: Howard et al., MobileNets (2017)."""
    scale = float(width or 1)
    net = Network(3, int(size or 224)).conv(int(32 * scale), 3, 2)
    blocks = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1))
    for out, stride in blocks:
        net.depthwise(3, stride).conv(int(out * scale))
    return net.global_pool().linear(1001)


def mobilenet_v2(width: str | None = None, size: str | None = None) -> Network:
    """Of width 1 for images of 224 if they are not given. Source: Sandler et al., MobileNetV2 (2018)."""
    scale = float(width or 1)
    net = Network(3, int(size or 224)).conv(_rounded(32 * scale), 3, 2)
    _stages(net, _V2, scale)
    return net.conv(_rounded(1280 * max(scale, 1))).global_pool().linear(1001)


def mobilenet_v3(variant: str) -> Network:
    """Source: Howard et al., Searching for MobileNetV3 (2019), tables 1 and 2."""
    blocks, last, head = _V3[variant]
    net = Network(3, 224).conv(16, 3, 2).move()
    for kernel, expanded, out, excited, swish, stride in blocks:
        _inverted(net, expanded, out, kernel, stride, squeezed=excited * _rounded(expanded / 4), swish=bool(swish))
    return net.conv(last).move().global_pool().conv(head).move().linear(1001)


def efficientnet_lite(version: str) -> Network:
    """Source: the EfficientNet-lite README (2020): no squeeze and excite, ReLU6, stem and head not scaled."""
    wide, deep, size = _LITE_SCALES[int(version)]
    first, *middle, last = _LITE
    deeper = [(*stage, math.ceil(round(count * deep, 6))) for *stage, count in middle]
    net = Network(3, size).conv(32, 3, 2)
    _stages(net, (first, *deeper, last), wide)
    return net.conv(1280).global_pool().linear(1000)


def mnasnet() -> Network:
    """MnasNet-B1. Source: Tan et al., MnasNet (2019)."""
    net = Network(3, 224).conv(32, 3, 2).depthwise(3).conv(16)
    _stages(net, _MNASNET)
    return net.conv(1280).global_pool().linear(1000)


def shufflenet_v2() -> Network:
    """At width 1. Source: Ma et al., ShuffleNet V2 (2018)."""
    net = Network(3, 224).conv(24, 3, 2).pool(3, 2)
    for out, count in ((116, 4), (232, 8), (464, 4)):
        half = out // 2
        before, height = net.channels, net.height
        net.depthwise(3, 2).conv(half)
        net.channels = before
        net.height = net.width = height
        net.conv(half).depthwise(3, 2).conv(half)
        net.channels = out
        net.move()
        for _ in range(count - 1):
            net.channels = half
            net.conv(half).depthwise(3).conv(half)
            net.channels = out
            net.move()
    return net.conv(1024).global_pool().linear(1000)


def _stages(net: Network, stages: Iterable[Sequence[int]], wide: float = 1.0) -> None:
    """Inverted residual blocks; the first of each stage has its stride."""
    for expansion, out, kernel, stride, count in stages:
        for step in range(count):
            _inverted(net, net.channels * expansion, _rounded(out * wide), kernel, 1 if step else stride)


def _inverted(
    net: Network, expanded: int, out: int, kernel: int, stride: int, squeezed: int = 0, *, swish: bool = False
) -> None:
    """Expand, depthwise, project; a sum around it where the shapes allow. Swish is an operator of its own."""
    joined = stride == 1 and net.channels == out
    if expanded != net.channels:
        net.conv(expanded)
        if swish:
            net.move()
    net.depthwise(kernel, stride)
    if squeezed:
        net.squeeze_excite(squeezed)
    if swish:
        net.move()
    net.conv(out)
    if joined:
        net.move(2)


def _rounded(channels: float) -> int:
    """To the nearest multiple of eight, never more than a tenth down."""
    near = max(8, int(channels + 4) // 8 * 8)
    return near + 8 if near < 0.9 * channels else near
