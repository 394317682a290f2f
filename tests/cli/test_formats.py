"""Which format a path is taken for, and what happens where a format or conversion is not there."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from nnef_tools.errors import FileError, FormatError, UsageError
from nnef_tools.formats import (
    FORMATS,
    detect_input,
    detect_output,
    find_converter,
    find_format,
    make_reader,
    make_writer,
)
from nnef_tools.target import Target


def archive(path: Path, mode: str) -> None:
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        info = tarfile.TarInfo("graph.nnef")
        info.size = 3
        tar.addfile(info, io.BytesIO(b"abc"))


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.onnx", b"\x08\x07", "onnx"),
        ("A.ONNX", b"\x08\x07", "onnx"),
        ("a.pb", b"\x0a", "tf"),
        ("a.tflite", b"\x1c\0\0\0TFL3", "tflite"),
        ("a.bin", b"\x1c\0\0\0TFL3", "tflite"),
        ("a.onnx", b"\x1c\0\0\0TFL3", "tflite"),
        ("a.prototxt", b"name: 'x'", "caffe"),
        ("predict_net.pb", b"", "caffe2"),
        ("a.nnef", b"", "nnef"),
    ],
)
def test_input_file(tmp_path: Path, name: str, content: bytes, expected: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    assert detect_input(path).name == expected


@pytest.mark.parametrize(("name", "mode"), [("a.tgz", "w:gz"), ("a.tar", "w"), ("a", "w"), ("a.bin", "w:gz")])
def test_input_archive(tmp_path: Path, name: str, mode: str) -> None:
    archive(tmp_path / name, mode)
    assert detect_input(tmp_path / name).name == "nnef"


def test_input_folder(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="holds no model"):
        detect_input(tmp_path)
    (tmp_path / "predict_net.pb").touch()
    assert detect_input(tmp_path).name == "caffe2"
    (tmp_path / "graph.nnef").touch()
    assert detect_input(tmp_path).name == "nnef"


def test_input_not_recognised(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"")
    with pytest.raises(FormatError, match="cannot tell"):
        detect_input(tmp_path / "a.bin")
    with pytest.raises(FileError):
        detect_input(tmp_path / "missing.onnx")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.nnef", "nnef"),
        ("a.nnef.tgz", "nnef"),
        ("a.tgz", "nnef"),
        ("b.onnx", "onnx"),
        ("c.pb", "tf"),
        ("d.TFLITE", "tflite"),
    ],
)
def test_output(name: str, expected: str) -> None:
    assert detect_output(Path("folder", name)).name == expected


@pytest.mark.parametrize("name", ["a", "a.txt", ".onnx", "onnx"])
def test_output_not_clear(name: str) -> None:
    with pytest.raises(UsageError, match="cannot tell"):
        detect_output(Path(name))


def test_unknown_and_missing_formats() -> None:
    with pytest.raises(UsageError, match="unknown format 'x'"):
        find_format("x")
    with pytest.raises(UsageError, match="cannot be written by this version"):
        make_writer(FORMATS["caffe"])
    with pytest.raises(UsageError, match="unknown option for NNEF models: nonsense"):
        make_reader(FORMATS["nnef"], nonsense=1)


def test_conversions() -> None:
    assert find_converter(FORMATS["nnef"], FORMATS["nnef"]) is None
    assert find_converter(FORMATS["onnx"], FORMATS["nnef"]).__name__ == "Converter"
    with pytest.raises(UsageError, match="unsupported conversion: onnx to tf"):
        find_converter(FORMATS["onnx"], FORMATS["tf"])


@pytest.mark.parametrize(
    ("path", "format", "compress", "expected", "level"),
    [
        ("out.nnef", None, None, "out.nnef", None),
        ("out.nnef", None, 5, "out.nnef.tgz", 5),
        ("out.nnef.tgz", None, None, "out.nnef.tgz", 1),
        ("out.nnef.tgz", None, 0, "out.nnef.tgz", 0),
        ("out.tar.gz", None, None, "out.tar.gz", 1),
        ("out", "nnef", None, "out", None),
        ("out.onnx", None, None, "out.onnx", None),
        (None, None, None, "in.onnx.nnef", None),
        (None, "nnef", None, "in.onnx.nnef", None),
        (None, "nnef", 1, "in.onnx.nnef.tgz", 1),
        (None, "tf", None, "in.onnx.pb", None),
    ],
)
def test_target(path: str | None, format: str | None, compress: int | None, expected: str, level: int | None) -> None:
    target = Target.of(path, Path("in.onnx"), format, compress)
    assert (str(target.path), target.compression) == (expected, level)


@pytest.mark.parametrize(
    ("path", "format", "compress", "message"),
    [
        ("out.onnx", None, 1, "only NNEF models are compressed"),
        ("out.nnef", None, 10, "the compression level is 0 to 9"),
        ("out.tar", None, None, "written compressed, as .tgz"),
    ],
)
def test_target_that_makes_no_sense(path: str | None, format: str | None, compress: int | None, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Target.of(path, Path("in.onnx"), format, compress)
