"""The builder for dialects whose operators the package holds no signatures of."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from ...model import Graph, Operation, Tensor
from ...ops.inference import infer_shapes
from ...ops.registry import find
from ..engine.rules import find_from_nnef


class PlainBuilder:
    """Builds operations at the end of `graph`: `b.Conv(x, w, None, strides=[2, 2])`.

    Results have no shape and are real; the engine sets shape and data type of what a rule returns. dialect: of the
    rules. real: the class of real numbers in the present operation. version: of the target's operator set. wanted:
    which results of the source operation are used. warnings: in order, once each. bases: constant -> the one that it
    was derived from, whose name it inherits. views: what has been made of constants.
    """

    dialect = ""

    def __init__(self, graph: Graph, version: int) -> None:
        self.graph = graph
        self.version = version
        self.real: type = np.float32
        self.wanted: tuple[bool, ...] = ()
        self.warnings: dict[str, None] = {}
        self.bases: dict[Tensor, Tensor] = {}
        self.views: dict[tuple[Any, ...], Tensor] = {}
        self._missing: Tensor | None = None

    def __getattr__(self, type: str) -> Callable[..., Any]:
        if type.startswith("_"):
            raise AttributeError(type)
        return partial(self.op, type)

    def constant(self, value: Any, dtype: Any = None, base: Tensor | None = None) -> Tensor:
        """A constant tensor; the array is shared, not copied. base: what it is another form of."""
        array = np.asarray(value, dtype=dtype)
        tensor = Tensor(self.graph, shape=array.shape, dtype=array.dtype.type, data=array)
        if base is not None:
            self.bases[tensor] = base
        return tensor

    def view(self, base: Tensor, *form: Any, make: Callable[[], Any]) -> Tensor:
        """The constant in another form, with the array that `make` gives, as one however often that is asked for."""
        key = (base, *form)
        if key not in self.views:
            self.views[key] = self.constant(make(), base=base)
        return self.views[key]

    def value(self, tensor: Tensor) -> np.ndarray[Any, Any] | None:
        """The array of a constant, None for any other tensor."""
        return None if tensor.data is None else np.asarray(tensor.data)

    def op(self, type: str, *inputs: Tensor | None, outputs: int = 1, domain: str = "", **attribs: Any) -> Any:
        """Adds an operation; its result, or a tuple of them. None for an input leaves it out; so do None attributes."""
        results = tuple([Tensor(self.graph, dtype=self.real) for _ in range(outputs)])
        while inputs and inputs[-1] is None:
            inputs = inputs[:-1]
        Operation(
            self.graph,
            type=type,
            attribs={key: value for key, value in attribs.items() if value is not None},
            inputs=tuple([self._absent() if t is None else t for t in inputs]),
            outputs=results,
            domain=domain,
        )
        return results[0] if outputs == 1 else results

    def nnef(self, name: str, *operands: Tensor | float, **attribs: Any) -> Tensor:
        """What the rule of the dialect makes of an NNEF operation with one result; numbers are real ones."""
        rule, definition = find_from_nnef(self.dialect, name), find(name)
        assert rule is not None and definition is not None, f"{self.dialect} has no rule for {name}"
        tensors = [x if isinstance(x, Tensor) else self.constant(x, self.real) for x in operands]
        complete = definition.complete(attribs)
        result: Tensor = rule.function(self, *tensors, **{**complete, **attribs})
        if result.shape is None:
            result.shape = infer_shapes(name, [list(x.shape or ()) for x in tensors], complete)
        return result

    def _absent(self) -> Tensor:
        if self._missing is None:
            self._missing = Tensor(self.graph, name="", shape=(), dtype=np.float32, data=np.zeros((), np.float32))
        return self._missing
