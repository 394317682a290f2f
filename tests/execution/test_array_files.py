"""Arrays in `.npy` and `.npz` files: numpy reads what is written, and damaged files are refused."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from nnef_tools.errors import FileError, FormatError, LimitError, UsageError
from nnef_tools.execution.executor import TensorInfo
from nnef_tools.execution.feeds.array_files import read_array, write_arrays
from nnef_tools.execution.feeds.distributions import parse_distributions
from nnef_tools.execution.feeds.sources import ArchiveSource, FileSource, FolderSource

A = np.arange(6, dtype=np.float32).reshape(2, 3)


def test_numpy_reads_what_is_written(tmp_path: Path) -> None:
    write_arrays(tmp_path / "a.npy", {"a": A})
    write_arrays(tmp_path / "a.npz", {"x/y": A, "b": A.astype(np.int64)})
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), A)
    with np.load(tmp_path / "a.npz") as archive:
        np.testing.assert_array_equal(archive["x/y"], A)
        assert archive["b"].dtype == np.int64
    first = (tmp_path / "a.npz").read_bytes()
    write_arrays(tmp_path / "a.npz", {"x/y": A, "b": A.astype(np.int64)})
    assert (tmp_path / "a.npz").read_bytes() == first


def test_what_numpy_writes_is_read(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.asfortranarray(A))
    np.savez_compressed(tmp_path / "a.npz", x=A, k=A.astype(np.uint8))
    np.testing.assert_array_equal(read_array(tmp_path / "a.npy", "any"), A)
    np.testing.assert_array_equal(read_array(tmp_path / "a.npz", "k"), A.astype(np.uint8))
    np.testing.assert_array_equal(read_array(tmp_path / "a.npz", "x:0"), A)
    with pytest.raises(UsageError, match="no array 'z'"):
        read_array(tmp_path / "a.npz", "z")


def _header(shape: tuple[int, ...], descr: str = "<f4") -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": descr, "fortran_order": False, "shape": shape})
    return stream.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x93NUMPY",
        _header((1 << 40,)),
        _header((-5, 3)) + bytes(60),
        _header((3,), "|O") + bytes(60),
        b"PK\x03\x04",
    ],
)
def test_damaged_files(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises((FormatError, LimitError)):
        read_array(tmp_path / "a.npy", "a")
    (tmp_path / "b.npz").write_bytes(content)
    with pytest.raises((FormatError, LimitError)):
        read_array(tmp_path / "b.npz", "a")
    with zipfile.ZipFile(tmp_path / "c.npz", "w") as archive:
        archive.writestr("a.npy", content)
    with pytest.raises((FormatError, LimitError)):
        read_array(tmp_path / "c.npz", "a")


def test_other_files(tmp_path: Path) -> None:
    with pytest.raises(FileError):
        read_array(tmp_path / "none.npy", "a")
    (tmp_path / "a.txt").write_text("1 2 3", "utf-8")
    with pytest.raises(UsageError, match="what kind of file"):
        read_array(tmp_path / "a.txt", "a")
    with pytest.raises(UsageError, match="holds one array, there are 2"):
        write_arrays(tmp_path / "a.npy", {"a": A, "b": A})


def test_sources(tmp_path: Path) -> None:
    info = TensorInfo("x", np.float32, (2, 3))
    np.save(tmp_path / "x.npy", A.astype(np.float64))
    np.savez(tmp_path / "all.npz", x=A, k=A.astype(np.int64))
    for source in (
        FolderSource(tmp_path),
        ArchiveSource(tmp_path / "all.npz"),
        FileSource({"x": str(tmp_path / "x.npy")}, None, None),
    ):
        value = source.load(info)
        assert value.dtype == np.float32
        np.testing.assert_array_equal(value, A)
    with pytest.raises(UsageError, match="items of type float64, the model wants int64"):
        FolderSource(tmp_path).load(TensorInfo("x", np.int64, (2, 3)))
    with pytest.raises(UsageError, match="no file for input 'k'"):
        FileSource({"x": "x.npy"}, None, None).load(TensorInfo("k", np.int64, (2, 3)))
    others = FileSource({}, ArchiveSource(tmp_path / "all.npz"), None)
    np.testing.assert_array_equal(others.load(TensorInfo("k", np.int64, (2, 3))), A)


def test_distributions_by_data_type() -> None:
    found = parse_distributions("{'scalar': normal(0, 2), 'integer': 'integers(1, 3)'}")
    assert {key: str(value) for key, value in found.items()} == {
        "scalar": "normal(mean=0, std=2)",
        "integer": "integers(min=1, max=3)",
    }
    assert list(parse_distributions("bernoulli(0.1)")) == ["logical"]
    for wrong in (
        "{'real': uniform}",
        "{1: uniform}",
        "{'scalar': lambda s: 0}",
        "{'scalar': 1}",
        "{**x}",
        "{'scalar'}",
    ):
        with pytest.raises(UsageError):
            parse_distributions(wrong)
