"""An NNEF model compiled for onnxruntime, and its form as bytes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import ml_dtypes
import numpy as np

from ...errors import NnefToolsError
from ...io.nnef.labels import label_file
from ...ops.quantization import Quantization
from ..executor import Array, InterfaceCodes, TensorInfo

_MAGIC = b"nnef_tools compiled 5\n"
_TYPES: dict[str, type] = {
    np.dtype(item).name: item
    for item in (
        np.bool_, np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64,
        np.float16, np.float32, np.float64, ml_dtypes.bfloat16,
        ml_dtypes.int2, ml_dtypes.int4, ml_dtypes.uint2, ml_dtypes.uint4,
    )
}  # fmt: skip


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
        """Are all weights in the ONNX model or in files, and are all types among those that can be restored?"""
        types = {info.dtype for info in (*self.inputs, *self.outputs)} - {None}
        return all(weight.file for weight in self.weights.values()) and types <= set(_TYPES.values())

    def to_bytes(self, key: str) -> bytes:
        """The compiled model as bytes that hold for this key only, without the arrays that are in files."""
        weights = [[name, w.file, w.array.dtype.name, list(w.array.shape)] for name, w in self.weights.items()]
        lists = [[_described(info) for info in infos] for infos in (self.inputs, self.outputs)]
        head = json.dumps([weights, *lists]).encode() + b"\n"
        return b"".join((_signature(key, head, self.model), head, self.model))

    @classmethod
    def from_bytes(cls, raw: bytes, key: str, read: Callable[[str], Array]) -> CompiledModel:
        """Restores the result of `to_bytes` for the key. read: reads the array in a file of the model.

        ValueError for anything that `to_bytes` does not make, and for arrays of another type or size.
        """
        start = len(_signature(key))
        if raw[:start] != _signature(key, memoryview(raw)[start:]):
            raise ValueError("damaged, or of another model")
        end = raw.index(b"\n", start)
        try:
            weights, inputs, outputs = json.loads(raw[start:end])
            return cls(
                raw[end + 1 :],
                {_name(name): Weight(_array(file, dtype, shape, read), file) for name, file, dtype, shape in weights},
                [_info(*item) for item in inputs],
                [_info(*item) for item in outputs],
            )
        except (TypeError, KeyError, RecursionError) as error:
            raise ValueError("malformed") from error


def _signature(key: str, *parts: bytes | memoryview) -> bytes:
    """The beginning of the bytes: what they are, what they belong to, and a checksum against damage."""
    checksum = 0
    for part in parts:
        checksum = crc32(part, checksum)
    return _MAGIC + f"{key} {checksum:08x}\n".encode()


def _described(info: TensorInfo) -> list[Any]:
    codes = info.codes
    described = None if codes is None else [np.dtype(codes.dtype).name, dict(codes.entry), codes.at_source]
    dtype = None if info.dtype is None else np.dtype(info.dtype).name
    return [info.name, dtype, None if info.shape is None else list(info.shape), described]


def _info(name: object, dtype: str | None, shape: Iterable[object] | None, codes: Sequence[Any] | None) -> TensorInfo:
    extents = None if shape is None else tuple(None if extent is None else _extent(extent) for extent in shape)
    item = None if dtype is None else _TYPES[dtype]
    return TensorInfo(_name(name), item, extents, None if codes is None else _codes(*codes))


def _codes(dtype: str, entry: Mapping[str, Any], at_source: object) -> InterfaceCodes:
    try:
        known = Quantization.of(entry)
    except (NnefToolsError, AttributeError) as error:
        raise ValueError("damaged quantization") from error
    if known is None or type(at_source) is not bool:
        raise ValueError("damaged quantization")
    return InterfaceCodes(_TYPES[dtype], entry, at_source)


def _array(file: object, dtype: str, shape: Iterable[object], read: Callable[[str], Array]) -> Array:
    path = _name(file)
    if label_file(path.removesuffix(".dat")) != path:
        raise ValueError("not the file of a variable")
    array = read(path)
    if array.dtype != np.dtype(_TYPES[dtype]):
        raise ValueError("another item type")
    return array.reshape([_extent(extent) for extent in shape])


def _name(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _extent(value: object) -> int:
    if type(value) is not int or not 0 <= value < 1 << 63:
        raise TypeError
    return value
