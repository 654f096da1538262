"""A network's peak of memory from its layers': what stays adds up, what is needed besides is a maximum."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.profile.context import whole_subnets
from toolkit.profile.counts import activation_bytes, file_bytes
from toolkit.profile.memory import NOISE_BYTES, Memory, find_memory, pointer_bytes
from toolkit.specs.front_end import FrontEndSpec
from toolkit.specs.layer import Layer, Mode
from toolkit.specs.runtime import Runtime
from toolkit.specs.space import Subnet, preset_space

SPACE, FRONT_END = preset_space("ew-ed-22x", 32), FrontEndSpec()
TAUGHT = whole_subnets(SPACE)
HELD_OUT = [subnet for subnet in SPACE.subnets() if subnet not in TAUGHT]
PROGRAM, BETWEEN = 500_000, 1_500_000


def layers_of(subnet: Subnet, mode: Mode) -> Sequence[Layer]:
    """Front end included."""
    return SPACE.layers(subnet, FRONT_END, 31, mode)


class Law:
    """Invented: kernels keep weights `copies` times, and all layers touch the same program pages."""

    def __init__(self, mode: Mode, copies: float, runtime: Runtime = "tflite") -> None:
        self.mode, self.copies, self.runtime = mode, copies, runtime
        self.layers = SPACE.all_layers(FRONT_END, 31, mode)
        self.constants = {layer: file_bytes(layer, "fp32", FRONT_END) for layer in self.layers}

    def kept(self, layer: Layer) -> float:
        """By one layer."""
        joined = 0
        if (self.runtime, self.mode, layer.operator) == ("executorch", "stream", "conv2d"):
            joined = 4 * layer.channels_in * (layer.frames + 2) * layer.bins
        return self.copies * self.constants[layer] + pointer_bytes(layer) + joined

    def needed(self, layer: Layer) -> float:
        """By one layer while it runs."""
        return activation_bytes(layer, "fp32", FRONT_END)

    def alone(self, layer: Layer) -> int:
        """Peak of one layer."""
        return round(PROGRAM + self.kept(layer) + self.needed(layer))

    def whole(self, subnet: Subnet) -> int:
        """Peak of a network."""
        layers = layers_of(subnet, self.mode)
        return round(PROGRAM + BETWEEN + sum(map(self.kept, layers)) + max(map(self.needed, layers)))

    def found(self, networks: Sequence[Subnet], noise: random.Random | None = None) -> dict[Subnet, float]:
        """Predictions of all other networks by what some of them teach."""

        def measured(value: int) -> int:
            return value + (noise.randrange(NOISE_BYTES) - NOISE_BYTES // 2 if noise else 0)

        peaks = {layer: measured(self.alone(layer)) for layer in self.layers}
        layers = {subnet: layers_of(subnet, self.mode) for subnet in networks}
        wholes = {each: measured(self.whole(each)) for each in networks}
        memory = find_memory(wholes, layers, peaks, self.constants, self.runtime)
        return {subnet: predicted(memory, layers_of(subnet, self.mode), peaks, self.constants) for subnet in HELD_OUT}


def predicted(
    memory: Memory, layers: Sequence[Layer], peaks: Mapping[Layer, int], constants: Mapping[Layer, int]
) -> float:
    """As `predict` adds a table's rows up."""
    kept = [memory.kept_bytes(layer, constants[layer], peaks[layer]) for layer in layers]  # one may stand there twice
    most = max(peaks[layer] - stays for layer, stays in zip(layers, kept, strict=True))
    return memory.network_bytes + sum(kept) + most


@pytest.mark.parametrize("mode", ["stream", "clip"])
@pytest.mark.parametrize("runtime", ["tflite", "executorch"])
@pytest.mark.parametrize("copies", [1.0, 1.5, 2.0, 2.2])
def test_an_invented_law_comes_out(mode: Mode, runtime: Runtime, copies: float) -> None:
    """Whether weights are kept once or twice, networks that taught nothing are predicted to a hundredth."""
    law = Law(mode, copies, runtime)
    for subnet, value in law.found(TAUGHT).items():
        assert value == pytest.approx(law.whole(subnet), rel=0.01)


@pytest.mark.parametrize("seed", range(10))
def test_noise_does_not_add_up_over_layers(seed: int) -> None:
    """With peaks that repeat to within 80 KiB, no network is off by more than 256 KiB."""
    law = Law("stream", 2.0)
    for subnet, value in law.found(TAUGHT, random.Random(seed)).items():
        assert abs(value - law.whole(subnet)) < 256 * 1024


def test_one_network_is_predicted_as_it_was_measured() -> None:
    """With weights believed to be kept between once and twice, the rest is the network's own."""
    law = Law("stream", 2.0)
    (subnet, *_) = HELD_OUT
    assert law.found([subnet])[subnet] == pytest.approx(law.whole(subnet), abs=10)


def test_without_networks_it_is_the_layers_alone() -> None:
    """Nothing is made up for what a network has besides."""
    assert find_memory({}, {}, {}, {}, "tflite") == Memory(network_bytes=0)


@given(
    peaks=st.lists(st.integers(0, 10**7), min_size=80, max_size=80),
    more=st.lists(st.integers(0, 10**6), min_size=80, max_size=80),
    subnet=st.sampled_from(HELD_OUT),
)
def test_a_layer_that_needs_more_never_makes_a_network_need_less(
    peaks: list[int], more: list[int], subnet: Subnet
) -> None:
    """Whatever the peaks; and a network needs at least what any of its layers does."""
    law = Law("stream", 2.0)
    memory = Memory(network_bytes=1000, copies=2.0)
    before = dict(zip(law.layers, peaks, strict=False))
    after = {layer: value + extra for (layer, value), extra in zip(before.items(), more, strict=False)}
    layers = layers_of(subnet, "stream")
    first, then = (predicted(memory, layers, each, law.constants) for each in (before, after))
    assert max(before[layer] for layer in layers) <= first <= then


def test_pointers_are_of_convolutions_and_their_places() -> None:
    """3 x 3 of them for each of 1000 x 64 places, eight bytes each, whatever the channels."""
    convolutions = [layer for layer in layers_of(SPACE.largest, "clip") if layer.operator == "conv2d"]
    assert pointer_bytes(convolutions[0]) == pointer_bytes(convolutions[1]) == 9 * 1000 * 64 * 8
    others = [layer for layer in layers_of(SPACE.largest, "clip") if layer.operator != "conv2d"]
    assert {pointer_bytes(layer) for layer in others} == {0}
