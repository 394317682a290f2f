"""Pipes, devices, sockets and folders in place of files: refused at once, with one error, however they are reached."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nnef_tools.api import load_model, read_tensor_mapping
from nnef_tools.errors import NnefToolsError
from nnef_tools.io.archive import read_archive
from nnef_tools.io.nnef import Reader as NnefReader
from nnef_tools.io.onnx import Reader as OnnxReader
from nnef_tools.io.tf.graphdef.reader import Reader as GraphDefReader
from nnef_tools.plugins import load_module

from ..robustness.watch import time_limit

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")

READERS: dict[str, Callable[[str], Any]] = {
    "load": load_model,
    "load-nnef": lambda path: load_model(path, format="nnef"),
    "load-onnx": lambda path: load_model(path, format="onnx"),
    "load-tf": lambda path: load_model(path, format="tf"),
    "nnef": NnefReader(),
    "onnx": OnnxReader(),
    "tf": GraphDefReader(),
    "archive": read_archive,
    "mapping": read_tensor_mapping,
    "plugin": load_module,
}


@pytest.fixture
def odd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """A pipe, a device, a socket and a loop of links, with names that make readers open them."""
    monkeypatch.chdir(tmp_path)
    for suffix in ("py", "pb", "pbtxt", "h5"):
        os.mkfifo(f"pipe.{suffix}")
        Path(f"zero.{suffix}").symlink_to("/dev/zero")
    Path("loop.py").symlink_to("loop.py")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket.py")
    return [*sorted(tmp_path.iterdir()), Path("/dev/zero")]


@pytest.mark.parametrize("name", READERS)
def test_refused_at_once(odd: list[Path], name: str) -> None:
    for path in odd:
        if name != "plugin" or path.suffix == ".py":
            with time_limit(20), pytest.raises(NnefToolsError):
                READERS[name](str(path))


def test_pipe_in_a_saved_model(tmp_path: Path) -> None:
    (tmp_path / "variables").mkdir()
    (tmp_path / "saved_model.pb").write_bytes(b"")
    os.mkfifo(tmp_path / "variables" / "variables.index")
    with time_limit(20), pytest.raises(NnefToolsError, match="pipe"):
        GraphDefReader()(tmp_path)


def test_folder_as_mapping_and_plugin(tmp_path: Path) -> None:
    folder = tmp_path / "folder.py"
    folder.mkdir()
    with pytest.raises(NnefToolsError, match="directory"):
        read_tensor_mapping(folder)
    with pytest.raises(NnefToolsError, match="not a file"):
        load_module(str(folder))


def test_mapping_from_standard_input(tmp_path: Path) -> None:
    """What the process has open already, as in `--tensor-mapping <(..)`, is read as before."""
    code = "from nnef_tools.api import read_tensor_mapping; print(read_tensor_mapping('/dev/stdin'))"
    run = subprocess.run([sys.executable, "-c", code], input=b'{"a": "b"}', capture_output=True, check=True)
    assert run.stdout.split() == [b"{'a':", b"'b'}"]


MAPPINGS = ["[1]", '{"a": 1}', '{"a": {}}', "{", "", "[" * 100_000, '{"a": "b", "a": "c"}', '{"a": ' + "9" * 9999 + "}"]


@pytest.mark.parametrize("text", MAPPINGS, ids=range(len(MAPPINGS)))
def test_damaged_mapping(tmp_path: Path, text: str) -> None:
    (tmp_path / "map.json").write_text(text)
    with pytest.raises(NnefToolsError, match="not a tensor mapping"):
        read_tensor_mapping(tmp_path / "map.json")


def test_huge_mapping(tmp_path: Path) -> None:
    with (tmp_path / "map.json").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(NnefToolsError, match="more than"):
        read_tensor_mapping(tmp_path / "map.json")
