"""Compiled models are found again, for the same files only, and whatever is wrong with the cache does no harm."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnef_tools.errors import ExecutionError, FormatError, UsageError
from nnef_tools.execution import make_executor
from nnef_tools.execution.kernels import loading
from nnef_tools.execution.onnxruntime import cache_folder, model_cache
from nnef_tools.execution.onnxruntime.cache_folder import CacheFolder
from nnef_tools.io.nnef.helpers import tgz_compress
from nnef_tools.language.tensor_file import write_tensor

TEXT = """version 1.0;
graph net(x, i) -> (y, k)
{
    x = external(shape = [2, 300]);
    i = external<integer>(shape = [2]);
    w = variable(shape = [300, 200], label = 'inner/w');
    b = variable(shape = [1, 200], label = 'b');
    h = matmul(x, w);
    y = add(h, b);
    k = gather(i, i, axis = 0);
}
"""
generator = np.random.default_rng(0)
FEEDS = {"x": generator.standard_normal((2, 300)).astype(np.float32), "i": np.array([1, 0])}
W, B = (generator.standard_normal(shape).astype(np.float32) for shape in ((300, 200), (1, 200)))
LONG_AGO = 1_000_000_000


@pytest.fixture
def entries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the cache. Files are trusted at once, though they are new."""
    monkeypatch.setenv(cache_folder.VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setattr(model_cache, "_TICK", 0)
    return tmp_path / "cache" / "compiled-models"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "net"
    (folder / "inner").mkdir(parents=True)
    (folder / "graph.nnef").write_text(TEXT)
    write(folder / "inner/w.dat", W)
    write(folder / "b.dat", B)
    return folder


def write(path: Path, array: np.ndarray, time: int = LONG_AGO) -> None:
    """As if that had been then."""
    write_tensor(str(path), array)
    os.utime(path, (time, time))


def load(model: Path) -> Any:
    return make_executor(model, backend="onnxruntime")


@pytest.fixture
def unread(monkeypatch: pytest.MonkeyPatch) -> None:
    """NNEF models cannot be read."""

    def refuse(*_: object) -> None:
        raise AssertionError("the model was read")

    monkeypatch.setattr(loading, "read_graph", refuse)


def check(executor: Any, w: np.ndarray = W, b: np.ndarray = B) -> None:
    result = executor.run(FEEDS)
    assert list(result) == ["y", "k"]
    np.testing.assert_allclose(result["y"], FEEDS["x"] @ w + b, rtol=1e-4, atol=1e-4)
    assert result["k"].tolist() == [0, 1]


def test_a_model_that_was_loaded_before_is_not_read_again(
    model: Path, entries: Path, request: pytest.FixtureRequest
) -> None:
    first = load(model)
    check(first)
    (entry,) = entries.iterdir()
    assert B.nbytes < entry.stat().st_size < W.nbytes  # large weights stay in their files
    request.getfixturevalue("unread")
    again = load(model)
    assert (again.inputs, again.outputs) == (first.inputs, first.outputs)
    check(again)
    assert again.run({**FEEDS, "i": FEEDS["i"].astype(np.int32)})["k"].tolist() == [0, 1]
    with pytest.raises(UsageError, match="not given"):
        again.run({"x": FEEDS["x"]})


def test_tensors_inside_of_a_cached_model(model: Path, entries: Path) -> None:
    names = load(model).tensor_names
    again = load(model)
    assert again.tensor_names == names
    seen: dict[str, np.ndarray] = {}
    again.run(FEEDS, observe=seen.__setitem__)
    np.testing.assert_allclose(seen["h"], FEEDS["x"] @ W, rtol=1e-4, atol=1e-4)
    assert np.array_equal(seen["w"], W)


@pytest.mark.parametrize("file", ["inner/w.dat", "b.dat"])
def test_other_weights_are_seen(model: Path, entries: Path, file: str) -> None:
    load(model)
    before = (model / file).stat()
    write(model / file, {"inner/w.dat": W, "b.dat": B}[file] * 2, LONG_AGO + 1)
    assert (model / file).stat().st_size == before.st_size
    check(load(model), W * (1 + (file != "b.dat")), B * (1 + (file == "b.dat")))
    assert len(list(entries.iterdir())) == 2


def test_another_graph_and_other_facts_are_seen(model: Path, entries: Path) -> None:
    load(model)
    (model / "graph.nnef").write_text(TEXT.replace("add(h, b)", "sub(h, b)"))
    check(load(model), W, -B)
    (model / "graph.quant").write_text(
        '"h": zero_point_linear_quantize(zero_point = 0, scale = 0.5, bits = 8, signed = true, symmetric = false);'
    )
    assert not np.allclose(load(model).run(FEEDS)["y"], FEEDS["x"] @ W - B, atol=1e-3)


def test_a_model_that_changed_after_it_was_loaded(model: Path, entries: Path) -> None:
    load(model)
    cached = load(model)
    write(model / "b.dat", B * 2, LONG_AGO + 1)
    check(cached)
    with pytest.raises(ExecutionError, match="changed after it was loaded"):
        cached.run(FEEDS, output_names=["h"])


def test_files_that_may_still_change_are_not_trusted(
    model: Path, entries: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever time they claim."""
    monkeypatch.setattr(model_cache, "_TICK", 3600)
    check(load(model))
    assert not entries.exists()


@pytest.mark.parametrize("damage", [b"", b"nonsense", None])
def test_damaged_entries_are_replaced(model: Path, entries: Path, damage: bytes | None) -> None:
    load(model)
    (entry,) = entries.iterdir()
    whole = entry.read_bytes()
    entry.write_bytes(whole[:-100] + bytes(100) if damage is None else damage)
    check(load(model))
    assert entry.read_bytes() == whole


def test_entries_that_were_not_used_for_longest_make_room(model: Path, entries: Path) -> None:
    load(model)
    (old,) = entries.iterdir()
    os.utime(old, (LONG_AGO, LONG_AGO))
    size = old.stat().st_size
    newer = entries / f"{'0' * 40}.compiled"
    newer.write_bytes(bytes(size))
    CacheFolder(entries).limit = 2 * size
    (model / "graph.nnef").write_text(TEXT.replace("add(h, b)", "sub(h, b)"))
    check(load(model), W, -B)
    assert not old.exists()
    assert newer.exists()
    assert len(CacheFolder(entries).entries()) == 2
    CacheFolder(entries).limit = size - 1
    check(load(model), W, -B)
    assert CacheFolder(entries).entries() == []


def test_a_cache_that_cannot_be_written(model: Path, entries: Path) -> None:
    entries.parent.write_text("a file")
    check(load(model))
    assert entries.parent.read_text() == "a file"


def test_what_is_not_cached(model: Path, entries: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tgz_compress(str(model), str(tmp_path / "net.nnef.tgz"))
    check(load(tmp_path / "net.nnef.tgz"))
    monkeypatch.setenv(cache_folder.VARIABLE, "off")
    check(load(model))
    assert not entries.exists()
    monkeypatch.setenv(cache_folder.VARIABLE, str(entries))
    (model / "graph.nnef").write_text(TEXT.replace("(y, k)", "(y, b)"))
    assert np.array_equal(load(model).run(FEEDS)["b"], B)
    assert not entries.exists()
    with pytest.raises(FormatError, match="not an NNEF model"):
        load(tmp_path)


def test_the_folder_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def found() -> Path:
        folder = CacheFolder.of_user()
        assert folder is not None
        return folder.path

    monkeypatch.delenv(cache_folder.VARIABLE)
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "x"))
    assert found() == tmp_path / "x" / "nnef_tools" / "compiled-models"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert found() == tmp_path / ".cache" / "nnef_tools" / "compiled-models"


def test_inputs_in_the_other_byte_order(model: Path) -> None:
    """onnxruntime takes their bytes as they are."""
    check(load(model))
    swapped = {name: array.astype(array.dtype.newbyteorder("S")) for name, array in FEEDS.items()}
    for backend in ("onnxruntime", "numpy"):
        result = make_executor(model, backend=backend).run(swapped)
        np.testing.assert_allclose(result["y"], FEEDS["x"] @ W + B, rtol=1e-4, atol=1e-4)
        assert result["k"].tolist() == [0, 1]
