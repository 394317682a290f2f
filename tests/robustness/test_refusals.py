"""Input that is hostile or impossible, and targets that cannot be written: one clear error, nothing changed."""

from __future__ import annotations

import errno
import gzip
import io
import os
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import ModelProto, TensorProto, helper

from nnef_tools.cli.main import main
from nnef_tools.errors import FileError, NnefToolsError
from nnef_tools.pipeline import convert_model

from .onnx_samples import onnx_model
from .samples import GRAPH, archive, nnef_files, write_folder
from .test_mutants import listing, target_files

resource = pytest.importorskip("resource")

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Run:
    """`nnef-tools convert` to NNEF: exit code and what standard error says."""

    def run(source: Path, target: Path, *options: str) -> tuple[int, str]:
        capfd.readouterr()
        format = "onnx" if source.suffix == ".onnx" else "nnef"
        arguments = ["--input-model", str(source), "--input-format", format, "--output-model", str(target)]
        status = main(["convert", *arguments, "--output-format", "nnef", *options])
        error = capfd.readouterr().err
        assert "Traceback" not in error
        return status, error

    return run


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "model.onnx"
    path.write_bytes(onnx_model())
    return path


def test_missing_files(run: Run, tmp_path: Path) -> None:
    for name in ("none.onnx", "none.nnef", "none/at/all.tgz"):
        status, error = run(tmp_path / name, tmp_path / "target")
        assert status == 2 and name in error
    assert listing(tmp_path) == {}


def test_missing_weights(run: Run, tmp_path: Path) -> None:
    files = nnef_files()
    del files["body/w.dat"]
    status, error = run(write_folder(tmp_path / "model.nnef", files), tmp_path / "target")
    assert status == 2 and "body/w" in error and not (tmp_path / "target").exists()


def test_folder_in_place_of_a_file_and_the_other_way_round(run: Run, source: Path, tmp_path: Path) -> None:
    (tmp_path / "folder.onnx").mkdir()
    assert run(tmp_path / "folder.onnx", tmp_path / "target")[0] == 2
    (tmp_path / "file").write_text("mine")
    assert run(source, tmp_path / "file")[0] == 2
    assert (tmp_path / "file").read_text() == "mine"


def test_read_only_target(run: Run, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = target_files(tmp_path)
    (tmp_path / "target").chmod(0o555)
    real = os.access
    if os.geteuid() == 0:  # for whom nothing is read-only
        monkeypatch.setattr(os, "access", lambda path, mode: "target" not in str(path) and real(path, mode))
    status, error = run(source, tmp_path / "target")
    (tmp_path / "target").chmod(0o755)
    assert status == 2 and "read-only" in error
    assert listing(tmp_path / "target") == before


@pytest.mark.parametrize("options", [(), ("--compress",)], ids=["folder", "archive"])
def test_limited_file_size(run: Run, source: Path, tmp_path: Path, options: tuple[str, ...]) -> None:
    """Writing fails in the middle of a file."""
    before = target_files(tmp_path)
    present = listing(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300, hard))
    try:
        with pytest.raises(FileError):
            convert_model(source, tmp_path / "target", output_format="nnef", compress=1 if options else None)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert listing(tmp_path / "target") == before and listing(tmp_path) == present


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no device that is always full")
def test_full_device(run: Run, source: Path, tmp_path: Path) -> None:
    (tmp_path / "full.nnef.tgz").symlink_to("/dev/full")
    status, error = run(source, tmp_path / "full.nnef.tgz", "--compress", "0")
    assert status == 2 and "no space" in error


@pytest.mark.parametrize("call", ["mkdir", "rename", "open"])
def test_full_disk(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    """Any step of writing may fail."""
    before = target_files(tmp_path)
    present = listing(tmp_path)
    real = getattr(Path, call)

    def full(path: Path, *arguments: Any, **options: Any) -> Any:
        if ".nnef-tools-new" in path.as_posix():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        return real(path, *arguments, **options)

    monkeypatch.setattr(Path, call, full)
    if call == "rename":
        monkeypatch.setattr("nnef_tools.io.files.replacing.can_exchange", lambda folder: False)
    with pytest.raises(FileError, match="no space"):
        convert_model(source, tmp_path / "target", output_format="nnef")
    monkeypatch.undo()
    assert listing(tmp_path / "target") == before and listing(tmp_path) == present


DEEP = {
    "parentheses": "y = relu(" + "(" * 100_000 + "x" + ")" * 100_000 + ");",
    "arrays": "y = reshape(x, shape = " + "[" * 100_000 + "]" * 100_000 + ");",
    "signs": "y = add(x, " + "-" * 100_000 + "1.0);",
    "calls": "y = " + "relu(" * 50_000 + "x" + ")" * 50_000 + ";",
    "sum": "y = x" + " + x" * 100_000 + ";",
    "conditions": "y = x" + " if true else x" * 50_000 + ";",
}


@pytest.mark.parametrize("kind", DEEP)
def test_deep_nesting_of_text(run: Run, tmp_path: Path, kind: str) -> None:
    head = GRAPH.partition("fragment")[0] + "graph net(x) -> (y) { x = external<scalar>(shape = [2]); "
    source = write_folder(tmp_path / "model.nnef", {"graph.nnef": (head + DEEP[kind] + " }").encode()})
    status, error = run(source, tmp_path / "target")
    assert status == 2 and len(error) < 2000
    assert not (tmp_path / "target").exists()


def test_deep_nesting_of_quantization(run: Run, tmp_path: Path) -> None:
    files = nnef_files()
    files["graph.quant"] = b'"h": linear_quantize(min = ' + b"[" * 100_000 + b"]" * 100_000 + b");"
    assert run(write_folder(tmp_path / "model.nnef", files), tmp_path / "target")[0] == 2


def test_deep_nesting_of_graphs(run: Run, tmp_path: Path) -> None:
    """Deeper than protobuf reads, and as deep as it does."""
    for depth in (20, 200, 2000):
        data = b""
        for _ in range(depth):
            attribute = _field(1, b"then_branch") + _field(6, data) + _varint_field(20, 5)
            data = _field(1, _field(4, b"If") + _field(5, attribute))
        path = tmp_path / f"deep{depth}.onnx"
        path.write_bytes(_varint_field(1, 8) + _field(7, data) + _field(8, _varint_field(2, 17)))
        assert run(path, tmp_path / "target")[0] in (2, 3)


def _varint(value: int) -> bytes:
    parts = []
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    return bytes([*parts, value])


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint_field(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


def huge_tensor_header() -> dict[str, bytes]:
    """Extents, consistent with a length, of which the file has nothing."""
    extents = struct.pack("<8I", 2**16, 2**14, *(0,) * 6)
    header = b"N\xef\x01\x00" + struct.pack("<II", 2**32 - 4, 2) + extents + struct.pack("<II", 32, 0)
    files = nnef_files()
    text = files["graph.nnef"].decode().replace("[2, 2, 3, 3]", f"[{2**16}, {2**14}]")
    return {**files, "graph.nnef": text.encode(), "body/w.dat": header.ljust(128, b"\0")}


def huge_repetition() -> dict[str, bytes]:
    text = GRAPH.partition("fragment")[0] + (
        "graph net(x) -> (y) { x = external<scalar>(shape = [2]); y = reshape(x, shape = [1] * 1000000000); }"
    )
    return {"graph.nnef": text.encode()}


def huge_expansion() -> dict[str, bytes]:
    """Fragments of which each calls the one before twice."""
    fragments = ["fragment f0(x: tensor<scalar>) -> (y: tensor<scalar>) { y = relu(x); }"]
    fragments += [
        f"fragment f{k}(x: tensor<scalar>) -> (y: tensor<scalar>) {{ y = f{k - 1}(f{k - 1}(x)); }}"
        for k in range(1, 40)
    ]
    graph = "graph net(x) -> (y) { x = external<scalar>(shape = [2]); y = f39(x); }"
    return {"graph.nnef": (GRAPH.partition("fragment")[0] + "\n".join([*fragments, graph])).encode()}


@pytest.mark.parametrize("files", [huge_tensor_header, huge_repetition, huge_expansion])
def test_claimed_sizes_take_no_memory(files: Callable[[], dict[str, bytes]], tmp_path: Path) -> None:
    source = write_folder(tmp_path / "model.nnef", files())
    decompose = ["f39"] if files is huge_expansion else False
    assert _peak_of_refusal(source, tmp_path / "target", decompose=decompose) < 50e6


def test_claimed_sizes_in_onnx(tmp_path: Path) -> None:
    model = ModelProto.FromString(onnx_model())
    model.graph.initializer[0].dims[:] = [2**31, 2, 3, 3]
    (tmp_path / "a.onnx").write_bytes(model.SerializeToString())
    assert _peak_of_refusal(tmp_path / "a.onnx", tmp_path / "target") < 50e6
    nodes = [helper.make_node("ConstantOfShape", ["s"], ["c"]), helper.make_node("Add", ["x", "c"], ["y"])]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("x", "y")]
    shape = helper.make_tensor("s", TensorProto.INT64, [3], [2**20, 2**20, 2**20])
    graph = helper.make_graph(nodes, "net", values[:1], values[1:], [shape])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), tmp_path / "b.onnx")
    assert _peak_of_refusal(tmp_path / "b.onnx", tmp_path / "target") < 50e6


def test_archive_that_expands_without_end(tmp_path: Path) -> None:
    """A few kilobytes that are gigabytes of zeros in a member that is no part of the model."""
    whole = archive({**nnef_files(), "zeros": b""}, compressed=False)
    stream = io.BytesIO()
    with gzip.GzipFile(fileobj=stream, mode="wb", compresslevel=9) as file:
        file.write(whole[: -10 * 1024])
        for _ in range(300):
            file.write(bytes(1 << 20))
    (tmp_path / "model.tgz").write_bytes(stream.getvalue())
    tracemalloc.start()
    try:
        convert_model(tmp_path / "model.tgz", tmp_path / "target", output_format="nnef")
    except NnefToolsError as error:
        assert error.exit_code == 2
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 100e6


def _peak_of_refusal(source: Path, target: Path, **options: Any) -> int:
    """Bytes that Python allocated until the refusal."""
    tracemalloc.start()
    try:
        with pytest.raises(NnefToolsError) as refused:
            convert_model(source, target, output_format="nnef", **options)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert refused.value.exit_code in (2, 3)
    assert not target.exists()
    return peak
