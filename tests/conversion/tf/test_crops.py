"""CropAndResize against TensorFlow."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ...support.arrays import integers, random
from ...support.tf_programs import raw, tf
from .checks import check, refusal

# upright, mirrored, partly outside, far outside, a point, exactly the image, half-way between elements
BOXES = np.float32(
    [[0.1, 0.2, 0.8, 0.9], [0.9, 0.8, 0.1, 0.3], [-0.2, 0.3, 1.3, 0.9], [2, 2, 3, 3], [0.5, 0.5, 0.5, 0.5],
     [0, 0, 1, 1], [0.1, 0.1, 0.5, 0.5]]
)  # fmt: skip
IMAGES = np.int32([0, 1, 1, 0, 1, 0, 0])


@pytest.mark.parametrize("method", ["bilinear", "nearest"])
@pytest.mark.parametrize("size", [(3, 4), (1, 1), (1, 5), (6, 7), (11, 2)])
@pytest.mark.parametrize("computed", [False, True])
def test_crop_and_resize(method: str, size: tuple[int, int], computed: bool) -> None:
    options: dict[str, Any] = {"crop_size": size, "method": method, "extrapolation_value": -1.5}
    x = random(2, 6, 7, 3)
    exact = {"rtol": 0.0, "atol": 0.0} if method == "nearest" else {"rtol": 1e-5, "atol": 1e-6}
    if computed:

        def program(x: Any, boxes: Any, images: Any) -> Any:
            return raw.CropAndResize(image=x, boxes=boxes, box_ind=images, **options)

        check(program, x, BOXES, IMAGES, **exact)
    else:
        result = check(lambda x: raw.CropAndResize(image=x, boxes=BOXES, box_ind=IMAGES, **options), x, **exact)
        assert result.ops.count("gather") == (1 if method == "nearest" else 4)
        assert "floor" not in result.ops  # what depends on boxes only is computed at once


@pytest.mark.parametrize("method", ["bilinear", "nearest"])
def test_crop_and_resize_of_random_boxes(method: str) -> None:
    boxes = np.random.default_rng(0).uniform(-0.2, 1.2, (50, 4)).astype(np.float32)
    images = integers(50, low=0, high=2)
    check(
        lambda x: tf.image.crop_and_resize(x, boxes, images, (9, 13), method=method, extrapolation_value=2.0),
        random(2, 16, 33, 2),
    )


def test_crop_and_resize_of_integers_gives_reals() -> None:
    x = integers(2, 6, 7, 3, low=0, high=255, dtype=np.uint8)
    check(lambda x: tf.image.crop_and_resize(x, BOXES, IMAGES, (4, 5)), x, rtol=1e-5, atol=1e-4)


def test_crop_and_resize_to_a_computed_size_is_refused() -> None:
    def program(x: Any, size: Any) -> Any:
        return tf.image.crop_and_resize(x, BOXES, IMAGES, size)

    assert "must be a constant" in refusal(program, random(2, 6, 7, 3), np.int32([3, 4]))
