"""Samples: the inputs of several runs, from a folder with a folder for each, or from files of stacked samples."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ...errors import FileError, UsageError
from ..executor import Array, TensorInfo
from .images import ImageOptions
from .inputs import fits
from .sources import ArchiveSource, FileSource, FolderSource, InputSource, batch_parts, load_inputs
from .tensor_files import tensor_file


def sample_folders(folder: Path, names: Sequence[str]) -> list[Path]:
    """The folders of samples within a folder, in the order of their names, numbers by value; [] for none.

    names: of the inputs. A folder that has files, or folders that are parts of these names, holds one sample, or
    stacked ones, itself. FileError if it cannot be read.
    """
    own = {tensor_file(name).partition("/")[0] for name in names if "/" in tensor_file(name)}
    try:
        items = [item for item in folder.iterdir() if not item.name.startswith(".")] if folder.is_dir() else []
        is_sample = any(not item.is_dir() or item.name in own for item in items)
        return [] if is_sample else sorted(items, key=_order)
    except OSError as error:
        raise FileError(f"cannot read: {error.strerror}", where=str(folder)) from error


def load_samples(
    infos: Sequence[TensorInfo], path: Path, images: ImageOptions | None = None
) -> Iterator[dict[str, Array]]:
    """The inputs of one run after the other.

    path: a folder of samples, or a folder or .npz file with stacked samples along the first dimension of all inputs,
    which are given in parts of the batch of the model, or such a file of the only input. Values that fit the model as
    they are, and have no extent in common that could be a batch, are one sample. UsageError if others cannot be
    divided, or if there are none; errors as in `load_inputs`.
    """
    folders = sample_folders(path, [info.name for info in infos])
    for folder in folders:
        yield load_inputs(infos, FolderSource(folder, images))
    if folders:
        return
    if not infos:
        raise UsageError("a model without inputs has no samples", where=str(path))
    source: InputSource
    if path.is_dir():
        source = FolderSource(path, images)
    elif path.suffix.lower() == ".npz":
        source = ArchiveSource(path)
    else:
        source = FileSource({infos[0].name: str(path)}, None, images)
    stacked = load_inputs(infos, source, 0)
    if _is_one(infos, stacked):
        yield stacked
        return
    part, count = batch_parts(infos, stacked)
    for k in range(count):
        yield {name: array[k * part : (k + 1) * part] for name, array in stacked.items()}


def _is_one(infos: Sequence[TensorInfo], arrays: Mapping[str, Array]) -> bool:
    """Do the values fit the model as they are, and is the first dimension not the batch of all of them?"""
    if not all(info.shape is None or fits(info.shape, arrays[info.name].shape) for info in infos):
        return False
    return min(array.ndim for array in arrays.values()) < 2 or len({array.shape[0] for array in arrays.values()}) > 1


def _order(path: Path) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"([0-9]{1,18})", path.name)]
