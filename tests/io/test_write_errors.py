"""Whatever fails while a file is written, the message names the file that was asked for, never the temporary one."""

from __future__ import annotations

import errno
import io
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnef_tools import convert_model, load_model, save_model
from nnef_tools.cli.execute import build_parser, main
from nnef_tools.errors import FileError
from nnef_tools.io.nnef.helpers import tgz_compress
from nnef_tools.language.tensor_file import write_tensor

GRAPH = """version 1.0;
graph net(x) -> (y)
{
    x = external<scalar>(shape = [1, 3, 8, 8]);
    w = variable<scalar>(shape = [40, 3, 3, 3], label = 'weights/w');
    y = conv(x, w);
}
"""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    (folder / "weights").mkdir(parents=True)
    (folder / "graph.nnef").write_text(GRAPH)
    write_tensor(folder / "weights" / "w.dat", np.ones((40, 3, 3, 3), np.float32))
    return folder


def to(target: str, **options: Any) -> Callable[[Path], object]:
    return lambda model: convert_model(model, model.parent / "out" / target, **options)


def external(model: Path) -> None:
    convert_model(model, model.parent / "out" / "net.onnx", external_data=True)


def saved(model: Path) -> None:
    save_model(load_model(model), model.parent / "out" / "net.tgz", compression=0)


def packed(model: Path) -> None:
    tgz_compress(model, model.parent / "out" / "net.tgz")


def executed(*options: str) -> Callable[[Path], object]:
    def run(model: Path) -> None:
        folder = str(model.parent / "out")
        known = [option.replace("OUT", folder) for option in options]
        args = build_parser().parse_args([str(model), "--random", "uniform(0, 1)", "--backend", "numpy", *known])
        assert main(args) == 2

    return run


WAYS = {
    "folder": (to("net.nnef"), "net.nnef"),
    "verified folder": (to("net.nnef", verify=1), "net.nnef"),
    "archive": (to("net.tgz"), "net.tgz"),
    "stored archive": (saved, "net.tgz"),
    "packed archive": (packed, "net.tgz"),
    "onnx": (to("net.onnx"), "net.onnx"),
    "verified onnx": (to("net.onnx", verify=1), "net.onnx"),
    "onnx with external data": (external, "net.onnx"),
    "tensorflow": (to("net.pb"), "net.pb"),
    "outputs": (executed("--output-path", "OUT/values"), "values/y.dat"),
    "statistics": (executed("--statistics", "OUT/stats.json", "--json"), "stats.json"),
}


class _Full(io.FileIO):
    """A file on a disk with room for 100 bytes."""

    code = errno.ENOSPC

    def write(self, data: Any) -> int:
        if self.tell() + len(data) > 100:
            raise OSError(self.code, os.strerror(self.code))
        return super().write(data)


class _Broken(_Full):
    code = errno.EIO


def opened_as(kind: type[io.FileIO]) -> Callable[..., Any]:
    plain = Path.open

    def opened(self: Path, mode: str = "r", *args: Any, **options: Any) -> Any:
        return kind(str(self), mode.replace("b", "")) if mode in ("wb", "xb") else plain(self, mode, *args, **options)

    return opened


def refuse_to_open(self: Path, mode: str = "r", *args: Any, **options: Any) -> Any:
    if mode in ("wb", "xb"):
        raise PermissionError(errno.EACCES, "Permission denied", str(self))
    return io.open(self, mode, *args, **options)  # noqa: UP020  (it stands in for Path.open)


def refuse_to_rename(self: Path, target: Path) -> Path:
    raise OSError(errno.EPERM, "Operation not permitted", str(self), None, str(target))


FAILURES: dict[str, tuple[dict[str, Callable[..., Any]], str]] = {
    "full": ({"open": opened_as(_Full)}, "no space"),
    "broken": ({"open": opened_as(_Broken)}, "Input/output error"),
    "no permission": ({"open": refuse_to_open}, "Permission denied"),
    "not renamed": ({"rename": refuse_to_rename, "replace": refuse_to_rename}, "Operation not permitted"),
}


@pytest.mark.parametrize("exists", [False, True])
@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("way", WAYS)
def test_the_target_is_named(
    model: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    way: str,
    failure: str,
    exists: bool,
) -> None:
    write, name = WAYS[way]
    patches, reason = FAILURES[failure]
    out = model.parent / "out"
    if exists:
        out.mkdir()
        first = out / name.partition("/")[0]
        first.mkdir() if first.suffix in ("", ".nnef") else first.touch()
    before = sorted(model.parent.rglob("*"))
    with monkeypatch.context() as patched:
        for method, replacement in patches.items():
            patched.setattr(Path, method, replacement)
        if failure == "not renamed":
            patched.setattr("nnef_tools.io.files.replacing.exchange", refuse_to_rename)
        if way in ("outputs", "statistics"):
            write(model)
            message = capsys.readouterr().err
        else:
            with pytest.raises(FileError) as caught:
                write(model)
            message = str(caught.value)
    assert reason.lower() in message.lower()
    moved_as_a_whole = way == "onnx with external data" and failure == "not renamed" and not exists
    named = out if moved_as_a_whole else out / name.partition("/")[0]
    where = re.search(rf"{re.escape(str(out))}[^:\s]*", message)
    assert where is not None, message
    assert Path(where[0]).is_relative_to(named) or where[0] == f"{named}.data", message
    assert ".nnef-tools" not in message, message
    assert sorted(model.parent.rglob("*")) == before
