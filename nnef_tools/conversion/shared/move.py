"""NNEF to any dialect: operations that move data, by methods that every builder has."""

from __future__ import annotations

from collections.abc import Sequence

from ...model import Tensor
from ...ops.inference import infer_shapes
from ...ops.move import slice_ranges
from ..building.shapes import shape as shape_of
from ..building.target import TargetBuilder
from ..engine.rules import EVERY, from_nnef
from ..maths.padding import Pairs


@from_nnef(EVERY, "reshape")
def reshape(b: TargetBuilder, input: Tensor, *, shape: list[int], axis_start: int, axis_count: int) -> Tensor:
    """reshape, to the whole shape of the result."""
    attribs = {"shape": shape, "axis_start": axis_start, "axis_count": axis_count}
    return b.reshape(input, infer_shapes("reshape", [input.shape], attribs))


@from_nnef(EVERY, "transpose")
def transpose(b: TargetBuilder, input: Tensor, *, axes: list[int]) -> Tensor:
    """transpose; axes that are not listed stay."""
    return b.transpose(input, [*axes, *range(len(axes), len(shape_of(input)))])


@from_nnef(EVERY, "squeeze")
def squeeze(b: TargetBuilder, input: Tensor, *, axes: list[int]) -> Tensor:
    """squeeze."""
    return b.squeeze(input, axes)


@from_nnef(EVERY, "unsqueeze")
def unsqueeze(b: TargetBuilder, input: Tensor, *, axes: list[int]) -> Tensor:
    """unsqueeze."""
    return b.unsqueeze(input, axes)


@from_nnef(EVERY, "concat")
def concat(b: TargetBuilder, values: Sequence[Tensor], *, axis: int) -> Tensor:
    """concat."""
    return b.concat(values, axis)


@from_nnef(EVERY, "stack")
def stack(b: TargetBuilder, values: Sequence[Tensor], *, axis: int) -> Tensor:
    """stack."""
    return b.stack(values, axis)


@from_nnef(EVERY, "split")
def split(b: TargetBuilder, value: Tensor, *, axis: int, ratios: list[int]) -> list[Tensor]:
    """split, by the extents of the parts."""
    unit = shape_of(value)[axis] // sum(ratios)
    return b.split(value, axis, [unit * ratio for ratio in ratios])


@from_nnef(EVERY, "slice")
def slice_(
    b: TargetBuilder, input: Tensor, *, axes: list[int], begin: list[int], end: list[int], stride: list[int]
) -> Tensor:
    """slice."""
    return b.slice(input, slice_ranges(shape_of(input), axes, begin, end, stride))


@from_nnef(EVERY, "pad")
def pad(b: TargetBuilder, input: Tensor, *, padding: Pairs, border: str, value: float) -> Tensor:
    """pad."""
    return b.pad(input, padding, border, value)
