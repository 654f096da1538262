"""Static int8 of a TFLite file from given activation ranges, by ai-edge-quantizer: no calibration data, no converter.

Weights become int8 per channel, activations int8 per tensor; inputs and outputs of the file stay float32. The ranges
say which part: an operator is int8 when its activations have ranges, so a front end before the first one stays float.
Proved by tests/lower/test_tflite_int8.py.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from toolkit.specs.errors import UserError

Range = tuple[float, float]  # lowest and highest value of an activation

_FLOAT32 = 0  # TensorType of the schema
_KEEPS_RANGE = frozenset({"AVERAGE_POOL_2D", "MAX_POOL_2D", "SLICE", "STRIDED_SLICE", "PAD"})  # input scale = output scale
_STAYS_FLOAT = frozenset({"LOGISTIC"})  # the last step costs nothing, and float scores are not rounded to 1/256
_MUST_BE_INT8 = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D"})


def quantize_int8(model: bytes, ranges: Mapping[str, Range]) -> bytes:
    """The int8 version of a float32 file. The same file and ranges give the same bytes.

    Args:
        model: a file of `lower_tflite`.
        ranges: lowest and highest value of the piece's inputs, outputs and taps, by name. Reshapes, transposes, pools,
            slices, paddings and concatenations hand on the ranges of what they take.

    Raises:
        UserError: the library is missing, a name is not in the file, a range is not finite and rising, or a tensor
            in the int8 part has no range.
    """
    try:
        from ai_edge_quantizer import model_modifier, params_generator, qtyping, recipe_manager

        from toolkit.lower import tflite_file
    except ImportError as error:
        raise UserError(
            f"making int8 files needs {error.name}. Install it with: pip install 'aec-toolkit[export]'"
        ) from error
    tree = tflite_file.read(model)
    tensors = tree.subgraphs[0].tensors
    known = _handed_on(tree, _given(tensors, ranges))
    scopes = [  # the quantizer knows an operator by the names of its outputs
        re.escape("".join(f"{tensors[index].name.decode()};" for index in operator.outputs))
        for operator in _int8_operators(tree, known)
    ]
    recipe = recipe_manager.RecipeManager()
    recipe.add_static_config(
        f"^(?:{'|'.join(scopes)})$",
        qtyping.TFLOperationName.ALL_SUPPORTED,
        activation_num_bits=8,
        weight_num_bits=8,
    )
    statistics = {
        tensors[index].name.decode(): {"min": _number(low, tensors[index]), "max": _number(high, tensors[index])}
        for index, (low, high) in known.items()
    }
    parameters = params_generator.ParamsGenerator(tree).generate_quantization_parameters(
        recipe, statistics, enable_progress_bar=False
    )
    quantized = model_modifier.ModelModifier(tree).modify_model(parameters, enable_progress_bar=False)
    return tflite_file.write(tflite_file.read(bytes(quantized)))


def _given(tensors: Sequence[Any], ranges: Mapping[str, Range]) -> dict[int, Range]:
    """Ranges by tensor index."""
    indices = {tensor.name.decode(): index for index, tensor in enumerate(tensors)}
    for name, (low, high) in ranges.items():
        if name not in indices:
            near = difflib.get_close_matches(name, indices, n=1)
            hint = f" Did you mean {near[0]}?" if near else " Name it as an input, output or tap of the piece."
            raise UserError(f"no tensor {name} in the TFLite file to give a range to.{hint}")
        if not (math.isfinite(low) and math.isfinite(high) and low <= high):
            raise UserError(f"range of {name} is {low} to {high}, expected finite and rising numbers. Measure it anew.")
    return {indices[name]: (float(low), float(high)) for name, (low, high) in ranges.items()}


def _handed_on(tree: Any, given: Mapping[int, Range]) -> dict[int, Range]:
    """`given` and the ranges that follow from it."""
    from toolkit.lower.tflite_file import MOVES_VALUES, operator_name

    known = dict(given)
    operators = [(operator_name(tree, operator), operator) for operator in tree.subgraphs[0].operators]
    for name, operator in reversed(operators):
        if name in MOVES_VALUES and operator.outputs[0] in known:
            known.setdefault(operator.inputs[0], known[operator.outputs[0]])
    for name, operator in operators:
        if name in MOVES_VALUES | _KEEPS_RANGE and operator.inputs[0] in known:
            known.setdefault(operator.outputs[0], known[operator.inputs[0]])
        elif name == "CONCATENATION" and known.keys() >= set(operator.inputs):
            lows, highs = zip(*(known[index] for index in operator.inputs), strict=True)
            known.setdefault(operator.outputs[0], (min(lows), max(highs)))
    return known


def _int8_operators(tree: Any, known: Mapping[int, Range]) -> list[Any]:
    """Operators whose activations all have a range.

    Raises:
        UserError: an operator stands in the int8 part and one of its activations has no range.
    """
    from toolkit.lower.tflite_file import operator_name

    tensors = tree.subgraphs[0].tensors
    chosen = []
    for operator in tree.subgraphs[0].operators:
        name = operator_name(tree, operator)
        activations = [
            index
            for index in (*operator.inputs, *operator.outputs)
            if index >= 0 and tensors[index].type == _FLOAT32 and tree.buffers[tensors[index].buffer].data is None
        ]
        missing = [tensors[index].name.decode() for index in activations if index not in known]
        if not missing:
            chosen.append(operator)
        elif name in _MUST_BE_INT8 or (name not in _STAYS_FLOAT and known.keys() & set(operator.inputs)):
            raise UserError(
                f"{name} is to be int8, but {' and '.join(missing)} has no range. Add a tap there and give its range."
            )
    return chosen


def _number(value: float, tensor: Any) -> Any:
    """A number in the shape that the quantizer's own calibration gives it."""
    return np.full((1,) * len(tensor.shape), value, dtype=np.float32)
