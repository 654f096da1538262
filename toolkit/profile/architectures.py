"""Layer lists of the published networks that the device model is calibrated and tested on, from their papers.

Shapes only: what is computed and moved, no weights, no framework. Batch norm and activations behind a convolution are
folded into it, as every runtime does. Proved by tests/profile/test_architectures.py (counts against published ones).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from toolkit.profile.operation import Network, Operation

Branch = Sequence[tuple[int, int] | tuple[int, int, int]]
"""Of an Inception block: convolutions (channels, height[, width] of the kernel), one behind the other."""


class Architecture(NamedTuple):
    """A published network: `family` is what is left out together when the model is tested."""

    family: str
    operations: tuple[Operation, ...]

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one inference."""
        return sum(operation.macs for operation in self.operations)

    @property
    def params(self) -> int:
        """Weights and biases, batch norm folded."""
        return sum(operation.weights + operation.biases for operation in self.operations)


def architecture(name: str) -> Architecture | None:
    """The network that a published row calls `name`, None where no generator knows it."""
    plain = re.sub(r"[\s_]+", "-", name.strip().lower())
    for pattern, family, build in _KNOWN:
        if found := re.fullmatch(pattern, plain):
            return Architecture(family, tuple(build(**found.groupdict()).operations))
    return None


def stand_in(name: str, macs: float, params: float) -> Architecture:
    """For a network that no generator knows: one like it by name, each operator scaled to its counts."""
    mobile = re.search("mobile|shuffle|mnas|efficient|proxyless|fbnet|nano|fast|blaze|lite", name.lower())
    like = Architecture("", tuple((mobilenet_v2() if mobile else resnet("18")).operations))
    times = (macs / like.macs) ** 0.5
    heavier = (params / like.params) ** 0.5 / times if params else 1.0

    def scaled(operation: Operation) -> Operation:
        # Half of the factor in channels or taps, half in pixels: maps and weights grow, the number of operators stays.
        pixels = [max(1, round(number * times / heavier)) for number in (operation.pixels_in, operation.pixels_out)]
        channels = [max(1, round(number * (times * heavier) ** 0.5)) for number in operation[1:3]]
        return operation._replace(
            channels_in=channels[0],
            channels_out=channels[1],
            groups=channels[0] if operation.kind == "depthwise" else operation.groups,
            pixels_in=pixels[0],
            pixels_out=pixels[1],
        )

    family = re.split(r"[^a-z]", name.strip().lower())[0] or name
    return Architecture(family, tuple(scaled(operation) for operation in like.operations))


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


def mobilenet_v1(width: str | float = 1.0, size: str | int = 224) -> Network:
    """Source: Howard et al., MobileNets (2017)."""
    scale = float(width or 1)
    net = Network(3, int(size or 224)).conv(int(32 * scale), 3, 2)
    for out, stride in (
        (64, 1),
        (128, 2),
        (128, 1),
        (256, 2),
        (256, 1),
        (512, 2),
        *[(512, 1)] * 5,
        (1024, 2),
        (1024, 1),
    ):
        net.depthwise(3, stride).conv(int(out * scale))
    return net.global_pool().linear(1000 if size == "standard" else 1001)


def mobilenet_v2(width: str | float = 1.0, size: str | int = 224) -> Network:
    """Source: Sandler et al., MobileNetV2 (2018)."""
    scale = float(width or 1)
    net = Network(3, int(size or 224)).conv(_rounded(32 * scale), 3, 2)
    for expansion, out, count, stride in (
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    ):
        for step in range(count):
            _inverted(net, net.channels * expansion, _rounded(out * scale), 3, 1 if step else stride)
    return net.conv(_rounded(1280 * max(scale, 1))).global_pool().linear(1001)


def mobilenet_v3(variant: str = "large") -> Network:
    """Source: Howard et al., Searching for MobileNetV3 (2019), tables 1 and 2."""
    blocks, last, head = _V3[variant]
    net = Network(3, 224).conv(16, 3, 2).move()
    for kernel, expanded, out, excited, swish, stride in blocks:
        _inverted(net, expanded, out, kernel, stride, squeezed=excited * _rounded(expanded / 4), swish=bool(swish))
    return net.conv(last).move().global_pool().conv(head).move().linear(1001)


def efficientnet_lite(version: str = "0") -> Network:
    """Source: the EfficientNet-lite README (2020): no squeeze and excite, ReLU6, stem and head not scaled."""
    wide, deep, size = ((1.0, 1.0, 224), (1.0, 1.1, 240), (1.1, 1.2, 260), (1.2, 1.4, 280), (1.4, 1.8, 300))[
        int(version)
    ]
    net = Network(3, size).conv(32, 3, 2)
    stages = (
        (1, 16, 1, 1, 3),
        (6, 24, 2, 2, 3),
        (6, 40, 2, 2, 5),
        (6, 80, 3, 2, 3),
        (6, 112, 3, 1, 5),
        (6, 192, 4, 2, 5),
    )
    for stage, (expansion, out, count, stride, kernel) in enumerate((*stages, (6, 320, 1, 1, 3))):
        repeats = count if stage in (0, 6) else math.ceil(round(count * deep, 6))
        for step in range(repeats):
            _inverted(net, net.channels * expansion, _rounded(out * wide), kernel, 1 if step else stride)
    return net.conv(1280).global_pool().linear(1000)


def mnasnet() -> Network:
    """MnasNet-B1. Source: Tan et al., MnasNet (2019)."""
    net = Network(3, 224).conv(32, 3, 2).depthwise(3).conv(16)
    stages = (
        (3, 24, 3, 2, 3),
        (3, 40, 3, 2, 5),
        (6, 80, 3, 2, 5),
        (6, 96, 2, 1, 3),
        (6, 192, 4, 2, 5),
        (6, 320, 1, 1, 3),
    )
    for expansion, out, count, stride, kernel in stages:
        for step in range(count):
            _inverted(net, net.channels * expansion, out, kernel, 1 if step else stride)
    return net.conv(1280).global_pool().linear(1000)


def resnet(depth: str) -> Network:
    """With blocks of two 3x3 (18) or of a bottleneck (50, 101). Source: He et al., Deep Residual Learning (2016)."""
    counts = {"18": (2, 2, 2, 2), "50": (3, 4, 6, 3), "101": (3, 4, 23, 3)}[depth]
    net = Network(3, 224).conv(64, 7, 2).pool(3, 2)
    for stage, count in enumerate(counts):
        inner = 64 * 2**stage
        out = inner if depth == "18" else 4 * inner
        for step in range(count):
            stride = 2 if stage and not step else 1
            if net.channels != out or stride > 1:
                net.side(out, stride=stride)
            if depth == "18":
                net.conv(inner, 3, stride).conv(out, 3)
            else:
                net.conv(inner).conv(inner, 3, stride).conv(out)
            net.move(2)
    return net.global_pool().linear(1000)


def squeezenet(version: str = "1.1") -> Network:
    """Source: Iandola et al., SqueezeNet (2016); 1.1 as its authors' repository has it."""
    first = version == "1.0"
    net = Network(3, 224).conv(96, 7, 2) if first else Network(3, 227).conv(64, 3, 2, valid=True)
    net.pool(3, 2, valid=True)
    for block, out in enumerate((64, 64, 128, 128, 192, 192, 256, 256)):
        net.conv(out // 4)
        net.fork(((out, 1),), ((out, 3),))
        if block in ((2, 6) if first else (1, 3)):
            net.pool(3, 2, valid=True)
    return net.conv(1000).global_pool()


def googlenet() -> Network:
    """Source: Szegedy et al., Going Deeper with Convolutions (2015), table 1."""
    net = Network(3, 224).conv(64, 7, 2).pool(3, 2).conv(64).conv(192, 3).pool(3, 2)
    for block, (one, reduce3, three, reduce5, five, pooled) in enumerate(_GOOGLENET):
        net.fork(((one, 1),), ((reduce3, 1), (three, 3)), ((reduce5, 1), (five, 5)), ((0, 3), (pooled, 1)))
        if block in (1, 6):
            net.pool(3, 2)
    return net.global_pool().linear(1000)


def inception_v3() -> Network:
    """Source: Szegedy et al., Rethinking the Inception Architecture (2016), as TF-Slim builds it."""
    net = Network(3, 299).conv(32, 3, 2, valid=True).conv(32, 3, valid=True).conv(64, 3).pool(3, 2, valid=True)
    net.conv(80).conv(192, 3, valid=True).pool(3, 2, valid=True)
    for pooled in (32, 64, 64):
        net.fork(((64, 1),), ((48, 1), (64, 5)), ((64, 1), (96, 3), (96, 3)), ((0, 3), (pooled, 1)))
    net.fork(((384, 3),), ((64, 1), (96, 3), (96, 3)), ((0, 3),), stride=2)
    for inner in (128, 160, 160, 192):
        seven = ((inner, 1), (inner, 7, 1), (inner, 1, 7), (inner, 7, 1), (192, 1, 7))
        net.fork(((192, 1),), ((inner, 1), (inner, 1, 7), (192, 7, 1)), seven, ((0, 3), (192, 1)))
    net.fork(((192, 1), (320, 3)), ((192, 1), (192, 1, 7), (192, 7, 1), (192, 3)), ((0, 3),), stride=2)
    for _ in range(2):
        # Each 3x1 beside a 1x3 reads the same map; here the second one reads the first one's, of the same size.
        two, three = ((384, 1), (384, 1, 3), (384, 3, 1)), ((448, 1), (384, 3), (384, 1, 3), (384, 3, 1))
        net.fork(((320, 1),), two, three, ((0, 3), (192, 1)), wider=768)
    return net.global_pool().linear(1001)


def alexnet() -> Network:
    """With its two groups. Source: Krizhevsky et al. (2012), as Caffe's reference model."""
    net = (
        Network(3, 227).conv(96, 11, 4, valid=True).pool(3, 2, valid=True).conv(256, 5, groups=2).pool(3, 2, valid=True)
    )
    net.conv(384, 3).conv(384, 3, groups=2).conv(256, 3, groups=2).pool(3, 2, valid=True)
    return net.linear(4096).linear(4096).linear(1000)


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


def _live(nodes: list[list[str]]) -> list[list[str]]:
    """The edges into each node that lead on to the cell's output; what carries only zeros is computed all the same.

    So is what leads into the first node, in the files that were measured: their latencies say so.
    """
    used = {1, 3}
    for number in (3, 2, 1):
        if number in used:
            used |= {source for source, edge in enumerate(nodes[number - 1]) if edge != "none"}
    return [[edge for edge in node if edge != "none" and number in used] for number, node in enumerate(nodes, 1)]


def _rounded(channels: float) -> int:
    """To the nearest multiple of eight, never more than a tenth down."""
    near = max(8, int(channels + 4) // 8 * 8)
    return near + 8 if near < 0.9 * channels else near


_EDGES: dict[str, Callable[[Network, int], object]] = {
    "none": lambda net, _: net,
    "skip_connect": lambda net, _: net,
    "avg_pool_3x3": lambda net, _: net.pool(3, 1),
    "nor_conv_1x1": lambda net, channels: net.conv(channels),
    "nor_conv_3x3": lambda net, channels: net.conv(channels, 3),
}
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
_GOOGLENET = (
    (64, 96, 128, 16, 32, 32),
    (128, 128, 192, 32, 96, 64),
    (192, 96, 208, 16, 48, 64),
    (160, 112, 224, 24, 64, 64),
    (128, 128, 256, 24, 64, 64),
    (112, 144, 288, 32, 64, 64),
    (256, 160, 320, 32, 128, 128),
    (256, 160, 320, 32, 128, 128),
    (384, 192, 384, 48, 128, 128),
)
_SIZED = r"(?:-(?P<width>[\d.]+)x?)?(?:-(?P<size>\d+))?"
_KNOWN: tuple[tuple[str, str, Callable[..., Network]], ...] = (
    ("mobilenet-?(?:v1)?" + _SIZED, "mobilenet-v1", mobilenet_v1),
    ("mobilenet-?v2" + _SIZED, "mobilenet-v2", mobilenet_v2),
    ("mobilenet-?v3-(?P<variant>large|small)", "mobilenet-v3", mobilenet_v3),
    (r"efficientnet-?lite-?(?P<version>[0-4])", "efficientnet-lite", efficientnet_lite),
    ("mnasnet", "mnasnet", mnasnet),
    (r"resnet-?(?:v\d-)?(?P<depth>18|50|101)", "resnet", resnet),
    (r"resnet()", "resnet", lambda: resnet("50")),
    (r"squeezenet(?:-v?(?P<version>1\.[01]))?", "squeezenet", lambda version: squeezenet(version or "1.1")),
    ("googlenet|inception-?v1", "inception", googlenet),
    ("inception-?v3", "inception", inception_v3),
    ("alexnet", "alexnet", alexnet),
    ("shufflenet-?v2", "shufflenet", shufflenet_v2),
)
