"""Makes the Graph of a model from the tables of its file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import count
from typing import Any

import numpy as np

from ....dialects.tflite.schema import tflite_schema
from ....errors import FormatError
from ....model.facts import OPEN_EXTENTS
from ....model.graph import Graph, Operation, Tensor
from ....model.state import VARIABLES
from .budget import Budget
from .buffers import Buffers, Bytes
from .calls import check_call, subgraph_option
from .flatbuffer import Table, as_array
from .quantization import quantization
from .sparse import densified
from .types import ITEM_TYPES, PACKED, item_type, storage_size, to_array, volume

ORIGINAL_NAMES = "original_names"
"""Name in the Graph -> that in the file, None for none, where they differ."""
CUSTOM_OPTIONS = "_custom_options"
"""The options of a custom operator as they are in the file."""
CUSTOM_VERSION = "custom_version"
"""The version of a custom operator, if it is not 1."""

_CUSTOM = 32  # the operator that custom ones are
_MISSING = -1
_MAX_DEPTH = 64  # of subgraphs in subgraphs
_ITEM_SIZE = 1024  # bytes that a tensor or operation takes, about
_STRING_SIZE = 64  # the same of a string


class GraphBuilder:
    """Makes the Graphs of subgraphs. buffers: the contents of constants. budget: for what is made, in bytes.

    warnings: about what is not kept.
    """

    def __init__(self, model: Table, buffers: Buffers, budget: Budget) -> None:
        self._subgraphs = model["subgraphs"] or []
        self._buffers = buffers
        self._budget = budget
        self._codes = [(*_operator_type(code), code["version"]) for code in model["operator_codes"] or []]
        self._graphs: dict[int, Graph] = {}
        self._open: dict[int, None] = {}
        self._quantizations: dict[int, dict[str, Any]] = {}
        self.warnings: list[str] = []

    def graph(self, index: int) -> Graph:
        """The Graph of a subgraph, the same one for each of its users. FormatError."""
        if not 0 <= index < len(self._subgraphs):
            raise FormatError(f"there is no subgraph {index}")
        if index in self._open:
            raise FormatError(f"subgraph {index} contains itself")
        if len(self._open) == _MAX_DEPTH:
            raise FormatError(f"subgraphs are nested deeper than {_MAX_DEPTH}")
        if index not in self._graphs:
            self._open[index] = None
            try:
                self._graphs[index] = self._build(self._subgraphs[index])
            except FormatError as error:
                if index != next(iter(self._open)) and not (error.where or "").startswith("subgraph"):
                    error.where = f"subgraph {index}" + (f", {error.where}" if error.where else "")
                raise
            del self._open[index]
        return self._graphs[index]

    def _build(self, table: Table) -> Graph:
        graph = Graph(table["name"] or None)
        tables = table["tensors"] or []
        names = _unique_names([item["name"] for item in tables])
        tensors = [self._tensor(graph, *pair) for pair in zip(names, tables, strict=True)]
        graph.metadata = _tensor_facts(names, tables)
        graph.inputs = _distinct([_at(tensors, k) for k in table["inputs"] or []], "an input")
        operators = table["operators"] or []
        _complete_empty(graph, {k for item in operators for k in item["outputs"] or []})
        missing: list[Tensor] = []

        def argument(index: int) -> Tensor:
            if index != _MISSING:
                return _at(tensors, index)
            if not missing:
                missing.append(Tensor(graph, "", (), np.float32, np.zeros((), np.float32)))
            return missing[0]

        variables = set(graph.metadata.get(VARIABLES, ()))
        known = {t for t in tensors if t.is_constant or t.name in variables}.union(graph.inputs)
        for position, item in enumerate(operators):
            try:
                self._operation(graph, item, argument, known)
            except FormatError as error:
                error.where = error.where or f"operator {position}"
                raise
        graph.outputs = [_at(tensors, k) for k in table["outputs"] or []]
        _check_known(graph.outputs, known)
        return graph

    # tensors

    def _tensor(self, graph: Graph, name: str, table: Table) -> Tensor:
        self._budget.spend(_ITEM_SIZE)
        try:
            type, dtype = item_type(table["type"])
            shape = _shape(table)
            quant = self._quantization(table["quantization"])
            _check_channels(quant, shape)
            tensor = Tensor(graph, name, shape, dtype, quant=dict(quant))
            content = self._buffers.of_tensor(table)
            if content is not None and table["is_variable"]:
                raise FormatError("a variable cannot have a value in the file")
            if content is not None:
                tensor.data = self._value(type, tuple(table["shape"] or ()), content, table["sparsity"])
        except FormatError as error:
            error.where = f"tensor '{name}'"
            raise
        if table["variant_tensors"]:
            self.warnings.append(f"tensor '{name}': the types of the items of a list of tensors are not kept")
        return tensor

    def _quantization(self, table: Table | None) -> dict[str, Any]:
        """The parameters of one table are made once, as tensors may share it."""
        if id(table) not in self._quantizations:
            self._quantizations[id(table)] = quantization(table)
        return self._quantizations[id(table)]

    def _value(self, type: str, shape: tuple[int, ...], content: Bytes, sparsity: Table | None) -> Any:
        if type == "STRING":
            self._budget.spend(content.size + _STRING_SIZE * volume(shape))
        elif type in PACKED:
            self._budget.spend(content.size * (8 // PACKED[type]))
        else:
            self._budget.spend(content.size)
        if sparsity is None:
            return to_array(type, shape, content)
        if type == "STRING" or type in PACKED:
            raise FormatError(f"a sparse tensor of type {type} is not supported")
        self._budget.spend(storage_size(type, volume(shape)))
        count = content.size // np.dtype(ITEM_TYPES[type]).itemsize
        return densified(to_array(type, (count,), content), shape, sparsity)

    # operations

    def _operation(self, graph: Graph, table: Table, at: Callable[[int], Tensor], known: set[Tensor]) -> None:
        index = table["opcode_index"]
        if not 0 <= index < len(self._codes):
            raise FormatError(f"there is no operator code {index}")
        type, custom, version = self._codes[index]
        self._budget.spend(_ITEM_SIZE + sum(8 * len(table[key] or ()) for key in ("inputs", "outputs")))
        attribs = self._custom_options(table) if custom else self._options(table, type)
        if custom and version != 1:
            attribs[CUSTOM_VERSION] = version
        if table["intermediates"]:
            attribs["_intermediates"] = [at(k) for k in table["intermediates"]]
        inputs = tuple(at(k) for k in table["inputs"] or [])
        _check_known((tensor for tensor in inputs if tensor.name), known)
        outputs = tuple(at(k) for k in table["outputs"] or [])
        for tensor in outputs:
            if tensor in known or not tensor.name:
                raise FormatError(f"tensor '{tensor.name}' is computed by {type}, but has a value already")
            known.add(tensor)
        if type == "DENSIFY" and not custom and len(inputs) == len(outputs) == 1 and inputs[0].data is not None:
            outputs[0].data = inputs[0].data  # which is dense already
            return
        if not custom:
            check_call(type, inputs, outputs, attribs)
        Operation(graph, type=type, custom=custom, attribs=attribs, inputs=inputs, outputs=outputs)

    def _options(self, table: Table, type: str) -> dict[str, Any]:
        options: dict[str, Any] = {}
        for field in ("builtin_options", "builtin_options2"):
            found = table[field]
            if found is None and table[f"{field}_type"]:
                raise FormatError(f"{type} has options of an unknown kind, {table[f'{field}_type']}")
            options.update(found or {})
        return {subgraph_option(key): self._option(key, item) for key, item in options.items() if _is_given(key, item)}

    def _option(self, key: str, value: Any) -> Any:
        if isinstance(value, np.ndarray):
            self._budget.spend(value.size)
            return value.tobytes()
        if subgraph_option(key) == key and key not in ("subgraph", "called_computations"):
            return list(value) if isinstance(value, list) else value
        return [self.graph(k) for k in value] if isinstance(value, list) else self.graph(value)

    def _custom_options(self, table: Table) -> dict[str, Any]:
        """The options of a custom operator: the items of a FlexBuffer map, or the bytes as they are."""
        if table["large_custom_options_offset"] > 1:  # smaller ones are placeholders
            content = self._buffers.part(table["large_custom_options_offset"], table["large_custom_options_size"])
        else:
            content = as_array(table["custom_options"])
        if not content.size:
            return {}
        self._budget.spend(8 * content.size)
        raw = content.tobytes()
        from .flexbuffer import decode_map

        found = decode_map(raw)
        return {"custom_options": raw} if found is None else {**found, CUSTOM_OPTIONS: raw}


def _is_given(key: str, value: Any) -> bool:
    return value is not None and (subgraph_option(key) == key or value != _MISSING)


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


# tensors


def _at(tensors: Sequence[Tensor], index: int) -> Tensor:
    if not 0 <= index < len(tensors):
        raise FormatError(f"there is no tensor {index}")
    return tensors[index]


def _distinct(tensors: list[Tensor], what: str) -> list[Tensor]:
    for tensor, number in Counter(tensors).items():
        if number > 1 or tensor.is_constant:
            problem = "has a value" if tensor.is_constant else "is listed twice"
            raise FormatError(f"tensor '{tensor.name}' is {what} and {problem}")
    return tensors


def _check_known(tensors: Iterable[Tensor], known: set[Tensor]) -> None:
    for tensor in tensors:
        if tensor not in known:
            raise FormatError(
                f"tensor '{tensor.name}' is used before it has a value",
                hint="operators of a valid file are in the order in which they run",
            )


def _complete_empty(graph: Graph, computed: set[int]) -> None:
    """Gives a value to constants without items, which have no contents in the file."""
    for index, tensor in enumerate(graph.tensors):
        if tensor.volume == 0 and tensor.data is None and index not in computed and tensor not in graph.inputs:
            dtype = np.object_ if tensor.dtype is np.str_ else tensor.dtype
            if dtype is not np.void:
                tensor.data = np.zeros(tuple(extent or 0 for extent in tensor.shape or ()), dtype)


def _unique_names(names: Sequence[str | None]) -> list[str]:
    """The names, each once: others get the number of the tensor behind them, and those without a name get one."""
    taken = set(names)
    result: list[str] = []
    given: set[str | None] = set()
    for index, name in enumerate(names):
        unique = name
        if not unique or unique in given:
            base = f"{name or 'tensor'}_{index}"
            unique = next(text for k in count() if (text := base + "_" * k) not in taken)
            taken.add(unique)
        given.add(unique)
        result.append(unique)
    return result


def _tensor_facts(names: Sequence[str], tables: Sequence[Table]) -> dict[str, Any]:
    """The metadata of a Graph about its tensors; what there is none of is left out."""
    pairs = list(zip(names, tables, strict=True))
    facts = {
        VARIABLES: [name for name, table in pairs if table["is_variable"]],
        ORIGINAL_NAMES: {name: table["name"] for name, table in pairs if table["name"] != name},
        OPEN_EXTENTS: {name: axes for name, table in pairs if (axes := _open_axes(name, table))},
    }
    return {key: value for key, value in facts.items() if value}


def _open_axes(name: str, table: Table) -> list[int]:
    signature = table["shape_signature"] or []
    if signature and len(signature) != len(table["shape"] or []):
        raise FormatError("the shape signature is not one of the shape", where=f"tensor '{name}'")
    return [axis for axis, extent in enumerate(signature) if extent < 0]


def _shape(table: Table) -> tuple[int | None, ...]:
    """The extents; None for negative ones. A tensor without shape is a scalar."""
    return tuple(None if extent < 0 else extent for extent in table["shape"] or [])


def _check_channels(quant: dict[str, Any], shape: tuple[int | None, ...]) -> None:
    """Raises FormatError if there are parameters per channel, but not for each one."""
    size = np.size(quant["scale"]) if quant and quant["scale"] is not None else 1
    if size > 1:
        axis = quant["quantized_dimension"]
        if not 0 <= axis < len(shape) or shape[axis] not in (None, size):
            raise FormatError(f"it has {size} scales for dimension {axis} of shape {list(shape)}")
