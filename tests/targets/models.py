"""A small TFLite file with a state, without a converter."""

from __future__ import annotations

from typing import Any


def adding_tflite(size: int) -> bytes:
    """Samples [1, size] and a state of that shape in; their sum out, as scores and as the next state."""
    from ai_edge_litert import schema_py_generated as schema
    from ai_edge_litert.tools.flatbuffer_utils import convert_object_to_bytearray

    def tensor(name: str) -> Any:
        made = schema.TensorT()
        made.name, made.shape, made.type, made.buffer = name.encode(), [1, size], schema.TensorType.FLOAT32, 0
        return made

    def add(result: int) -> Any:
        made = schema.OperatorT()
        made.opcodeIndex, made.inputs, made.outputs = 0, [0, 1], [result]
        made.builtinOptionsType, made.builtinOptions = schema.BuiltinOptions.AddOptions, schema.AddOptionsT()
        return made

    code, graph, model = schema.OperatorCodeT(), schema.SubGraphT(), schema.ModelT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.ADD
    code.version = 1
    graph.tensors = [tensor(name) for name in ("samples", "state", "scores", "next_state")]
    graph.inputs, graph.outputs, graph.operators = [0, 1], [2, 3], [add(2), add(3)]
    model.version, model.operatorCodes, model.subgraphs, model.buffers = 3, [code], [graph], [schema.BufferT()]
    return bytes(convert_object_to_bytearray(model))
