"""A torch module becomes an ExecuTorch file that says the same in ExecuTorch's own runtime, nearly all delegated."""

from __future__ import annotations

import pytest
import torch
from executorch.exir._serialize._program import deserialize_pte_binary
from executorch.runtime import Method, Runtime
from torch import Tensor

from tests.lower.conftest import INT8_STREAM_ERROR, Made
from tests.lower.toys import Toy, int8_error, signals, streaming_piece
from toolkit.lower.piece import Range
from toolkit.specs.runtime import Precision

PRECISIONS: list[Precision] = ["fp32", "int8", "int8-dynamic"]


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_file_scores_as_the_module_does(made: Made, ranges: dict[str, Range], precision: Precision) -> None:
    """Noise, tones and chirps: to float32's precision, in int8 within a step of the logits."""
    method = _method(made("executorch", precision, "toy"))
    expected = torch.cat([Toy()(wave)[0] for wave in signals()])
    found = torch.cat([_run(method, wave)[0] for wave in signals()])
    assert (found - expected).abs().max() < (1e-5 if precision == "fp32" else int8_error(ranges))


def test_inputs_and_outputs_stand_in_the_pieces_order(made: Made) -> None:
    """Not in the alphabet's; shapes are torch's own, the taps are no outputs."""
    about = _method(made("executorch", "fp32", "stream8")).metadata
    inputs = [tuple(about.input_tensor_meta(k).sizes()) for k in range(about.num_inputs())]
    outputs = [tuple(about.output_tensor_meta(k).sizes()) for k in range(about.num_outputs())]
    assert inputs == [(1, 3, 8, 6), (1, 3, 2, 6)]
    assert outputs == [(1, 5, 8, 6), (1, 3, 2, 6)]
    assert _method(made("executorch", "int8", "toy")).metadata.num_outputs() == 1


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_stream_says_what_the_module_says(made: Made, precision: Precision) -> None:
    """Output and next state, whose values are the chunk's last frames."""
    chunk, state = _stream_inputs(8)
    out, next_state = _run(_method(made("executorch", precision, "stream8")), chunk, state)
    expected, expected_state = streaming_piece(8).module(chunk, state)
    step = 6 / 255  # of the inputs' range
    assert (out - expected).abs().max() < (1e-5 if precision == "fp32" else INT8_STREAM_ERROR)
    assert (next_state - expected_state).abs().max() <= (step / 2 if precision == "int8" else 0) * (1 + 1e-5)


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_two_chunks_are_one_long_chunk(made: Made, precision: Precision) -> None:
    """With the state handed on; in int8 to the bit, where every scale is given."""
    chunk, state = _stream_inputs(16)
    short, long = (_method(made("executorch", precision, which)) for which in ("stream8", "stream16"))
    first, between = _run(short, chunk[:, :, :8].contiguous(), state)
    second, last = _run(short, chunk[:, :, 8:].contiguous(), between)
    whole, whole_last = _run(long, chunk, state)
    assert (torch.cat((first, second), dim=2) - whole).abs().max() <= (1e-5 if precision == "fp32" else 0)
    assert torch.equal(last, whole_last)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_all_but_the_time_pooling_is_delegated(made: Made, precision: Precision) -> None:
    """No layer falls back to a portable kernel, in dynamic int8 neither; means and maxima in time do."""
    program = deserialize_pte_binary(made("executorch", precision, "toy")).program
    (plan,) = program.execution_plan
    assert {operator.name for operator in plan.operators} == {"aten::mean", "aten::amax"}
    assert {delegate.id for delegate in plan.delegates} == {"XnnpackBackend"}


def _method(model: bytes) -> Method:
    method = Runtime.get().load_program(model).load_method("forward")
    assert method is not None
    return method


def _run(method: Method, *inputs: Tensor) -> list[Tensor]:
    """Outputs as tensors of their own: the runtime writes the next ones to the same place."""
    return [output.clone() for output in method.execute(list(inputs))]


def _stream_inputs(frames: int) -> list[Tensor]:
    """Noise inside the range that int8 was given."""
    generator = torch.Generator().manual_seed(2)
    return [torch.rand(each.shape, generator=generator) * 6 - 3 for each in streaming_piece(frames).example_inputs]
