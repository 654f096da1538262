"""What a network's peak of memory is, from the peaks of its layers, each measured in a process of its own.

    peak of a network = network_bytes + sum of what its layers keep + most that one of them needs besides

Layers run one after the other, in one workspace that XNNPACK's runtimes share and that is as large as the largest of
them needs, front end included: a maximum. What stays is a sum, and is known but for one number:

* weights. The kernels' packed copy, and, where LiteRT maps the file, the file's own pages, which packing has touched:
  twice the constants. ExecuTorch reads the file and lets it go when it is packed: once, and a little more. How often,
  with padding, the whole networks of the pack tell;
* pointers of convolutions: XNNPACK keeps one for each weight of the window and place of the output, whatever the
  channels are. 4.6 MB for 1000 x 64 places and 3 x 3 weights, as much as the maps themselves in int8;
* in ExecuTorch's streams, each convolution's map joined to its border, in float: the next border is cut from it outside
  XNNPACK, when all layers have run.

What a layer needs besides is the rest of its own peak: its maps, the pages of the program that it touches, and, in
ExecuTorch, the file while it is being packed. Program pages are common to all layers, and a network has states and maps
between runtimes besides: `network_bytes` makes up for both, and the whole networks tell it too. Two numbers for a
table, by least squares. Not a sum of peaks: their noise (80 KiB) would add up. Proved by tests/profile/test_memory.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from toolkit.specs.layer import Layer
from toolkit.specs.runtime import Runtime
from toolkit.specs.space import Subnet

NOISE_BYTES = 80 * 1024
"""Peaks of one file repeat to within so much."""
_COPIES, _COPIES_SPREAD = 1.5, 0.5
"""What is believed of the copies of weights before any network was measured: between once and twice."""
_POINTER_BYTES = 8
_FLOAT_BYTES = 4
_ITERATIONS = 20


@dataclass(frozen=True)
class Memory:
    """How a network's peak follows from peaks of single layers.

    Args:
        network_bytes: of any network, besides what its layers keep and need.
        copies: of its weights that are in memory.
        runtime: which decides what else stays.
    """

    network_bytes: int = 0
    copies: float = _COPIES
    runtime: Runtime = "tflite"

    def kept_bytes(self, layer: Layer, constant_bytes: int, peak_bytes: int) -> int:
        """What stays of a layer's peak when it has run."""
        return min(peak_bytes, round(self.copies * constant_bytes) + pointer_bytes(layer) + self._joined_bytes(layer))

    def _joined_bytes(self, layer: Layer) -> int:
        if (self.runtime, layer.mode, layer.operator) != ("executorch", "stream", "conv2d"):
            return 0
        return _FLOAT_BYTES * layer.channels_in * (layer.frames + layer.kernel - 1) * layer.bins


def pointer_bytes(layer: Layer) -> int:
    """Of the table in which a convolution finds its inputs. Source: XNNPACK, src/operators/convolution-nhwc.c."""
    if layer.operator != "conv2d":
        return 0
    places = (layer.frames // layer.stride) * (layer.bins // layer.stride)
    return _POINTER_BYTES * places * layer.kernel**2


def find_memory(
    networks: Mapping[Subnet, int],
    layers: Mapping[Subnet, Sequence[Layer]],
    peak_bytes: Mapping[Layer, int],
    constant_bytes: Mapping[Layer, int],
    runtime: Runtime,
) -> Memory:
    """From peaks of whole networks and of layers, what any file takes left out of both.

    Where there are no networks, any network takes what any file does.
    """
    memory = Memory(runtime=runtime)
    if not networks:
        return memory
    constants = np.array([sum(constant_bytes[layer] for layer in layers[subnet]) for subnet in networks], float)
    # Each network is off by the noise; the copies are believed to be what they are believed to be.
    system = np.stack((np.ones_like(constants), constants), axis=1) / NOISE_BYTES
    system = np.concatenate((system, [(0.0, 1 / _COPIES_SPREAD)]))
    # What a layer needs besides depends on the copies, so they are found again with what they were found to be.
    for _ in range(_ITERATIONS):
        rest = []
        for subnet, whole in networks.items():
            kept = [memory.kept_bytes(layer, constant_bytes[layer], peak_bytes[layer]) for layer in layers[subnet]]
            most = max(peak_bytes[layer] - stays for layer, stays in zip(layers[subnet], kept, strict=True))
            weights = sum(constant_bytes[layer] for layer in layers[subnet])
            rest.append((whole - most - (sum(kept) - memory.copies * weights)) / NOISE_BYTES)
        wanted = np.array([*rest, _COPIES / _COPIES_SPREAD])
        (network, copies), *_ = np.linalg.lstsq(system, wanted, rcond=None)
        memory = Memory(round(float(network)), max(0.0, float(copies)), runtime)
    return memory
