"""The supernet runs any subnet with the first channels and layers of its one set of weights, and remembers nothing."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.testing import assert_close

from tests.supernet.built import LABELS, PlainNet, known, log_mel, points, supernet
from toolkit.specs.front_end import FrontEndSpec
from toolkit.specs.space import PAPER_PRESETS, Subnet
from toolkit.supernet.supernet import ElasticConv, Supernet, batch_norm, steps


@settings(max_examples=20)
@given(data=st.data(), name=st.sampled_from(PAPER_PRESETS), seed=st.integers(0, 99))
def test_a_subnet_leaves_no_trace(data: st.DataObject, name: str, seed: int) -> None:
    """Whatever subnets ran before it, and in whatever order, a subnet scores as if it had run alone."""
    net, subnets, _ = known(name)
    drawn = data.draw(st.lists(st.sampled_from(subnets), min_size=2, max_size=4))
    frames, before = log_mel(2, 16, seed), copy.deepcopy(net.state_dict())
    together = [net(frames, subnet) for subnet in drawn]
    for subnet, logits in zip(drawn, together, strict=True):
        assert torch.equal(supernet(name)(frames, subnet), logits)
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())


@settings(max_examples=25)
@given(
    full=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    cut=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    seed=st.integers(0, 99),
)
def test_a_slice_equals_a_small_layer(full: tuple[int, int], cut: tuple[int, int], seed: int) -> None:
    """An elastic layer that runs with few channels computes what a layer of that size with the same weights does."""
    torch.manual_seed(seed)
    (channels_in, channels_out), (before, width) = full, (min(full[0], cut[0]), min(full[1], cut[1]))
    elastic = ElasticConv(channels_in, channels_out)
    nn.init.uniform_(elastic.norm_weight)
    nn.init.normal_(elastic.norm_bias)
    small = nn.Sequential(nn.Conv2d(before, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU())
    cuts = (elastic.weight[:width, :before], elastic.norm_weight[:width], elastic.norm_bias[:width])
    for parameter, value in zip(small.parameters(), cuts, strict=True):
        parameter.data = value.detach().clone()
    x = torch.randn(2, before, 5, 4)
    assert_close(elastic(x, width, batch_norm, ""), small(x), atol=1e-5, rtol=1e-5)


@settings(max_examples=25)
@given(point=points, frames=st.integers(8, 33), seed=st.integers(0, 99))
def test_a_subnet_equals_the_same_network_by_the_book(point: tuple[str, Subnet], frames: int, seed: int) -> None:
    """With the batch's own statistics a subnet equals a network of torch's layers with the weights cut by hand."""
    name, subnet = point
    net, x = known(name)[0], log_mel(3, frames, seed)
    assert_close(net(x, subnet), PlainNet(net, subnet)(x), atol=1e-4, rtol=1e-4)


@settings(max_examples=10)
@given(point=points)
def test_training_a_subnet_leaves_the_other_channels_alone(point: tuple[str, Subnet]) -> None:
    """The loss of a subnet has a gradient at its own channels and layers, and none anywhere else."""
    name, subnet = point
    net = supernet(name).requires_grad_(requires_grad=True)
    net(log_mel(4, 16, seed=1), subnet).square().sum().backward()
    blocks = ((net.space.base_width,) * 2, *subnet.blocks)
    before = 1
    for block, widths in zip(net.blocks, blocks, strict=True):
        for number, elastic in enumerate(block):
            if number >= len(widths):
                assert elastic.weight.grad is None
                continue
            gradient = elastic.weight.grad
            assert gradient is not None
            used = torch.zeros_like(gradient)
            used[: widths[number], :before] = 1
            before = widths[number]
            assert torch.count_nonzero(gradient * (1 - used)) == 0
            assert torch.count_nonzero(gradient) > 0
    assert net.hidden.weight.grad is not None
    assert torch.count_nonzero(net.hidden.weight.grad[:, before:]) == 0


@pytest.mark.parametrize("base_width", [5, 8, 12, 64])
@pytest.mark.parametrize("name", PAPER_PRESETS)
def test_every_preset_runs_at_any_base_width(name: str, base_width: int) -> None:
    """Built at any base width, its smallest and largest subnets run, and it has the parameters the space counts."""
    net = supernet(name, base_width)
    for subnet in (net.space.smallest, net.space.largest):
        assert net(log_mel(1, 8, seed=0), subnet).shape == (1, LABELS)
    front_end = FrontEndSpec(mel_bins=len(net.input_norm_weight))
    count = sum(parameter.numel() for parameter in net.parameters())
    assert count == net.space.params(net.space.largest, LABELS, front_end)


@given(point=points)
def test_paths_name_prefixes(point: tuple[str, Subnet]) -> None:
    """The path of a step is the id of the subnet as far as it has run; the last one is the subnet's own."""
    _, subnet = point
    taken = steps(subnet)
    assert taken[-1].path == subnet.id
    assert [step.width for step in taken] == [width for block in subnet.blocks for width in block]
    assert [Subnet.parse(step.path).blocks[-1][-1] for step in taken] == [step.width for step in taken]
    assert len({step.path for step in taken}) == len(taken)
    assert [step.block for step in taken if step.ends_block] == [1, 2, 3]


def test_dropout_is_for_training_alone() -> None:
    """Dropout is drawn anew in each training step when it is asked for, and never in evaluation."""
    plain = supernet("ew-only")
    dropping = Supernet(plain.space, LABELS, len(plain.input_norm_weight), dropout=True)
    dropping.load_state_dict(plain.state_dict())
    frames, largest = log_mel(4, 16, seed=3), plain.space.largest
    expected = plain(frames, largest)
    assert torch.equal(plain.train()(frames, largest), expected)
    assert torch.equal(dropping.eval()(frames, largest), expected)
    first, second = (dropping.train()(frames, largest) for _ in range(2))
    assert not torch.equal(first, second)


@settings(max_examples=15, deadline=None)
@given(data=st.data(), name=st.sampled_from(PAPER_PRESETS), seed=st.integers(0, 99))
def test_together_equals_one_by_one(data: st.DataObject, name: str, seed: int) -> None:
    """Subnets that run together, repeated ones too, have the logits and the gradients that they have one by one."""
    drawn = data.draw(st.lists(st.sampled_from(known(name)[1]), min_size=1, max_size=5))
    frames, found = log_mel(3, 16, seed).double(), []
    for together in (False, True):
        net = supernet(name).double().requires_grad_(requires_grad=True)
        logits = torch.stack(net.together(frames, drawn) if together else [net(frames, subnet) for subnet in drawn])
        logits.square().sum().backward()
        found.append([logits, *(parameter.grad for parameter in net.parameters() if parameter.grad is not None)])
    assert_close(*found, atol=1e-8, rtol=1e-6)


def test_together_runs_what_is_shared_once() -> None:
    """Layers of a common prefix run once, and so do the layers of any width right behind it."""
    net, ran = supernet("ew-ed-xxx"), list[str]()

    def normalize(x: Tensor, weight: Tensor, bias: Tensor, path: str) -> Tensor:
        ran.append(path)
        return batch_norm(x, weight, bias, path)

    subnets = [Subnet.parse(text) for text in ("16-12.12-25", "16-12.12-64.64", "6.6-32-25", "16-25-25", "16-12.12-25")]
    assert all(subnet in net.space for subnet in subnets)
    net.together(log_mel(2, 16, seed=0), subnets, normalize)
    assert ran == [
        *("input", "stem.0", "stem.1", "16"),
        *("16-25", "16-12.12", "16-12.12-64", "16-12.12-64.64"),
        *("6.6", "6.6-32", "6.6-32-25", "16-25-25"),
    ]


def test_feature_maps_and_their_gradients_are_channels_last() -> None:
    """The fast order of memory holds from the first convolution to the last, there and back."""
    net, orders = supernet("ew-ed-22x").requires_grad_(requires_grad=True), list[bool]()

    def note(x: Tensor) -> None:
        orders.append(x.is_contiguous(memory_format=torch.channels_last))

    def normalize(x: Tensor, weight: Tensor, bias: Tensor, path: str) -> Tensor:
        if path != "input":
            note(x)
            x.register_hook(note)
        return batch_norm(x, weight, bias, path)

    net(log_mel(2, 16, seed=0), net.space.largest, normalize).square().sum().backward()
    assert orders == [True] * 2 * 8
