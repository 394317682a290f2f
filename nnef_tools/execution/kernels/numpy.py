"""The kernels of the numpy runtime: those of `ops`, on arrays in their own item types (uint64 as int64)."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from ...model import Graph
from ...ops import registry
from ...ops.bind import python_name
from ..executor import Array
from .constants import signed
from .plan import Operator


class NumpyKernels:
    """Operators on numpy arrays. Constants are read-only, so that no kernel or caller can change the model."""

    name = "numpy"
    device = "cpu"

    @classmethod
    def for_graph(cls, graph: Graph, device: str | None = None) -> NumpyKernels:
        """The kernels, the same for any graph. device: 'cpu'."""
        return cls()

    def operator(self, name: str) -> Operator | None:
        definition = registry.find(name)
        if definition is None:
            return None
        run = definition.run
        renamed = {python_name(key): key for key in definition.fragment.attributes if python_name(key) != key}
        if not renamed:
            return run
        return lambda *inputs, **attribs: run(*inputs, **{renamed.get(key, key): x for key, x in attribs.items()})

    def from_numpy(self, array: Array) -> Array:
        view: Array = signed(array).view()
        view.flags.writeable = False
        return view

    def constant(self, array: Array) -> Array:
        return self.from_numpy(array)

    def to_numpy(self, value: Any) -> Array:
        return np.asarray(value)

    def as_value(self, result: Any) -> Array:
        return np.asarray(result)

    def context(self) -> AbstractContextManager[Any]:
        return np.errstate(all="ignore")
