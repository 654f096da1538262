"""int8 of a torch module from given activation ranges: what ExecuTorch, ONNX and Core ML files are made of.

Weights become int8 per channel, activations int8 per tensor, as pairs of quantize and dequantize operators in the
graph, which each runtime's own tools melt into int8 kernels. Dynamic int8 finds the scale of what a layer takes as it
runs and leaves float what the layer makes; the ranges then say only which layers. Not TFLite's: that is
tflite_quantize. Proved by tests/lower/test_pt2e.py.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import torch
from torch import fx, nn
from torchao.quantization.pt2e import PerChannelMinMaxObserver, PlaceholderObserver
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e
from torchao.quantization.pt2e.quantizer import (
    FixedQParamsQuantizationSpec,
    QuantizationAnnotation,
    QuantizationSpec,
    Quantizer,
)

from toolkit.lower.piece import Piece, Quantization, Range
from toolkit.lower.ranges import HIGHEST, LOWEST, SMALLEST_SCALE, by_tensor, find, int8_scale, joined
from toolkit.specs.errors import UserError
from toolkit.specs.runtime import Precision

_ATEN = torch.ops.aten
_WEIGHTED = frozenset({_ATEN.conv2d.default, _ATEN.conv2d.padding, _ATEN.linear.default})
# XNNPACK has no int8 mean or maximum, and ExecuTorch 1.5 cannot run an int8 concatenation of channels-last tensors.
_UNWEIGHTED = frozenset({_ATEN.avg_pool2d.default, _ATEN.mul.Tensor})
_KEEPS_RANGE = frozenset(
    {
        _ATEN.avg_pool2d.default,
        _ATEN.permute.default,
        _ATEN.reshape.default,
        _ATEN.slice.Tensor,
        _ATEN.transpose.int,
        _ATEN.view.default,
    }
)
_WEIGHTS = QuantizationSpec(
    dtype=torch.int8,
    quant_min=-HIGHEST,
    quant_max=HIGHEST,
    qscheme=torch.per_channel_symmetric,
    ch_axis=0,
    observer_or_fake_quant_ctr=PerChannelMinMaxObserver.with_args(eps=SMALLEST_SCALE),
)
_FOUND_AS_IT_RUNS = QuantizationSpec(
    dtype=torch.int8,
    quant_min=LOWEST,
    quant_max=HIGHEST,
    qscheme=torch.per_tensor_affine,
    is_dynamic=True,
    observer_or_fake_quant_ctr=PlaceholderObserver.with_args(eps=SMALLEST_SCALE),
)


def quantize_pt2e(piece: Piece, precision: Precision, quantization: Quantization) -> nn.Module:
    """The `int8` or `int8-dynamic` version of a piece's module; it takes and returns what the piece's does, taps too.

    Raises:
        UserError: a name is none of the piece's, a range is not finite and rising, or a convolution has no range.
    """
    with torch.no_grad():
        graph = torch.export.export(piece.module, piece.example_inputs).module(check_guards=False)
        prepared = prepare_pt2e(graph, _FromRanges(piece, precision, quantization))
        prepared(*piece.example_inputs)  # the observers of the weights look at them; the others know their range
        module: nn.Module = convert_pt2e(prepared)
    for part in module.modules():  # a traced module refuses eval()
        part.training = False
    return module


class _FromRanges(Quantizer):  # type: ignore[misc]
    """Annotates the operators whose activations all have a range, given or handed on."""

    def __init__(self, piece: Piece, precision: Precision, quantization: Quantization) -> None:
        self.piece, self.dynamic = piece, precision == "int8-dynamic"
        self.ranges, self.float_after = quantization.ranges, quantization.float_after

    def annotate(self, model: fx.GraphModule) -> fx.GraphModule:
        """Mark what becomes int8, with the scale of each activation."""
        nodes = self._named(model.graph)
        known = by_tensor(self.ranges, nodes, "graph")
        last = {find(name, nodes, "graph") for name in self.float_after}
        for node in model.graph.nodes:
            for handed in _handed_on(node, known, last):
                known.setdefault(node, handed)
        names = {node: name for name, node in nodes.items()}
        for node in model.graph.nodes:
            if node.target in _WEIGHTED:
                _annotate_weighted(node, known, last, names, dynamic=self.dynamic)
            elif node.target in _UNWEIGHTED and not self.dynamic:
                _annotate_unweighted(node, known, last)
        return model

    def validate(self, model: fx.GraphModule) -> None:
        """Nothing is left to check: `annotate` raises."""

    def _named(self, graph: fx.Graph) -> dict[str, fx.Node]:
        inputs = [node for node in graph.nodes if node.op == "placeholder"]
        results: Any = graph.output_node().args[0]
        named = dict(zip(self.piece.input_names, inputs, strict=True))
        return named | dict(zip((*self.piece.output_names, *self.piece.tap_names), results, strict=True))


def _handed_on(node: fx.Node, known: Mapping[fx.Node, Range], last: Collection[fx.Node]) -> Iterator[Range]:
    """The range of a node that holds values of known ones."""
    taken: Any = node.args[0] if node.args else None
    if node.target in _KEEPS_RANGE and taken in known and taken not in last:
        yield known[taken]
    elif node.target is _ATEN.cat.default and all(part in known for part in taken):
        yield joined(known[part] for part in taken)


def _annotate_weighted(
    node: fx.Node,
    known: Mapping[fx.Node, Range],
    last: Collection[fx.Node],
    names: Mapping[fx.Node, str],
    *,
    dynamic: bool,
) -> None:
    """A convolution or linear layer, with the ReLU behind it where there is one."""
    taken: Any = node.args[0]
    weight: Any = node.args[1]
    users = [user for user in node.users if user.op != "output"]
    made = users[0] if [user.target for user in users] == [_ATEN.relu.default] else node
    in_float_part = taken in last or (taken not in known and node.target is _ATEN.linear.default)
    if in_float_part and made not in known:
        return  # behind the int8 part, or a matrix of the front end
    for tensor in (taken, made):
        if tensor not in known:
            raise UserError(
                f"{node.name} is to be int8, but {names.get(tensor, tensor.name)} has no range. Give it one, or tap it "
                "and give it one."
            )
    inputs = {taken: _FOUND_AS_IT_RUNS if dynamic else _spec(known[taken]), weight: _WEIGHTS}
    if dynamic:
        if not _is_depthwise(node):
            _mark(node, inputs, None)
    elif made is node:
        _mark(node, inputs, _spec(known[made]))
    else:
        _mark(node, inputs, None)
        _mark(made, {}, _spec(known[made]))


def _is_depthwise(node: fx.Node) -> bool:
    """A convolution of each channel apart, the first of a network too: XNNPACK has no dynamic kernel for these."""
    weight: Any = node.args[1]
    return node.target is not _ATEN.linear.default and weight.meta["val"].shape[1] == 1


def _annotate_unweighted(node: fx.Node, known: Mapping[fx.Node, Range], last: Collection[fx.Node]) -> None:
    taken = [each for each in node.all_input_nodes if each.op != "get_attr"]
    if node in known and all(each in known and each not in last for each in taken):
        _mark(node, {each: _spec(known[each]) for each in taken}, _spec(known[node]))


def _mark(node: fx.Node, inputs: dict[fx.Node, Any], output: Any) -> None:
    node.meta["quantization_annotation"] = QuantizationAnnotation(
        input_qspec_map=inputs, output_qspec=output, _annotated=True
    )


def _spec(given: Range) -> Any:
    scale, zero_point = int8_scale(given)
    return FixedQParamsQuantizationSpec(
        dtype=torch.int8,
        scale=scale,
        zero_point=zero_point,
        quant_min=LOWEST,
        quant_max=HIGHEST,
        qscheme=torch.per_tensor_affine,
    )
