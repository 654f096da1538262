"""The layers of a subnet one after the other as one module: what the sum of their costs is to be the cost of.

Not how a network is exported: that is `toolkit.export.modules`, with a Run's weights; the operators are the same.
Axis letters: B batch. Proved by tests/supernet/test_layers.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from toolkit.frontend import LogMel
from toolkit.specs.front_end import FrontEndSpec
from toolkit.specs.layer import Layer
from toolkit.supernet.layers import COUNT, FEATURES, LayerModule, layer_module
from toolkit.supernet.streaming import SEEN_LIMIT


def chain_module(layers: Sequence[Layer], front_end: FrontEndSpec) -> LayerModule:
    """The layers of a subnet one after the other as one module: the whole network, whose cost theirs should sum to.

    Names are the layers' with their places behind them; `x`, `y`, and the count of frames are the network's own.
    """
    late, links = LogMel(front_end).delay_frames, []
    for place, layer in enumerate(layers):
        links.append(layer_module(layer, front_end, head=place == len(layers) - 1, late_frames=late))
        late = (late + 1) // 2 if layer.operator == "avg_pool2d" else late + (layer.operator == "conv2d")
    return _chained(links, halves=[layer.operator == "avg_pool2d" for layer in layers])


def _chained(links: Sequence[LayerModule], halves: Sequence[bool]) -> LayerModule:
    inputs, states, taps, float_after = {"x": links[0].inputs["x"]}, [], [], []
    for place, link in enumerate(links):
        for name, tensor in link.inputs.items():
            if name not in ("x", COUNT, FEATURES):
                inputs[f"{name}{place}"] = tensor
                states.append(f"{name}{place}")
        taken = place + 1 < len(links) and "x" in links[place + 1].quantized
        taps += [f"{name}{place}" for name in link.taps]
        if place + 1 < len(links) and not halves[place] and ("y" in link.quantized or taken):
            taps.append(f"y{place}")
            float_after += [] if taken else [f"y{place}"]
        float_after += [f"{name}{place}" for name in link.float_after]
    if any(COUNT in link.inputs for link in links):
        inputs[COUNT] = torch.full((1,), SEEN_LIMIT)
        states.append(COUNT)
    ranged = tuple(name for link, place in zip(links, range(len(links)), strict=True) for name in _ranged(link, place))
    outputs = ("y", *(f"new_{name}" for name in states))
    chain = _Chain(links, halves, tuple(inputs), outputs, tuple(taps)).eval()
    return LayerModule(
        chain, inputs, outputs, tuple(taps), (*ranged, *(t for t in taps if t[0] == "y")), tuple(float_after)
    )


def _ranged(link: LayerModule, place: int) -> Iterator[str]:
    return (f"{name}{place}" for name in link.quantized if name not in ("x", "y"))


class _Chain(nn.Module):
    """Layers in a row, with the state of all of them."""

    def __init__(
        self,
        links: Sequence[LayerModule],
        halves: Sequence[bool],
        inputs: tuple[str, ...],
        outputs: tuple[str, ...],
        taps: tuple[str, ...],
    ) -> None:
        super().__init__()
        self.parts = nn.ModuleList(link.module for link in links)
        self.given = [tuple(link.inputs) for link in links]
        self.made = [(*link.outputs, *link.taps) for link in links]
        self.halves, self.input_names, self.result_names = list(halves), inputs, (*outputs, *taps)

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        old = dict(zip(self.input_names, tensors, strict=True))
        x, seen = old["x"], old.get(COUNT)
        new: dict[str, Tensor] = {}
        for place, (part, given, made) in enumerate(zip(self.parts, self.given, self.made, strict=True)):
            known = {"x": x, FEATURES: seen, COUNT: old.get(COUNT) if FEATURES in given else seen}
            results = part(*(known[name] if name in known else old[f"{name}{place}"] for name in given))
            named = dict(zip(made, results if isinstance(results, tuple) else (results,), strict=True))
            new |= {name if name == f"new_{COUNT}" else f"{name}{place}": value for name, value in named.items()}
            x = named["y"]
            if self.halves[place] and seen is not None:
                seen = seen / 2
        return tuple((new | {"y": x})[name] for name in self.result_names)
