"""Layer lists of networks of full convolutions: ResNet, SqueezeNet, GoogLeNet and Inception, AlexNet.

Shapes only, no weights; names that published rows give them stand in `toolkit.profile.architectures`.
Proved by tests/profile/test_architectures.py (counts against published ones).
"""

from __future__ import annotations

from toolkit.profile.operation import Network

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


def resnet(depth: str | None = None) -> Network:
    """Of depth 18, with blocks of two 3x3, or 50, if none is given, or 101, with bottlenecks.

    Source: He et al., Deep Residual Learning (2016).
    """
    counts = {"18": (2, 2, 2, 2), "50": (3, 4, 6, 3), "101": (3, 4, 23, 3)}[depth or "50"]
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


def squeezenet(version: str | None = None) -> Network:
    """Source: Iandola et al., SqueezeNet (2016); 1.1, the usual one, as its authors' repository has it."""
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
    net = Network(3, 227).conv(96, 11, 4, valid=True).pool(3, 2, valid=True)
    net.conv(256, 5, groups=2).pool(3, 2, valid=True)
    net.conv(384, 3).conv(384, 3, groups=2).conv(256, 3, groups=2).pool(3, 2, valid=True)
    return net.linear(4096).linear(4096).linear(1000)
