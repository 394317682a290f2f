"""Rewrites ONNX models to unsigned codes of 8 bits in place of signed ones.

On some processors, kernels for products of unsigned with signed codes add two products in 16 bits, which can saturate;
those for products of unsigned codes add in 32 bits. Raising codes and their zero point by 128 changes no result.

The rewrite only adds nodes, so it needs no values: runtimes evaluate the nodes where codes are constant. Imports onnx
at the top: import this module lazily.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from onnx import GraphProto, ModelProto, NodeProto, TensorProto
from onnx.helper import make_node, make_tensor

from ...io.onnx.inline import inline_functions, subgraphs
from ...io.onnx.order import normal_domain

_INT8, _UINT8, _INT32 = TensorProto.INT8, TensorProto.UINT8, TensorProto.INT32


class _Operand(NamedTuple):
    """The positions of codes that are raised, and of the codes that they are multiplied by (-1: made inside)."""

    codes: int
    zero_point: int
    others: int
    others_zero_point: int


# names in real models have no control characters
_PREFIX = "unsigned\x01"
_OFFSET, _MIDDLE = _PREFIX + "offset", _PREFIX + "middle"

_MICROSOFT = "com.microsoft"
_LINEAR = (_Operand(3, 5, 0, 2),)
_PRODUCTS: dict[tuple[str, str], tuple[_Operand, ...]] = {
    ("", "QLinearConv"): _LINEAR,
    ("", "QLinearMatMul"): _LINEAR,
    ("", "MatMulInteger"): (_Operand(1, 3, 0, 2),),
    # the kernel for signed images and unsigned filters is wrong on the same processors
    ("", "ConvInteger"): (_Operand(1, 3, 0, 2), _Operand(0, 2, 1, 3)),
    (_MICROSOFT, "QLinearConv"): _LINEAR,
    (_MICROSOFT, "QGemm"): _LINEAR,
    (_MICROSOFT, "MatMulIntegerToFloat"): (_Operand(1, 5, 0, 4),),
    (_MICROSOFT, "DynamicQuantizeMatMul"): (_Operand(1, 3, -1, -1),),
    (_MICROSOFT, "QAttention"): (_Operand(1, 7, 0, 6),),
    (_MICROSOFT, "DynamicQuantizeLSTM"): (_Operand(1, 9, -1, -1), _Operand(2, 11, -1, -1)),
}
_KEEPING_TYPE = frozenset(
    ("Concat", "Expand", "Flatten", "Gather", "Identity", "MaxPool", "Pad", "Reshape", "Slice", "Split", "Squeeze",
     "Tile", "Transpose", "Unsqueeze")
)  # fmt: skip

OPERATORS = frozenset({"DequantizeLinear", *(name for _, name in _PRODUCTS)})
"""The types of operators that may have to be rewritten."""


def make_unsigned(model: ModelProto) -> bool:
    """Adds 128 to signed codes that are multiplied by unsigned ones, in place. Returns whether there are any.

    These are the second operands of integer products, dequantized weights, and other dequantized codes unless they were
    quantized just before: runtimes change the types of such pairs themselves. Results and the names of all tensors stay
    the same. The values of constants are not needed: they may be in other files. FormatError if functions of the model
    cannot be inlined.
    """
    if any(node.op_type in OPERATORS for function in model.functions for node in function.node):
        inline_functions(model)
    rewriter = _Rewriter()
    rewriter.rewrite(model.graph, ChainMap())
    if rewriter.count:
        model.graph.initializer.append(make_tensor(_OFFSET, _INT32, (), [128]))
        model.graph.initializer.append(make_tensor(_MIDDLE, _UINT8, (), [128]))
    return rewriter.count > 0


class _Rewriter:
    def __init__(self) -> None:
        self.count = 0

    def rewrite(self, graph: GraphProto, outer: ChainMap[str, int]) -> None:
        types = outer.new_child(dict(_declared(graph)))
        quantized: set[str] = set()
        nodes: list[NodeProto] = []
        raised: dict[str, str] = {}
        for node in graph.node:
            for inner in subgraphs(node):
                self.rewrite(inner, types)
            for operand in _signed_operands(node, types, quantized):
                nodes += self._raise(node, operand, raised)
            nodes.append(node)
            types.update(_results(node, types))
            if node.op_type == "QuantizeLinear":
                quantized.update(node.output)
        if raised:
            del graph.node[:]
            graph.node.extend(nodes)

    def _raise(self, node: NodeProto, operand: _Operand, raised: dict[str, str]) -> Iterator[NodeProto]:
        """Gives a node the raised codes and zero point, and returns the nodes that compute them if they are new."""
        node.input.extend([""] * (operand.zero_point + 1 - len(node.input)))
        if node.input[operand.zero_point]:
            positions = [operand.codes, operand.zero_point]
        else:
            positions = [operand.codes]
            node.input[operand.zero_point] = _MIDDLE
            if node.op_type == "DequantizeLinear":  # the zero point has the shape of the scale
                shape, spread = self._name(), self._name()
                yield make_node("Shape", [node.input[1]], [shape])
                yield make_node("Expand", [_MIDDLE, shape], [spread])
                node.input[operand.zero_point] = spread
        for position in positions:
            name = node.input[position]
            if name not in raised:
                wide, moved, raised[name] = self._name(), self._name(), self._name()
                yield make_node("Cast", [name], [wide], to=_INT32)
                yield make_node("Add", [wide, _OFFSET], [moved])
                yield make_node("Cast", [moved], [raised[name]], to=_UINT8)
            node.input[position] = raised[name]

    def _name(self) -> str:
        self.count += 1
        return f"{_PREFIX}{self.count}"


def _declared(graph: GraphProto) -> Iterator[tuple[str, int]]:
    """Tensor name -> element type, where a graph declares it."""
    for value in (*graph.input, *graph.output, *graph.value_info):
        yield value.name, value.type.tensor_type.elem_type
    for tensor in graph.initializer:
        yield tensor.name, tensor.data_type


def _signed_operands(node: NodeProto, types: ChainMap[str, int], quantized: set[str]) -> Iterable[_Operand]:
    def type_of(*positions: int) -> int:
        names = (node.input[k] for k in positions if 0 <= k < len(node.input))
        return next((found for name in names if (found := types.get(name, 0))), 0)

    domain = normal_domain(node.domain)
    if node.op_type == "DequantizeLinear" and domain in ("", _MICROSOFT):
        if type_of(2, 0) == _INT8 and node.input[0] not in quantized:
            yield _Operand(0, 2, -1, -1)
        return
    for operand in _PRODUCTS.get((domain, node.op_type), ()):
        is_unsigned = operand.others < 0 or type_of(operand.others_zero_point, operand.others) == _UINT8
        if is_unsigned and type_of(operand.zero_point, operand.codes) == _INT8:
            yield operand


def _results(node: NodeProto, types: ChainMap[str, int]) -> Iterator[tuple[str, int]]:
    """Tensor name -> element type of the results of a node, as far as needed."""
    attributes = {attribute.name: attribute for attribute in node.attribute}
    found = 0
    if node.op_type == "Constant" and "value" in attributes:
        found = attributes["value"].t.data_type
    elif node.op_type == "Cast":
        found = attributes["to"].i
    elif node.op_type == "DynamicQuantizeLinear":
        yield from ((name, _UINT8) for name in (node.output[0], node.output[2]))
    elif node.op_type == "QuantizeLinear":
        named = types.get(node.input[2], 0) if len(node.input) > 2 else 0
        found = named or (attributes["output_dtype"].i if "output_dtype" in attributes else 0) or _UINT8
    elif node.op_type in _KEEPING_TYPE and node.input:
        found = types.get(node.input[0], 0)
    if found:
        yield from ((name, found) for name in node.output if name)
