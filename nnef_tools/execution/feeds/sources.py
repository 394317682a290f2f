"""Sources of the inputs of a model, and runs over batches of inputs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np

from ...budget import ask_items
from ...errors import FileError, FormatError, UsageError, shape_hint, shape_text
from ...language.tensor_file import read_tensor
from ...model.dtypes import nnef_dtype
from ..executor import Array, Executor, Observer, TensorInfo, name_forms
from .array_files import DAT, IMAGES, NPY, WAV, is_image, read_array, suffix_of
from .distributions import INTEGRAL, Distribution, default_distribution
from .images import ImageOptions, image_files, load_images
from .input_ranges import InputRange
from .inputs import fits, is_codes
from .sounds import load_sound
from .tensor_files import tensor_file


class InputSource(Protocol):
    """Yields the value of one input after the other, in the order of the graph."""

    def load(self, info: TensorInfo, batch: int | None = None) -> Array:
        """The value of an input, in its item type. batch: the extent of dimension 0 in place of the model's."""


class RandomSource:
    """A source of random values, the same for the same seed.

    distribution: one for all inputs, or by data type 'scalar', 'integer', 'logical'; by default DEFAULTS. ranges: input
    name -> range of its integers, or of floats that become integers. A given distribution of integers is kept within
    the ranges that are limits; without one, values are drawn from the ranges. UsageError for a negative seed.
    """

    def __init__(
        self,
        distribution: Distribution | Mapping[str, Distribution] | None = None,
        seed: int | None = None,
        ranges: Mapping[str, InputRange] | None = None,
    ) -> None:
        if seed is not None and seed < 0:
            raise UsageError(f"the seed cannot be {seed}: it is 0 or more")
        self._distribution = distribution
        self._ranges = dict(ranges or {})
        self._generator = np.random.default_rng(seed)

    def load(self, info: TensorInfo, batch: int | None = None) -> Array:
        """See InputSource. LimitError; UsageError if the shape is not known, or no array can have it."""
        shape = list(info.shape) if info.shape is not None else None
        if shape and batch is not None:
            shape[0] = batch
        extents = [extent for extent in shape or () if extent is not None]
        if shape is None or len(extents) < len(shape):
            raise UsageError(
                f"no random values without the shape of input '{info.name}', which is {shape_text(info.shape)}",
                hint=shape_hint({info.name: info.shape}),
            )
        dtype = info.dtype or np.float32
        ask_items(math.prod(extents), f"input '{info.name}'")
        try:
            return self._drawn(info.name, extents, dtype)
        except ValueError as error:
            if isinstance(error, UsageError):
                raise
            raise UsageError(f"no array can have the shape {extents} of input '{info.name}': {error}") from error

    def _drawn(self, name: str, extents: Sequence[int], dtype: Any) -> Array:
        """Values of the distribution, or drawn from the range of the input."""
        known = self._ranges.get(name)
        if known is None:
            return self._find(dtype).sample(self._generator, extents, dtype)
        if not isinstance(self._distribution, Distribution) or self._distribution.name not in INTEGRAL:
            if known.ones is not None:
                return self._mask(extents, *known.ones).astype(dtype)
            within = Distribution("integers", {"min": known.low, "max": known.high})
            values = within.sample(self._generator, extents, dtype)
            if values.dtype.kind not in "iu":  # fractions stay: casts to indices drop them, interpolations use them
                values += (self._generator.uniform(0, 1, values.shape) * (values < known.high)).astype(dtype)
            return values
        values = self._distribution.sample(self._generator, extents, np.int64)
        if known.is_limit:
            values = known.low + (values - known.low) % (known.high - known.low + 1)
        return values.astype(dtype)

    def _mask(self, extents: Sequence[int], least: int, most: int) -> Array:
        """Rows that begin with so many ones; about half of them have the most, as sequences without padding have."""
        lengths = self._generator.integers(least, most + 1, extents[:-1])
        lengths = np.where(self._generator.uniform(size=extents[:-1]) < 0.5, most, lengths)
        return np.arange(extents[-1]) < lengths[..., np.newaxis]

    def _find(self, dtype: type) -> Distribution:
        if isinstance(self._distribution, Distribution):
            return self._distribution
        default = default_distribution(dtype)
        return (self._distribution or {}).get(nnef_dtype(dtype), default)


class FolderSource:
    """A source of files in a folder, `<input>.dat` for each input, or with the suffix of another array, sound or image.

    See `tensor_file` and `array_files`. FileError if there is none.
    """

    def __init__(self, folder: str | Path, images: ImageOptions | None = None) -> None:
        self._folder = Path(folder)
        self._images = images
        self._owners: dict[str, str] = {}

    def load(self, info: TensorInfo, batch: int | None = None) -> Array:
        """See InputSource. UsageError if another input has the same file."""
        file = tensor_file(info.name)
        owner = self._owners.setdefault(file, info.name)
        if owner != info.name:
            raise UsageError(f"inputs '{owner}' and '{info.name}' would have the same file '{file}'")
        names = dict.fromkeys((file, tensor_file(info.name.removesuffix(":0"))))  # TensorFlow's full names
        forms = [name.removesuffix(DAT) + suffix for name in names for suffix in (DAT, NPY, WAV, *IMAGES)]
        path = next((self._folder / form for form in (*names, *forms) if (self._folder / form).is_file()), None)
        if path is None:
            files = [item for item in self._folder.glob("*") if suffix_of(item) in (DAT, NPY, WAV, *IMAGES)]
            found = ", ".join(sorted(item.stem for item in files)[:8])
            hint = f"the folder has tensors {found}" if found else "the folder holds no .dat files"
            where = str(self._folder / list(names)[-1])
            raise FileError(f"there is no file for input '{info.name}'", where=where, hint=hint)
        return read_value(str(path), info, batch, self._images)


class FileSource:
    """A source of one file for each input, given by the name of the input; others come from another source.

    files: input name -> its file, or a pattern for several images that are one batch. others: None if there is none.
    """

    def __init__(self, files: Mapping[str, str], others: InputSource | None, images: ImageOptions | None) -> None:
        self._files = files
        self._others = others
        self._images = images

    def load(self, info: TensorInfo, batch: int | None = None) -> Array:
        """See InputSource. UsageError for an input without a file if there is no other source."""
        known = next((form for form in name_forms(info.name) if form in self._files), None)
        if known is not None:
            return read_value(self._files[known], info, batch, self._images)
        if self._others is None:
            raise UsageError(
                f"there is no file for input '{info.name}'",
                hint=f"give one with --input {info.name}=FILE, or --random or --input-path for the others",
            )
        return self._others.load(info, batch)


class ArchiveSource:
    """A source of the arrays in a `.npz` file, by the names of inputs."""

    def __init__(self, path: str | Path) -> None:
        self._path = path

    def load(self, info: TensorInfo, batch: int | None = None) -> Array:
        """See InputSource."""
        return read_value(str(self._path), info, batch, None)


def read_value(path: str, info: TensorInfo, batch: int | None, images: ImageOptions | None) -> Array:
    """The value of an input from a file: a tensor, an array of numpy, a sound, or an image (or a pattern for several).

    FileError, FormatError, LimitError; UsageError if it does not fit the input; MissingPackageError for images.
    """
    if is_image(path):
        options = (images or ImageOptions()).for_input(info)
        return _fit(info, load_images(image_files([path]), options), batch)
    if suffix_of(path) == WAV:
        return _fit(info, load_sound(path, info), batch)
    array = read_array(path, info.name)
    if suffix_of(path) != DAT and info.dtype is not None and not np.can_cast(array.dtype, info.dtype, "same_kind"):
        wanted = np.dtype(info.dtype).name
        raise UsageError(f"input '{info.name}' has items of type {array.dtype.name}, the model wants {wanted}")
    return _fit(info, array, batch)


class StreamSource:
    """A source of tensors that follow each other in a binary stream, in the order of the inputs."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def load(self, info: TensorInfo, batch: int | None = None) -> Array:
        """See InputSource. FormatError names the input whose tensor is missing or damaged."""
        try:
            array, _ = read_tensor(self._stream)
        except FormatError as error:
            error.where = f"{error.where or 'stream'}, at input '{info.name}'"
            raise
        return _fit(info, array, batch)


def load_inputs(infos: Sequence[TensorInfo], source: InputSource, batch: int | None = None) -> dict[str, Array]:
    """The values of all inputs by name."""
    return {info.name: source.load(info, batch) for info in infos}


def run_batches(
    executor: Executor,
    inputs: Mapping[str, Array],
    *,
    output_names: Sequence[str] | None = None,
    observe: Observer | None = None,
    show: Callable[[str], None] | None = None,
) -> dict[str, Array]:
    """Runs a model with a fixed batch on inputs with a larger batch, part by part, and concatenates the outputs.

    Each part starts with the first values of variables. It is as large as dimension 0 of the model's inputs (1 where
    the model leaves it open). show: told about each part. UsageError if the inputs do not have a common batch that is
    a multiple of that, or if an output has no batch dimension.
    """
    part, count = batch_parts(executor.inputs, inputs)
    results: dict[str, list[Array]] = {}
    for k in range(count):
        executor.reset()
        if show is not None:
            show(f"run {k + 1}/{count} in {executor.backend}")
        sample = {name: array[k * part : (k + 1) * part] for name, array in inputs.items()}
        for name, array in executor.run(sample, output_names=output_names, observe=observe).items():
            results.setdefault(name, []).append(array)
    return {name: _concatenated(name, arrays) for name, arrays in results.items()}


def batch_parts(infos: Sequence[TensorInfo], inputs: Mapping[str, Array]) -> tuple[int, int]:
    """The batch of the model, and the number of runs that these inputs make. UsageError, see `run_batches`."""
    if any(array.ndim == 0 for array in inputs.values()):
        raise UsageError("inputs of rank 0 have no batch dimension")
    batches = {array.shape[0] for array in inputs.values()}
    sizes = {(info.shape[0] or 1) if info.shape else 1 for info in infos}
    if len(batches) != 1 or len(sizes) != 1:
        raise UsageError(f"the inputs have different batch sizes: {sorted(batches)}, in the model {sorted(sizes)}")
    batch, part = batches.pop(), sizes.pop()
    if batch == 0 or batch % part:
        raise UsageError(f"a batch of {batch} cannot be divided into parts of {part}, the batch of the model")
    return part, batch // part


def _concatenated(name: str, arrays: list[Array]) -> Array:
    if len(arrays) == 1:
        return arrays[0]
    if arrays[0].ndim == 0:
        raise UsageError(f"output '{name}' has rank 0, so the results of several runs cannot be concatenated")
    return np.concatenate(arrays, axis=0)


def _fit(info: TensorInfo, array: Array, batch: int | None) -> Array:
    """The array in the item type of the input, or as codes of it. UsageError if its shape is not that of the model."""
    expected = None if info.shape is None else list(info.shape)
    if expected and batch is not None:
        expected[0] = batch or None  # 0 stands for the batch of the values
    if expected is not None and not fits(expected, array.shape):
        raise UsageError(
            f"input '{info.name}' has values of shape {list(array.shape)}, the model wants {shape_text(info.shape)}",
            hint="a batch size that differs from the model's has to be given" if batch is None else None,
        )
    return array if info.dtype is None or is_codes(info, array) else array.astype(info.dtype, copy=False)
