"""Makes the Graph of a model from the tables of its file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....errors import FormatError
from ....model.graph import Graph, Operation, Tensor
from .flatbuffer import Table, as_array
from .schema import tflite_schema
from .sparse import densified
from .types import ITEM_TYPES, item_type, to_array

SUBGRAPH_SUFFIX = "subgraph_index"
"""Options of that suffix, or called `subgraph`, are the number of a subgraph."""

_CUSTOM = 32  # the operator that custom ones are
_OLD_CODES = 127  # a code from here on does not fit into the field of older files
_MISSING = -1

Buffers = Callable[[Table], NDArray[np.uint8] | None]


class GraphBuilder:
    """Makes the Graphs of subgraphs. buffers: gives the contents for a tensor, None if it has none."""

    def __init__(self, model: Table, buffers: Buffers) -> None:
        self._model = model
        self._buffers = buffers
        self._codes = [_operator_type(code) for code in model["operator_codes"] or []]
        self._graphs: dict[int, Graph] = {}
        self._open: set[int] = set()

    def graph(self, index: int) -> Graph:
        """The Graph of a subgraph, the same one for each of its users. FormatError."""
        subgraphs = self._model["subgraphs"] or []
        if not 0 <= index < len(subgraphs):
            raise FormatError(f"there is no subgraph {index}")
        if index in self._open:
            raise FormatError(f"subgraph {index} contains itself")
        if index not in self._graphs:
            self._open.add(index)
            self._graphs[index] = self._build(subgraphs[index])
            self._open.discard(index)
        return self._graphs[index]

    def _build(self, table: Table) -> Graph:
        graph = Graph(table["name"] or None)
        tensors = [self._tensor(graph, item) for item in table["tensors"] or []]
        missing: list[Tensor] = []

        def at(index: int) -> Tensor:
            if index == _MISSING:
                if not missing:
                    missing.append(Tensor(graph, "", (), np.float32, np.zeros((), np.float32)))
                return missing[0]
            if not 0 <= index < len(tensors):
                raise FormatError(f"there is no tensor {index} in subgraph '{graph.name or ''}'")
            return tensors[index]

        for position, item in enumerate(table["operators"] or []):
            try:
                self._operation(graph, item, at)
            except FormatError as error:
                error.where = error.where or f"operator {position}"
                raise
        graph.inputs = [at(k) for k in table["inputs"] or []]
        graph.outputs = [at(k) for k in table["outputs"] or []]
        return graph

    # tensors

    def _tensor(self, graph: Graph, table: Table) -> Tensor:
        name = table["name"]
        try:
            type, dtype = item_type(table["type"])
            shape = _shape(table)
            tensor = Tensor(graph, name or None, shape, dtype, quant=_quantization(table["quantization"]))
            content = self._buffers(table)
            if content is not None and not table["is_variable"]:
                tensor.data = self._value(type, tuple(table["shape"] or ()), content, table["sparsity"])
        except FormatError as error:
            error.where = f"tensor '{name}'"
            raise
        return tensor

    def _value(self, type: str, shape: tuple[int, ...], content: NDArray[np.uint8], sparsity: Table | None) -> Any:
        if sparsity is None:
            return to_array(type, shape, content)
        width = np.dtype(ITEM_TYPES[type]).itemsize
        return densified(to_array(type, (content.size // width,), content), shape, sparsity)

    # operations

    def _operation(self, graph: Graph, table: Table, at: Callable[[int], Tensor]) -> None:
        index = table["opcode_index"]
        if not 0 <= index < len(self._codes):
            raise FormatError(f"there is no operator code {index}")
        type, custom = self._codes[index]
        attribs = _custom_options(table) if custom else self._options(table, type)
        if table["intermediates"]:
            attribs["_intermediates"] = [at(k) for k in table["intermediates"]]
        inputs = tuple(at(k) for k in table["inputs"] or [])
        outputs = tuple(at(k) for k in table["outputs"] or [])
        for tensor in outputs:
            if tensor.producer is not None or tensor.data is not None or tensor in graph.inputs:
                raise FormatError(f"tensor '{tensor.name}' is computed by {type}, but has a value already")
        if type == "DENSIFY" and len(inputs) == len(outputs) == 1 and inputs[0].data is not None:
            outputs[0].data = inputs[0].data  # which is dense already
            return
        Operation(graph, type=type, custom=custom, attribs=attribs, inputs=inputs, outputs=outputs)

    def _options(self, table: Table, type: str) -> dict[str, Any]:
        options: dict[str, Any] = {}
        for field in ("builtin_options", "builtin_options2"):
            found = table[field]
            if found is None and table[f"{field}_type"]:
                raise FormatError(f"{type} has options of an unknown kind, {table[f'{field}_type']}")
            options.update(found or {})
        for key in [key for key in options if key.endswith(SUBGRAPH_SUFFIX) or key == "subgraph"]:
            index = options.pop(key)
            if index != _MISSING:
                options[key.removesuffix("_index")] = self.graph(index)
        return {key: value for key, value in options.items() if value is not None}


def _operator_type(code: Table) -> tuple[str, bool]:
    """The type of an operator, and whether it is a custom one."""
    old, new = code["deprecated_builtin_code"], code["builtin_code"]
    number = max(old, new)  # the old field of one byte is at its maximum for larger codes
    if number == _CUSTOM:
        if not code["custom_code"]:
            raise FormatError("a custom operator has no name")
        return code["custom_code"], True
    name = tflite_schema().operators.get(number)
    if name is None:
        raise FormatError(f"there is no operator {number}", hint="the file may be of a later version, or damaged")
    return name, False


def _custom_options(table: Table) -> dict[str, Any]:
    """The options of a custom operator: the items of a FlexBuffer map, or the bytes as they are."""
    raw = as_array(table["custom_options"]).tobytes()
    if not raw:
        return {}
    from .flexbuffer import decode_map

    found = decode_map(raw)
    return {"custom_options": raw} if found is None else found


def _shape(table: Table) -> tuple[int | None, ...]:
    """The extents; None for negative ones. A tensor without shape is a scalar."""
    return tuple(None if extent < 0 else extent for extent in table["shape"] or [])


def _quantization(table: Table | None) -> dict[str, Any]:
    """min, max, scale and zero_point as numbers, or arrays per channel; None where they are absent.

    quantized_dimension: the axis of arrays. Empty if the tensor is not quantized.
    """
    if table is None:
        return {}
    if table["details"] is not None or table["details_type"]:
        raise FormatError("it is quantized in blocks or by custom parameters, which is not supported")
    found = {
        "min": _parameter(table["min"], np.float32),
        "max": _parameter(table["max"], np.float32),
        "scale": _parameter(table["scale"], np.float32),
        "zero_point": _parameter(table["zero_point"], np.int64),
    }
    if all(value is None for value in found.values()):
        return {}
    return {**found, "quantized_dimension": table["quantized_dimension"]}


def _parameter(values: Sequence[Any] | None, dtype: Any) -> Any:
    if not values:
        return None
    return np.asarray(values, dtype) if len(values) > 1 else values[0]
