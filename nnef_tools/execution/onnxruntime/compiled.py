"""An NNEF model compiled for onnxruntime, and its form as bytes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import ml_dtypes
import numpy as np

from ..executor import Array, TensorInfo

_MAGIC = b"nnef_tools compiled 2\n"
_CHECKSUM_LENGTH = 9  # number of bytes in the checksum that follows


@dataclass(frozen=True)
class Weight:
    """An initializer that is passed to onnxruntime separately from the model.

    file: the file of the NNEF model with just this array, as a relative path with `/`; empty if there is none.
    """

    array: Array
    file: str


@dataclass(frozen=True)
class CompiledModel:
    """The bytes of an ONNX model, and, by name, the initializers that these do not contain.

    inputs, outputs: those of the ONNX model, with the names and types that they have in the NNEF model.
    """

    model: bytes
    weights: Mapping[str, Weight]
    inputs: Sequence[TensorInfo]
    outputs: Sequence[TensorInfo]

    @property
    def is_storable(self) -> bool:
        """Are all weights in the ONNX model or in files?"""
        return all(weight.file for weight in self.weights.values())

    def to_bytes(self) -> bytes:
        """The compiled model as bytes, without the arrays that are in files."""
        weights = [[name, w.file, *_described(w.array.dtype, w.array.shape)] for name, w in self.weights.items()]
        lists = [[[i.name, *_described(i.dtype, i.shape)] for i in infos] for infos in (self.inputs, self.outputs)]
        head = json.dumps([weights, *lists]).encode() + b"\n"
        content = head + self.model
        return _MAGIC + _checksum(content) + content

    @classmethod
    def from_bytes(cls, raw: bytes, read: Callable[[str], Array]) -> CompiledModel:
        """Restores the result of `to_bytes`. read: reads the array in a file. ValueError for damaged data."""
        start, content = len(_MAGIC) + _CHECKSUM_LENGTH, memoryview(raw)[len(_MAGIC) + _CHECKSUM_LENGTH :]
        if raw[:start] != _MAGIC + _checksum(content):
            raise ValueError("damaged")
        end = raw.index(b"\n", start)
        weights, inputs, outputs = json.loads(raw[start:end])
        return cls(
            raw[end + 1 :],
            {name: Weight(_array(read(file), dtype, shape), file) for name, file, dtype, shape in weights},
            [TensorInfo(name, _type(dtype), _shape(shape)) for name, dtype, shape in inputs],
            [TensorInfo(name, _type(dtype), _shape(shape)) for name, dtype, shape in outputs],
        )


def _checksum(content: bytes | memoryview) -> bytes:
    return b"%08x\n" % crc32(content)


def _described(dtype: Any, shape: Sequence[int | None] | None) -> tuple[str | None, list[int | None] | None]:
    return None if dtype is None else np.dtype(dtype).name, None if shape is None else list(shape)


def _type(name: str | None) -> type | None:
    return None if name is None else np.dtype(getattr(ml_dtypes, name, name)).type


def _shape(shape: list[int | None] | None) -> tuple[int | None, ...] | None:
    return None if shape is None else tuple(shape)


def _array(array: Array, dtype: str, shape: list[int]) -> Array:
    if array.dtype.name != dtype:
        raise ValueError("another item type")
    return array.reshape(shape)
