"""Sounds in WAV files as arrays: linear PCM of 8, 16, 24 or 32 bits, and 32-bit floats."""

from __future__ import annotations

import struct
import warnings
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from ...budget import ask_items
from ...errors import FileError, FormatError, Notice, UsageError, shape_text
from ...model.dtypes import is_integer
from ..executor import Array, TensorInfo
from .inputs import fits

_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
"""Codings of samples; the last one says that the coding follows at _SUBFORMAT of the chunk."""

_SUBFORMAT = 24

_MOST_FORMAT = 64
"""The number of bytes of a format chunk that are read; all that is known is in the first 40."""

_MOST_CHUNKS = 1000
"""The number of chunks in which the samples are looked for."""

_OPEN_SIZE = 0xFFFFFFFF
"""The size of the samples in files from programs that did not know it; they go to the end of the file."""


class Sound(NamedTuple):
    """The samples of a file as `[frames, channels]`: codes, of 8 bits unsigned and of wider ones signed, or floats.

    bits: the width of the samples. rate: in Hz.
    """

    samples: Array
    bits: int
    rate: int

    @property
    def real_values(self) -> Array:
        """The samples in float32; codes are divided such that the largest magnitude becomes 1."""
        if self.samples.dtype.kind == "f":
            return self.samples
        middle = 128 if self.bits == 8 else 0  # codes of 8 bits are unsigned
        return ((self.samples.astype(np.float64) - middle) / 2.0 ** (self.bits - 1)).astype(np.float32)


class _Format(NamedTuple):
    coding: int
    channels: int
    rate: int
    bits: int


def read_sound(path: str | Path) -> Sound:
    """The sound in a WAV file. FileError, FormatError, LimitError."""
    if not Path(path).is_file():
        raise FileError("there is no such file", where=str(path))
    try:
        with Path(path).open("rb") as file:
            size = file.seek(0, 2)
            file.seek(0)
            return _read(file, size)
    except OSError as error:
        raise FileError(f"cannot be read: {error.strerror or error}", where=str(path)) from error
    except FormatError as error:
        error.where = str(path)
        raise


def load_sound(path: str | Path, info: TensorInfo) -> Array:
    """The samples of a WAV file in the shape of an input: real numbers, or codes for an input of integers.

    Inputs are `[frames]`, `[channels, frames]` or `[frames, channels]`, with extents of 1 before. UsageError if it
    does not fit; errors as in `read_sound`. A Notice says the sample rate, which has to be that of the model.
    """
    sound = read_sound(path)
    values = _values(sound, info, path)
    frames, channels = values.shape
    ones = () if info.shape is None else (1,) * (len(info.shape) - 2)
    forms = [values.T.reshape(*ones, channels, frames), values.reshape(*ones, frames, channels)]
    if channels == 1 and (info.shape is None or len(info.shape) == 1):
        forms = [values.reshape(frames)]
    found = next((form for form in forms if info.shape is None or fits(info.shape, form.shape)), None)
    channel_text = f"{channels} channel" + "s" * (channels > 1)
    if found is None:
        raise UsageError(
            f"'{path}' has {frames} frames of {channel_text} at {sound.rate} Hz, which do not fit input '{info.name}' "
            f"of shape {shape_text(info.shape)}",
            hint="cut, pad or mix the sound to what the model wants",
        )
    warnings.warn(f"input '{info.name}' is sound of {channel_text} at {sound.rate} Hz", Notice, stacklevel=2)
    return np.ascontiguousarray(found)


def _values(sound: Sound, info: TensorInfo, path: str | Path) -> Array:
    """The samples in the terms of an input."""
    if info.dtype is None or not is_integer(info.dtype):
        if info.dtype is np.bool_:
            raise UsageError(f"'{path}' is a sound, which input '{info.name}' of logical values cannot be")
        return sound.real_values
    limits = np.iinfo(info.dtype)
    least, most = (0, 255) if sound.bits == 8 else (-(1 << sound.bits - 1), (1 << sound.bits - 1) - 1)
    if sound.samples.dtype.kind == "f" or least < limits.min or most > limits.max:
        what = "real numbers" if sound.samples.dtype.kind == "f" else f"codes from {least} to {most}"
        raise UsageError(f"'{path}' has {what}, input '{info.name}' has items of type {np.dtype(info.dtype).name}")
    return sound.samples.astype(info.dtype)


def _read(file: BinaryIO, size: int) -> Sound:
    head = file.read(12)
    if head[:4] != b"RIFF" or head[8:] != b"WAVE":
        raise FormatError("not a WAV file: it does not begin with RIFF and WAVE")
    format: _Format | None = None
    for _ in range(_MOST_CHUNKS):
        header = file.read(8)
        name, length = header[:4], int.from_bytes(header[4:], "little")
        if len(header) < 8:
            break
        left = size - file.tell()
        if name == b"data":
            if format is None:
                raise FormatError("the samples come before their format")
            if length > left and length != _OPEN_SIZE:
                raise FormatError(f"the samples should have {length} bytes, the file has {left} more")
            return _sound(file, format, min(length, left))
        end = file.tell() + length + length % 2  # chunks have an even size
        if name == b"fmt ":
            format = _format(file.read(min(length, _MOST_FORMAT)))
        file.seek(min(end, size))
    raise FormatError("the file has no samples")


def _format(data: bytes) -> _Format:
    if len(data) < 16:
        raise FormatError("the format of the samples is cut off")
    coding, channels, rate, _, block, _ = struct.unpack("<HHIIHH", data[:16])
    if coding == _EXTENSIBLE and len(data) >= _SUBFORMAT + 2:
        coding = int.from_bytes(data[_SUBFORMAT : _SUBFORMAT + 2], "little")
    if not channels or block % channels:
        raise FormatError(f"{block} bytes for {channels} channels are no whole number for each")
    bits = 8 * (block // channels)
    if (coding, bits) not in [(_PCM, 8), (_PCM, 16), (_PCM, 24), (_PCM, 32), (_FLOAT, 32)]:
        kind = {_PCM: "PCM", _FLOAT: "floats"}.get(coding, f"coding {coding}")
        raise FormatError(
            f"samples of {bits} bits in {kind} are not read",
            hint="save the sound with linear PCM of 8, 16, 24 or 32 bits, or with 32-bit floats",
        )
    return _Format(coding, channels, rate, bits)


def _sound(file: BinaryIO, format: _Format, length: int) -> Sound:
    width = format.bits // 8
    frames = length // (width * format.channels)
    ask_items(frames * format.channels, "the sound")
    data = np.frombuffer(file.read(frames * format.channels * width), np.uint8)
    if data.size != frames * format.channels * width:
        raise FormatError("the samples are cut off")
    return Sound(_samples(data, format).reshape(frames, format.channels), format.bits, format.rate)


def _samples(data: Array, format: _Format) -> Array:
    if format.bits == 24:
        wide = np.zeros((data.size // 3, 4), np.uint8)
        wide[:, 1:] = data.reshape(-1, 3)
        return wide.reshape(-1).view("<i4").astype(np.int32) >> 8
    return data.view("<f4" if format.coding == _FLOAT else {8: "u1", 16: "<i2", 32: "<i4"}[format.bits])
