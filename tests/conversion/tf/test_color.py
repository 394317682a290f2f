"""Colors of images against TensorFlow."""

from __future__ import annotations

import numpy as np
import pytest

from ...support.arrays import random
from ...support.tf_programs import raw, tf
from .checks import check, refusal

IMAGES = np.random.default_rng(0).uniform(0, 1, (2, 5, 4, 3)).astype(np.float32)
IMAGES[0, 0] = [[0, 0, 0], [1, 1, 1], [0.5, 0.5, 0.2], [0.2, 0.5, 0.5]]  # gray has no hue, two may be the largest
IMAGES[0, 1] = [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0.5, 0.2, 0.5]]


@pytest.mark.parametrize("shape", [(4, 5, 3), (2, 7, 3, 1), (2, 1, 3, 3, 2)])
def test_contrast(shape: tuple[int, ...]) -> None:
    check(lambda x, f: raw.AdjustContrastv2(images=x, contrast_factor=f), random(*shape), np.float32(1.7))
    check(lambda x: tf.image.adjust_contrast(x, 0.3), random(*shape))


def test_hue_saturation_and_value() -> None:
    for images in (IMAGES, 2 * IMAGES - 1):
        check(lambda x: raw.RGBToHSV(images=x), images, atol=1e-6)
        check(lambda x: raw.HSVToRGB(images=x), images, atol=2e-6)
    check(lambda x: raw.HSVToRGB(images=raw.RGBToHSV(images=x)), IMAGES[0, 0, 0], expected=[IMAGES[0, 0, 0]], atol=1e-6)


@pytest.mark.parametrize("scale", [0.0, 0.4, 1.0, 3.0])
def test_saturation(scale: float) -> None:
    for images in (IMAGES, 2 * IMAGES - 1):
        check(lambda x, s: raw.AdjustSaturation(images=x, scale=s), images, np.float32(scale), atol=2e-6)


@pytest.mark.parametrize("delta", [-0.9, -0.25, 0.0, 0.3, 0.99])
def test_hue(delta: float) -> None:
    for images in (IMAGES, 2 * IMAGES - 1):
        check(lambda x, d: raw.AdjustHue(images=x, delta=d), images, np.float32(delta), atol=2e-6)


def test_other_channels_are_refused() -> None:
    def program(x: object) -> object:
        return raw.RGBToHSV(images=tf.reshape(x, [2, 5, 3, 4]))

    with pytest.raises(ValueError):
        refusal(program, IMAGES)
