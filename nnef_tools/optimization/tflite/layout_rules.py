"""Rules that tell how TensorFlow Lite's operators work on tensors whose axes are in another order.

They are those of TensorFlow's operators, see there. Operands of lower rank fit as long as the last axes stay.
"""

from __future__ import annotations

from collections.abc import Iterator

from ...dialects.tflite.bridges import bridges
from ...model import Operation, Tensor
from ..layout import Choice, Port
from ..layout.permutations import Perm, identity
from ..tf import layout_rules as tf
from ..tf.layout_rules import Rule, Value


def _elementwise(operation: Operation, port: Port, layout: Perm, current: Choice, value: Value) -> Iterator[Choice]:
    """The rule for operators whose operands broadcast on the right."""
    rank = len(layout)
    if any(tensor.rank != rank for tensor in operation.outputs):
        return
    inputs = []
    for tensor in operation.inputs:
        own = tensor.rank or 0
        if own != rank and tensor.volume != 1 and layout[rank - own :] != tuple(range(rank - own, rank)):
            return
        inputs.append(layout if own == rank else identity(own))
    choice = Choice(tuple(inputs), (layout,) * len(operation.outputs), operation.attribs)
    if choice.at(port) == layout:
        yield choice


def _reshape(operation: Operation, port: Port, layout: Perm, current: Choice, value: Value) -> Iterator[Choice]:
    for choice in tf.reshaping(operation, port, layout, value, _weights_behind):
        attribs = {key: item for key, item in choice.attribs.items() if key != "new_shape"}
        yield Choice(choice.inputs, choice.outputs, attribs, choice.order, choice.reorderings, choice.trims)


def _weights_behind(tensor: Tensor, value: Value) -> list[tuple[Tensor, int]] | None:
    """The constant weights that a tensor is multiplied by, with their axis for its last one; None for other uses."""
    graph = tensor.graph
    if graph is None or tensor in graph.outputs or not tensor.has_consumer:
        return None
    found = []
    for consumer in tensor.consumers:
        if consumer.type != "FULLY_CONNECTED" or consumer.inputs[0] is not tensor:
            return None
        weights = consumer.inputs[1]
        if value(weights) is None or weights.consumer is not consumer or weights in graph.outputs:
            return None
        found.append((weights, 1))
    return found


def _gather(operation: Operation, port: Port, layout: Perm, current: Choice, value: Value) -> Iterator[Choice]:
    """The rule for GATHER by a vector of positions, which keeps the axes."""
    x, indices = operation.inputs
    axis, rank = operation.attribs.get("axis", 0), len(layout)
    if (
        indices.rank != 1
        or x.rank != rank
        or operation.attribs.get("batch_dims")
        or port
        not in (
            Port(False, 0),
            Port(True, 0),
        )
    ):
        return
    yield Choice((layout, (0,)), (layout,), {**operation.attribs, "axis": layout.index(axis % rank)})


_ELEMENTWISE = (
    "CAST", "DEQUANTIZE", "FAKE_QUANT", "GELU", "HARD_SWISH", "QUANTIZE", "RELU_0_TO_1", "RELU_N1_TO_1"
)  # fmt: skip
_PLAIN = tf.RULES["Abs"]

RULES: dict[str, Rule] = {
    **{name: tf.RULES[bridge.type] for name, bridge in bridges().items() if bridge.type in tf.RULES},
    **{name: _elementwise for name, bridge in bridges().items() if tf.RULES.get(bridge.type) is _PLAIN},
    **dict.fromkeys(_ELEMENTWISE, _elementwise),
    "CONCATENATION": tf.uniform(tf.single("axis")),
    "GATHER": _gather,
    "MIRROR_PAD": tf.RULES["MirrorPad"],
    "PACK": tf.RULES["Pack"],
    "RESHAPE": _reshape,
    "SOFTMAX": tf.RULES["Softmax"],
    "STRIDED_SLICE": tf.RULES["StridedSlice"],
}
"""Operator -> rule."""
