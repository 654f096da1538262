"""An int8 TFLite file whose inputs and outputs are int8 too: a piece of a network, measured as it runs inside one.

Not for files that people feed: those take float32. Proved by tests/profile/test_pack.py.
"""

from __future__ import annotations

from collections.abc import Collection

from toolkit.lower import tflite_file


def int8_edges(model: bytes, names: Collection[str]) -> bytes:
    """The file without the quantize and dequantize operators that stand at the inputs and outputs called `names`."""
    tree = tflite_file.read(model)
    graph = tree.subgraphs[0]
    inputs, outputs = tflite_file.signature(tree)
    names_in = {index: name for name, index in inputs.items() if name in names}
    names_out = {index: name for name, index in outputs.items() if name in names}
    kept = []
    for operator in graph.operators:
        kind, source, result = tflite_file.operator_name(tree, operator), operator.inputs[0], operator.outputs[0]
        if kind == "QUANTIZE" and source in names_in:
            inputs[names_in[source]] = result
        elif kind == "DEQUANTIZE" and result in names_out:
            outputs[names_out[result]] = source
        else:
            kept.append(operator)
    graph.operators = kept
    return tflite_file.write(tflite_file.cut(tree, inputs, outputs, {}))
