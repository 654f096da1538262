"""int8 from given ranges in torch: what becomes int8, with which scales, how close it stays, what is refused."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from tests.lower.toys import TAPS, Toy, int8_error, signals, streaming_piece, toy_piece
from toolkit.lower.piece import Piece, Quantization, Range
from toolkit.lower.pt2e import quantize_pt2e
from toolkit.specs.errors import UserError

STEPS = 255  # between the lowest and the highest int8 value
SMALLEST_SCALE = 2.0**-20
_Q = torch.ops.quantized_decomposed
Ranges = dict[str, Range]


@pytest.fixture(scope="module")
def toy(ranges: Ranges) -> nn.Module:
    """The toy in int8."""
    return quantize_pt2e(toy_piece(), "int8", Quantization(ranges))


@pytest.fixture(scope="module")
def dynamic(ranges: Ranges) -> nn.Module:
    """The toy in dynamic int8."""
    return quantize_pt2e(toy_piece(), "int8-dynamic", Quantization(ranges))


@pytest.mark.parametrize("which", ["toy", "dynamic"])
def test_int8_scores_stay_near_float_scores(which: str, request: pytest.FixtureRequest, ranges: Ranges) -> None:
    """On noise, tones and chirps, within a step of the logits."""
    module = request.getfixturevalue(which)
    expected = torch.cat([Toy()(wave)[0] for wave in signals()])
    found = torch.cat([module(wave)[0] for wave in signals()])
    assert 0 < (found - expected).abs().max() < int8_error(ranges)


@pytest.mark.parametrize(("which", "first"), [("toy", [(8, 1, 3, 3)]), ("dynamic", [])])
def test_the_front_end_stays_float_and_the_classifier_has_int8_weights(
    which: str, first: list[tuple[int, ...]], request: pytest.FixtureRequest
) -> None:
    """Layers behind the first range, with a scale for each channel; dynamic int8 leaves one input channel float."""
    module = request.getfixturevalue(which)
    shapes = [tuple(tensor.shape) for tensor in module.state_dict().values() if tensor.dtype == torch.int8]
    assert sorted(shapes) == sorted([*first, (12, 8, 3, 3), (10, 12), (5, 10)])
    scales = _nodes(module, _Q.dequantize_per_channel.default)
    assert sorted(len(_tensor(module, node.args[1])) for node in scales) == sorted([8] * len(first) + [12, 10, 5])
    held = dict(module.named_buffers()) | dict(module.named_parameters())
    assert {held[name].dtype for name in ("cosine", "sine")} == {torch.float32}


def test_activations_have_the_given_scales(toy: nn.Module, ranges: Ranges) -> None:
    """Of what is quantized: what layers take and make. The time pooling between them stays float."""
    found = {node.args[1] for node in _nodes(toy, _Q.quantize_per_tensor.default)}
    expected = [_scale(ranges[name]) for name in TAPS if name not in ("frames", "most", "mean")]
    assert sorted(found) == pytest.approx(sorted(expected))


def test_dynamic_int8_fixes_no_scale(dynamic: nn.Module) -> None:
    """Each of the three layers looks at what it takes."""
    assert not _nodes(dynamic, _Q.quantize_per_tensor.default)
    assert len(_nodes(dynamic, _Q.choose_qparams.tensor)) == 3


@given(pair=st.tuples(st.floats(-50, 50), st.floats(-50, 50)).map(sorted))
@settings(max_examples=12)
def test_a_scale_is_the_given_range_in_255_steps_zero_included(pair: list[float]) -> None:
    """No calibration of its own: what is given is what is used, and both ends are held to half a step."""
    low, high = pair
    module = quantize_pt2e(_pool(), "int8", Quantization({"x": (low, high)}))
    for node in _nodes(module, _Q.quantize_per_tensor.default):
        _, scale, zero, lowest, highest, _ = node.args
        assert scale == pytest.approx(_scale((low, high)))
        assert lowest <= zero <= highest
        assert (lowest - zero) * scale <= low + scale
        assert (highest - zero) * scale >= high - scale
    assert len(_nodes(module, _Q.quantize_per_tensor.default)) == 2


def test_an_average_is_right_to_a_step() -> None:
    """Half a step on the way in, half on the way out."""
    x = torch.rand(1, 3, 8, 6, generator=torch.Generator().manual_seed(3)) * 4 - 2
    module = quantize_pt2e(_pool(), "int8", Quantization({"x": (-2.0, 2.0)}))
    assert (module(x) - _pool().module(x)).abs().max() <= _scale((-2.0, 2.0)) * (1 + 1e-5)


def test_operators_behind_a_named_range_can_stay_float() -> None:
    """Where int8 has to end, it ends."""
    module = quantize_pt2e(_pool(), "int8", Quantization({"x": (-2.0, 2.0)}, ["x"]))
    assert not _nodes(module, _Q.quantize_per_tensor.default)


def test_a_joined_tensor_has_the_wider_range() -> None:
    """The state and the chunk of a stream may differ in range; together they lose nothing."""
    given_ranges = {"chunk": (-1.0, 3.0), "a_state": (-2.0, 1.0), "out": (0.0, 4.0)}
    module = quantize_pt2e(streaming_piece(8), "int8", Quantization(given_ranges))
    found = {node.args[1] for node in _nodes(module, _Q.quantize_per_tensor.default)}
    assert sorted(found) == pytest.approx([_scale((0.0, 4.0)), _scale((-2.0, 3.0))])


def test_weights_of_zero_break_nothing() -> None:
    """A channel of zeros makes its bias, and a whole layer of zeros none but biases."""
    for piece, channels in ((streaming_piece(8), slice(1)), (streaming_piece(8), slice(None))):
        convolution: Any = piece.module.convolution
        convolution.weight[channels] = 0
        ranges = {"chunk": (-3.0, 3.0), "a_state": (-3.0, 3.0), "out": (0.0, 4.0)}
        found = quantize_pt2e(piece, "int8", Quantization(ranges))(*piece.example_inputs)[0][:, channels]
        expected = torch.relu(convolution.bias[channels])[None, :, None, None].expand(found.shape)
        assert (found - expected).abs().max() <= _scale((0.0, 4.0)) / 2 * (1 + 1e-5)


def test_the_piece_itself_stays_as_it_is(ranges: Ranges) -> None:
    """Its next file starts from the same floats."""
    piece = toy_piece()
    before = copy.deepcopy(piece.module.state_dict())
    quantize_pt2e(piece, "int8", Quantization(ranges))
    assert all(torch.equal(tensor, before[name]) for name, tensor in piece.module.state_dict().items())


@pytest.mark.parametrize("missing", ["entry", "second", "pooled", "hidden", "logits"])
@pytest.mark.parametrize("precision", ["int8", "int8-dynamic"])
def test_a_range_that_is_missing_is_asked_for(ranges: Ranges, missing: str, precision: Any) -> None:
    """Nothing is guessed, and nothing is left float unasked."""
    kept = {name: pair for name, pair in ranges.items() if name != missing}
    with pytest.raises(UserError, match=f"but {missing} has no range"):
        quantize_pt2e(toy_piece(), precision, Quantization(kept))


def test_a_name_that_is_not_in_the_piece_gets_the_near_miss() -> None:
    """A misspelt tap is no tap; what resembles nothing is told where names come from."""
    with pytest.raises(UserError, match=r"no tensor hiden .* Did you mean hidden\?"):
        quantize_pt2e(toy_piece(), "int8", Quantization({"hiden": (0.0, 1.0)}))
    with pytest.raises(UserError, match=r"no tensor zzz .* Name it as an input, output or tap"):
        quantize_pt2e(_pool(), "int8", Quantization({"zzz": (0.0, 1.0)}))


@pytest.mark.parametrize("pair", [(1.0, 0.0), (float("nan"), 1.0), (0.0, float("inf"))])
def test_a_range_that_is_no_range_is_refused(pair: Range) -> None:
    """Turned round, unknown or endless."""
    with pytest.raises(UserError, match="the range of x is"):
        quantize_pt2e(_pool(), "int8", Quantization({"x": pair}))


def _pool() -> Piece:
    return Piece(nn.AvgPool2d(2).eval(), (torch.zeros(1, 3, 8, 6),), ("x",), ("y",))


def _scale(pair: Range) -> float:
    return max((max(pair[1], 0.0) - min(pair[0], 0.0)) / STEPS, SMALLEST_SCALE)


def _nodes(module: Any, target: Any) -> list[Any]:
    return [node for node in module.graph.nodes if node.target is target]


def _tensor(module: nn.Module, node: Any) -> Tensor:
    found: Tensor = getattr(module, node.target)
    return found
