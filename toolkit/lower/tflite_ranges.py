"""Which operators of a TFLite graph become int8: those whose activations all have a range, given or handed on.

Not the quantizer: that is tflite_quantize. Proved by tests/lower/test_tflite_quantize.py.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from ai_edge_litert import schema_py_generated as schema

from toolkit.lower import tflite_file
from toolkit.lower.piece import Range
from toolkit.lower.ranges import by_tensor, joined
from toolkit.specs.errors import UserError

_KEEPS_RANGE = frozenset({"AVERAGE_POOL_2D", "MAX_POOL_2D", "SLICE", "STRIDED_SLICE", "PAD"})
_STAYS_FLOAT = frozenset({"LOGISTIC"})  # the last step costs nothing, and float scores are not rounded to 1/256
_MUST_BE_INT8 = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D"})


def by_index(tree: Any, ranges: Mapping[str, Range]) -> dict[int, Range]:
    """Ranges by tensor index instead of name.

    Raises:
        UserError: a name is not in the file, or a range is not finite and rising.
    """
    indices = {tensor.name.decode(): index for index, tensor in enumerate(tree.subgraphs[0].tensors)}
    return by_tensor(ranges, indices, "TFLite file")


def handed_on(tree: Any, given: Mapping[int, Range], last: Collection[int]) -> dict[int, Range]:
    """`given` and the ranges that follow from it, of the tensors that hold the same values or some of them.

    Nothing follows from the tensors in `last`.
    """
    known = dict(given)
    operators = [(tflite_file.operator_name(tree, operator), operator) for operator in tree.subgraphs[0].operators]
    for name, operator in reversed(operators):
        if name in tflite_file.MOVES_VALUES and operator.outputs[0] in known:
            known.setdefault(operator.inputs[0], known[operator.outputs[0]])
    for name, operator in operators:
        if name in tflite_file.MOVES_VALUES | _KEEPS_RANGE and operator.inputs[0] in known.keys() - set(last):
            known.setdefault(operator.outputs[0], known[operator.inputs[0]])
        elif name == "CONCATENATION" and known.keys() >= set(operator.inputs):
            known.setdefault(operator.outputs[0], joined(known[index] for index in operator.inputs))
    return known


def int8_operators(tree: Any, known: Mapping[int, Range], last: Collection[int]) -> list[Any]:
    """Operators whose activations all have a range.

    Raises:
        UserError: an operator takes a range that is not in `last`, or is a convolution, and lacks another.
    """
    tensors = tree.subgraphs[0].tensors
    chosen = []
    for operator in tree.subgraphs[0].operators:
        name = tflite_file.operator_name(tree, operator)
        missing = [index for index in _activations(tree, operator) if index not in known]
        reached = (known.keys() - set(last)) & set(operator.inputs)
        if not missing:
            chosen.append(operator)
        elif name in _MUST_BE_INT8 or (reached and name not in _STAYS_FLOAT):
            where = tensors[tflite_file.origin(tree, missing[0])].name.decode()
            raise UserError(f"{name} is to be int8, but {where} has no range. Give it one, or tap it and give it one.")
    return chosen


def _activations(tree: Any, operator: Any) -> list[int]:
    """The float tensors that an operator takes and makes, constants left out."""
    tensors = tree.subgraphs[0].tensors
    return [
        index
        for index in (*operator.inputs, *operator.outputs)
        if index >= 0
        and tensors[index].type == schema.TensorType.FLOAT32
        and tree.buffers[tensors[index].buffer].data is None
    ]
