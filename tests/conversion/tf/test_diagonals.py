"""Diagonals and bands of matrices against TensorFlow."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ...support.arrays import integers, logicals, random
from ...support.tf_programs import raw, tf
from .checks import check, refusal

ALIGNS = ["RIGHT_LEFT", "LEFT_RIGHT", "LEFT_LEFT", "RIGHT_RIGHT"]
BANDS = [1, -1, 2, (0, 0), (-1, 0), (0, 1), (-1, 1), (-2, 1), (1, 2), (-2, -1), (-2, 3)]
SHAPES = [(2, 3, 4), (2, 4, 3), (4, 4)]


def test_diagonals() -> None:
    x = random(2, 3, 4)
    for lower, upper in ((1, 0), (-1, 1), (0, -1), (0, 0)):
        check(lambda x, p=lower, q=upper: tf.linalg.band_part(x, p, q), x)
    check(lambda x: tf.linalg.diag(x), random(2, 4))
    check(lambda x: tf.linalg.diag(x, num_rows=4, num_cols=6, padding_value=-1.5), random(2, 4))
    check(lambda x: tf.linalg.diag(x, num_rows=6, num_cols=4), random(2, 4))
    check(lambda x: raw.MatrixDiag(diagonal=x), random(2, 4))
    for shape in ((2, 3, 4), (2, 4, 3), (2, 3, 3)):
        check(lambda x: tf.linalg.diag_part(x), random(*shape))
        check(lambda x: raw.MatrixDiagPart(input=x), random(*shape))
        check(lambda x, d: tf.linalg.set_diag(x, d), random(*shape), random(2, 3))
        check(lambda x, d: raw.MatrixSetDiag(input=x, diagonal=d), random(*shape), random(2, 3))
    check(lambda x: tf.linalg.tensor_diag(x), random(2, 3))
    check(lambda x: tf.linalg.tensor_diag_part(x), random(2, 3, 2, 3))


def packed(k: Any, rows: int, columns: int) -> tuple[int, ...]:
    """The shape of the diagonals of a matrix."""
    lower, upper = k if isinstance(k, tuple) else (k, k)
    length = min(rows + min(upper, 0), columns - max(lower, 0))
    return (length,) if lower == upper else (upper - lower + 1, length)


def reaches(k: Any, rows: int, columns: int) -> bool:
    lower, upper = k if isinstance(k, tuple) else (k, k)
    return -rows < lower and upper < columns


@pytest.mark.parametrize("align", ALIGNS)
@pytest.mark.parametrize(("shape", "k"), [(s, k) for s in SHAPES for k in BANDS if reaches(k, *s[-2:])])
def test_bands(shape: tuple[int, ...], k: Any, align: str) -> None:
    *batch, rows, columns = shape
    options: dict[str, Any] = {"k": k, "align": align}
    diagonals = random(*batch, *packed(k, rows, columns), seed=1)
    check(lambda x: tf.linalg.diag_part(x, padding_value=-1.5, **options), random(*shape))
    check(lambda x, d: tf.linalg.set_diag(x, d, **options), random(*shape), diagonals)
    check(
        lambda d: tf.linalg.diag(d, num_rows=rows, num_cols=columns, padding_value=-1.5, **options),
        diagonals,
    )


@pytest.mark.parametrize("k", BANDS)
@pytest.mark.parametrize("extents", [(-1, -1), (5, -1), (-1, 5)])
def test_extents_that_follow(k: Any, extents: tuple[int, int]) -> None:
    rows, columns = extents
    diagonals = random(2, *packed(k, 5, 5))
    check(lambda d: tf.linalg.diag(d, k=k, num_rows=rows, num_cols=columns), diagonals)


@pytest.mark.parametrize("k", [1, (-1, 1), (0, 2)])
def test_bands_of_version_2(k: Any) -> None:
    lower_upper = list(k) if isinstance(k, tuple) else k
    diagonals = random(2, *packed(k, 4, 5))
    check(lambda x: raw.MatrixDiagPartV2(input=x, k=lower_upper, padding_value=-1.5), random(2, 4, 5))
    check(lambda x, d: raw.MatrixSetDiagV2(input=x, diagonal=d, k=lower_upper), random(2, 4, 5), diagonals)
    check(lambda d: raw.MatrixDiagV2(diagonal=d, k=lower_upper, num_rows=4, num_cols=5, padding_value=-1.5), diagonals)


def test_bands_of_other_types() -> None:
    check(lambda x: tf.linalg.diag_part(x, k=(-1, 1), padding_value=7), integers(3, 4))
    check(lambda x: tf.linalg.diag(x, k=(-1, 0)), logicals(2, 3))
    check(lambda x, d: tf.linalg.set_diag(x, d, k=1), integers(3, 4), integers(3, seed=1))


def test_a_band_is_picked_by_one_gather() -> None:
    result = check(lambda x: tf.linalg.diag_part(x, k=1), random(2, 3, 4))
    assert result.ops == ["reshape", "gather"]


def test_computed_diagonals_are_refused() -> None:
    assert "'k'" in refusal(lambda x, k: tf.linalg.diag_part(x, k=k), random(3, 3), np.int32(1))
