"""The layers of a network, each a module of its own, compute one after the other what the network computes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor, nn

from tests.supernet.built import LABELS, MEL_BINS, known
from toolkit.export.modules import piece
from toolkit.frontend import LogMel
from toolkit.specs.front_end import FrontEndSpec
from toolkit.specs.layer import Layer, Mode
from toolkit.specs.space import Subnet
from toolkit.supernet.layers import LayerModule, layer_module
from toolkit.supernet.static import StaticNet

FRONT_END = FrontEndSpec(mel_bins=MEL_BINS)
SPACE = "ew-ed-xxx"
SUBNETS = ("16.16-32.32-64.64", "6.6-12-64", "9-19.19-25", "16-12-38.38")
"""Blocks of one convolution let other poolings wait than blocks of two."""


@dataclass
class Link:
    """A layer of the chain, the frames before it that its input counts, and the state that it left."""

    layer: Layer
    made: LayerModule
    halvings: int
    state: dict[str, Tensor] = field(default_factory=dict)

    def run(self, x: Tensor, seen: int) -> Tensor:
        """What goes to the next layer; `seen` counts log-mel frames before the chunk."""
        features = torch.tensor([seen / 2**self.halvings])
        counts = {"frames_seen": features, "features_seen": features}
        if self.layer.operator == "global_pool":
            counts["frames_seen"] = torch.tensor([float(seen)])
        given = {"x": x} | counts | self.state
        results = self.made.module(*(given.get(name, zeros) for name, zeros in self.made.inputs.items()))
        named = dict(zip(self.made.outputs, results if isinstance(results, tuple) else (results,), strict=False))
        self.state = {name.removeprefix("new_"): value for name, value in named.items() if name != "y"}
        assert self.state.pop("frames_seen", torch.tensor([seen + 96.0])) == seen + 96
        return named["y"]


def chain(net: StaticNet, mode: Mode) -> list[Link]:
    """The layers of a subnet with the network's own weights."""
    late, halvings = LogMel(FRONT_END).delay_frames, 0
    parts: dict[str, list[nn.Module]] = {"scale": [net.scale], "conv2d": [*net.convs], "linear": [net.hidden, net.head]}
    links = []
    for layer in known(SPACE)[0].space.layers(net.subnet, FRONT_END, LABELS, mode):
        part = parts[layer.operator].pop(0) if layer.operator in parts else None
        made = layer_module(layer, FRONT_END, head=part is net.head, late_frames=late)
        if part is not None:
            (own,) = (module for module in made.module.modules() if type(module) is type(part))
            own.load_state_dict(part.state_dict())
        links.append(Link(layer, made, halvings))
        if layer.operator == "avg_pool2d":
            late, halvings = (late + 1) // 2, halvings + 1
        late += layer.operator == "conv2d"
    return links


def through(links: Sequence[Link], x: Tensor, seen: int = 0) -> Tensor:
    """What the last layer gives."""
    for link in links:
        x = link.run(x, seen)
    return x


@pytest.fixture(params=SUBNETS)
def net(request: pytest.FixtureRequest) -> StaticNet:
    """A subnet with norms that are far from trivial."""
    supernet, _, norms = known(SPACE)
    return StaticNet.extract(supernet, Subnet.parse(request.param), norms)


@torch.no_grad()
def test_the_layers_of_a_clip_are_the_whole(net: StaticNet) -> None:
    """From 10 s of samples to scores."""
    samples = torch.randn(1, 320_000, generator=torch.Generator().manual_seed(1))
    scores, *_ = piece("clip", LogMel(FRONT_END), net).module(samples)
    assert torch.equal(through(chain(net, "clip"), samples), scores)


@torch.no_grad()
def test_the_layers_of_a_stream_are_the_whole(net: StaticNet) -> None:
    """Chunk by chunk, from a stream's first on, with borders, masks, frames that wait, and the window."""
    whole, links = piece("stream", LogMel(FRONT_END), net), chain(net, "stream")
    draw, state = torch.Generator().manual_seed(2), whole.example_inputs[1:]
    for number in range(3):
        samples = torch.randn(1, 96 * 320, generator=draw)
        scores, _, *rest = whole.module(samples, *state)
        state = rest[: len(state)]
        assert torch.equal(through(links, samples, 96 * number), scores), number


def test_a_network_of_whole_blocks_is_what_a_layer_is_taken_from() -> None:
    """Not told how late its input is, a layer has the inputs that it has in the largest network."""
    supernet, _, norms = known(SPACE)
    for link in chain(StaticNet.extract(supernet, supernet.space.largest, norms), "stream"):
        assert list(layer_module(link.layer, FRONT_END).inputs) == list(link.made.inputs), link.layer.name
