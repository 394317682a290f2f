"""The kernels of the torch runtime: float32, float64, int64 and bool tensors on a device.

Imports torch; imported only where it is chosen.
"""

from __future__ import annotations

import warnings
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from ...errors import ExecutionError, MissingPackageError, UsageError
from ...model import Graph
from ...model.widths import has_doubles
from ...ops import registry
from ..executor import Array
from .constants import canonical
from .plan import Operator

try:
    import torch
except ImportError as error:
    raise MissingPackageError("torch", "to run models with backend 'torch'", "torch") from error

from .torch_operators import OPERATORS
from .torch_operators.common import numpy_operator


class TorchKernels:
    """Operators on torch tensors: those of torch where it has them, numpy kernels for the others. Without gradients.

    doubles: are parts of the model float64? Otherwise such arrays become float32.
    """

    name = "torch"

    def __init__(self, device: str | torch.device | None = None, *, doubles: bool = False) -> None:
        self._doubles = doubles
        try:
            self._device = torch.device(device or "cpu")
            torch.empty(0, device=self._device).cpu()
        except (RuntimeError, AssertionError) as error:  # NotImplementedError is a RuntimeError
            raise UsageError(f"torch cannot use device '{device}': {str(error).splitlines()[0]}") from error

    @classmethod
    def for_graph(cls, graph: Graph, device: str | None = None) -> TorchKernels:
        """The kernels for the item types of the graph. device: of torch, by default the CPU."""
        return cls(device, doubles=has_doubles(graph))

    @property
    def device(self) -> str:
        return str(self._device)

    def operator(self, name: str) -> Operator | None:
        function = find_operator(name)
        return in_common_type(function) if self._doubles and function is not None else function

    def from_numpy(self, array: Array) -> torch.Tensor:
        return tensor_from_numpy(array, doubles=self._doubles).to(self._device)

    def constant(self, array: Array) -> torch.Tensor:
        """See `Kernels.constant`. Read-only items, such as those of a mapped file, are not copied."""
        items = canonical(array, doubles=self._doubles)
        if items is not array or items.flags.writeable or not items.flags.c_contiguous or not items.flags.aligned:
            return self.from_numpy(array)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The given NumPy array is not writable")
            return torch.from_numpy(items).to(self._device)

    def to_numpy(self, value: Any) -> Array:
        try:
            result: Array = value.detach().cpu().numpy()
        except ValueError as error:  # arrays have fewer dimensions
            raise ExecutionError(f"a torch tensor cannot become a numpy array: {error}") from error
        return result

    def as_value(self, result: Any) -> torch.Tensor:
        return result if isinstance(result, torch.Tensor) else torch.as_tensor(result, device=self._device)

    def context(self) -> AbstractContextManager[Any]:
        return torch.no_grad()


def find_operator(name: str) -> Operator | None:
    """The function on torch tensors for that operator, or None."""
    if name in OPERATORS:
        return OPERATORS[name]
    return numpy_operator(name) if registry.find(name) is not None else None


def in_common_type(function: Operator) -> Operator:
    """The operator with real operands brought to one precision, since torch promotes in elementwise operations only."""

    def widened(item: Any) -> Any:
        if isinstance(item, list):
            return [widened(part) for part in item]
        return item.double() if item.dtype == torch.float32 else item

    def operator(*inputs: Any, **attribs: Any) -> Any:
        flat = [t for item in inputs for t in (item if isinstance(item, list) else [item])]
        mixed = any(t.dtype == torch.float64 and t.dim() for t in flat)
        return function(*(map(widened, inputs) if mixed else inputs), **attribs)

    return operator


def tensor_from_numpy(array: Array, *, doubles: bool = False) -> torch.Tensor:
    """A tensor with float32, int64 or bool items; with doubles also float64.

    Copies where torch requires it (read-only or mirrored arrays).
    """
    items = canonical(array, doubles=doubles)
    if items is array and (not items.flags.writeable or any(step < 0 for step in items.strides)):
        items = np.array(items)
    return torch.from_numpy(np.ascontiguousarray(items).reshape(items.shape))
