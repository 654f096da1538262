"""A torch module becomes an ONNX file that says the same in onnxruntime, small, and fused to int8 kernels there."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tests.lower.conftest import INT8_STREAM_ERROR, Made
from tests.lower.toys import Toy, int8_error, signals, streaming_piece
from toolkit.lower.formats import lower
from toolkit.lower.onnx import OPSET
from toolkit.lower.piece import Piece, Quantization, Range
from toolkit.specs.runtime import Precision

PRECISIONS: list[Precision] = ["fp32", "int8"]


class Repeated(nn.Module):
    """Multiplies each of 512 frames by the same small matrix, as a front end does."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("matrix", torch.arange(256.0).reshape(16, 16))

    def forward(self, x: Tensor) -> Tensor:
        """[512, 16, 16] to the same shape."""
        return torch.bmm(self.get_buffer("matrix").expand(512, -1, -1), x)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_file_scores_as_the_module_does(made: Made, ranges: dict[str, Range], precision: Precision) -> None:
    """Noise, tones and chirps: to float32's precision, in int8 within a step of the logits."""
    model = made("onnx", precision, "toy")
    expected = np.concatenate([Toy()(wave)[0].numpy() for wave in signals()])
    found = np.concatenate([_run(model, wave=wave)[0] for wave in signals()])
    assert np.abs(found - expected).max() < (1e-5 if precision == "fp32" else int8_error(ranges))


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_checker_passes_and_names_are_the_pieces(made: Made, precision: Precision) -> None:
    """In the piece's order, float32, with torch's shapes, in the opset that was asked for."""
    model = onnx.load_from_string(made("onnx", precision, "stream8"))
    onnx.checker.check_model(model, full_check=True)
    assert {entry.domain: entry.version for entry in model.opset_import}[""] == OPSET
    found = [_described(entry) for entry in (*model.graph.input, *model.graph.output)]
    assert found == [
        ("chunk", onnx.TensorProto.FLOAT, (1, 3, 8, 6)),
        ("a_state", onnx.TensorProto.FLOAT, (1, 3, 2, 6)),
        ("out", onnx.TensorProto.FLOAT, (1, 5, 8, 6)),
        ("next_state", onnx.TensorProto.FLOAT, (1, 3, 2, 6)),
    ]


@pytest.mark.parametrize("precision", PRECISIONS)
def test_two_chunks_are_one_long_chunk(made: Made, precision: Precision) -> None:
    """With the state handed on; in int8 to the bit, where every scale is given."""
    generator = torch.Generator().manual_seed(2)
    chunk, state = (torch.rand(each.shape, generator=generator) * 6 - 3 for each in streaming_piece(16).example_inputs)
    short, long = (made("onnx", precision, which) for which in ("stream8", "stream16"))
    first, between = _run(short, chunk=chunk[:, :, :8], a_state=state)
    second, last = _run(short, chunk=chunk[:, :, 8:], a_state=torch.from_numpy(between))
    whole, whole_last = _run(long, chunk=chunk, a_state=state)
    assert np.abs(np.concatenate((first, second), axis=2) - whole).max() <= (1e-5 if precision == "fp32" else 0)
    assert np.array_equal(last, whole_last)
    expected, _ = streaming_piece(16).module(chunk, state)
    assert np.abs(whole - expected.numpy()).max() < (1e-5 if precision == "fp32" else INT8_STREAM_ERROR)


def test_int8_layers_become_int8_kernels(made: Made, tmp_path: Path) -> None:
    """onnxruntime melts each layer of the classifier with the pairs around it, and none of the front end."""
    options = _options()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    onnxruntime.InferenceSession(made("onnx", "int8", "toy"), options)
    found = Counter(node.op_type for node in onnx.load(tmp_path / "optimized.onnx").graph.node)
    assert (found["QLinearConv"], found["QGemm"], found["MatMul"]) == (2, 2, 2)
    assert found["Conv"] + found["Gemm"] == 0


def test_a_matrix_that_many_frames_share_is_stored_once() -> None:
    """Not once for each frame: the file of a clip would be larger by a megabyte."""
    x = torch.rand(512, 16, 16, generator=torch.Generator().manual_seed(4))
    module = Repeated().eval()
    (model,) = lower("onnx", Piece(module, (x,), ("x",), ("y",)), ["fp32"], Quantization())
    assert len(model) < 2 * 256 * 4
    assert _run(model, x=x)[0] == pytest.approx(module(x).numpy(), rel=1e-5)


def test_a_file_holds_nothing_of_the_machine_that_made_it(made: Made) -> None:
    """No paths and no traces of the source: the same everywhere, and small."""
    model = made("onnx", "fp32", "toy")
    assert b".py" not in model
    assert Path.cwd().name.encode() + b"/" not in model
    weights = sum(tensor.numel() for tensor in Toy().state_dict().values()) * 4
    assert len(model) < 1.5 * weights


def _run(model: bytes, **inputs: Tensor) -> list[NDArray[np.float32]]:
    session = onnxruntime.InferenceSession(model, _options())
    outputs: list[NDArray[np.float32]] = session.run(None, {name: value.numpy() for name, value in inputs.items()})
    return outputs


def _options() -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3  # it warns that a file optimized for this machine is not for others
    return options


def _described(entry: onnx.ValueInfoProto) -> tuple[str, int, tuple[int, ...]]:
    held = entry.type.tensor_type
    return entry.name, held.elem_type, tuple(dimension.dim_value for dimension in held.shape.dim)
