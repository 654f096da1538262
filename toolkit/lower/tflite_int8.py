"""Static int8 of a TFLite file from given activation ranges, by ai-edge-quantizer: no calibration data, no converter.

Weights become int8 per channel, activations int8 per tensor; inputs and outputs of the file stay float32. The ranges
say which part: an operator is int8 when its activations have ranges, so a front end before the first one stays float.
Proved by tests/lower/test_tflite_int8.py.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from toolkit.specs.errors import UserError

Range = tuple[float, float]  # lowest and highest value of an activation


def quantize_int8(model: bytes, ranges: Mapping[str, Range], float_after: Collection[str] = ()) -> bytes:
    """The int8 version of a float32 file. The same file and ranges give the same bytes.

    Args:
        model: a file of `lower_tflite`.
        ranges: lowest and highest value of the piece's inputs, outputs and taps, by name. Reshapes, transposes, pools,
            slices, paddings and concatenations hand on the ranges of what they take.
        float_after: names of `ranges` behind which operators stay float until the next range.

    Raises:
        UserError: the library is missing, a name is not in the file, a range is not finite and rising, or a tensor
            in the int8 part has no range.
    """
    try:
        from ai_edge_quantizer import algorithm_manager, model_modifier, params_generator, qtyping, recipe_manager

        from toolkit.lower import tflite_file, tflite_ranges
    except ImportError as error:
        raise UserError(
            f"making int8 files needs {error.name}. Install it with: pip install 'aec-toolkit[export]'"
        ) from error
    tree = tflite_file.read(model)
    tensors = tree.subgraphs[0].tensors
    given = tflite_ranges.by_index(tree, ranges)
    last = {index for index in given if tensors[index].name.decode() in float_after}
    known = tflite_ranges.handed_on(tree, given, last)
    tflite_file.average_by_convolution(tree, known.keys() - last)
    scopes = [  # the quantizer knows an operator by the names of its outputs
        re.escape("".join(f"{tensors[index].name.decode()};" for index in operator.outputs))
        for operator in tflite_ranges.int8_operators(tree, known, last)
    ]
    recipe = recipe_manager.RecipeManager()
    recipe.add_static_config(
        f"^(?:{'|'.join(scopes)})$",
        qtyping.TFLOperationName.ALL_SUPPORTED,
        activation_num_bits=8,
        weight_num_bits=8,
    )
    recipe.add_quantization_config(  # it knows the file's outputs by their names too
        ".*", qtyping.TFLOperationName.OUTPUT, algorithm_key=algorithm_manager.AlgorithmName.NO_QUANTIZE
    )
    statistics = {
        tensors[index].name.decode(): {"min": _number(low, tensors[index]), "max": _number(high, tensors[index])}
        for index, (low, high) in known.items()
    }
    parameters = params_generator.ParamsGenerator(tree).generate_quantization_parameters(
        recipe, statistics, enable_progress_bar=False
    )
    quantized = model_modifier.ModelModifier(tree).modify_model(parameters, enable_progress_bar=False)
    finished = tflite_file.read(bytes(quantized))
    tflite_file.name_outputs(finished)
    return tflite_file.write(finished)


def _number(value: float, tensor: Any) -> Any:
    """A number in the shape that the quantizer's own calibration gives it."""
    return np.full((1,) * len(tensor.shape), value, dtype=np.float32)
