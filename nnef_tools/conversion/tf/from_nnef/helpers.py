"""Helper methods that the expressions of a Transform may call on a converter from NNEF to TensorFlow or TFLite.

During conversion, every tensor of the target has the layout of the NNEF graph; transposes surround the operators that
require channels last, and a pass over the finished graph cancels them. So no tensor is ever `transposing`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ....errors import ConversionError
from ....model import Operation, Tensor
from ....model.channels import MIN_RANK, is_selected
from ...building.shapes import rank as rank_of
from ...building.shapes import shape as shape_of
from ...engine.helpers import Helpers
from ...maths import axis_orders
from ..building import FORMATS, TfBuilder

FILTER_FORMATS = {
    "XCN": axis_orders.ncx_to_xcn_perm,
    "NXC": axis_orders.ncx_to_nxc_perm,
    "CXN": axis_orders.ncx_to_cxn_perm,
}


class TfHelpers(Helpers):
    """Helpers from NNEF to TensorFlow and TFLite."""

    _builder: TfBuilder
    _data_format: str
    _io_transpose: bool | Sequence[str]

    # formats

    def is_nxc(self) -> bool:
        """Do operators expect channels last?"""
        return self._data_format == "NXC"

    def data_format(self, rank: int) -> str:
        """The data format for that many spatial dimensions: 'NWC', 'NHWC', 'NDHWC' or 'NCW', ...; else the pattern."""
        if rank not in FORMATS:
            return self._data_format
        return FORMATS[rank] if self.is_nxc() else f"NC{FORMATS[rank][1:-1]}"

    def convert_padding(self, padding: Sequence[tuple[int, int]]) -> str:
        """`[]` -> 'SAME', all zero -> 'VALID', else 'EXPLICIT'."""
        if not padding:
            return "SAME"
        return "VALID" if all(tuple(pair) == (0, 0) for pair in padding) else "EXPLICIT"

    def convert_explicit_paddings(self, padding: Sequence[tuple[int, int]]) -> list[int] | None:
        """`[(1, 2), (3, 4)]` -> `[0, 0, 1, 2, 3, 4, 0, 0]`; None where the padding is not explicit."""
        if self.convert_padding(padding) != "EXPLICIT":
            return None
        spatial = [item for pair in padding for item in pair]
        return [0, 0, *spatial, 0, 0] if self.is_nxc() else [0, 0, 0, 0, *spatial]

    def convert_size(self, size: Sequence[int]) -> Sequence[int]:
        """`[2, 3]` -> `[1, 2, 3, 1]`; a tuple stays one."""
        items = [1, *size, 1] if self.is_nxc() else [1, 1, *size]
        return tuple(items) if isinstance(size, tuple) else items

    # layout

    def needs_io_transpose(self, tensor: Tensor) -> bool:
        """Must the graph input or output have its channels last?"""
        return is_selected(tensor.name, self._io_transpose) and rank_of(tensor) >= MIN_RANK

    def transpose_input(self, tensor: Tensor) -> Tensor:
        """The tensor with its channels last, if the data format requires that."""
        rank = len(shape_of(tensor))
        return self._builder.transpose(tensor, self._to_format(rank)) if rank > 2 else tensor

    def transpose_output(self, tensor: Tensor) -> Tensor:
        """A fresh tensor with its channels last that a transpose turns into the given one."""
        rank = len(shape_of(tensor))
        perm = self._to_format(rank)
        if rank <= 2 or perm == list(range(rank)):
            return tensor
        back = self._builder.vector(np.argsort(perm).tolist())
        fresh = self._fresh(tensor, axis_orders.permute(shape_of(tensor), perm))
        Operation(self._target, type="Transpose", inputs=[fresh, back], outputs=[tensor])
        return fresh

    def _to_format(self, rank: int) -> list[int]:
        return axis_orders.ncx_to_nxc_perm(rank) if self.is_nxc() else list(range(rank))

    def transpose_like(self, tensor: Tensor, reference: Tensor) -> Tensor:
        """The tensor itself, since all tensors have the layout of the reference."""
        return tensor

    def undo_transpose(self, tensor: Tensor) -> Tensor:
        """The tensor itself, since its channels are second."""
        return tensor

    def transpose_list_like(self, items: Sequence[Any], reference: Tensor) -> Sequence[Any]:
        """The items, one per dimension, in the layout of the reference."""
        return items

    def transpose_axis_like(
        self, axis: int | Sequence[int], reference: Tensor, rank: int | None = None
    ) -> int | Sequence[int]:
        """The axis in the layout of the reference."""
        return axis

    def transpose_filter(self, tensor: Tensor, format: str = "XCN") -> Tensor:
        """A filter `[out, in, spatial...]` in the format, by default `[spatial..., in, out]`."""
        if format not in FILTER_FORMATS:
            raise ConversionError(f"filter format '{format}' is none of {', '.join(FILTER_FORMATS)}")
        return self._builder.transpose(tensor, FILTER_FORMATS[format](rank_of(tensor)))

    def transpose_depthwise_filter(self, tensor: Tensor, channels: int, format: str = "XCN") -> Tensor:
        """A filter `[channels * multiplier, 1, spatial...]` as `[spatial..., channels, multiplier]`."""
        moved = self.transpose_filter(tensor, format)
        if format != "XCN":
            return moved
        own = shape_of(moved)
        return self._builder.reshape(moved, [*own[:-2], channels, math.prod(own[-2:]) // channels])

    # operands and results

    def squeeze_output(self, tensor: Tensor, axes: Sequence[int], keep_dims: bool = False) -> Tensor:
        """A fresh tensor that a squeeze turns into the given one."""
        if keep_dims or not axes:
            return tensor
        fresh = self._fresh(tensor, axis_orders.unsqueeze_shape(shape_of(tensor), axes))
        Operation(self._target, type="Squeeze", attribs={"squeeze_dims": list(axes)}, inputs=[fresh], outputs=[tensor])
        return fresh

    def unsqueeze_output(self, tensor: Tensor, axes: Sequence[int], keep_dims: bool = False) -> Tensor:
        """A fresh tensor that a reshape turns into the given one."""
        if keep_dims or not axes:
            return tensor
        own = shape_of(tensor)
        fresh = self._fresh(tensor, axis_orders.squeeze_shape(own, axes))
        Operation(self._target, type="Reshape", inputs=[fresh, self._builder.vector(own)], outputs=[tensor])
        return fresh

    def squeeze_vector(self, tensor: Tensor) -> Tensor:
        """`[1, C]` -> `[C]`."""
        return self._builder.reshape(tensor, shape_of(tensor)[1:])

    def convert_binarg(self, tensor: Tensor, other: Tensor) -> Tensor:
        """An operand with axes of extent 1 at the end up to the rank of the other, as NNEF aligns them."""
        rank = max(rank_of(tensor), rank_of(other))
        return self._builder.right_extended(tensor, rank)

    def bias_add(self, output: Tensor, bias: Tensor) -> Tensor:
        """The tensor that the main operation must produce so that adding the bias gives `output`."""
        if self.is_zero(bias):
            return output
        fresh = self._fresh(output, shape_of(output))
        type = "BiasAdd" if bias.rank == 1 else "AddV2"
        Operation(self._target, type=type, inputs=[fresh, bias], outputs=[output])
        return fresh

    def scale_output(self, output: Tensor, scalar: float) -> Tensor:
        """The tensor that the main operation must produce so that `output` is that many times it."""
        fresh = self._fresh(output, shape_of(output))
        factor = self._builder.constant(scalar, output.dtype)
        Operation(self._target, type="Mul", inputs=[fresh, factor], outputs=[output])
        return fresh

    def _fresh(self, like: Tensor, shape: Sequence[int]) -> Tensor:
        return Tensor(self._target, shape=shape, dtype=like.dtype)

    # values

    def split_sizes(self, ratios: Sequence[int], size: int) -> list[float]:
        """`([1, 2], 9)` -> `[3.0, 6.0]`."""
        return [ratio * size / sum(ratios) for ratio in ratios]

    def as_bits(self, items: Sequence[int]) -> int:
        """`[1, 0, 1]` -> 5: item k is bit k."""
        return sum(1 << k for k, item in enumerate(items) if item)

    def out_of_range(self, value: float, limit: float) -> bool:
        """Is the magnitude of the value at or above the limit?"""
        return abs(value) >= limit

    def as_numpy(self, value: Any, dtype: Any = None) -> np.ndarray[Any, Any]:
        """An array of a Python value; int32, float32, bool or str by the first item unless dtype is given."""
        return self.to_numpy(value, dtype)  # type: ignore[no-any-return]
