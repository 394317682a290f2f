"""Images as arrays, by Pillow: turned upright, with three colors or gray, scaled, normalized, resized."""

from __future__ import annotations

import glob
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ...budget import ask_items
from ...errors import FileError, FormatError, MissingPackageError, UsageError
from ..executor import Array, TensorInfo

CHANNELS_FIRST, CHANNELS_LAST = "NCHW", "NHWC"
COLORS = ("RGB", "BGR")

_SIXTEEN_BITS = 65535.0


class ImageWarning(UserWarning):
    """Part of an image is not used, such as further frames."""


@dataclass(frozen=True)
class ImageOptions:
    """How images become arrays.

    size: height and width, None for their own. color: the order of the channels. gray: one channel instead of three.
    layout: the order of axes. range: what black and white become; by default 0 and 1, for integers 0 and 255. mean,
    std: subtracted, and divided by; one for all channels or one for each. dtype: of the items.
    """

    size: tuple[int, int] | None = None
    color: str = "RGB"
    gray: bool = False
    layout: str = CHANNELS_FIRST
    range: tuple[float, float] | None = None
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    dtype: Any = np.float32

    def __post_init__(self) -> None:
        """UsageError for values that no image can have."""
        channels = 1 if self.gray else 3
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) not in (1, channels):
                raise UsageError(f"{name} has {len(values)} values, there are {channels} channels")
            if not np.isfinite(values).all():
                raise UsageError(f"{name} is not a finite number")
        if 0 in self.std:
            raise UsageError("std is 0, by which nothing can be divided")
        if self.size is not None and min(self.size) < 1:
            raise UsageError(f"the size {self.size[0]} x {self.size[1]} is not positive")
        if self.range is not None and not np.isfinite(self.range).all():
            raise UsageError("range is not a pair of finite numbers")

    def for_input(self, info: TensorInfo) -> ImageOptions:
        """The options for an input of a model: layout, number of channels, size and item type as it wants them.

        UsageError if it is not an input for images.
        """
        shape, dtype = info.shape, np.float32 if info.dtype is None else info.dtype
        if shape is None:
            return replace(self, dtype=dtype)
        layouts = (CHANNELS_FIRST, CHANNELS_LAST) if self.layout == CHANNELS_FIRST else (CHANNELS_LAST, CHANNELS_FIRST)
        axes = {CHANNELS_FIRST: 1, CHANNELS_LAST: 3}
        layout = next((name for name in layouts if len(shape) == 4 and shape[axes[name]] in (1, 3)), None)
        if layout is None:
            wanted = ["?" if extent is None else extent for extent in shape]
            raise UsageError(f"input '{info.name}' has shape {wanted}, which no image has")
        height, width = shape[2:] if layout == CHANNELS_FIRST else shape[1:3]
        known = (height, width) if height is not None and width is not None else None
        return replace(self, layout=layout, gray=shape[axes[layout]] == 1, size=self.size or known, dtype=dtype)


def image_files(patterns: Sequence[str]) -> list[Path]:
    """The files that names and patterns with `*`, `?`, `[..]` and `~` mean, those of a pattern sorted. FileError."""
    found: list[Path] = []
    for pattern in patterns:
        path = Path(pattern).expanduser()
        matches = [path] if path.is_file() else sorted(map(Path, glob.glob(str(path), recursive=True)))  # noqa: PTH207  # may be absolute
        files = [match for match in matches if match.is_file()]
        if not files:
            what = "no file has a name like this" if glob.has_magic(str(path)) else "there is no such file"
            raise FileError(what, where=pattern)
        found += files
    return found


def load_images(paths: Sequence[Path], options: ImageOptions) -> Array:
    """The images as one batch: `[N, 3, H, W]` or `[N, H, W, 3]`.

    FileError, FormatError for what is not an image, LimitError; UsageError if their sizes differ, or if values do not
    fit the item type; MissingPackageError without Pillow.
    """
    images: list[Array] = []
    for path in paths:
        image = _load(path, options)
        if images and image.shape != images[0].shape:
            first, second = (" x ".join(map(str, item.shape[:2])) for item in (images[0], image))
            raise UsageError(
                f"'{paths[0]}' is {first} pixels (height x width), '{path}' is {second}",
                hint="--size HEIGHT WIDTH gives all images one size",
            )
        images.append(image)
        ask_items(image.size * len(paths), "the batch")
    batch = np.stack(images)
    return np.ascontiguousarray(batch.transpose(0, 3, 1, 2) if options.layout == CHANNELS_FIRST else batch)


def _load(path: Path, options: ImageOptions) -> Array:
    """One image `[H, W, C]`."""
    values = _normalized(_pixels(path, options.gray), options)
    if options.size is not None:
        values = _resized(values, options.size)
    return _cast(values, options.dtype, path)


def _pixels(path: Path, gray: bool) -> Array:
    """The pixels of an upright image between 0 and 1, in float32, as `[H, W, 3]`, or `[H, W, 1]` for gray."""
    try:
        from PIL import Image, ImageOps, UnidentifiedImageError
    except ModuleNotFoundError as error:
        raise MissingPackageError("Pillow", "for images", "image") from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the budget is asked below
            with Image.open(path) as opened:
                ask_items(opened.width * opened.height * 3, f"image '{path}'")
                _warn_of_loss(opened, path)
                opened.load()
                image: Any = ImageOps.exif_transpose(opened)
    except FileNotFoundError as error:
        raise FileError("there is no such file", where=str(path)) from error
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError, ValueError) as error:
        if isinstance(error, (FormatError, FileError)):
            raise
        raise FormatError(f"not an image that can be read: {error}", where=str(path)) from error
    if image.mode.startswith("I"):  # 16 bits of gray
        values: Array = np.asarray(image, np.float32)[:, :, None] / np.float32(_SIXTEEN_BITS)
        return values if gray else np.repeat(values, 3, axis=2)
    if image.mode == "F":
        raise FormatError("an image of floats does not say what is black and white", where=str(path))
    if image.mode in ("P", "PA") and "transparency" in image.info:
        image = image.convert("RGBA")  # a palette with transparent colors
    pixels: Array = np.asarray(image.convert("L" if gray else "RGB"), np.float32) / np.float32(255)
    return pixels[:, :, None] if gray else pixels


def _warn_of_loss(image: Any, path: Path) -> None:
    """Warns of what of an image is not used."""
    frames = getattr(image, "n_frames", 1)
    if frames > 1:
        warnings.warn(f"{path}: it has {frames} frames, of which the first counts", ImageWarning, stacklevel=2)
    if image.mode in ("RGB", "RGBA") and any(";16" in str(tile[3]) for tile in image.tile):
        warnings.warn(f"{path}: of the 16 bits of its colors, 8 count", ImageWarning, stacklevel=2)


def _normalized(pixels: Array, options: ImageOptions) -> Array:
    """The pixels in the range of the options, without the mean, divided by the deviation; BGR if that is asked for."""
    is_integral = np.dtype(options.dtype).kind in "iu"
    if options.range is None and is_integral and np.iinfo(options.dtype).max < 255:
        name = np.dtype(options.dtype).name
        raise UsageError(f"{name} does not hold values from 0 to 255", hint="--range -128 127 gives another range")
    low, high = options.range or ((0.0, 255.0) if is_integral else (0.0, 1.0))
    ordered = pixels[:, :, ::-1] if options.color == "BGR" else pixels
    mean, std = (np.asarray(values, np.float32) for values in (options.mean, options.std))
    values: Array = (ordered * np.float32(high - low) + np.float32(low) - mean) / std
    return values


def _resized(values: Array, size: tuple[int, int]) -> Array:
    """The image in another size: bilinear, over the area of the new pixels where it shrinks."""
    from PIL import Image

    height, width = size
    ask_items(height * width * values.shape[2], "the resized image")
    planes = [Image.fromarray(np.ascontiguousarray(plane)) for plane in values.transpose(2, 0, 1)]
    resized = [np.asarray(plane.resize((width, height), Image.Resampling.BILINEAR)) for plane in planes]
    return np.stack(resized, axis=2)


def _cast(values: Array, dtype: Any, path: Path) -> Array:
    """The values in an item type; integers are rounded. UsageError if they do not fit."""
    if np.dtype(dtype).kind not in "iu":
        return values.astype(dtype)
    rounded, limits = np.rint(values), np.iinfo(dtype)
    if rounded.min() < limits.min or rounded.max() > limits.max:
        raise UsageError(
            f"image '{path}' has values from {rounded.min():g} to {rounded.max():g}, {np.dtype(dtype).name} holds "
            f"{limits.min} to {limits.max}",
            hint="--range, --mean and --std change the values",
        )
    return rounded.astype(dtype)
