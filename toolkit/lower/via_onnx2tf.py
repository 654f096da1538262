"""A second way to float32 TFLite files, through ONNX and onnx2tf, to check the first: both must agree.

onnx2tf lives in an environment of its own, which is installed when it is first needed. Of its two lines of releases
this is the older, which stands on TensorFlow and runs on Python 3.11. Release 2.6.9 needs Python 3.12 and no
TensorFlow, but no runtime loads what it makes of these networks: layers get tensors in the wrong layout.
Proved by tests/export/test_via_onnx2tf.py.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

from toolkit.lower.onnx import lower_onnx
from toolkit.lower.own_environment import OwnEnvironment, last_line
from toolkit.lower.piece import Piece, Quantization
from toolkit.lower.tflite import SideBySide, channels_last
from toolkit.specs.errors import UserError

ONNX2TF = OwnEnvironment("onnx2tf", Path(__file__).with_name("onnx2tf.txt"), python=(3, 11))
"""Its lock is package data, since an installed toolkit needs it too."""

_QUIET = {"CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "0"}
_COLOUR = re.compile(r"\x1b\[\d+m")
_UNKNOWN_OPERATOR = re.compile(r"(\S+) OP is not yet implemented")
_FAILED_OPERATOR = re.compile(r"onnx_op_name: (\S+)")


def lower_via_onnx2tf(piece: Piece) -> bytes:
    """A file with the names, order and layout of `lower_tflite`'s, but without the taps' names: it cannot be quantized.

    Raises:
        UserError: as `lower_onnx` and `tflite_of_onnx`.
    """
    module = SideBySide([piece]).eval()
    examples = tuple(channels_last(tensor) for tensor in piece.example_inputs)
    (model,) = lower_onnx(Piece(module, examples, piece.input_names, piece.output_names), ("fp32",), Quantization())
    return tflite_of_onnx(model, piece.input_names, piece.output_names)


def tflite_of_onnx(model: bytes, input_names: Sequence[str], output_names: Sequence[str]) -> bytes:
    """The TFLite file of an ONNX file; shapes stay as they are, names get this order.

    Raises:
        UserError: onnx2tf cannot be installed, or the conversion failed; the message names the operator.
    """
    from toolkit.lower import tflite_file

    ONNX2TF.install(note=lambda _: None)
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        (folder / "model.onnx").write_bytes(model)
        program = ONNX2TF.folder / "bin" / "onnx2tf"
        files = ("--input_onnx_file_path", "model.onnx", "--output_folder_path", ".")
        kept = ("--keep_shape_absolutely_input_names", *input_names)
        done = ONNX2TF.run((program, *files, *kept, "--output_signaturedefs", "--non_verbose"), folder, _QUIET)
        written = folder / "model_float32.tflite"
        if done.returncode or not written.exists():
            raise UserError(f"onnx2tf cannot hold the model: {_reason(done.stdout, done.stderr)}.")
        tree = tflite_file.read(written.read_bytes())
    inputs, outputs = tflite_file.signature(tree)
    if (set(inputs), set(outputs)) != (set(input_names), set(output_names)):
        raise UserError(
            f"onnx2tf calls the tensors {', '.join((*inputs, *outputs))}; "
            f"expected {', '.join((*input_names, *output_names))}. Choose names of letters, digits and _."
        )
    part = tflite_file.cut(
        tree, {name: inputs[name] for name in input_names}, {name: outputs[name] for name in output_names}, {}
    )
    foreign = {code.customCode.decode() for code in part.operatorCodes if code.customCode}
    if foreign:
        raise UserError(f"onnx2tf cannot hold the model: TFLite has no operator for {', '.join(sorted(foreign))}.")
    return tflite_file.write(part)


def _reason(stdout: str, stderr: str) -> str:
    said = _COLOUR.sub("", f"{stdout}\n{stderr}")
    if unknown := _UNKNOWN_OPERATOR.search(said):
        return f"it has no operator for {unknown[1]}"
    if failed := _FAILED_OPERATOR.search(said):
        return f"it failed at the operator {failed[1]}"
    return last_line(said)
