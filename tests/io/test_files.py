"""Atomic output: what is there after success, failure and interruption."""

import errno
import os
import stat

import pytest

from nnef_tools.errors import FileError, FormatError
from nnef_tools.io.files import replace_file, replace_folder


def tree(folder):
    """Every file below a folder with its contents."""
    return {p.relative_to(folder).as_posix(): p.read_text() for p in sorted(folder.rglob("*")) if p.is_file()}


def names(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*"))


def write(folder, **files):
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


@pytest.fixture
def file_by_file(monkeypatch):
    """The operating system cannot exchange folders."""
    monkeypatch.setattr("nnef_tools.io.files.replacing.can_exchange", lambda folder: False)


@pytest.fixture(params=["as a whole", "file by file"])
def as_a_whole(request):
    """Folders are exchanged as a whole, and file by file."""
    if request.param == "file by file":
        request.getfixturevalue("file_by_file")
    return request.param == "as a whole"


# --- files


def test_new_file_with_parents(tmp_path):
    with replace_file(tmp_path / "a" / "b" / "f") as file:
        file.write(b"new")
        assert not (tmp_path / "a" / "b" / "f").exists()
    assert tree(tmp_path) == {"a/b/f": "new"}
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE((tmp_path / "a" / "b" / "f").stat().st_mode) == 0o666 & ~umask


def test_replacing_keeps_the_mode(tmp_path):
    path = tmp_path / "f"
    path.write_text("old")
    path.chmod(0o640)
    with replace_file(path) as file:
        file.write(b"new")
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_failure_leaves_the_old_file(tmp_path, error):
    write(tmp_path, f="old")
    with pytest.raises(error), replace_file(tmp_path / "f") as file:
        file.write(b"new")
        raise error
    assert names(tmp_path) == ["f"]
    assert tree(tmp_path) == {"f": "old"}
    with pytest.raises(error), replace_file(tmp_path / "a" / "b" / "f"):
        raise error
    assert names(tmp_path) == ["f"]


def test_disk_full(tmp_path):
    with pytest.raises(FileError, match="no space") as info, replace_file(tmp_path / "f"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert "/f" in str(info.value)
    assert names(tmp_path) == []
    with pytest.raises(FileError, match="no space"), replace_folder(tmp_path / "m") as folder:
        write(folder, x="1")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert names(tmp_path) == []


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")  # noqa: PTH110
def test_devices_are_written_and_not_replaced():
    with pytest.raises(FileError, match="no space"), replace_file("/dev/full") as file:
        file.write(b"x")
        file.flush()
    assert stat.S_ISCHR(os.stat("/dev/full").st_mode)  # noqa: PTH116
    with replace_file("/dev/null") as file:
        file.write(b"x")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)  # noqa: PTH116


def test_own_errors_pass_through(tmp_path):
    with pytest.raises(FormatError, match="mine"), replace_file(tmp_path / "f"):
        raise FormatError("mine")


def test_target_is_a_folder_or_below_a_file(tmp_path):
    write(tmp_path, f="old")
    with pytest.raises(FileError, match="folder of that name"), replace_file(tmp_path):
        pass
    with pytest.raises(FileError), replace_file(tmp_path / "f" / "g"):
        pass
    with pytest.raises(FileError, match="file of that name"), replace_folder(tmp_path / "f"):
        pass
    assert tree(tmp_path) == {"f": "old"}


def test_symbolic_link_is_replaced_not_followed(tmp_path):
    write(tmp_path, outside="precious")
    (tmp_path / "link").symlink_to(tmp_path / "outside")
    with replace_file(tmp_path / "link") as file:
        file.write(b"new")
    assert not (tmp_path / "link").is_symlink()
    assert tree(tmp_path) == {"link": "new", "outside": "precious"}


def test_read_only_target(tmp_path, monkeypatch):
    write(tmp_path, f="old", **{"m/graph.nnef": "old"})
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # the tests may run as root, who may do everything
    with pytest.raises(FileError, match="read-only"), replace_file(tmp_path / "f") as file:
        file.write(b"new")
    with pytest.raises(FileError, match="read-only"), replace_folder(tmp_path / "m"):
        pass
    assert tree(tmp_path) == {"f": "old", "m/graph.nnef": "old"}


def test_failing_rename(tmp_path, monkeypatch):
    write(tmp_path, f="old")

    def refuse(*_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("pathlib.Path.replace", refuse)
    with pytest.raises(FileError, match="Permission denied"), replace_file(tmp_path / "f") as file:
        file.write(b"new")
    assert names(tmp_path) == ["f"]


# --- folders


def test_new_folder(tmp_path):
    with replace_folder(tmp_path / "x" / "m") as folder:
        write(folder, g="1", **{"conv/w": "2"})
        assert not (tmp_path / "x" / "m").exists()
    assert names(tmp_path) == ["x", "x/m", "x/m/conv", "x/m/conv/w", "x/m/g"]


def test_existing_folder_keeps_what_is_not_ours(tmp_path, as_a_whole):
    write(tmp_path, g="old", readme="mine", **{"conv/w": "old", "conv/notes": "mine", "stale/a/w": "old"})
    with replace_folder(tmp_path, owned=["g", "conv/w", "stale/a/w", "gone"]) as folder:
        write(folder, g="new", **{"fc/w": "new"})
        assert (tmp_path / "g").read_text() == "old"
    assert tree(tmp_path) == {"g": "new", "readme": "mine", "conv/notes": "mine", "fc/w": "new"}
    assert names(tmp_path) == ["conv", "conv/notes", "fc", "fc/w", "g", "readme"]


def test_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, g="old")
    with replace_folder(".", owned=["g"]) as folder:
        write(folder, h="new")
    assert tree(tmp_path) == {"h": "new"}


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_failure_while_building(tmp_path, error):
    write(tmp_path, **{"m/g": "old"})
    for target in ("m", "new/m"):
        with pytest.raises(error), replace_folder(tmp_path / target, owned=["g"]) as folder:
            write(folder, g="new")
            raise error
    assert names(tmp_path) == ["m", "m/g"]
    assert tree(tmp_path) == {"m/g": "old"}


@pytest.mark.parametrize("at", range(1, 8))
def test_failure_while_moving_is_undone(tmp_path, monkeypatch, file_by_file, at):
    write(tmp_path, **{"a": "old", "c/w": "old", "s/x": "old", "keep": "mine"})
    before = names(tmp_path), tree(tmp_path)
    rename = type(tmp_path).rename
    calls = 0

    def failing(self, target):
        nonlocal calls
        calls += 1
        if calls == at:
            raise KeyboardInterrupt
        return rename(self, target)

    with pytest.raises(KeyboardInterrupt), replace_folder(tmp_path, owned=["a", "c/w", "s/x"]) as folder:
        write(folder, a="new", **{"c/w": "new", "d/e/w": "new"})
        monkeypatch.setattr(type(tmp_path), "rename", failing)
    assert calls >= at
    assert (names(tmp_path), tree(tmp_path)) == before


def test_previous_files_survive_when_nothing_can_be_undone(tmp_path, monkeypatch, file_by_file):
    write(tmp_path, g="old", h="old")
    rename = type(tmp_path).rename
    calls = 0

    def failing(self, target):
        nonlocal calls
        calls += 1
        if calls > 2:
            raise OSError(errno.EIO, "I/O error")
        return rename(self, target)

    with pytest.raises(FileError, match="I/O error"), replace_folder(tmp_path, owned=["g", "h"]) as folder:
        write(folder, g="new", h="new")
        monkeypatch.setattr(type(tmp_path), "rename", failing)
    assert sorted(tree(tmp_path).values()).count("old") == 2


def test_links_in_the_folder_are_not_followed(tmp_path):
    outside = tmp_path / "outside"
    model = tmp_path / "m"
    write(outside, w="precious")
    model.mkdir()
    (model / "conv").symlink_to(outside)
    (model / "g").symlink_to(outside / "w")
    with pytest.raises(FileError, match="symbolic link"), replace_folder(model) as folder:
        write(folder, **{"conv/w": "new"})
    with pytest.raises(FileError, match="symbolic link"), replace_folder(model, owned=["conv/w"]) as folder:
        write(folder, g="new")
    with pytest.raises(FileError, match="outside"), replace_folder(model, owned=["../outside/w"]):
        pass
    with replace_folder(model) as folder:
        write(folder, g="new")
    assert tree(outside) == {"w": "precious"}
    assert (model / "g").read_text() == "new"
    assert not (model / "g").is_symlink()
