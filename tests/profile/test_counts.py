"""Counts against the things that are counted: the front end's matrices, the network's weights."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.frontend import LogMel
from toolkit.profile.counts import activation_bytes, file_bytes, front_end_counts, macs
from toolkit.specs.front_end import FrontEndSpec
from toolkit.specs.layer import Layer, Mode
from toolkit.specs.space import preset_space
from toolkit.supernet.static import StaticNet

SPECS = (
    FrontEndSpec(),
    FrontEndSpec(sample_rate_hz=16_000, window_samples=512, hop_samples=160, f_max_hz=8000.0),
    FrontEndSpec(window_samples=1000, hop_samples=250, mel_bins=40, f_min_hz=300.0, f_max_hz=3400.0),
)


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: f"{spec.window_samples}-{spec.mel_bins}")
def test_front_end_is_counted_as_it_computes(spec: FrontEndSpec) -> None:
    """Constants are those of `LogMel`; each frame is one product with every matrix, the first for each column."""
    size = {name: buffer.numel() for name, buffer in LogMel(spec).named_buffers()}
    groups, twice_columns, _ = LogMel(spec).get_buffer("_second_real").shape
    first = sum(numel for name, numel in size.items() if name.startswith("_first"))
    counts = front_end_counts(spec)
    assert counts.constants == sum(size.values())
    others = size["_second_real"] + size["_second_imag"] + size["_mel"]
    assert counts.macs_per_frame == first * twice_columns // 2 + others
    assert counts.numbers_per_frame == groups * twice_columns


@pytest.mark.parametrize("text", ["smallest", "largest"])
def test_float_constants_are_four_bytes_for_each_weight_of_the_folded_network(text: str) -> None:
    """The rows of a subnet add up to the network that is exported."""
    space, spec = preset_space("ew-ed-22x", 16), FrontEndSpec()
    subnet = space.parse(text)
    layers = space.layers(subnet, spec, 31)[1:]
    net = StaticNet(space, subnet, 31, spec.mel_bins)
    assert sum(file_bytes(layer, "fp32", spec) for layer in layers) == 4 * sum(p.numel() for p in net.parameters())


def test_int8_takes_a_byte_for_each_weight() -> None:
    """And 28 bytes for each channel: its bias, and the scales and zero points of weights and bias."""
    conv = Layer(operator="conv2d", channels_in=32, channels_out=64, frames=96, bins=64, kernel=3)
    assert file_bytes(conv, "int8", FrontEndSpec()) == 9 * 32 * 64 + 64 * 28


@given(st.integers(1, 64), st.integers(1, 64), st.sampled_from(["clip", "stream"]))
def test_activations_are_what_enters_and_what_leaves(channels_in: int, channels_out: int, mode: Mode) -> None:
    """One byte a number in int8, four in float; a streaming convolution enters with its border of two frames."""
    conv = Layer(
        operator="conv2d", channels_in=channels_in, channels_out=channels_out, frames=10, bins=8, kernel=3, mode=mode
    )
    frames_in = 12 if mode == "stream" else 10
    expected = 8 * (frames_in * channels_in + 10 * channels_out)
    assert activation_bytes(conv, "int8", FrontEndSpec()) == expected
    assert activation_bytes(conv, "fp32", FrontEndSpec()) == 4 * expected


def test_a_pool_leaves_a_quarter_and_a_global_pool_its_channels() -> None:
    """Shapes behind the layer are those of its output."""
    pool = Layer(operator="avg_pool2d", channels_in=3, channels_out=3, frames=10, bins=8, kernel=2, stride=2)
    assert activation_bytes(pool, "int8", FrontEndSpec()) == 3 * (80 + 20)
    last = Layer(operator="global_pool", channels_in=3, channels_out=3, frames=10, bins=8)
    assert activation_bytes(last, "int8", FrontEndSpec()) == 3 * 80 + 3


def test_what_stands_before_the_network_is_float_in_every_precision() -> None:
    """The front end and the input norm cost the same bytes in an int8 network."""
    spec = FrontEndSpec()
    for layer in preset_space("ew-ed-22x", 8).layers(preset_space("ew-ed-22x", 8).smallest, spec, 4, "stream")[:2]:
        assert file_bytes(layer, "int8", spec) == file_bytes(layer, "fp32", spec)
        assert activation_bytes(layer, "int8", spec) == activation_bytes(layer, "fp32", spec)


def test_the_front_end_has_macs_where_a_plain_layer_has_none() -> None:
    """A chunk of 96 frames costs 96 times a frame."""
    front = Layer(operator="front_end", channels_in=1, channels_out=1, frames=96, bins=64, mode="stream")
    assert front.macs == 0
    assert macs(front, FrontEndSpec()) == 96 * front_end_counts(FrontEndSpec()).macs_per_frame
