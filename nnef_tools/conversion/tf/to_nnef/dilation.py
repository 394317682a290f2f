"""Dilated convolutions that older TensorFlow writes as SpaceToBatchND, a plain convolution, and BatchToSpaceND.

Laying out every d-th position along the batch, convolving with stride 1 and putting the positions back is a convolution
with dilation d. Its padding is what SpaceToBatchND pads less what BatchToSpaceND crops.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ....model import Graph, Operation, Tensor

CONVOLUTIONS = ("Conv2D", "Conv3D", "DepthwiseConv2dNative")
_UNARY = ("Relu", "Relu6", "Elu", "Selu", "LeakyRelu", "Sigmoid", "Tanh", "Identity", "StopGradient")
_BINARY = ("BiasAdd", "BiasAddV1", "Add", "AddV2", "Sub", "Mul")


@dataclass(frozen=True)
class Dilated:
    """A dilated convolution. inside: tensors whose declared shapes hold for the pattern, not for the convolution."""

    enter: Operation
    conv: Operation
    leave: Operation
    attribs: dict[str, Any]
    inside: tuple[Tensor, ...]

    @property
    def types(self) -> set[str | None]:
        """The operators that it consists of."""
        return {self.enter.type, self.conv.type, self.leave.type}


def find_dilated(graph: Graph) -> list[Dilated]:
    """All dilated convolutions of the graph that match the pattern exactly."""
    found = (_match(op, graph) for op in graph.operations if op.type == "SpaceToBatchND")
    return [item for item in found if item is not None]


def _match(enter: Operation, graph: Graph) -> Dilated | None:
    before, conv = _follow(enter, graph, ("ExpandDims",), CONVOLUTIONS)
    if conv is None or not _is_plain(conv):
        return None
    after, leave = _follow(conv, graph, ("Squeeze", *_UNARY, *_BINARY), ("BatchToSpaceND",))
    if leave is None or not all(_is_pointwise(op) for op in after):
        return None
    rank = len(conv.attribs.get("data_format", "NHWC"))
    axes = _expanded(before, rank)
    squeezed = _squeezed(after, rank)
    block, paddings, crops = _ints(enter, 1), _ints(enter, 2), _ints(leave, 2)
    if axes is None or squeezed != axes or block is None or paddings is None or crops is None:
        return None
    kept = [k for k in range(rank) if k not in axes]  # axis of the input -> axis of the convolution
    if block != _ints(leave, 1) or not 2 * len(block) == len(paddings) == len(crops) or len(block) >= len(kept):
        return None
    dilations, pairs = [1] * rank, [(0, 0)] * rank
    for k, size in enumerate(block):
        dilations[kept[1 + k]] = size
        pairs[kept[1 + k]] = (paddings[2 * k] - crops[2 * k], paddings[2 * k + 1] - crops[2 * k + 1])
    if dilations[0] != 1 or dilations[-1] != 1 or any(p < 0 or q < 0 for p, q in pairs):
        return None
    attribs = {
        **conv.attribs,
        "dilations": dilations,
        "padding": "EXPLICIT",
        "explicit_paddings": [int(p) for pair in pairs for p in pair],
    }
    inside = tuple(op.outputs[0] for op in (enter, *before, conv, *after))
    return Dilated(enter, conv, leave, attribs, inside)


def _follow(
    op: Operation, graph: Graph, passing: Iterable[str], wanted: Iterable[str]
) -> tuple[list[Operation], Operation | None]:
    """The operations behind op up to a wanted one, each the only reader of the one before."""
    passed: list[Operation] = []
    while True:
        tensor = op.outputs[0]
        reader = tensor.consumer
        if reader is None or tensor in graph.outputs or reader.inputs[0] is not tensor:
            return passed, None
        if str(reader.type) in wanted:
            return passed, reader
        if str(reader.type) not in passing:
            return passed, None
        passed.append(reader)
        op = reader


def _is_plain(conv: Operation) -> bool:
    attribs = conv.attribs
    return (
        attribs.get("padding") == "VALID"
        and str(attribs.get("data_format", "NHWC")).endswith("C")
        and all(s == 1 for s in attribs.get("strides", [1]))
        and all(d == 1 for d in attribs.get("dilations") or [1])
    )


def _is_pointwise(op: Operation) -> bool:
    """Does the operation treat all positions alike? A second operand must be constant, an item per channel."""
    if op.type not in _BINARY:
        return True
    data = op.inputs[1].data if len(op.inputs) == 2 else None
    return data is not None and np.ndim(data) <= 1


def _expanded(ops: list[Operation], rank: int) -> list[int] | None:
    """The axes of the final rank that ExpandDims added, or None if they are not known."""
    axes: list[int] = []
    for k, op in enumerate(ops):
        value = _ints(op, 1)
        if value is None or len(value) != 1:
            return None
        own = rank - len(ops) + k + 1
        axis = value[0] % own
        axes = [a + 1 if a >= axis else a for a in axes] + [axis]
    return sorted(axes)


def _squeezed(ops: list[Operation], rank: int) -> list[int] | None:
    """The axes of the convolution's result that Squeeze drops, or None if they are not known."""
    left = list(range(rank))
    for op in ops:
        if op.type == "Squeeze":
            if not op.attribs.get("squeeze_dims") or not left:
                return None
            dropped = [axis % len(left) for axis in op.attribs["squeeze_dims"]]
            left = [axis for k, axis in enumerate(left) if k not in dropped]
    return [axis for axis in range(rank) if axis not in left]


def _ints(op: Operation, k: int) -> list[int] | None:
    """The items of a constant input, or None."""
    data = op.inputs[k].data if k < len(op.inputs) else None
    return None if data is None else [int(item) for item in np.ravel(np.asarray(data))]
