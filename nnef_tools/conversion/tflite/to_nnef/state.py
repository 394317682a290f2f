"""Resource variables, which keep their values from run to run: NNEF's `variable` and `update`.

A VAR_HANDLE is no tensor of the target: rules pass `Resource` objects on.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ....errors import InvalidOperator, Unsupported
from ....model import Graph, Tensor
from ...building.nnef import Builder
from ...building.quantized import QuantizedArray
from ...building.shapes import shape
from ...engine.rules import to_nnef

WITH_RESOURCES = ("VAR_HANDLE", "CALL_ONCE", "IF", "WHILE")
"""The operators whose rules get the `Resources` of the model as an attribute."""

CARRYING = ("VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE", "CALL_ONCE", "CALL", "IF", "WHILE")
"""The operators that may have a resource as input or output."""


class Resource:
    """A resource variable. variable: of the target, if it has a value before the first run.

    value: the tensor that it has been assigned in this run; None before that.
    """

    graph = None  # a resource stands among the target tensors, but has no place in the graph
    data = None

    def __init__(self, resources: Resources, name: str) -> None:
        self._resources = resources
        self.name = name
        self.variable: Tensor | None = None
        self.value: Tensor | None = None

    def read(self) -> Tensor:
        """The present value."""
        found = self.value or self.variable
        if found is None:
            raise InvalidOperator(f"variable '{self.name}' is read before it has a value")
        return found

    def assign(self, b: Builder, value: Tensor) -> None:
        """Sets the value for the rest of this run, and for the next one."""
        if self._resources.fixed:
            raise Unsupported(f"variable '{self.name}' is assigned in a loop, or on a condition that is computed")
        if self.variable is not None:
            if (shape(value), value.dtype) != (shape(self.variable), self.variable.dtype):
                before, after = shape(self.variable), shape(value)
                raise Unsupported(f"variable '{self.name}' changes its shape or type, {before} to {after}")
            if _entry(value) != _entry(self.variable):
                raise Unsupported(f"variable '{self.name}' is assigned codes of another quantization than its own")
            b.update(self.variable, value)
        self.value = value


class Resources:
    """The resource variables of a model. fixed: must they keep their values, since it depends on data what is run?

    Those that are never assigned after the initialization are constants.
    """

    def __init__(self, graph: Graph) -> None:
        self.fixed = False
        self._assigned = _assigned(graph)
        self._items: dict[tuple[str, str], Resource] = {}

    def get(self, container: str, name: str) -> Resource:
        """The variable of that name, the same one for all its handles."""
        return self._items.setdefault((container, name), Resource(self, name))

    @contextmanager
    def keeping(self) -> Iterator[None]:
        """Context manager in which no variable can be assigned."""
        before, self.fixed = self.fixed, True
        try:
            yield
        finally:
            self.fixed = before

    def initialize(self, b: Builder) -> None:
        """Makes what has been assigned so far the values before the first run."""
        for key, resource in self._items.items():
            value = resource.value
            if value is None or (key not in self._assigned and None not in self._assigned):
                continue
            resource.value = None
            initial = value.data if isinstance(value.data, QuantizedArray) else b.value(value)
            if initial is None:
                raise Unsupported(f"the first value of variable '{resource.name}' is not constant")
            if initial.size == 0:
                raise Unsupported(f"variable '{resource.name}' is empty, of shape {list(initial.shape)}")
            resource.variable = b.state(initial, resource.name)


def _assigned(graph: Graph) -> set[tuple[str, str] | None]:
    """Container and name of what operators other than CALL_ONCE assign; None for a variable that cannot be told."""
    found: set[tuple[str, str] | None] = set()
    for op in graph.operations:
        handle = op.inputs[0].producer if op.type == "ASSIGN_VARIABLE" else None
        if handle is not None and handle.type == "VAR_HANDLE":
            found.add((handle.attribs.get("container") or "", handle.attribs.get("shared_name") or ""))
        elif op.type == "ASSIGN_VARIABLE":
            found.add(None)
        for item in op.attribs.values() if op.type != "CALL_ONCE" else ():
            found |= _assigned(item) if isinstance(item, Graph) else set()
    return found


def _entry(tensor: Tensor) -> Any:
    """The quantization in a form that compares as a whole."""
    if isinstance(tensor.data, QuantizedArray):
        return repr(tensor.data.quant())
    return repr(dict(tensor.quant or {}))


def _resource(value: Any) -> Resource:
    if not isinstance(value, Resource):
        raise InvalidOperator("a resource is expected")
    return value


@to_nnef("tflite", "VAR_HANDLE")
def var_handle(
    b: Builder, *, resources: Resources, container: str | None = None, shared_name: str | None = None
) -> Any:
    """VAR_HANDLE: the variable of that name."""
    return resources.get(container or "", shared_name or "")


@to_nnef("tflite", "READ_VARIABLE")
def read_variable(b: Builder, resource: Tensor) -> Tensor:
    """READ_VARIABLE: the value that was assigned last, in this run or an earlier one."""
    return _resource(resource).read()


@to_nnef("tflite", "ASSIGN_VARIABLE")
def assign_variable(b: Builder, resource: Tensor, value: Tensor) -> list[Tensor]:
    """ASSIGN_VARIABLE -> update."""
    _resource(resource).assign(b, value)
    return []


@to_nnef("tflite", "CALL_ONCE")
def call_once(b: Builder, *, resources: Resources, init_subgraph: Graph) -> list[Tensor]:
    """CALL_ONCE: the values that the subgraph assigns are those before the first run."""
    assert b.inline is not None
    b.inline(init_subgraph, [])
    resources.initialize(b)
    return []
