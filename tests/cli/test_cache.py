"""`nnef-tools cache`, as its users type it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from nnef_tools.cli.main import main
from nnef_tools.execution.onnxruntime.cache_folder import DEFAULT_LIMIT, VARIABLE, CacheFolder


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CacheFolder:
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    return CacheFolder(tmp_path / "compiled-models")


def facts(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, object]:
    assert main(["cache", *arguments, "--json"]) == 0
    found: dict[str, object] = json.loads(capsys.readouterr().out)
    assert found.pop("schema") == "nnef-tools.cache/1"
    assert found.pop("status") == "ok"
    return found


def test_show(folder: CacheFolder, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cache"]) == 0
    assert capsys.readouterr().out == f"folder: {folder.path}\nentries: 0\nsize: 0 bytes\nlimit: 500.0 MB\n"
    assert not folder.path.exists()
    folder.write("a" * 40, bytes(1500))
    assert main(["cache"]) == 0
    assert capsys.readouterr().out == f"folder: {folder.path}\nentries: 1\nsize: 1.5 kB\nlimit: 500.0 MB\n"
    expected = {"folder": str(folder.path), "entries": 1, "size": 1500, "limit": DEFAULT_LIMIT, "removed": 0}
    assert facts(capsys) == expected


def test_clear(folder: CacheFolder, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cache", "--clear"]) == 0
    folder.write("a" * 40, bytes(1500))
    folder.write("b" * 40, bytes(500))
    (folder.path / f"{'c' * 40}.compiled.{'0' * 12}.tmp").write_bytes(b"unfinished")
    assert main(["cache", "--clear"]) == 0
    assert capsys.readouterr().out.endswith("entries: 0\nsize: 0 bytes\nlimit: 500.0 MB\nremoved: 2 (2.0 kB)\n")
    assert list(folder.path.iterdir()) == []


def test_limit(folder: CacheFolder, capsys: pytest.CaptureFixture[str]) -> None:
    assert facts(capsys, "--limit", "2kB")["limit"] == 2000
    for letter in "abc":
        folder.write(letter * 40, bytes(900))
    full = facts(capsys)
    assert [full[key] for key in ("entries", "size", "limit")] == [2, 1800, 2000]
    lowered = facts(capsys, "--limit", "1 KiB")
    assert [lowered[key] for key in ("entries", "limit", "removed")] == [1, 1024, 1]
    lowered = facts(capsys, "--limit", "0", "--clear")
    assert [lowered[key] for key in ("entries", "limit", "removed")] == [0, 0, 1]
    folder.write("a" * 40, b"x")
    assert facts(capsys)["entries"] == 0
    assert facts(capsys, "--limit=1.5g")["limit"] == 1_500_000_000


@pytest.mark.parametrize("size", ["", "x", "-1", "1e3", "5 apples", "1ib", "nan", "9" * 30, "1.2.3MB"])
def test_sizes_that_are_none(folder: CacheFolder, size: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cache", f"--limit={size}"]) == 1
    assert "is not a size such as 200MB" in capsys.readouterr().err
    assert not folder.path.exists()


@pytest.mark.parametrize("content", [b"", b"ten", b"-5", b"1" * 30, b"\xb2", b"1.5"])
def test_a_damaged_limit_is_the_default(folder: CacheFolder, content: bytes) -> None:
    folder.write("a" * 40, b"x")
    (folder.path / "limit").write_bytes(content)
    assert folder.limit == DEFAULT_LIMIT


def test_a_cache_that_is_off(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv(VARIABLE, "off")
    assert main(["cache"]) == 0
    assert capsys.readouterr().out == "folder: none, the cache is off\n"
    assert facts(capsys)["folder"] is None
    for option in ("--clear", "--limit=1MB"):
        assert main(["cache", option]) == 1
        assert f"unset {VARIABLE}" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="modes of POSIX")
@pytest.mark.parametrize("arguments", [(), ("--clear",), ("--limit", "0")])
def test_a_folder_that_others_can_write_to(
    folder: CacheFolder, arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    folder.write("a" * 40, b"x")
    folder.path.chmod(0o777)
    assert main(["cache", *arguments]) == 2
    assert "other users can write to it" in capsys.readouterr().err
    assert len(folder.entries()) == 1


def test_a_folder_that_cannot_be_made(folder: CacheFolder, capsys: pytest.CaptureFixture[str]) -> None:
    folder.path.parent.joinpath("compiled-models").write_text("mine")
    assert main(["cache", "--limit", "1MB"]) == 2
    assert "it is not a folder" in capsys.readouterr().err
    assert folder.path.read_text() == "mine"
