"""Diagonals and bands of the matrices in the last two dimensions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ....budget import ask_constant
from ....errors import Unsupported
from ....model import Tensor
from ...building.nnef import Builder
from ...building.shapes import reshape, shape, unsqueeze
from ...compose.slicing import slice_axes
from ...engine.rules import Int, Ints, to_nnef
from ...maths.generated import eye, filled, positions


def _masked(b: Builder, mask: Any, x: Tensor, other: Tensor) -> Tensor:
    """x where the mask over the last two dimensions is true, else the other."""
    rank = max(len(shape(x)), len(shape(other)))
    column = b.constant(mask.reshape([1] * (rank - 2) + list(mask.shape)))
    return b.select(column, x, other)


@to_nnef("tf", "MatrixBandPart", "BatchMatrixBandPart")
def matrix_band_part(b: Builder, x: Tensor, lower: Int, upper: Int) -> Tensor:
    """MatrixBandPart: zero outside of the band; a negative number of diagonals keeps the whole triangle."""
    rows, columns = shape(x)[-2:]
    ask_constant(rows * columns, "its mask")
    offset = np.arange(columns)[None, :] - np.arange(rows)[:, None]
    mask = ((lower < 0) | (-offset <= lower)) & ((upper < 0) | (offset <= upper))
    return _masked(b, mask, x, b.constant(0, x.dtype))


@to_nnef("tf", "MatrixDiag", "BatchMatrixDiag")
def matrix_diag(b: Builder, x: Tensor) -> Tensor:
    """MatrixDiag: square matrices with these diagonals, zero elsewhere."""
    rank = len(shape(x))
    return _masked(b, eye(shape(x)[-1], dtype=np.bool_), unsqueeze(b, x, [rank]), b.constant(0, x.dtype))


@dataclass(frozen=True)
class _Band:
    """The diagonals from `lower` to `upper` of matrices, and how TensorFlow packs them.

    Packed, the upper diagonal comes first, each in a row that is as long as the longest one. Shorter ones are at its
    left or right end: align names both, for diagonals above and below the main one (which goes with either).
    """

    rows: int
    columns: int
    lower: int
    upper: int
    align: str

    @classmethod
    def of(cls, k: list[int], rows: int, columns: int, align: str) -> _Band:
        lower, upper = k[0], k[-1]
        if len(k) not in (1, 2) or lower > upper or not (-rows < lower < columns and -rows < upper < columns):
            raise Unsupported(f"diagonals {k} of {rows} x {columns} matrices")
        if align not in ("RIGHT_LEFT", "LEFT_RIGHT", "LEFT_LEFT", "RIGHT_RIGHT"):
            raise Unsupported(f"align = '{align}' is not known")
        return cls(rows, columns, lower, upper, align)

    @property
    def packed(self) -> list[int]:
        """The shape of the packed diagonals of a matrix."""
        length = min(self.rows + min(self.upper, 0), self.columns - max(self.lower, 0))
        return [length] if self.lower == self.upper else [self.upper - self.lower + 1, length]

    def positions(self) -> tuple[Any, Any]:
        """Of the items of the diagonals: positions in the flat packed form, and in the flat matrix."""
        longest = self.packed[-1]
        above, below = self.align.split("_")
        packed, flat = [], []
        for row, d in enumerate(range(self.upper, self.lower - 1, -1)):
            count = min(self.rows + min(d, 0), self.columns - max(d, 0))
            right = (above == "RIGHT" and d >= 0) or (below == "RIGHT" and d <= 0)
            step = positions(count)
            packed.append(row * longest + step + (longest - count if right else 0))
            flat.append((step + max(-d, 0)) * self.columns + step + max(d, 0))
        return np.concatenate(packed), np.concatenate(flat)


def _picked(b: Builder, x: Tensor, target: list[int], own: Any, of_x: Any, padding: Tensor) -> Tensor:
    """Matrices of the target's shape: items of x where they are known, as pairs of flat positions, else the padding.

    x has one flat dimension in place of two. padding: a single value, or a tensor of the result's shape.
    """
    index = filled(target, 0, np.int64)
    index.reshape(-1)[own] = of_x
    known = filled(target, False, np.bool_)
    known.reshape(-1)[own] = True
    batch = shape(x)[:-1]
    items = reshape(b, b.gather(x, b.constant(index.reshape(-1)), axis=len(batch)), [*batch, *target])
    if known.all():
        return items
    mask = b.constant(known.reshape([1] * len(batch) + target))
    return b.select(mask, items, padding)


@to_nnef("tf", "MatrixDiagV2")
def matrix_diag_band_left(b: Builder, x: Tensor, k: Ints, rows: Int, columns: Int, padding: Tensor) -> Tensor:
    """MatrixDiagV2: short diagonals are at the left."""
    return matrix_diag_band(b, x, k, rows, columns, padding, align="LEFT_LEFT")


@to_nnef("tf", "MatrixDiagV3")
def matrix_diag_band(
    b: Builder, x: Tensor, k: Ints, rows: Int, columns: Int, padding: Tensor, *, align: str = "RIGHT_LEFT"
) -> Tensor:
    """MatrixDiagV3: matrices with these diagonals."""
    longest = shape(x)[-1]
    height, width = longest - min(k[-1], 0), longest + max(k[0], 0)
    if rows < 0 and columns < 0:
        height = width = max(height, width)
    height, width = height if rows < 0 else rows, width if columns < 0 else columns
    band = _Band.of(k, height, width, align)
    batch = shape(x)[: -len(band.packed)]
    if shape(x) != [*batch, *band.packed]:
        raise Unsupported(f"diagonals {k} of shape {shape(x)} do not fit {height} x {width}")
    if band.packed == [height] == [width]:
        return _masked(b, eye(height, dtype=np.bool_), unsqueeze(b, x, [len(batch) + 1]), reshape(b, padding, []))
    packed, flat = band.positions()
    x = reshape(b, x, [*batch, int(np.prod(band.packed))])
    return _picked(b, x, [height, width], flat, packed, reshape(b, padding, []))


def _diagonal(b: Builder, x: Tensor) -> Tensor:
    """The main diagonals of the matrices in the last two dimensions."""
    *batch, rows, columns = shape(x)
    n = min(rows, columns)
    x = slice_axes(b, x, [0], [n], [len(batch)], [1])
    flat = reshape(b, x, [*batch, n * columns])
    return slice_axes(b, flat, [0], [n * columns], [len(batch)], [columns + 1])


@to_nnef("tf", "MatrixDiagPart", "BatchMatrixDiagPart")
def matrix_diag_part(b: Builder, x: Tensor) -> Tensor:
    """MatrixDiagPart: the main diagonals."""
    return _diagonal(b, x)


@to_nnef("tf", "MatrixDiagPartV2")
def matrix_diag_part_left(b: Builder, x: Tensor, k: Ints, padding: Tensor) -> Tensor:
    """MatrixDiagPartV2: short diagonals are at the left."""
    return matrix_diag_part_band(b, x, k, padding, align="LEFT_LEFT")


@to_nnef("tf", "MatrixDiagPartV3")
def matrix_diag_part_band(b: Builder, x: Tensor, k: Ints, padding: Tensor, *, align: str = "RIGHT_LEFT") -> Tensor:
    """MatrixDiagPartV3: a diagonal, or several in rows of one length."""
    *batch, rows, columns = shape(x)
    band = _Band.of(k, rows, columns, align)
    if (band.lower, band.upper) == (0, 0):
        return _diagonal(b, x)
    packed, flat = band.positions()
    return _picked(b, reshape(b, x, [*batch, rows * columns]), band.packed, packed, flat, reshape(b, padding, []))


@to_nnef("tf", "MatrixSetDiag", "BatchMatrixSetDiag")
def matrix_set_diag(b: Builder, x: Tensor, diagonal: Tensor) -> Tensor:
    """MatrixSetDiag: other main diagonals."""
    *batch, rows, columns = shape(x)
    rank = len(batch) + 2
    extent = max(rows, columns)
    n = shape(diagonal)[-1]
    if extent > n:
        diagonal = b.pad(diagonal, padding=[(0, 0)] * len(batch) + [(0, extent - n)])
    longer = unsqueeze(b, diagonal, [rank - 2] if columns > rows else [rank - 1])
    return _masked(b, eye(rows, columns, dtype=np.bool_), longer, x)


@to_nnef("tf", "MatrixSetDiagV2")
def matrix_set_diag_left(b: Builder, x: Tensor, diagonals: Tensor, k: Ints) -> Tensor:
    """MatrixSetDiagV2: short diagonals are at the left."""
    return matrix_set_diag_band(b, x, diagonals, k, align="LEFT_LEFT")


@to_nnef("tf", "MatrixSetDiagV3")
def matrix_set_diag_band(b: Builder, x: Tensor, diagonals: Tensor, k: Ints, *, align: str = "RIGHT_LEFT") -> Tensor:
    """MatrixSetDiagV3: other diagonals."""
    *batch, rows, columns = shape(x)
    band = _Band.of(k, rows, columns, align)
    if (band.lower, band.upper) == (0, 0):
        return matrix_set_diag(b, x, diagonals)
    packed, flat = band.positions()
    diagonals = reshape(b, diagonals, [*batch, int(np.prod(band.packed))])
    return _picked(b, diagonals, [rows, columns], flat, packed, x)


@to_nnef("tf", "Diag")
def diag(b: Builder, x: Tensor) -> Tensor:
    """Diag: a tensor of twice the rank with the items on its diagonal."""
    n = x.volume or 0
    return reshape(b, matrix_diag(b, reshape(b, x, [n])), [*shape(x), *shape(x)])


@to_nnef("tf", "DiagPart")
def diag_part(b: Builder, x: Tensor) -> Tensor:
    """DiagPart: the inverse of Diag."""
    extents = shape(x)[: len(shape(x)) // 2]
    n = int(np.prod(extents))
    return reshape(b, _diagonal(b, reshape(b, x, [n, n])), extents)
