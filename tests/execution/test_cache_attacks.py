"""Nothing in the folder of the cache, or behind a link of a model, makes a run wrong, fail or wait, or a file vanish.
Pipes and devices are among it, so a defect may make a test wait forever.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest

from nnef_tools.execution.onnxruntime import cache_folder
from nnef_tools.execution.onnxruntime.cache_folder import CacheFolder, CacheWarning
from nnef_tools.execution.onnxruntime.compiled import CompiledModel

from .test_model_cache import LONG_AGO, B, W, check, entries, load, model, write

__all__ = ["entries", "model"]

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="owners, modes and pipes of POSIX")


def only(folder: Path) -> Path:
    (entry,) = folder.iterdir()
    return entry


# the folder


def test_files_of_others_in_the_named_folder_stay(model: Path, entries: Path) -> None:
    base = entries.parent
    base.mkdir()
    large = base / "photos.tar"
    with large.open("wb") as file:
        file.truncate(600_000_000)  # sparse
    named = base / ("0" * 40)
    named.write_text("mine")
    check(load(model))
    (entries / "notes.txt").write_text("mine")
    (entries / f"{'1' * 40}.compiled.bak").write_text("mine")
    (entries / f"{'2' * 40}.compiled").mkdir()
    folder = CacheFolder(entries)
    folder.limit = 0
    check(load(model))
    folder.clear()
    assert large.stat().st_size == 600_000_000
    assert named.read_text() == "mine"
    assert sorted(path.name for path in entries.iterdir()) == sorted(
        ["limit", "notes.txt", f"{'1' * 40}.compiled.bak", f"{'2' * 40}.compiled"]
    )


def test_the_folder_is_private(model: Path, entries: Path) -> None:
    before = os.umask(0)
    try:
        check(load(model))
    finally:
        os.umask(before)
    assert entries.stat().st_mode & 0o777 == 0o700
    assert only(entries).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("mode", [0o770, 0o707])
def test_a_folder_that_others_can_write_to_is_not_used(
    model: Path, entries: Path, mode: int, request: pytest.FixtureRequest
) -> None:
    load(model)
    entry = only(entries)
    used = entry.stat().st_mtime_ns
    entries.chmod(mode)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for _ in range(2):
            check(load(model))
    shown = [str(item.message) for item in caught if item.category is CacheWarning]
    assert len(shown) == 1
    assert "other users can write to it" in shown[0]
    assert str(entries) in shown[0]
    assert entry.stat().st_mtime_ns == used


def test_a_folder_of_another_user_is_not_used(model: Path, entries: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load(model)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.warns(CacheWarning, match="belongs to another user"):
        check(load(model))


def test_a_link_in_place_of_the_folder_is_not_used(model: Path, entries: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    entries.parent.mkdir()
    entries.symlink_to(elsewhere)
    with pytest.warns(CacheWarning, match="not a folder"):
        check(load(model))
    assert list(elsewhere.iterdir()) == []


def test_an_entry_that_others_can_write_to_is_not_trusted(model: Path, entries: Path) -> None:
    load(model)
    only(entries).chmod(0o666)
    check(load(model))
    assert only(entries).stat().st_mode & 0o777 == 0o600


# what is not a plain file


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _dangling(path: Path) -> None:
    path.symlink_to("nowhere")


def _loop(path: Path) -> None:
    path.symlink_to(path.name)


def _device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def _socket(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # the path of a socket may have 100 characters
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path.name)
    finally:
        os.chdir(here)


@pytest.mark.parametrize("make", [_pipe, _dangling, _loop, _device, _socket, Path.mkdir])
@pytest.mark.parametrize("name", ["entry", "limit", "unfinished"])
def test_files_that_are_not_plain(model: Path, entries: Path, make: Callable[[Path], None], name: str) -> None:
    load(model)
    entry = only(entries)
    path = {"entry": entry, "limit": entries / "limit"}.get(name, entries / f"{entry.name}.{'0' * 12}.tmp")
    entry.unlink()
    make(path)
    for _ in range(2):
        check(load(model))
    assert CacheFolder(entries).limit == cache_folder.DEFAULT_LIMIT
    assert len(CacheFolder(entries).clear()) == (0 if (name, make) == ("entry", Path.mkdir) else 1)


def test_a_link_to_an_entry_is_not_followed(model: Path, entries: Path, tmp_path: Path) -> None:
    load(model)
    entry = only(entries)
    mine = tmp_path / "mine"
    entry.rename(mine)
    content = mine.read_bytes()
    os.utime(mine, (LONG_AGO, LONG_AGO))
    entry.symlink_to(mine)
    check(load(model))
    assert mine.read_bytes() == content
    assert mine.stat().st_mtime == LONG_AGO
    assert not entry.is_symlink()


def test_an_entry_that_is_too_large_is_not_read(model: Path, entries: Path) -> None:
    load(model)
    with only(entries).open("ab") as file:
        file.truncate(1 << 36)  # sparse
    check(load(model))
    assert only(entries).stat().st_size < 1 << 20


def test_odd_files_in_a_model(model: Path, entries: Path) -> None:
    _pipe(model / "pipe.dat")
    _dangling(model / "dangling.dat")
    _device(model / "device.dat")
    (model / "outside").symlink_to("/")
    (model / "inner/round").symlink_to("..")
    for _ in range(2):
        check(load(model))
    assert len(CacheFolder(entries).entries()) == 1


def test_a_graph_that_is_a_pipe_does_not_wait(model: Path, entries: Path) -> None:
    (model / "graph.quant").unlink(missing_ok=True)
    _pipe(model / "graph.quant")
    with pytest.raises(ValueError, match="not a file"):
        load(model)


# links inside of a model


def _two_versions(model: Path) -> None:
    """inner/w.dat and b.dat are reached through links to the first of two versions."""
    for name, factor in (("one", 1), ("two", 2)):
        (model / name).mkdir()
        write(model / name / "w.dat", W * factor)
        write(model / name / "b.dat", B * factor)
    shutil.rmtree(model / "inner")
    (model / "b.dat").unlink()
    (model / "inner").symlink_to("current")
    (model / "current").symlink_to("one")
    (model / "b.dat").symlink_to("current/b.dat")


def test_a_changed_link_is_seen(model: Path, entries: Path) -> None:
    _two_versions(model)
    for _ in range(2):
        check(load(model))
    (model / "current").unlink()
    (model / "current").symlink_to("two")
    for _ in range(2):
        check(load(model), W * 2, B * 2)
    write(model / "two/w.dat", W * 3, LONG_AGO + 1)
    check(load(model), W * 3, B * 2)
    write(model / "two/b.dat", B * 4, LONG_AGO + 1)
    check(load(model), W * 3, B * 4)
    (model / "current").unlink()
    (model / "current").symlink_to("one")
    check(load(model))


def test_small_weights_behind_a_folder_link(model: Path, entries: Path) -> None:
    """They are in the entry, so that only the key tells that they are others."""
    (model / "graph.nnef").write_text((model / "graph.nnef").read_text().replace("label = 'b'", "label = 'link/b'"))
    for name, factor in (("one", 1), ("two", 2)):
        (model / name).mkdir()
        write(model / name / "b.dat", B * factor)
    link = model / "link"
    link.symlink_to("one")
    check(load(model))
    link.unlink()
    link.symlink_to("two")
    check(load(model), W, B * 2)
    (model / "two").rename(model / "three")
    (model / "one").rename(model / "two")
    check(load(model))


def test_a_folder_that_is_exchanged_while_a_model_loads(
    model: Path, entries: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was compiled belongs to neither state."""
    from nnef_tools.execution.onnxruntime import compiler

    other = tmp_path / "other"
    shutil.copytree(model, other)
    write(other / "b.dat", B * 2)
    compile_graph = compiler.compile_graph

    def exchange(*args: object, **options: object) -> object:
        compiled = compile_graph(*args, **options)  # type: ignore[arg-type]
        model.rename(tmp_path / "old")
        other.rename(model)
        return compiled

    monkeypatch.setattr(compiler, "compile_graph", exchange)
    check(load(model))
    monkeypatch.undo()
    monkeypatch.setenv(cache_folder.VARIABLE, str(entries.parent))
    assert not entries.exists()
    check(load(model), W, B * 2)


# entries that lie


def _forged(entry: Path, change: Callable[[list[object]], object], model: bytes | None = None) -> bytes:
    """The entry with another head, and the checksum that belongs to it."""
    raw = entry.read_bytes()
    magic, _, head, old = raw.split(b"\n", 3)
    content = json.dumps(change(json.loads(head))).encode() + b"\n" + (old if model is None else model)
    return b"%s\n%s %08x\n%s" % (magic, entry.stem.encode(), crc32(content), content)


def test_the_forger_of_these_tests_can_forge(model: Path, entries: Path) -> None:
    load(model)
    entry = only(entries)
    assert _forged(entry, lambda head: head) == entry.read_bytes()


def _with_file(file: object) -> Callable[[list[object]], object]:
    def change(head: list[object]) -> object:
        ((name, _, dtype, shape),) = head[0]  # type: ignore[attr-defined, misc]
        return [[[name, file, dtype, shape]], *head[1:]]

    return change


HEADS: dict[str, Callable[[list[object]], object]] = {
    "a number": lambda head: 1,
    "an object": lambda head: {"a": 1, "b": 2, "c": 3},
    "two lists": lambda head: head[:2],
    "null lists": lambda head: [None, None, None],
    "deep": lambda head: [eval("[" * 80 + "]" * 80)] * 3,
    "weights of one item": lambda head: [[["w"]], *head[1:]],
    "no weights": lambda head: [[], *head[1:]],
    "no outputs": lambda head: [*head[:2], []],
    "no inputs": lambda head: [head[0], [], head[2]],
    "an unknown type": lambda head: [head[0], [["x", "__class__", [1]]], head[2]],
    "a module as type": lambda head: [head[0], [["x", "finfo", [1]]], head[2]],
    "a list as type": lambda head: [head[0], [["x", [], [1]]], head[2]],
    "a name that is a number": lambda head: [head[0], [[1, "float32", [1]]], head[2]],
    "a text as shape": lambda head: [head[0], [["x", "float32", "12"]], head[2]],
    "a negative extent": lambda head: [head[0], [["x", "float32", [-1]]], head[2]],
    "a fraction as extent": lambda head: [head[0], [["x", "float32", [1.5]]], head[2]],
    "a huge extent": lambda head: [head[0], [["x", "float32", [10**30]]], head[2]],
    "a file outside": _with_file("../other/w.dat"),
    "an absolute path": _with_file("/etc/w.dat"),
    "another file of the model": _with_file("graph.nnef"),
    "a weight of another size": _with_file("b.dat"),
    "a file that is not there": _with_file("c.dat"),
    "no file": _with_file(None),
    "a file with NUL": _with_file("a\0.dat"),
}


@pytest.mark.parametrize("change", HEADS.values(), ids=HEADS)
def test_a_wrong_head_is_removed_and_rebuilt(
    model: Path, entries: Path, tmp_path: Path, change: Callable[[list[object]], object]
) -> None:
    load(model)
    (tmp_path / "other").mkdir()
    write(tmp_path / "other/w.dat", W * 7)
    entry = only(entries)
    right = entry.read_bytes()
    entry.write_bytes(_forged(entry, change))
    check(load(model))
    assert entry.read_bytes() == right


@pytest.mark.parametrize("head", [b"", b"[" * 100_000, b"[[],[],[" + b"9" * 10_000 + b"]]", b"\xff\xfe", b"NaN"])
def test_a_head_that_is_no_json(model: Path, entries: Path, head: bytes) -> None:
    load(model)
    entry = only(entries)
    right = entry.read_bytes()
    magic, _ = right.split(b"\n", 1)
    entry.write_bytes(b"%s\n%s %08x\n%s\n" % (magic, entry.stem.encode(), crc32(head + b"\n"), head))
    check(load(model))
    assert entry.read_bytes() == right


def test_an_entry_of_another_model_is_not_taken(model: Path, entries: Path) -> None:
    load(model)
    first = only(entries)
    content = first.read_bytes()
    write(model / "b.dat", B * 2, LONG_AGO + 1)
    load(model)
    second = next(entry for entry in entries.iterdir() if entry != first)
    second.write_bytes(content)
    check(load(model), W, B * 2)
    assert second.read_bytes() != content


def test_a_model_that_refers_to_other_files_is_not_taken(model: Path, entries: Path, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    load(model)
    entry = only(entries)
    right = entry.read_bytes()
    (tmp_path / "secret.bin").write_bytes((B * 7).tobytes())
    raw = CompiledModel.from_bytes(right, entry.stem, lambda file: W).model
    for location in ("../secret.bin", str(tmp_path / "secret.bin")):
        proto = onnx.ModelProto.FromString(raw)
        small = next(t for t in proto.graph.initializer if tuple(t.dims)[-1:] == (200,) and len(t.raw_data) == B.nbytes)
        small.ClearField("raw_data")
        small.data_location = onnx.TensorProto.EXTERNAL
        for key, value in (("location", location), ("offset", "0"), ("length", str(B.nbytes))):
            small.external_data.add(key=key, value=value)
        entry.write_bytes(_forged(entry, lambda head: head, proto.SerializeToString()))
        check(load(model))
        assert entry.read_bytes() == right


def test_every_cut_and_some_flips_are_noticed(model: Path, entries: Path) -> None:
    load(model)
    raw = only(entries).read_bytes()
    key = only(entries).stem
    generator = np.random.default_rng(0)
    for place in generator.integers(0, len(raw), 200):
        flipped = bytearray(raw)
        flipped[place] ^= 1 << int(generator.integers(8))
        for damaged in (raw[:place], bytes(flipped), raw + b"x"):
            with pytest.raises(ValueError, match="damaged"):
                CompiledModel.from_bytes(damaged, key, lambda file: W)
