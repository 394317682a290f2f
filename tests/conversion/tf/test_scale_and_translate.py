"""ScaleAndTranslate against TensorFlow."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nnef_tools.conversion.tf.to_nnef.scale_and_translate import KERNELS

from ...support.arrays import integers, random
from ...support.tf_programs import raw, tf
from .checks import check


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize("size", [(3, 13), (11, 2), (6, 7), (1, 30)])
def test_resizing(kernel: str, antialias: bool, size: tuple[int, int]) -> None:
    scale = np.float32(size) / np.float32([6, 7])

    def program(x: Any) -> Any:
        return raw.ScaleAndTranslate(
            images=x, size=size, scale=scale, translation=[0.0, 0.0], kernel_type=kernel, antialias=antialias
        )

    check(program, random(2, 6, 7, 3), rtol=0, atol=3e-6)


@pytest.mark.parametrize("kernel", ["lanczos3", "box", "triangle"])
def test_what_lies_outside_is_zero(kernel: str) -> None:
    def program(x: Any) -> Any:
        return raw.ScaleAndTranslate(
            images=x, size=[9, 12], scale=[0.7, 1.4], translation=[2.3, -3.1], kernel_type=kernel, antialias=True
        )

    check(program, random(1, 8, 10, 2), rtol=0, atol=3e-6)


@pytest.mark.parametrize("method", ["bilinear", "lanczos5", "bicubic", "area", "mitchellcubic", "gaussian"])
def test_image_resize(method: str) -> None:
    x = integers(2, 16, 12, 3, low=0, high=255, dtype=np.uint8)
    check(lambda x: tf.image.resize(x, (7, 20), method=method, antialias=True), x, rtol=0, atol=5e-4)
