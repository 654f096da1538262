"""TFLite files as objects: read, cut one piece out of a graph, name its tensors, rewrite an operator, write.

Not a converter and not a runtime.

Proved by tests/lower/test_tflite.py.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils

SIGNATURE = "serving_default"
MOVES_VALUES = frozenset({"RESHAPE", "TRANSPOSE"})  # each value of the input is one of the output, unchanged
_OPERATOR_NAMES: dict[int, str] = {
    code: name for name, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)
}


def read(model: bytes) -> Any:
    """The object tree (`ModelT`) of a file; the data of its buffers are arrays over `model`."""
    tree = flatbuffer_utils.read_model_from_bytearray(model)
    for buffer in tree.buffers:
        if buffer.data is not None:
            buffer.data = np.frombuffer(buffer.data, dtype=np.uint8)
    return tree


def write(tree: Any) -> bytes:
    """Bytes of an object tree, each buffer inside the flatbuffer: the layout that every TFLite runtime reads."""
    return bytes(flatbuffer_utils.convert_object_to_bytearray(tree))


def operator_name(tree: Any, operator: Any) -> str:
    """Name of an operator in the schema, such as CONV_2D."""
    code = flatbuffer_utils.get_builtin_code_from_operator_code(tree.operatorCodes[operator.opcodeIndex])
    return _OPERATOR_NAMES[code]


def signature(tree: Any) -> tuple[dict[str, int], dict[str, int]]:
    """Tensor indices of the first signature's inputs and outputs, by name."""
    (first, *_) = tree.signatureDefs
    inputs = {entry.name.decode(): entry.tensorIndex for entry in first.inputs}
    outputs = {entry.name.decode(): entry.tensorIndex for entry in first.outputs}
    return inputs, outputs


def origin(tree: Any, index: int) -> int:
    """The tensor where the values of a tensor arise: what stands before any reshapes and transposes."""
    producers = {result: operator for operator in tree.subgraphs[0].operators for result in operator.outputs}
    while index in producers and operator_name(tree, producers[index]) in MOVES_VALUES:
        index = producers[index].inputs[0]
    return index


def name_outputs(tree: Any) -> None:
    """Give the outputs' tensors their names of the signature, in place; a tensor inside that had the name gives way."""
    tensors = tree.subgraphs[0].tensors
    for name, index in signature(tree)[1].items():
        for tensor in tensors:
            if tensor.name == name.encode():
                tensor.name += b"_int8"
        tensors[index].name = name.encode()


def cut(tree: Any, inputs: Mapping[str, int], outputs: Mapping[str, int], taps: Mapping[str, int]) -> Any:
    """A new tree with only the operators that `outputs` need, and with the given names on its tensors.

    Args:
        inputs, outputs: name and tensor index, in the order that the new file has.
        taps: name and tensor index. A tap's name goes to the tensor where its values arise, so that a tap behind a
            reshape or transpose names what stands before it.

    Raises:
        LookupError: a tap names nothing that `outputs` need, or a tensor that has a name; the message is the tap's.
    """
    graph = tree.subgraphs[0]
    needed, operators = set(outputs.values()), []
    for operator in reversed(graph.operators):
        if needed.intersection(operator.outputs):
            operators.append(operator)
            needed.update(operator.outputs, (index for index in operator.inputs if index >= 0))
    operators.reverse()
    needed.update(inputs.values())

    names = {index: name for name, index in (*inputs.items(), *outputs.items())}
    for name, tapped in taps.items():
        index = origin(tree, tapped)
        if index not in needed or index in names:
            raise LookupError(name)
        names[index] = name
    for position, operator in enumerate(operators):
        place = f"{operator_name(tree, operator)}_{position}"
        for slot, index in enumerate(operator.outputs):
            names.setdefault(index, f"{place}.out{slot}" if slot else place)
        for slot, index in enumerate(operator.inputs):
            names.setdefault(index, f"{place}.in{slot}")
    used = (index for operator in operators for index in (*operator.inputs, *operator.outputs) if index >= 0)
    kept = list(dict.fromkeys((*inputs.values(), *used, *outputs.values())))
    return _renumbered(tree, operators, kept, inputs, outputs, names)


def average_by_convolution(tree: Any, tensors: Container[int]) -> None:
    """Replace, in place, each 2-D average pool that reads one of `tensors` by the depthwise convolution equal to it.

    XNNPACK has int8 depthwise convolutions but no int8 average pool, which then runs several times slower outside it.
    Only pools without padding: a padded one divides by the values that are there.
    """
    graph = tree.subgraphs[0]
    for position, operator in enumerate(graph.operators):
        pool, taken = operator.builtinOptions, operator.inputs[0]
        if operator_name(tree, operator) != "AVERAGE_POOL_2D" or taken not in tensors:
            continue
        if pool.padding != schema.Padding.VALID:
            continue
        channels = graph.tensors[taken].shape[3]
        window = (pool.filterHeight, pool.filterWidth)
        weights = _constant(tree, f"AVERAGE_{position}.in1", np.full((1, *window, channels), 1 / np.prod(window)))
        bias = _constant(tree, f"AVERAGE_{position}.in2", np.zeros(channels))
        operator.inputs = [taken, weights, bias]
        operator.opcodeIndex = _opcode(tree, schema.BuiltinOperator.DEPTHWISE_CONV_2D)
        operator.builtinOptionsType = schema.BuiltinOptions.DepthwiseConv2DOptions
        operator.builtinOptions = schema.DepthwiseConv2DOptionsT(
            padding=pool.padding,
            strideW=pool.strideW,
            strideH=pool.strideH,
            depthMultiplier=1,
            fusedActivationFunction=pool.fusedActivationFunction,
            dilationWFactor=1,
            dilationHFactor=1,
        )


def _constant(tree: Any, name: str, values: Any) -> int:
    """Index of a new float32 constant in the first graph."""
    tensors = tree.subgraphs[0].tensors
    tree.buffers.append(schema.BufferT(data=np.frombuffer(values.astype("<f4").tobytes(), dtype=np.uint8)))
    tensors.append(
        schema.TensorT(
            name=name.encode(), shape=list(values.shape), type=schema.TensorType.FLOAT32, buffer=len(tree.buffers) - 1
        )
    )
    return len(tensors) - 1


def _opcode(tree: Any, code: int) -> int:
    """Index of an operator's code, added where it is missing."""
    for index, present in enumerate(tree.operatorCodes):
        if present.builtinCode == code:
            return index
    tree.operatorCodes.append(schema.OperatorCodeT(builtinCode=code, deprecatedBuiltinCode=code, version=1))
    return len(tree.operatorCodes) - 1


def _renumbered(
    tree: Any,
    operators: Sequence[Any],
    kept: Sequence[int],
    inputs: Mapping[str, int],
    outputs: Mapping[str, int],
    names: Mapping[int, str],
) -> Any:
    """A tree of the `kept` tensors and `operators` of the first graph, numbered from zero; `tree` stays as it is."""
    graph = tree.subgraphs[0]
    number = {old: new for new, old in enumerate(kept)} | {-1: -1}  # -1: an operator's optional input is absent
    buffers = list(dict.fromkeys((0, *(graph.tensors[index].buffer for index in kept))))  # 0: the schema's empty one
    codes = list(dict.fromkeys(operator.opcodeIndex for operator in operators))

    part = schema.SubGraphT(name=graph.name)
    part.tensors = [
        _changed(graph.tensors[index], name=names[index].encode(), buffer=buffers.index(graph.tensors[index].buffer))
        for index in kept
    ]
    part.operators = [
        _changed(
            operator,
            opcodeIndex=codes.index(operator.opcodeIndex),
            inputs=[number[index] for index in operator.inputs],
            outputs=[number[index] for index in operator.outputs],
            debugMetadataIndex=-1,
        )
        for operator in operators
    ]
    part.inputs = [number[index] for index in inputs.values()]
    part.outputs = [number[index] for index in outputs.values()]
    return schema.ModelT(
        version=tree.version,
        operatorCodes=[tree.operatorCodes[code] for code in codes],
        subgraphs=[part],
        buffers=[tree.buffers[buffer] for buffer in buffers],
        signatureDefs=[
            schema.SignatureDefT(
                signatureKey=SIGNATURE,
                inputs=[schema.TensorMapT(name=name, tensorIndex=number[index]) for name, index in inputs.items()],
                outputs=[schema.TensorMapT(name=name, tensorIndex=number[index]) for name, index in outputs.items()],
            )
        ],
    )


def _changed(value: Any, **fields: Any) -> Any:
    """A copy of a schema object with some fields replaced."""
    return type(value)(**{**vars(value), **fields})
