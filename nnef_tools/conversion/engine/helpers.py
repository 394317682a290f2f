"""The methods of converters that the expressions of a Transform may call.

The names of public methods are a public interface: expressions see every bound public method of a converter by its bare
name. Tensors are tensors of the target graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...errors import ConversionError
from ...model import Graph, Operation, Tensor
from ...utils import types
from ..maths import axis_orders
from .refusal import is_known


class Helpers:
    """The helpers of all converters; subclasses set `_target` and `_builder` while they convert."""

    _target: Graph
    _builder: Any  # Builder or TargetBuilder, by the direction

    # axis orders

    def nxc_to_ncx(self, items: Sequence[Any], cond: bool = True) -> Sequence[Any]:
        """`(1, 8, 9, 3)` -> `(1, 3, 8, 9)`; unchanged if cond is false."""
        return axis_orders.permute(items, axis_orders.nxc_to_ncx_perm(len(items))) if cond else items

    def ncx_to_nxc(self, items: Sequence[Any], cond: bool = True) -> Sequence[Any]:
        """`[1, 3, 8, 9]` -> `[1, 8, 9, 3]`."""
        return axis_orders.permute(items, axis_orders.ncx_to_nxc_perm(len(items))) if cond else items

    def xcn_to_ncx(self, items: Sequence[Any], cond: bool = True) -> Sequence[Any]:
        """`[5, 6, 3, 8]` -> `[8, 3, 5, 6]`."""
        return axis_orders.permute(items, axis_orders.xcn_to_ncx_perm(len(items))) if cond else items

    def ncx_to_xcn(self, items: Sequence[Any], cond: bool = True) -> Sequence[Any]:
        """`[8, 3, 5, 6]` -> `[5, 6, 3, 8]`."""
        return axis_orders.permute(items, axis_orders.ncx_to_xcn_perm(len(items))) if cond else items

    def cxn_to_ncx(self, items: Sequence[Any], cond: bool = True) -> Sequence[Any]:
        """`[3, 5, 6, 8]` -> `[8, 3, 5, 6]`."""
        return axis_orders.permute(items, axis_orders.cxn_to_ncx_perm(len(items))) if cond else items

    def ncx_to_cxn(self, items: Sequence[Any], cond: bool = True) -> Sequence[Any]:
        """`[8, 3, 5, 6]` -> `[3, 5, 6, 8]`."""
        return axis_orders.permute(items, axis_orders.ncx_to_cxn_perm(len(items))) if cond else items

    def nxc_to_ncx_perm(self, rank: int) -> list[int]:
        """`[0, 3, 1, 2]` for rank 4."""
        return axis_orders.nxc_to_ncx_perm(rank)

    def ncx_to_nxc_perm(self, rank: int) -> list[int]:
        """`[0, 2, 3, 1]` for rank 4."""
        return axis_orders.ncx_to_nxc_perm(rank)

    def xcn_to_ncx_perm(self, rank: int) -> list[int]:
        """`[3, 2, 0, 1]` for rank 4."""
        return axis_orders.xcn_to_ncx_perm(rank)

    def ncx_to_xcn_perm(self, rank: int) -> list[int]:
        """`[2, 3, 1, 0]` for rank 4."""
        return axis_orders.ncx_to_xcn_perm(rank)

    def cxn_to_ncx_perm(self, rank: int) -> list[int]:
        """`[3, 0, 1, 2]` for rank 4."""
        return axis_orders.cxn_to_ncx_perm(rank)

    def ncx_to_cxn_perm(self, rank: int) -> list[int]:
        """`[1, 2, 3, 0]` for rank 4."""
        return axis_orders.ncx_to_cxn_perm(rank)

    def axis_nxc_to_ncx(self, axis: int | Sequence[int], rank: int) -> int | Sequence[int]:
        """`(-1, 4)` -> 1; lists and tuples item by item."""
        return axis_orders.move_axis(axis, axis_orders.nxc_to_ncx_perm(rank))

    def axis_ncx_to_nxc(self, axis: int | Sequence[int], rank: int) -> int | Sequence[int]:
        """`(1, 4)` -> 3."""
        return axis_orders.move_axis(axis, axis_orders.ncx_to_nxc_perm(rank))

    def ensure_positive(self, axis: int | Sequence[int], rank: int) -> int | Sequence[int]:
        """`(-1, 4)` -> 3; lists and tuples item by item."""
        return axis_orders.ensure_positive(axis, rank)

    # shapes

    def squeeze_shape(self, shape: Sequence[int], axes: Sequence[int]) -> Sequence[int]:
        """`((1, 3, 1, 4), [0, 2])` -> `(3, 4)`."""
        return axis_orders.squeeze_shape(shape, axes)

    def unsqueeze_shape(self, shape: Sequence[int], axes: Sequence[int]) -> Sequence[int]:
        """`((3, 4), [0, 2])` -> `(1, 3, 1, 4)`."""
        return axis_orders.unsqueeze_shape(shape, axes)

    def is_integer_upsample(self, input_size: Sequence[int], output_size: Sequence[int]) -> bool:
        """Is every output extent a multiple of the input's?"""
        return all(o % i == 0 for i, o in zip(input_size, output_size, strict=True))

    def is_integer_downsample(self, input_size: Sequence[int], output_size: Sequence[int]) -> bool:
        """Is every input extent a multiple of the output's?"""
        return all(i % o == 0 for i, o in zip(input_size, output_size, strict=True))

    def upsample_factor(self, input_size: Sequence[int], output_size: Sequence[int]) -> list[int]:
        """Output extents divided by input extents."""
        return [o // i for i, o in zip(input_size, output_size, strict=True)]

    def downsample_factor(self, input_size: Sequence[int], output_size: Sequence[int]) -> list[int]:
        """Input extents divided by output extents."""
        return [i // o for i, o in zip(input_size, output_size, strict=True)]

    def flexible_batch(self, shape: Sequence[int], batch: int) -> list[int]:
        """A first extent equal to the batch becomes 0: `([4, -1], 4)` -> `[0, -1]`."""
        return [0, *shape[1:]] if shape and shape[0] == batch else list(shape)

    def fixed_batch(self, shape: Sequence[int], batch: int) -> list[int]:
        """The inverse of `flexible_batch`."""
        return [batch, *shape[1:]] if shape and shape[0] == 0 else list(shape)

    # constants

    def as_const(self, tensor: Tensor, type: Any = None) -> Any:
        """Value of a constant as Python scalar or nested list. ConversionError if it is not constant."""
        value = self._builder.value(tensor)
        if value is None:
            raise ConversionError(f"tensor '{tensor.name}' is not constant")
        return types.from_numpy(value, type)

    def is_const(self, tensor: Tensor, type: Any = None) -> bool:
        """Is the tensor constant (and of that numpy type)?"""
        return self._builder.value(tensor) is not None and (type is None or tensor.dtype is type)

    def is_zero(self, tensor: Tensor) -> bool:
        """Is the tensor a constant scalar zero?"""
        value = self._builder.value(tensor)
        return value is not None and value.ndim == 0 and bool(value == 0)

    def as_tensor(self, value: Any, dtype: Any, inline: bool | None = None) -> Tensor:
        """A new constant of the target graph: `as_tensor([1, 2], np.int32)`.

        inline: has no effect. NNEF writes constants of rank 0 in place, and cannot do so for others.
        """
        tensor: Tensor = self._builder.constant(value, dtype)
        return tensor

    def new_tensor(self, shape: Sequence[int], dtype: Any) -> Tensor:
        """An unnamed tensor without producer, for an extra output."""
        return Tensor(self._target, shape=shape, dtype=dtype)

    def from_numpy(self, array: Any, type: Any = None) -> Any:
        """Python scalar or nested list of an array."""
        return types.from_numpy(array, type)

    def to_numpy(self, value: Any, dtype: Any = None) -> Any:
        """Array of a Python value; int32, float32, bool or str by the first item unless dtype is given."""
        return types.to_numpy(value, dtype)

    # building

    def squeeze_input(self, tensor: Tensor, axes: Sequence[int], keep_dims: bool = False) -> Tensor:
        """A squeeze that reads the tensor; the tensor itself without axes or with keep_dims."""
        return tensor if keep_dims or not axes else self._builder.squeeze(tensor, axes=list(axes))

    def unsqueeze_input(self, tensor: Tensor, axes: Sequence[int], keep_dims: bool = False) -> Tensor:
        """An unsqueeze that reads the tensor."""
        return tensor if keep_dims or not axes else self._builder.unsqueeze(tensor, axes=list(axes))

    def squeeze_output(self, tensor: Tensor, axes: Sequence[int], keep_dims: bool = False) -> Tensor:
        """A fresh tensor that a squeeze turns into the given one."""
        if keep_dims or not axes:
            return tensor
        shape = axis_orders.unsqueeze_shape(tensor.shape, axes) if is_known(tensor.shape) else None
        return self._output_of("squeeze", tensor, shape, {"axes": list(axes)})

    def unsqueeze_output(self, tensor: Tensor, axes: Sequence[int], keep_dims: bool = False) -> Tensor:
        """A fresh tensor that an unsqueeze turns into the given one."""
        if keep_dims or not axes:
            return tensor
        shape = axis_orders.squeeze_shape(tensor.shape, axes) if is_known(tensor.shape) else None
        return self._output_of("unsqueeze", tensor, shape, {"axes": list(axes)})

    def _output_of(self, type: str, output: Tensor, shape: Sequence[int] | None, attribs: dict[str, Any]) -> Tensor:
        fresh = Tensor(self._target, shape=shape, dtype=output.dtype)
        Operation(self._target, type=type, inputs=fresh, outputs=output, attribs=attribs)
        return fresh
