"""Smaller files from given ranges: what becomes int8 or float16, with which scales, how close, what is refused."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
import torch
from ai_edge_litert.interpreter import Interpreter
from hypothesis import given
from hypothesis import strategies as st

from tests.lower.conftest import Made
from tests.lower.toys import Toy, int8_error, run, signals, streaming_piece
from toolkit.lower import tflite_file
from toolkit.lower.piece import Quantization
from toolkit.lower.tflite_quantize import quantize_tflite
from toolkit.specs.errors import UserError
from toolkit.specs.runtime import Precision

STEPS = 255  # between the lowest and the highest int8 value


@pytest.fixture(scope="module")
def toy(files: dict[str, bytes], ranges: dict[str, tuple[float, float]]) -> bytes:
    """The toy in int8."""
    return quantize_tflite(files["toy"], "int8", Quantization(ranges))


def test_int8_scores_stay_near_float_scores(toy: bytes) -> None:
    """On noise, tones and chirps, within a tenth of what the scores move from signal to signal."""
    expected = np.concatenate([Toy()(wave)[0].numpy() for wave in signals()])
    found = np.concatenate([run(toy, wave=wave)["scores"] for wave in signals()])
    assert np.abs(found - expected).max() < 0.1 * np.ptp(expected, axis=0).max()


def test_the_front_end_stays_float_and_the_classifier_is_int8(toy: bytes) -> None:
    """Matrix products before the first range keep float weights; those behind it have int8 ones; scores are float."""
    weights = {name: types for name, types in _operators(toy).items() if name.startswith(("FULLY", "BATCH", "CONV"))}
    front, classifier = list(weights.values())[:2], list(weights.values())[2:]
    assert all(np.int8 not in types for types in front)
    assert len(classifier) == 3
    assert all(types[:2] == [np.int8, np.int8] for types in classifier)
    interpreter = Interpreter(model_content=toy)
    (wave,), (scores,) = interpreter.get_input_details(), interpreter.get_output_details()
    assert (wave["name"], wave["dtype"], scores["name"], scores["dtype"]) == ("wave", np.float32, "scores", np.float32)


def test_weights_have_a_scale_for_each_channel_and_activations_one(toy: bytes) -> None:
    """Per channel and per tensor, as the runtimes' kernels want them."""
    scales = {entry["name"]: entry["quantization_parameters"]["scales"] for entry in _tensors(toy)}
    assert [len(scales[name]) for name in ("first", "second", "frames", "hidden", "logits")] == [1] * 5
    kernels = [entry for entry in _tensors(toy) if tuple(entry["shape"]) == (12, 3, 3, 8)]
    assert [len(scales[entry["name"]]) for entry in kernels] == [12]


@pytest.mark.parametrize(("precision", "held"), [("fp16", np.float16), ("int8-dynamic", np.int8)])
def test_only_weights_change_where_activations_have_no_fixed_scale(
    made: Made, precision: Precision, held: type[np.generic]
) -> None:
    """Of convolutions and linear layers behind the first range; what they take and make stays float32.

    So does the first convolution: with its one input channel it is a depthwise one.
    """
    model = made("tflite", precision, "toy")
    entries = {entry["name"]: entry for entry in _tensors(model)}
    smaller = sorted(tuple(entry["shape"]) for entry in entries.values() if entry["dtype"] == held)
    assert smaller == [(5, 10), (10, 12), (12, 3, 3, 8)]
    assert all(entries[name]["dtype"] == np.float32 for name in ("entry", "first", "second", "hidden", "scores"))


def test_float16_weights_stay_nearer_than_dynamic_int8(made: Made, ranges: dict[str, Any]) -> None:
    """The one to their 11 bits, the other to a step of the logits."""
    expected = np.concatenate([Toy()(wave)[0].numpy() for wave in signals()])
    error = {
        precision: np.abs(np.concatenate([run(model, wave=wave)["scores"] for wave in signals()]) - expected).max()
        for precision, model in (
            ("fp16", made("tflite", "fp16", "toy")),
            ("int8-dynamic", made("tflite", "int8-dynamic", "toy")),
        )
    }
    assert error["fp16"] < 1e-3
    assert error["fp16"] < error["int8-dynamic"] < int8_error(ranges)


@given(low=st.floats(-50, -0.1), high=st.floats(0.1, 50))
def test_a_tensors_scale_is_the_given_range_in_255_steps(files: dict[str, bytes], low: float, high: float) -> None:
    """No calibration of its own: what is given is what is used."""
    given_ranges = {"chunk": (low, high), "a_state": (low, high), "out": (0.0, high)}
    model = quantize_tflite(files["stream8"], "int8", Quantization(given_ranges))
    scales = {entry["name"]: entry["quantization_parameters"]["scales"] for entry in _tensors(model)}
    assert scales["out_int8"] == pytest.approx(high / STEPS)
    assert scales["next_state_int8"] == pytest.approx((high - low) / STEPS)


def test_a_state_survives_the_way_out_and_in(files: dict[str, bytes]) -> None:
    """Two chunks with the float state handed on equal one long chunk, to the bit."""
    generator = torch.Generator().manual_seed(2)
    chunk, state = (torch.randn(example.shape, generator=generator) for example in streaming_piece(16).example_inputs)
    both = {"chunk": (-3.0, 3.0), "a_state": (-3.0, 3.0), "out": (0.0, 4.0)}
    short, long = (quantize_tflite(files[name], "int8", Quantization(both)) for name in ("stream8", "stream16"))
    first = run(short, chunk=chunk[:, :, :8], a_state=state)
    second = run(short, chunk=chunk[:, :, 8:], a_state=first["next_state"])
    whole = run(long, chunk=chunk, a_state=state)
    assert np.array_equal(np.concatenate((first["out"], second["out"]), axis=1), whole["out"])
    assert np.array_equal(second["next_state"], whole["next_state"])


def test_average_pools_become_convolutions_that_average(files: dict[str, bytes]) -> None:
    """XNNPACK has no int8 average pool; the result is the average to half a step."""
    model = quantize_tflite(files["pool"], "int8", Quantization({"x": (-2.0, 2.0)}))
    assert "AVERAGE_POOL_2D" not in " ".join(_operators(model))
    x = torch.rand(1, 3, 8, 6, generator=torch.Generator().manual_seed(3)) * 4 - 2
    expected = run(files["pool"], x=x)["y"]
    entering_and_leaving = 2 * (4.0 / STEPS) / 2
    assert np.abs(run(model, x=x)["y"] - expected).max() <= entering_and_leaving * (1 + 1e-5)


def test_operators_behind_a_named_range_can_stay_float(files: dict[str, bytes], ranges: dict[str, Any]) -> None:
    """The time pooling in float, the layers around it in int8."""
    kept = {name: pair for name, pair in ranges.items() if name not in {"most", "mean"}}
    operators = _operators(quantize_tflite(files["toy"], "int8", Quantization(kept, ["frames"])))
    pooling = [types for name, types in operators.items() if name.startswith(("REDUCE_MAX", "ADD"))]
    assert all(np.int8 not in types for types in pooling[-2:])
    assert [types[1] for name, types in operators.items() if name.startswith("FULLY")][-2:] == [np.int8, np.int8]
    untouched = quantize_tflite(files["pool"], "int8", Quantization({"x": (-2.0, 2.0)}, ["x"]))
    assert _operators(untouched) == _operators(files["pool"])


@pytest.mark.parametrize("missing", ["entry", "second", "mean", "pooled", "hidden"])
def test_a_range_that_is_missing_is_asked_for(files: dict[str, bytes], ranges: dict[str, Any], missing: str) -> None:
    """Nothing is guessed, and nothing is left float unasked."""
    with pytest.raises(UserError, match=f"but {missing} has no range"):
        quantize_tflite(
            files["toy"], "int8", Quantization({name: pair for name, pair in ranges.items() if name != missing})
        )


def test_a_name_that_is_not_in_the_file_gets_the_near_miss(files: dict[str, bytes]) -> None:
    """A misspelt tap is no tap."""
    with pytest.raises(UserError, match=r"no tensor hiden .* Did you mean hidden\?"):
        quantize_tflite(files["toy"], "int8", Quantization({"hiden": (0.0, 1.0)}))


@pytest.mark.parametrize("pair", [(1.0, 0.0), (float("nan"), 1.0), (0.0, float("inf"))])
def test_a_range_that_is_no_range_is_refused(files: dict[str, bytes], pair: tuple[float, float]) -> None:
    """Turned round, unknown or endless."""
    with pytest.raises(UserError, match="the range of x is"):
        quantize_tflite(files["pool"], "int8", Quantization({"x": pair}))


def test_a_missing_library_names_the_extra(monkeypatch: pytest.MonkeyPatch, files: dict[str, bytes]) -> None:
    """On a board without converters the message says what to install."""
    monkeypatch.setitem(sys.modules, "ai_edge_quantizer", None)
    with pytest.raises(UserError, match=r"ai_edge_quantizer.*aec-toolkit\[export\]"):
        quantize_tflite(files["pool"], "int8", Quantization({"x": (0.0, 1.0)}))


def _tensors(model: bytes) -> list[dict[str, Any]]:
    interpreter = Interpreter(model_content=model)
    details: list[dict[str, Any]] = interpreter.get_tensor_details()
    return details


def _operators(model: bytes) -> dict[str, list[Any]]:
    """Types of what each operator takes, by its name and place."""
    types = {entry["index"]: entry["dtype"] for entry in _tensors(model)}
    tree = tflite_file.read(model)
    return {
        f"{tflite_file.operator_name(tree, operator)} {place}": [types[k] for k in operator.inputs if k >= 0]
        for place, operator in enumerate(tree.subgraphs[0].operators)
    }
