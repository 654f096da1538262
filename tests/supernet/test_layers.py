"""The layers of a network, each a module of its own, compute one after the other what the network computes."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.supernet.built import LABELS, MEL_BINS, known
from toolkit.export.modules import piece
from toolkit.frontend import LogMel
from toolkit.specs.front_end import FrontEndSpec
from toolkit.specs.layer import Layer, Mode
from toolkit.specs.space import Subnet
from toolkit.supernet.chain import chain_module
from toolkit.supernet.layers import LayerModule, layer_module
from toolkit.supernet.static import Conv, Scale, StaticNet

FRONT_END = FrontEndSpec(mel_bins=MEL_BINS)
SPACE = "ew-ed-xxx"
SUBNETS = ("16.16-32.32-64.64", "6.6-12-64", "9-19.19-25", "16-12-38.38")
"""Blocks of one convolution let other poolings wait than blocks of two."""


def chain(net: StaticNet, mode: Mode) -> LayerModule:
    """The layers of a subnet with the network's own weights."""
    made = chain_module(layers(net, mode), FRONT_END)
    own = [module for module in made.module.modules() if isinstance(module, Scale | Conv | nn.Linear)]
    for module, part in zip(own, (net.scale, *net.convs, net.hidden, net.head), strict=True):
        module.load_state_dict(part.state_dict())
    return made


def layers(net: StaticNet, mode: Mode) -> tuple[Layer, ...]:
    """The descriptions of a subnet."""
    return known(SPACE)[0].space.layers(net.subnet, FRONT_END, LABELS, mode)


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
    found, *_ = chain(net, "clip").module(samples)
    assert torch.equal(found, scores)


@torch.no_grad()
def test_the_layers_of_a_stream_are_the_whole(net: StaticNet) -> None:
    """Chunk by chunk, from a stream's first on, with borders, masks, frames that wait, and the window."""
    whole, links = piece("stream", LogMel(FRONT_END), net), chain(net, "stream")
    draw, state = torch.Generator().manual_seed(2), whole.example_inputs[1:]
    own_state = [torch.zeros_like(tensor) for name, tensor in links.inputs.items() if name != "x"]
    for number in range(3):
        samples = torch.randn(1, 96 * 320, generator=draw)
        scores, _, *rest = whole.module(samples, *state)
        found, *own_rest = links.module(samples, *own_state)
        state, own_state = rest[: len(state)], own_rest[: len(own_state)]
        assert torch.equal(found, scores), number


def test_a_layer_is_that_of_whole_blocks() -> None:
    """Not told how late its input is, it takes the state that it takes in the largest network."""
    supernet, _, norms = known(SPACE)
    net = StaticNet.extract(supernet, supernet.space.largest, norms)
    alone = [
        f"{name}{place}"
        for place, layer in enumerate(layers(net, "stream"))
        for name in layer_module(layer, FRONT_END).inputs
        if name not in ("x", "frames_seen", "features_seen")
    ]
    assert alone == [name for name in chain(net, "stream").inputs if name not in ("x", "frames_seen")]
