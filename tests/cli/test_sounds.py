"""Sounds as inputs: written by the module `wave`, and by hand for what it does not write."""

from __future__ import annotations

import struct
import wave
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from nnef_tools.errors import FormatError, Notice, UsageError
from nnef_tools.execution.executor import TensorInfo
from nnef_tools.execution.feeds.sounds import load_sound, read_sound

from ..support.arrays import Array
from ..support.commands import Run
from ..support.onnx_models import onnx_model

CODES = [-1.0, -0.5, 0.0, 0.25, 0.75, -0.25]
"""Values that codes of all widths hold exactly."""


def write(path: Path, values: Array, bits: int = 16, rate: int = 16000) -> Path:
    """values: [frames, channels] from -1 to 1."""
    codes = np.rint(values.astype(np.float64) * 2 ** (bits - 1)).astype(np.int64) + (128 if bits == 8 else 0)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(values.shape[1])
        file.setsampwidth(bits // 8)
        file.setframerate(rate)
        items = [int(code) for code in codes.reshape(-1)]
        file.writeframes(b"".join(code.to_bytes(bits // 8, "little", signed=bits > 8) for code in items))
    return path


def chunks(*parts: tuple[bytes, bytes]) -> bytes:
    body = b"".join(name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2) for name, data in parts)
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WAVE" + body


def form(coding: int, channels: int, bits: int, more: bytes = b"") -> tuple[bytes, bytes]:
    block = channels * bits // 8
    return b"fmt ", struct.pack("<HHIIHH", coding, channels, 8000, 8000 * block, block, bits) + more


@pytest.mark.parametrize("bits", [8, 16, 24, 32])
@pytest.mark.parametrize("channels", [1, 2])
def test_values_of_all_widths(bits: int, channels: int, tmp_path: Path) -> None:
    values = np.array(CODES, np.float32).reshape(-1, channels)
    sound = read_sound(write(tmp_path / "x.wav", values, bits, 44100))
    np.testing.assert_array_equal(sound.real_values, values)
    assert (sound.rate, sound.bits, sound.real_values.dtype) == (44100, bits, np.float32)


def test_floats_and_extensible_formats(tmp_path: Path) -> None:
    values = np.array([0.1, -2.5, 1.0], "<f4")
    (tmp_path / "f.wav").write_bytes(chunks((b"LIST", b"odd"), form(3, 1, 32), (b"data", values.tobytes())))
    np.testing.assert_array_equal(read_sound(tmp_path / "f.wav").real_values, values[:, None])
    guid = struct.pack("<HHIHH", 22, 16, 4, 1, 0) + bytes(12)
    (tmp_path / "e.wav").write_bytes(chunks(form(0xFFFE, 1, 16, guid), (b"data", struct.pack("<2h", -32768, 16384))))
    np.testing.assert_array_equal(read_sound(tmp_path / "e.wav").real_values, [[-1.0], [0.5]])


@pytest.mark.parametrize(
    "channels, shape, expected",
    [
        (1, (6,), (6,)), (1, (None,), (6,)), (1, (1, 6), (1, 6)), (1, (1, None), (1, 6)), (1, (6, 1), (6, 1)),
        (1, (1, 1, 6), (1, 1, 6)), (1, (1, None, 1), (1, 6, 1)), (1, (None, None), (1, 6)), (1, None, (6,)),
        (2, (2, 3), (2, 3)), (2, (1, 2, None), (1, 2, 3)), (2, (1, 3, 2), (1, 3, 2)), (2, (None, 2), (3, 2)),
    ],
)  # fmt: skip
def test_shapes(channels: int, shape: Any, expected: tuple[int, ...], tmp_path: Path) -> None:
    values = np.array(CODES, np.float32).reshape(-1, channels)
    path = write(tmp_path / "x.wav", values)
    with pytest.warns(Notice, match=f"input 'x' is sound of {channels} channels? at 16000 Hz"):
        found = load_sound(path, TensorInfo("x", np.float32, shape))
    assert found.shape == expected
    frames_first = found.reshape(-1, channels) if found.shape[-1] == channels else found.reshape(channels, -1).T
    np.testing.assert_array_equal(frames_first, values)


@pytest.mark.filterwarnings("ignore::nnef_tools.errors.Notice")
def test_codes_for_integers(tmp_path: Path) -> None:
    path = write(tmp_path / "x.wav", np.array([[-1.0], [0.5]], np.float32))
    found = load_sound(path, TensorInfo("x", np.int32, (1, 2)))
    assert found.dtype == np.int32 and found.tolist() == [[-32768, 16384]]
    path = write(tmp_path / "b.wav", np.array([[-1.0], [0.5]], np.float32), bits=8)
    assert load_sound(path, TensorInfo("x", np.uint8, (2,))).tolist() == [0, 192]
    with pytest.raises(UsageError, match=r"codes from 0 to 255, input 'x' has items of type int8"):
        load_sound(path, TensorInfo("x", np.int8, (2,)))


@pytest.mark.parametrize("channels, shape", [(1, (5,)), (1, (1, 5)), (2, (3,)), (2, (1, 3)), (1, ()), (2, (2, 1, 3))])
def test_what_does_not_fit(channels: int, shape: Any, tmp_path: Path) -> None:
    path = write(tmp_path / "x.wav", np.array(CODES, np.float32).reshape(-1, channels))
    with pytest.raises(
        UsageError, match=f"{6 // channels} frames of {channels} channels? at 16000 Hz, which do not fit"
    ):
        load_sound(path, TensorInfo("x", np.float32, shape))


@pytest.mark.parametrize(
    "content, reason",
    [
        (b"", "does not begin with RIFF"),
        (chunks((b"data", b"abcd")), "before their format"),
        (chunks(form(1, 1, 16)), "has no samples"),
        (chunks((b"fmt ", b"abc")), "cut off"),
        (chunks(form(7, 1, 8), (b"data", b"ab")), "8 bits in coding 7 are not read"),
        (chunks(form(1, 0, 16), (b"data", b"ab")), "for 0 channels"),
        (chunks(form(1, 1, 64), (b"data", b"ab")), "64 bits in PCM"),
        (chunks(form(1, 1, 16)) + b"data\xf0\xff\xff\x7fab", "should have 2147483632 bytes, the file has 2 more"),
        (chunks(*[(b"junk", b"")] * 2000), "has no samples"),
    ],
)
def test_damaged_files(content: bytes, reason: str, tmp_path: Path) -> None:
    (tmp_path / "x.wav").write_bytes(content)
    with pytest.raises(FormatError, match=reason):
        read_sound(tmp_path / "x.wav")


def test_commands(run: Run, tmp_path: Path) -> None:
    model = tmp_path / "m.onnx"
    onnx.save(onnx_model([onnx.helper.make_node("Abs", ["x"], ["y"])], {"x": [1, 6]}, {"y": [1, 6]}), model)
    folder = tmp_path / "in"
    for k, rate in enumerate((16000, 8000)):
        (folder / str(k)).mkdir(parents=True)
        write(folder / str(k) / "x.wav", np.array(CODES, np.float32)[:, None] / (k + 1), rate=rate)
    status, _, err = run("convert", model, tmp_path / "m.nnef", "--verify-inputs", folder)
    assert status == 0 and "verified on 2 given inputs: equal" in err
    assert err.count("input 'x' is sound of 1 channel at 16000 Hz") == 1 and "warning" not in err
    assert run("compare", model, tmp_path / "m.nnef", "--input-path", folder)[0] == 0
    assert run("execute", model, "--input", f"x={folder / '1' / 'x.wav'}", "--output-path", tmp_path / "o.npz")[0] == 0
    np.testing.assert_array_equal(np.load(tmp_path / "o.npz")["y"], np.abs(np.array([CODES], np.float32)) / 2)
