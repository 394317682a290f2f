"""From the messages of nets to a Graph."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import Any

import numpy as np

from ...errors import FormatError, UsageError
from ...language.names import FreshNames
from ...model.graph import Graph, Operation, Tensor
from ..protobuf import Message
from .arguments import arguments_of
from .fillers import filled

_WEIGHTED = frozenset(
    (
        *("Conv", "Conv1D", "Conv2D", "Conv3D", "ConvRelu", "ConvTranspose", "FC", "FCTransposed", "InstanceNorm"),
        *("GroupNorm", "PRelu", "SpatialBN", "Int8Conv", "Int8ConvRelu", "Int8ConvTranspose", "Int8FC"),
    )
)
"""Operators whose inputs behind the first one are weights."""

Info = Mapping[str, tuple[Any, tuple[int, ...]]]
"""Name of an input -> the class of its items, and its shape."""


def build_graph(
    predict: Message, init: Message | None, info: Info | None, input_shapes: Mapping[str, Sequence[Any]] | None = None
) -> Graph:
    """The Graph of a net, with the values that another one fills.

    info: of the inputs, None if it is not known. input_shapes: name -> extents, which count more than those of info.
    Raises FormatError and, for input shapes of what is not an input, UsageError.
    """
    remedy = "init_net.pb, which has the weights, is not there" if init is None else _OTHER_MODEL
    builder = _Builder(Graph(predict["name"] or None), predict, info, remedy)
    if init is not None:
        builder.add(init, skipped={*(info or {}), *(input_shapes or {})} or _placeholders(predict, init))
    prepared = len(builder.graph.operations)
    builder.add(predict)
    if not predict["op"]:
        raise FormatError("the net has no operators")
    builder.check_weights(input_shapes or {})
    builder.bind()
    _drop_unused(builder.graph, prepared)
    builder.name()
    _set_shapes(builder.graph, info or {}, input_shapes or {})
    return builder.graph


_OTHER_MODEL = "init_net.pb may be that of another model"


class _Builder:
    """Blobs are variables that operators may overwrite, also their own inputs; a tensor is one version of a blob."""

    def __init__(self, graph: Graph, predict: Message, info: Info | None, remedy: str) -> None:
        self.graph = graph
        self.versions: dict[str, list[Tensor]] = {}
        self._predict = predict
        self._info = info
        self._remedy = remedy  # for blobs without a value
        self._inputs: dict[str, Tensor] = {}

    def add(self, net: Message, skipped: Container[str] = ()) -> None:
        """Adds the operators of a net. skipped: inputs, which exporters fill with one number for them to exist."""
        for op in net["op"]:
            value = filled(op)
            if value is not None and op["output"][0] in skipped:
                continue
            if value is not None:
                blob = op["output"][0]
                dtype = np.str_ if value.dtype == object else value.dtype.type
                tensor = Tensor(self.graph, blob, value.shape, dtype, value)
                tensor.quant = _quantization(op["type"], arguments_of(op) if "Int8" in op["type"] else {})
                self.versions.setdefault(blob, []).append(tensor)
            else:
                self._operation(op)

    def _operation(self, op: Message) -> None:
        if not op["type"]:
            raise FormatError("an operator has no type")
        attribs = arguments_of(op)
        inputs = [self._current(blob) for blob in op["input"]]
        outputs = [Tensor(self.graph, blob) for blob in op["output"]]
        for blob, tensor in zip(op["output"], outputs, strict=True):
            self.versions.setdefault(blob, []).append(tensor)
        quant = _quantization(op["type"], attribs)
        if quant and outputs:
            outputs[0].dtype, outputs[0].quant = np.uint8, quant
        Operation(self.graph, op["type"], op["name"] or None, attribs, tuple(inputs), tuple(outputs))

    def _current(self, blob: str) -> Tensor:
        """The latest version of a blob; an input of the model if there is none yet."""
        if blob not in self.versions:
            if self._info is not None and blob not in self._info:
                raise FormatError(
                    f"blob '{blob}' has no value: it is neither filled nor computed, nor an input by value_info.json",
                    hint=self._remedy,
                )
            self._inputs[blob] = Tensor(self.graph, blob, dtype=np.float32)
            self.versions[blob] = [self._inputs[blob]]
        return self.versions[blob][-1]

    def check_weights(self, given: Container[str]) -> None:
        """FormatError if weights would be inputs, since nothing fills them, unless their shapes are given."""
        if self._info is not None:
            return  # it names the inputs
        for op in self._predict["op"]:
            missing = [blob for blob in op["input"][1:] if blob in self._inputs and blob not in given]
            if op["type"] in _WEIGHTED and missing:
                raise FormatError(
                    f"blob '{missing[0]}', a weight of {op['type']}, has no value",
                    hint=f"{self._remedy}; if it is an input, give its shape with --shape",
                )

    def bind(self) -> None:
        """Sets inputs, in the order of the net, and outputs: by default what nothing reads."""
        declared = [blob for blob in self._predict["external_input"] if self._info is None or blob in self._info]
        for blob in declared:
            if blob not in self.versions:  # nothing reads it
                self._current(blob)
        order = [*declared, *self._inputs]
        self.graph.inputs = [self._inputs[blob] for blob in dict.fromkeys(order) if blob in self._inputs]
        names = list(dict.fromkeys(self._predict["external_output"]))
        unknown = [blob for blob in names if blob not in self.versions]
        if unknown:
            raise FormatError(f"output '{unknown[0]}' is neither computed nor filled")
        made = (blob for op in self._predict["op"] for blob in op["output"])
        ends = [blob for blob in dict.fromkeys(made) if not self.versions[blob][-1].has_consumer]
        self.graph.outputs = [self.versions[blob][-1] for blob in names or ends]

    def name(self) -> None:
        """Gives tensors distinct names: that of the blob to the input, else to the last version that is left."""
        kept = {blob: [t for t in tensors if t.graph is self.graph] for blob, tensors in self.versions.items()}
        names = FreshNames(kept)
        for blob, tensors in kept.items():
            own = self._inputs.get(blob, tensors[-1] if tensors else None)
            for tensor in tensors:
                tensor.name = blob if tensor is own else names.distinct(blob)


def _placeholders(predict: Message, init: Message) -> set[str]:
    """The blobs that are filled with a single zero, if nothing else can be an input of the net."""
    values = {op["output"][0]: value for op in init["op"] if (value := filled(op)) is not None}
    inputs = set(predict["external_input"])
    if inputs - values.keys():
        return set()
    return {blob for blob in inputs & values.keys() if values[blob].size == 1 and not np.any(values[blob])}


def _quantization(type: str, attribs: Mapping[str, Any]) -> dict[str, Any]:
    """The scale and zero point of the first result; empty for operators that give real numbers."""
    if not type.startswith("Int8") or type == "Int8Dequantize":
        return {}
    scale, zero_point = attribs.get("Y_scale", 1.0), attribs.get("Y_zero_point", 0)
    if not isinstance(scale, (int, float)) or not isinstance(zero_point, int) or not np.isfinite(scale) or scale <= 0:
        raise FormatError(f"{type} has the scale {scale!r} and the zero point {zero_point!r}")
    return {"scale": float(scale), "zero_point": zero_point}


def _drop_unused(graph: Graph, count: int) -> None:
    """Removes those of the first operators whose results nothing reads: init nets may hold what does not matter."""
    bound = set(graph.outputs)
    for op in reversed(graph.operations[:count]):
        if not any(tensor.has_consumer or tensor in bound for tensor in op.outputs):
            results = list(op.outputs)
            graph.remove_operation(op, unlink=True)
            graph.remove_tensors(results)


def _set_shapes(graph: Graph, info: Info, given: Mapping[str, Sequence[Any]]) -> None:
    inputs = {str(tensor.name): tensor for tensor in graph.inputs}
    for name, shape in given.items():
        if name not in inputs:
            raise UsageError(
                f"input shape given for '{name}', which is not an input of the model",
                hint=f"the inputs are: {', '.join(inputs) or 'none'}",
            )
        try:
            extents = [None if extent is None else int(extent) for extent in shape]
        except (TypeError, ValueError) as error:
            raise UsageError(f"shape {shape!r} of input '{name}' is not a sequence of integers") from error
        if any(extent is not None and not 0 <= extent < 1 << 63 for extent in extents):
            raise UsageError(f"shape {shape!r} of input '{name}' has an extent out of range")
        inputs[name].shape = extents
    for name, (dtype, known) in info.items():
        if name in inputs:
            inputs[name].dtype = dtype
            if name not in given:
                inputs[name].shape = known
