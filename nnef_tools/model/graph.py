"""Graph, Tensor and Operation: a mutable, linked, dialect-neutral model.

Operations and tensors belong to one graph. The links between them are kept mutual by the setters: `op.inputs = ...`
updates `tensor.consumers`, `op.outputs = ...` updates `tensor.producers`. A tuple of inputs or outputs means separate
arguments; a list means one array-typed argument (written `[a, b]`) and reads back as a read-only view.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from heapq import heapify, heappop, heappush
from typing import Any, TextIO

import numpy as np

from .containers import Members, View

Shape = tuple[int | None, ...]

_DIMS = {int, type(None)}
_PLAIN = {bool, int, float, str}


class Tensor:
    """A value of the graph: an input, a constant, or the result of operations.

    name: str or None, not checked for uniqueness. shape: extents, None for an unknown one; None for unknown rank.
    dtype: a numpy scalar class such as `np.float32`. data: the value of a constant, of any type, never copied; None
    for non-constants. quant: quantization parameters (`op-name` and attributes).
    """

    def __init__(
        self,
        graph: Graph,
        name: str | None = None,
        shape: Iterable[int | None] | None = None,
        dtype: Any = None,
        data: Any = None,
        quant: dict[str, Any] | None = None,
    ) -> None:
        assert isinstance(graph, Graph), "a Tensor needs the Graph that it belongs to"
        self._graph: Graph | None = graph
        self._producers: list[Operation] = []
        self._consumers: dict[Operation, None] = {}
        # Models have many tensors, so the setters are not called for the usual values, here and below.
        self._name = name if isinstance(name, str) else _as_name(name, "tensor name")
        self._shape: Shape | None = None if shape is None else _as_shape(shape)
        self._dtype: type | None = dtype if dtype is None or type(dtype) is type else _as_class(dtype)
        self.data = data
        self.quant: dict[str, Any] | None = quant if quant is not None else {}
        graph._tensors._append(self)

    @property
    def graph(self) -> Graph | None:
        """The owner; None after removal."""
        return self._graph

    @property
    def name(self) -> str | None:
        return self._name

    @name.setter
    def name(self, name: str | None) -> None:
        self._name = _as_name(name, "tensor name")

    @property
    def shape(self) -> Shape | None:
        return self._shape

    @shape.setter
    def shape(self, shape: Iterable[int | None] | None) -> None:
        self._shape = None if shape is None else _as_shape(shape)

    @property
    def dtype(self) -> Any:
        return self._dtype

    @dtype.setter
    def dtype(self, dtype: Any) -> None:
        self._dtype = _as_class(dtype)

    @property
    def producers(self) -> list[Operation]:
        return list(self._producers)

    @property
    def producer(self) -> Operation | None:
        assert len(self._producers) <= 1, f"tensor '{self.name}' has {len(self._producers)} producers"
        return self._producers[0] if self._producers else None

    @property
    def has_producer(self) -> bool:
        return bool(self._producers)

    @property
    def consumers(self) -> list[Operation]:
        """The operations that use this tensor, each once, in the order of their first use."""
        return list(self._consumers)

    @property
    def consumer(self) -> Operation | None:
        """The only consumer; None if there is not exactly one."""
        return next(iter(self._consumers)) if len(self._consumers) == 1 else None

    @property
    def has_consumer(self) -> bool:
        return bool(self._consumers)

    @property
    def rank(self) -> int | None:
        return None if self._shape is None else len(self._shape)

    @property
    def volume(self) -> int | None:
        """Number of items; None if any extent is unknown; 1 for a scalar."""
        if self._shape is None:
            return None
        volume = 1
        for dim in self._shape:
            if dim is None:
                return None
            volume *= dim
        return volume

    @property
    def is_constant(self) -> bool:
        return self.data is not None

    def copy_with(
        self,
        graph: Graph | None = None,
        name: str | None = None,
        dtype: Any = None,
        shape: Iterable[int | None] | None = None,
        data: Any = None,
        quant: dict[str, Any] | None = None,
    ) -> Tensor:
        """A new tensor without links; fields that are not given are shared with this one."""
        owner = graph if graph is not None else self._graph
        assert owner is not None, "copy_with of a removed tensor needs a graph"
        return Tensor(
            owner,
            name=name if name is not None else self.name,
            shape=shape if shape is not None else self.shape,
            dtype=dtype if dtype is not None else self.dtype,
            data=data if data is not None else self.data,
            quant=quant if quant is not None else self.quant,
        )

    def __repr__(self) -> str:
        return self.name if self.name else f"@{id(self):x}"

    def __str__(self) -> str:
        dtype = "?" if self._dtype is None else self._dtype.__name__
        dims = "..." if self._shape is None else ", ".join("?" if dim is None else str(dim) for dim in self._shape)
        return f"{self!r}: {dtype}[{dims}]"


_TENSORS = {Tensor}


class Operation:
    """A node of the graph.

    type: the name of the operator in the graph's dialect. attribs: keyword values; a non-empty dict is kept by
    reference. custom: not an operator of the dialect's own standard. domain: namespace of the type where the dialect
    has such ('' for the default one).
    """

    def __init__(
        self,
        graph: Graph,
        type: str | None = None,
        name: str | None = None,
        attribs: dict[str, Any] | None = None,
        inputs: Tensor | Iterable[Tensor] | None = None,
        outputs: Tensor | Iterable[Tensor] | None = None,
        custom: bool = False,
        domain: str = "",
    ) -> None:
        assert isinstance(graph, Graph), "an Operation needs the Graph that it belongs to"
        assert custom in (True, False), f"operation.custom must be a bool, got {custom!r}"
        self._type = type if isinstance(type, str) else _as_name(type, "operation type")
        self._name = None if name is None else _as_name(name, "operation name")
        self._attribs = _as_attribs(attribs) if attribs else {}
        self.custom = bool(custom)
        self.domain = domain
        self._inputs = _as_arguments(inputs)
        self._outputs = _as_arguments(outputs)
        if len(self._outputs) > 1:
            _check_distinct(self._outputs)
        # Nothing can fail any more, so a bad argument leaves no half-made operation in the graph.
        self._graph: Graph | None = graph
        graph._operations._append(self)
        for tensor in self._inputs:
            tensor._consumers[self] = None
        for tensor in self._outputs:
            tensor._producers.append(self)

    @property
    def graph(self) -> Graph | None:
        """The owner; None after removal."""
        return self._graph

    @property
    def type(self) -> str | None:
        return self._type

    @type.setter
    def type(self, type: str | None) -> None:
        self._type = _as_name(type, "operation type")

    @property
    def name(self) -> str | None:
        return self._name

    @name.setter
    def name(self, name: str | None) -> None:
        self._name = _as_name(name, "operation name")

    @property
    def attribs(self) -> dict[str, Any]:
        return self._attribs

    @attribs.setter
    def attribs(self, attribs: dict[str, Any]) -> None:
        self._attribs = _as_attribs(attribs)

    @property
    def inputs(self) -> tuple[Tensor, ...] | View[Tensor]:
        return self._inputs

    @inputs.setter
    def inputs(self, inputs: Tensor | Iterable[Tensor] | None) -> None:
        new = _as_arguments(inputs)
        for tensor in self._inputs:
            tensor._consumers.pop(self, None)
        self._inputs = new
        for tensor in new:
            tensor._consumers[self] = None

    @property
    def outputs(self) -> tuple[Tensor, ...] | View[Tensor]:
        return self._outputs

    @outputs.setter
    def outputs(self, outputs: Tensor | Iterable[Tensor] | None) -> None:
        new = _as_arguments(outputs)
        _check_distinct(new)
        for tensor in self._outputs:
            tensor._producers.remove(self)
        self._outputs = new
        for tensor in new:
            tensor._producers.append(self)

    @property
    def captures(self) -> list[Tensor]:
        """The outer tensors that nested graphs among the attributes (bodies of ONNX If, Loop, Scan) use, each once."""
        if not self._attribs:
            return []
        captured: dict[Tensor, None] = {}
        for value in self._attribs.values():
            kind = type(value)
            if kind in _PLAIN or (kind is list and _PLAIN.issuperset(map(type, value))):
                continue
            if isinstance(value, Graph):
                captured.update(dict.fromkeys(value._captures()))
            elif isinstance(value, (list, tuple)):
                for nested in value:
                    if isinstance(nested, Graph):
                        captured.update(dict.fromkeys(nested._captures()))
        return list(captured)

    def _reads(self) -> Sequence[Tensor]:
        """Inputs and captures."""
        captured = self.captures if self._attribs else ()
        return (*self._inputs, *captured) if captured else self._inputs

    @property
    def input(self) -> Tensor:
        assert len(self._inputs) == 1, f"operation '{self.type}' has {len(self._inputs)} inputs, not one"
        return self._inputs[0]

    @property
    def output(self) -> Tensor:
        assert len(self._outputs) == 1, f"operation '{self.type}' has {len(self._outputs)} outputs, not one"
        return self._outputs[0]

    def copy_with(
        self,
        graph: Graph | None = None,
        type: str | None = None,
        name: str | None = None,
        attribs: dict[str, Any] | None = None,
        inputs: Tensor | Iterable[Tensor] | None = None,
        outputs: Tensor | Iterable[Tensor] | None = None,
        custom: bool | None = None,
    ) -> Operation:
        """A new operation at the end of the graph; fields that are not given are taken from this one."""
        owner = graph if graph is not None else self._graph
        assert owner is not None, "copy_with of a removed operation needs a graph"
        return Operation(
            owner,
            type=type if type is not None else self.type,
            name=name if name is not None else self.name,
            attribs=dict(attribs if attribs is not None else self.attribs),
            inputs=inputs if inputs is not None else self.inputs,
            outputs=outputs if outputs is not None else self.outputs,
            custom=custom if custom is not None else self.custom,
            domain=self.domain,
        )

    def __repr__(self) -> str:
        return self.type or f"@{id(self):x}"

    def __str__(self) -> str:
        attribs = ", ".join(f"{key}={value!r}" for key, value in self.attribs.items())
        inputs = ", ".join(repr(tensor) for tensor in self.inputs)
        outputs = ", ".join(str(tensor) for tensor in self.outputs)
        return f"{outputs} = {self.type}{{{attribs}}}({inputs})"


class Graph:
    """Operations and tensors, with ordered graph inputs and outputs.

    metadata: facts about the model that are not part of its computation (producer, opset, license, source names); see
    `model.facts`.
    """

    def __init__(self, name: str | None = None) -> None:
        self.name = name
        self.metadata: dict[str, Any] = {}
        self._operations: Members[Operation] = Members()
        self._tensors: Members[Tensor] = Members()
        self._inputs: View[Tensor] = View([])
        self._outputs: View[Tensor] = View([])

    @property
    def name(self) -> str | None:
        return self._name

    @name.setter
    def name(self, name: str | None) -> None:
        self._name = _as_name(name, "graph name")

    @property
    def operations(self) -> Sequence[Operation]:
        """Live read-only view, in order."""
        return self._operations

    @property
    def tensors(self) -> Sequence[Tensor]:
        """Live read-only view, in order of creation."""
        return self._tensors

    @property
    def inputs(self) -> View[Tensor]:
        return self._inputs

    @inputs.setter
    def inputs(self, inputs: Iterable[Tensor]) -> None:
        self._inputs = View(_as_tensors(inputs))

    @property
    def outputs(self) -> View[Tensor]:
        return self._outputs

    @outputs.setter
    def outputs(self, outputs: Iterable[Tensor]) -> None:
        self._outputs = View(_as_tensors(outputs))

    def remove_tensor(self, tensor: Tensor) -> None:
        """Removes a tensor that nothing uses. AssertionError if an operation or the graph's inputs or outputs do."""
        self.remove_tensors((tensor,))

    def remove_tensors(self, tensors: Iterable[Tensor]) -> None:
        tensors = list(tensors)
        bound = {*self._inputs, *self._outputs}
        for tensor in tensors:
            assert tensor in self._tensors, f"tensor '{tensor!r}' is not in the graph"
            assert not tensor._producers, f"tensor '{tensor!r}' still has a producer"
            assert not tensor._consumers, f"tensor '{tensor!r}' still has consumers"
            assert tensor not in bound, f"tensor '{tensor!r}' is an input or output of the graph"
        for tensor in tensors:
            self._tensors._remove(tensor)
            tensor._graph = None

    def remove_operation(self, operation: Operation, unlink: bool = False) -> None:
        """Removes an operation; with unlink, its inputs and outputs are set to nothing first."""
        self.remove_operations((operation,), unlink=unlink)

    def remove_operations(self, operations: Iterable[Operation], unlink: bool = False) -> None:
        operations = list(operations)
        for operation in operations:
            assert operation in self._operations, f"operation '{operation!r}' is not in the graph"
            if unlink:
                operation.inputs = ()
                operation.outputs = ()
            assert not operation._inputs, f"operation '{operation!r}' still has inputs"
            assert not operation._outputs, f"operation '{operation!r}' still has outputs"
        for operation in operations:
            self._operations._remove(operation)
            operation._graph = None

    def adopt(self, operation: Operation) -> None:
        """Takes an operation over from another graph, with its outputs, to the end of this one; all links stay."""
        owner = operation._graph
        assert owner is not None, f"operation '{operation!r}' is in no graph"
        owner._operations._remove(operation)
        self._operations._append(operation)
        operation._graph = self
        for tensor in operation._outputs:
            assert tensor._graph is owner, f"tensor '{tensor!r}' is of another graph than its producer"
            owner._tensors._remove(tensor)
            self._tensors._append(tensor)
            tensor._graph = self

    def is_unique(self) -> bool:
        """Does every tensor have at most one producer?"""
        return all(len(tensor._producers) <= 1 for tensor in self._tensors)

    def is_sorted(self) -> bool:
        """Does every producer precede its consumers?"""
        done: set[Operation] = set()
        for operation in self._operations:
            for tensor in operation._reads():
                for producer in tensor._producers:
                    if producer not in done and producer._graph is self:
                        return False
            done.add(operation)
        return True

    def _needs(self, operation: Operation) -> set[Operation]:
        """The operations of this graph that must run before the given one."""
        return {producer for tensor in operation._reads() for producer in tensor._producers if producer._graph is self}

    def _captures(self) -> Iterator[Tensor]:
        """Tensors of outer graphs that this graph refers to."""
        for operation in self._operations:
            for tensor in operation._reads():
                if tensor._graph is not self:
                    yield tensor
        for tensor in self._outputs:
            if tensor._graph is not self:
                yield tensor

    def sort(self, offset: int = 0) -> bool:
        """Stable topological sort in place, in linear time (except for a heap that keeps the original order).

        Operations before `offset` stay where they are and count as done. Returns False, and changes nothing, if the
        operations depend on each other in a cycle.
        """
        if offset == 0 and self.is_sorted():
            return True
        operations = list(self._operations)
        position = {operation: k for k, operation in enumerate(operations)}
        waiting: dict[Operation, int] = {}
        followers: dict[Operation, list[Operation]] = {}
        for operation in operations[offset:]:
            needs = {producer for producer in self._needs(operation) if position[producer] >= offset}
            waiting[operation] = len(needs)
            for producer in needs:
                followers.setdefault(producer, []).append(operation)
        ready = [position[operation] for operation, count in waiting.items() if count == 0]
        heapify(ready)
        result = operations[:offset]
        while ready:
            operation = operations[heappop(ready)]
            result.append(operation)
            for follower in followers.get(operation, ()):
                waiting[follower] -= 1
                if waiting[follower] == 0:
                    heappush(ready, position[follower])
        if len(result) != len(operations):
            return False
        self._operations._replace(result)
        return True

    def reorder(self, operations: Iterable[Operation]) -> None:
        """Puts the operations into the given order, which must name each of them once."""
        order = list(operations)
        assert len(order) == len(self._operations), "the new order must name every operation once"
        assert set(order) == set(self._operations), "the new order must name every operation once"
        self._operations._replace(order)

    def move_operation(self, at_idx: int, to_idx: int) -> None:
        """Takes the operation at one index out and inserts it at another."""
        operations = list(self._operations)
        operations.insert(to_idx, operations.pop(at_idx))
        self._operations._replace(operations)

    def reverse(self, offset: int = 0) -> None:
        """Reverses the order of the operations from `offset` on."""
        operations = list(self._operations)
        self._operations._replace(operations[:offset] + operations[offset:][::-1])

    def print(self, file: TextIO | None = None) -> None:
        """Prints the graph, an operation a line."""
        file = file if file is not None else sys.stdout
        print(f"{self} {{", file=file)
        for operation in self._operations:
            print(f"    {operation}", file=file)
        print("}", file=file)

    def assert_consistent(self) -> None:
        """AssertionError unless links are mutual and everything that is linked belongs to this graph."""
        for tensor in self._tensors:
            assert tensor._graph is self
            assert all(producer in self._operations for producer in tensor._producers)
            assert all(any(tensor is other for other in producer._outputs) for producer in tensor._producers)
            assert all(any(tensor is other for other in consumer._inputs) for consumer in tensor._consumers)
        for operation in self._operations:
            assert operation._graph is self
            assert all(operation in tensor._consumers for tensor in operation._inputs)
            assert all(operation in tensor._producers for tensor in operation._outputs)
            assert all(tensor._graph is not None for tensor in operation._inputs)
            assert all(tensor in self._tensors for tensor in operation._outputs)
        assert all(tensor in self._tensors for tensor in self._inputs)
        assert all(tensor in self._tensors for tensor in self._outputs)

    def __repr__(self) -> str:
        """A few lines: numbers of operations and tensors, inputs and outputs."""
        counts = Counter(operation.type or "?" for operation in self._operations).most_common()
        types = ", ".join(f"{count} {type}" for type, count in counts[:8]) + (", .." if len(counts) > 8 else "")
        lines = [f"Graph {self.name or '(unnamed)'}: {len(self._operations)} operations, {len(self._tensors)} tensors"]
        for kind, tensors in (("input", self._inputs), ("output", self._outputs)):
            lines += [f"  {kind:<10}  {tensor}" for tensor in tensors]
        return "\n".join([*lines, f"  operations  {types}"] if types else lines)

    def __str__(self) -> str:
        inputs = ", ".join(repr(tensor) for tensor in self._inputs)
        outputs = ", ".join(repr(tensor) for tensor in self._outputs)
        return f"graph {self.name}({inputs}) -> ({outputs})"


def _as_name(name: str | None, what: str) -> str | None:
    assert name is None or isinstance(name, str), f"{what} must be a str or None, got {name!r}"
    return name


def _as_shape(shape: Iterable[int | None]) -> Shape:
    dims = tuple(shape)
    if _DIMS.issuperset(map(type, dims)):
        return dims
    return tuple(None if dim is None else _as_int(dim) for dim in dims)


def _as_class(dtype: Any) -> type | None:
    if isinstance(dtype, np.dtype):
        dtype = dtype.type
    assert dtype is None or isinstance(dtype, type), f"tensor dtype must be a class, got {dtype!r}"
    return dtype


def _as_attribs(attribs: dict[str, Any]) -> dict[str, Any]:
    assert isinstance(attribs, dict), f"operation attribs must be a dict, got {attribs!r}"
    for key, value in attribs.items():
        assert type(key) is str or isinstance(key, str), f"attribute name must be a str, got {key!r}"
        assert not isinstance(value, Tensor), f"attribute '{key}' is a Tensor; tensors belong in inputs"
    return attribs


def _as_int(dim: Any) -> int:
    assert isinstance(dim, (int, np.integer)) and not isinstance(dim, bool), f"extent must be an int, got {dim!r}"
    return int(dim)


def _as_tensors(items: Iterable[Tensor]) -> list[Tensor]:
    tensors = list(items)
    if not _TENSORS.issuperset(map(type, tensors)):
        for tensor in tensors:
            assert isinstance(tensor, Tensor), f"expected a Tensor, got {tensor!r}"
    return tensors


def _as_arguments(items: Tensor | Iterable[Tensor] | None) -> tuple[Tensor, ...] | View[Tensor]:
    """None -> (), a tensor -> (tensor,), a list or view -> a view of a copy, anything else -> a tuple."""
    if items is None:
        return ()
    if isinstance(items, Tensor):
        return (items,)
    if type(items) is tuple and _TENSORS.issuperset(map(type, items)):
        return items
    tensors = _as_tensors(items)
    return View(tensors) if isinstance(items, (list, View)) else tuple(tensors)


def _check_distinct(tensors: Sequence[Tensor]) -> None:
    distinct = len({id(tensor) for tensor in tensors}) == len(tensors)
    assert distinct, "an operation cannot output one tensor twice"
