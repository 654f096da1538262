"""`Architecture`: the layer list of a published network, by name. The device model is calibrated and tested on them.

Shapes only: what is computed and moved, no weights, no framework. Batch norm and activations behind a convolution are
folded into it, as every runtime does. Proved by tests/profile/test_architectures.py (counts against published ones).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from toolkit.profile.classic_networks import alexnet, googlenet, inception_v3, resnet, squeezenet
from toolkit.profile.mobile_networks import (
    efficientnet_lite,
    mnasnet,
    mobilenet_v1,
    mobilenet_v2,
    mobilenet_v3,
    shufflenet_v2,
)
from toolkit.profile.operation import Network, Operation

_SIZED = r"(?:-(?P<width>[\d.]+)x?)?(?:-(?P<size>\d+))?"
_KNOWN: tuple[tuple[str, str, Callable[..., Network]], ...] = (
    ("mobilenet-?(?:v1)?" + _SIZED, "mobilenet-v1", mobilenet_v1),
    ("mobilenet-?v2" + _SIZED, "mobilenet-v2", mobilenet_v2),
    ("mobilenet-?v3-(?P<variant>large|small)", "mobilenet-v3", mobilenet_v3),
    (r"efficientnet-?lite-?(?P<version>[0-4])", "efficientnet-lite", efficientnet_lite),
    ("mnasnet", "mnasnet", mnasnet),
    (r"resnet(?:-?(?:v\d-)?(?P<depth>18|50|101))?", "resnet", resnet),
    (r"squeezenet(?:-v?(?P<version>1\.[01]))?", "squeezenet", squeezenet),
    ("googlenet|inception-?v1", "inception", googlenet),
    ("inception-?v3", "inception", inception_v3),
    ("alexnet", "alexnet", alexnet),
    ("shufflenet-?v2", "shufflenet", shufflenet_v2),
)
"""Pattern of the name, family, generator; what the pattern did not find is None, which stands for the usual."""


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
        wide = (times * heavier) ** 0.5
        channels_in = max(1, round(operation.channels_in * wide))
        return operation._replace(
            channels_in=channels_in,
            channels_out=max(1, round(operation.channels_out * wide)),
            groups=channels_in if operation.kind == "depthwise" else operation.groups,
            pixels_in=max(1, round(operation.pixels_in * times / heavier)),
            pixels_out=max(1, round(operation.pixels_out * times / heavier)),
        )

    family = re.split(r"[^a-z]", name.strip().lower())[0] or name
    return Architecture(family, tuple(scaled(operation) for operation in like.operations))
