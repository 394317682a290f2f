"""Which format a path is taken for, and what happens where a format or conversion is not there."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from nnef_tools.errors import FileError, FormatError, UsageError
from nnef_tools.formats import (
    FORMATS,
    detect_input,
    detect_output,
    find_format,
    make_reader,
    make_writer,
)
from nnef_tools.formats.destination import Destination
from nnef_tools.pipeline.job import find_route


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
        ("predict_net.pb", b"\x0a", "caffe2"),
        ("predict_net.pbtxt", b"name: 'x'", "caffe2"),
        ("a.nnef", b"?", "nnef"),
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


def test_input_not_recognized(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"?")
    with pytest.raises(FormatError, match="cannot tell"):
        detect_input(tmp_path / "a.bin")
    with pytest.raises(FileError):
        detect_input(tmp_path / "missing.onnx")


@pytest.mark.parametrize(
    ("name", "content", "what", "hint"),
    [
        (
            "m.onnx",
            b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n",
            "Git-LFS",
            "git lfs pull",
        ),
        ("m.pb", b"", "empty", "download"),
        ("m.onnx", b"\n<!DOCTYPE html>\n<html><body>Not found", "a web page", "download"),
        ("m.ort", b"\x20\x00\x00\x00ORTM\x00\x00", "onnxruntime's own format", "the ONNX model"),
        ("m.pt", b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.", "PyTorch", "torch.onnx.export"),
        ("m.safetensors", (60).to_bytes(8, "little") + b'{"w":{"dtype":"F32"}}', "weights without a network", "ONNX"),
        ("m.circle", b"\x20\x00\x00\x00CIR0\x00\x00", "a Circle model", "the TFLite model"),
        ("m.gguf", b"GGUF\x03\x00", "GGUF", "ONNX"),
        (
            "m.json",
            b'{"irVersion": "8", "graph": {"node": [{"opType": "Relu"}]}}',
            "ONNX model as JSON",
            "format='json'",
        ),
        ("model.json", b'{"format": "graph-model", "modelTopology": {}}', "TensorFlow.js", "tensorflowjs_converter"),
        ("config.json", b'{\n  "architectures": ["Bert"]}', "a JSON file", "the model"),
        (
            "m.pbtxt",
            b'ir_version: 8\ngraph {\n  node {\n    op_type: "Relu"\n',
            "ONNX model as text",
            "format='textproto'",
        ),
        ("m.mlmodel", b"\x08\x04\x12\x02", "Core ML", "ONNX"),
        ("m.xml", b'<?xml version="1.0"?>\n<net name="m" version="11">', "OpenVINO", "ONNX"),
        ("x.npy", b"\x93NUMPY\x01\x00", "a numpy array", "the model"),
        ("conv1.dat", b"N\xef\x01\x00" + bytes(124), "NNEF tensor", "graph.nnef"),
    ],
)
def test_known_files_that_are_no_models(name: str, content: bytes, what: str, hint: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    for format in (None, "onnx"):
        with pytest.raises(FormatError, match=f"the file is .*{what}") as caught:
            detect_input(tmp_path / name, format)
        assert hint in (caught.value.hint or "")
        assert caught.value.where == str(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "member", "what"),
    [
        ("m.pth", "archive/data.pkl", "PyTorch"),
        ("x.npz", "a.npy", "numpy"),
        ("m.onnx", "model.onnx", "zip archive"),
        ("m.task", "a.tflite", "MediaPipe"),
    ],
)
def test_zip_archives(name: str, member: str, what: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / name, "w") as archive:
        archive.writestr(member, b"x")
    with pytest.raises(FormatError, match=what):
        detect_input(tmp_path / name)


def test_weights_of_openvino_and_models_of_keras(tmp_path: Path) -> None:
    (tmp_path / "m.xml").write_text('<?xml version="1.0"?><net name="m">')
    (tmp_path / "m.bin").write_bytes(b"\x01\x02")
    with pytest.raises(FormatError, match="OpenVINO"):
        detect_input(tmp_path / "m.bin")
    with zipfile.ZipFile(tmp_path / "m.keras", "w") as archive:
        for member in ("metadata.json", "config.json", "model.weights.h5"):
            archive.writestr(member, b"x")
    assert detect_input(tmp_path / "m.keras").name == "tf"


def test_folder_with_a_model_file(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"\x08\x08")
    with pytest.raises(FormatError) as caught:
        detect_input(tmp_path)
    assert caught.value.hint == f"give the file '{tmp_path / 'model.onnx'}'"


def test_weights_of_caffe2_without_their_net(tmp_path: Path) -> None:
    (tmp_path / "init_net.pb").write_bytes(b"\x0a\x00")
    for path in (tmp_path, tmp_path / "init_net.pb"):
        with pytest.raises(FormatError, match="only a part of a model") as caught:
            detect_input(path)
        assert caught.value.hint == "a Caffe2 model folder has a file predict_net.pb"


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


@pytest.mark.parametrize(
    ("source", "target", "detour", "expected"),
    [
        ("nnef", "nnef", True, []),
        ("onnx", "onnx", False, []),
        ("onnx", "onnx", True, ["ONNX to NNEF", "NNEF to ONNX"]),
        ("onnx", "nnef", False, ["ONNX to NNEF"]),
        ("nnef", "tf", False, ["NNEF to TensorFlow GraphDef"]),
        ("tf", "onnx", False, ["TensorFlow GraphDef to NNEF", "NNEF to ONNX"]),
    ],
)
def test_routes(source: str, target: str, detour: bool, expected: list[str]) -> None:
    route = find_route(FORMATS[source], FORMATS[target], detour=detour)
    assert [step.title for step in route] == expected


def test_formats_without_converter() -> None:
    with pytest.raises(UsageError, match="unsupported conversion: onnx to caffe") as caught:
        find_route(FORMATS["onnx"], FORMATS["caffe"])
    assert caught.value.hint == (
        "formats that can be read: nnef, onnx, tf, tflite, caffe, caffe2; "
        "that can be written: nnef, onnx, tf, tflite, caffe2"
    )


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
    target = Destination.of(path, Path("in.onnx"), format, compress)
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
        Destination.of(path, Path("in.onnx"), format, compress)
