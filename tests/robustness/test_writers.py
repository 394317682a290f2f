"""Several writers and readers of one model at the same time, and journals that are not to be trusted."""

from __future__ import annotations

import errno
import json
import os
import threading
from pathlib import Path

import numpy as np
import pytest

from nnef_tools import convert_model, load_model
from nnef_tools.cli.convert import build_parser, main
from nnef_tools.errors import FileError
from nnef_tools.io.files import lock, replace_file, replace_folder, replacing
from tests.robustness.kills import forked, make_sources

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forked processes here")

TARGETS = {"net.nnef": {}, "net.tgz": {}, "net.onnx": {"external_data": True}, "net.pb": {}}


@pytest.fixture
def sources(tmp_path: Path) -> tuple[Path, Path]:
    return make_sources(tmp_path / "sources")


def weights(model: Path) -> set[float]:
    """The values of all weights: one if the model is of one version."""
    values = {float(value) for t in load_model(model).tensors if t.data is not None for value in np.unique(t.data)}
    return values & {1.0, 2.0}


@pytest.mark.parametrize("target", TARGETS)
def test_the_second_writer_is_told(tmp_path: Path, sources: tuple[Path, Path], target: str) -> None:
    out = tmp_path / target
    convert_model(sources[0], out)
    ready, done = threading.Event(), threading.Event()

    def hold() -> None:
        with lock(out):
            ready.set()
            done.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    ready.wait(30)
    try:
        with pytest.raises(FileError, match=r"another process \(this one, in another thread\) is writing it") as info:
            convert_model(sources[1], out)
        assert info.value.hint
        assert weights(out) == {1.0}  # readers need no lock
        convert_model(sources[1], out, dry_run=True)
    finally:
        done.set()
        holder.join()
    convert_model(sources[1], out)
    assert weights(out) == {2.0}
    assert [path for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@forks
@pytest.mark.parametrize("target", TARGETS)
def test_a_reader_beside_a_writer_reads_one_version(tmp_path: Path, sources: tuple[Path, Path], target: str) -> None:
    out = tmp_path / target
    convert_model(sources[0], out, **TARGETS[target])
    writer = os.fork()
    if writer == 0:
        for turn in range(20):
            convert_model(sources[turn % 2], out, **TARGETS[target])
        os._exit(0)
    while os.waitpid(writer, os.WNOHANG) == (0, 0):
        assert len(weights(out)) == 1


@forks
def test_of_two_writers_one_wins(tmp_path: Path, sources: tuple[Path, Path]) -> None:
    for turn in range(4):
        out = tmp_path / f"net{turn}.nnef"
        convert_model(sources[turn % 2], out)
        children = []
        for source in sources:
            child = os.fork()
            if child == 0:
                os._exit(main(build_parser().parse_args([str(source), str(out), "--quiet"])))
            children.append(child)
        codes = sorted(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children)
        assert codes in ([0, 0], [0, 2])
        assert len(weights(out)) == 1
    assert list(tmp_path.rglob(".*")) == []


@forks
def test_a_killed_holder_blocks_nobody(tmp_path: Path) -> None:
    def die() -> None:
        with lock(tmp_path / "f"):
            os._exit(0)

    forked(die)
    assert len(list(tmp_path.iterdir())) == 1
    with replace_file(tmp_path / "f") as file:
        file.write(b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["f"]


def test_a_mapping_that_cannot_be_written(tmp_path: Path, sources: tuple[Path, Path]) -> None:
    out = tmp_path / "net.nnef"
    convert_model(sources[0], out)
    (tmp_path / "folder").mkdir()
    with pytest.raises(FileError, match="folder of that name"):
        convert_model(sources[1], out, tensor_mapping=tmp_path / "folder")
    assert weights(out) == {1.0}


def refuse(*_: object, **options: object) -> None:
    raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))


@pytest.mark.parametrize("way", ["exchanged", "not exchanged", "not linked", "in place"])
def test_files_of_others_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    if way == "in place":
        monkeypatch.setattr(replacing, "can_exchange", lambda folder: False)
    elif way == "not exchanged":
        monkeypatch.setattr(replacing, "exchange", refuse)
    elif way == "not linked":
        monkeypatch.setattr(os, "link", refuse)
    model = tmp_path / "m"
    (model / "sub" / "empty").mkdir(parents=True)
    (model / "sub").chmod(0o750)
    model.chmod(0o710)
    (model / "sub" / "notes").write_text("mine")
    (model / "link").symlink_to("nowhere")
    os.utime(model / "sub" / "notes", ns=(1, 1))
    number = (model / "sub" / "notes").stat().st_ino
    with replace_folder(model) as folder:
        (folder / "g").write_text("new")
    assert sorted(path.relative_to(model).as_posix() for path in model.rglob("*")) == [
        "g", "link", "sub", "sub/empty", "sub/notes",
    ]  # fmt: skip
    notes = (model / "sub" / "notes").stat()
    assert (notes.st_mtime_ns, notes.st_ino) == (1, number)
    assert (model / "link").readlink() == Path("nowhere")
    assert [path.stat().st_mode & 0o777 for path in (model, model / "sub")] == [0o710, 0o750]
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


def test_a_link_to_a_folder_stays(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    with replace_folder(tmp_path / "link") as folder:
        (folder / "g").write_text("new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "g").read_text() == "new"


def test_a_file_that_appears_during_the_exchange_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = replacing.exchange

    def late(first: Path, second: Path) -> None:
        (second / "late").write_text("mine")
        plain(first, second)

    monkeypatch.setattr(replacing, "exchange", late)
    (tmp_path / "m").mkdir()
    with replace_folder(tmp_path / "m") as folder:
        (folder / "g").write_text("new")
    assert {path.name: path.read_text() for path in (tmp_path / "m").iterdir()} == {"g": "new", "late": "mine"}


JOURNALS = {
    "other file": [["../.net.onnx.0123456789ab.nnef-tools-new", "../precious", 0, 0]],
    "out": [["../../precious", "../.net.onnx.0123456789ab.nnef-tools-old", 0, 0]],
    "no staging": [["../precious", "../gone", 0, 0]],
    "not a list": {"moves": 1},
    "text": "x" * 100,
    "numbers": [[1, 2, 3, 4]],
    "deep": None,
}


@pytest.mark.parametrize("kind", JOURNALS)
def test_a_foreign_journal_moves_nothing(tmp_path: Path, sources: tuple[Path, Path], kind: str) -> None:
    folder = tmp_path / "downloads"
    folder.mkdir()
    convert_model(sources[0], folder / "net.onnx")
    for precious in (tmp_path / "precious", folder / "precious"):
        precious.write_text("mine")
    (folder / ".net.onnx.0123456789ab.nnef-tools-new").write_text("theirs")
    text = "[" * 100_000 if kind == "deep" else json.dumps(JOURNALS[kind])
    (folder / ".net.onnx.nnef-tools-journal").write_text(text)
    assert weights(folder / "net.onnx") == {1.0}
    assert [path.read_text() for path in (tmp_path / "precious", folder / "precious")] == ["mine", "mine"]
    assert sorted(path.name for path in folder.iterdir()) == ["net.onnx", "precious"]


def test_source_is_target(tmp_path: Path, sources: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    for target, options, words in (
        (sources[0], ["--output-format", "nnef"], "is replaced by the result"),
        (sources[0] / "net.onnx", [], "into the folder of the source"),
    ):
        assert main(build_parser().parse_args([str(sources[0]), str(target), *options])) == 0
        assert sum(words in line for line in capsys.readouterr().err.splitlines()) == 1
