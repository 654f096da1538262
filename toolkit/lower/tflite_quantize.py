"""Smaller TFLite files from a float32 one, by ai-edge-quantizer: int8 from given activation ranges, int8 with ranges
found as it runs, float16 weights. No calibration data, no converter.

Inputs and outputs of the file stay float32. The ranges say which part is changed: an operator whose activations have
ranges, so a front end before the first one stays as it is. Proved by tests/lower/test_tflite_quantize.py.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from toolkit.lower.converting import converting
from toolkit.lower.piece import Quantization, Range
from toolkit.specs.runtime import Precision


def quantize_tflite(model: bytes, precision: Precision, quantization: Quantization) -> bytes:
    """The smaller version of a float32 file. The same file and ranges give the same bytes.

    Args:
        model: a file of `lower_tflite`.
        precision: `int8`, with weights per channel and activations per tensor; `int8-dynamic`, or `fp16`.
        quantization: ranges by the names of the piece's inputs, outputs and taps.

    Raises:
        UserError: the library is missing, a name is not in the file, a range is not finite and rising, or a tensor
            in the int8 part has no range.
    """
    with converting(precision, "the model"):
        from ai_edge_quantizer import model_modifier, params_generator

        from toolkit.lower import tflite_file, tflite_ranges
    tree = tflite_file.read(model)
    tensors = tree.subgraphs[0].tensors
    given = tflite_ranges.by_index(tree, quantization.ranges)
    last = {index for index in given if tensors[index].name.decode() in quantization.float_after}
    known = tflite_ranges.handed_on(tree, given, last)
    statistics: dict[str, Any] = {}
    if precision == "int8":
        tflite_file.average_by_convolution(tree, known.keys() - last)
        statistics = _statistics(tensors, known)
    operators = tflite_ranges.int8_operators(tree, known, last)
    # The quantizer knows an operator by the names of its outputs.
    scopes = [
        re.escape("".join(f"{tensors[index].name.decode()};" for index in operator.outputs)) for operator in operators
    ]
    parameters = params_generator.ParamsGenerator(tree).generate_quantization_parameters(
        _recipe(f"^(?:{'|'.join(scopes)})$", precision), statistics, enable_progress_bar=False
    )
    quantized = model_modifier.ModelModifier(tree).modify_model(parameters, enable_progress_bar=False)
    finished = tflite_file.read(bytes(quantized))
    tflite_file.name_outputs(finished)
    return tflite_file.write(finished)


def _recipe(scope: str, precision: Precision) -> Any:
    """The quantizer's own recipe: one rule for the operators in `scope`."""
    from ai_edge_quantizer import algorithm_manager, qtyping, recipe_manager

    recipe, algorithms = recipe_manager.RecipeManager(), algorithm_manager.AlgorithmName
    every, weighted = qtyping.TFLOperationName.ALL_SUPPORTED, qtyping.TFLOperationName
    if precision == "int8":
        recipe.add_static_config(scope, every, activation_num_bits=8, weight_num_bits=8)
        recipe.add_quantization_config(  # it knows the file's outputs by their names too
            ".*", weighted.OUTPUT, algorithm_key=algorithms.NO_QUANTIZE
        )
        return recipe
    for operator in (weighted.CONV_2D, weighted.FULLY_CONNECTED):
        if precision == "int8-dynamic":
            # tflite-runtime 2.14 knows one scale for the weights of a dense layer, and takes 0 where there are more.
            scales = qtyping.QuantGranularity
            granularity = scales.TENSORWISE if operator == weighted.FULLY_CONNECTED else scales.CHANNELWISE
            recipe.add_dynamic_config(scope, operator, num_bits=8, granularity=granularity)
        else:
            recipe.add_weight_only_config(scope, operator, num_bits=16, algorithm_key=algorithms.FLOAT_CASTING)
    return recipe


def _statistics(tensors: Any, known: Mapping[int, Range]) -> dict[str, Any]:
    """Ranges in the form that the quantizer's own calibration has."""
    return {
        tensors[index].name.decode(): {"min": _number(low, tensors[index]), "max": _number(high, tensors[index])}
        for index, (low, high) in known.items()
    }


def _number(value: float, tensor: Any) -> Any:
    return np.full((1,) * len(tensor.shape), value, dtype=np.float32)
