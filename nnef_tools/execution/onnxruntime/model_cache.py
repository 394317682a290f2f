"""A cache of compiled models, so that a known NNEF model loads as fast as the ONNX model that it was compiled to.

An entry belongs to the files of a model in a certain state: its key is made of contents (of the graph) and of sizes,
times and inodes (of weights). It refers to the weights, and is therefore small. All entries are in one folder of the
user; old ones are removed when it grows too large. If the folder cannot be read or written, nothing is cached.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from hashlib import blake2b
from pathlib import Path

from ... import __version__
from ...errors import NnefToolsError
from ...io.files import replace_file
from ...io.nnef.model_files import GRAPH, QUANTIZATION, SIDECAR
from ...language.tensor_file import read_tensor
from ..executor import Array
from .compiled import CompiledModel

VARIABLE = "NNEF_TOOLS_MODEL_CACHE"
"""The environment variable with another folder for the cache, or 'off'."""

_MAX_ENTRY, _MAX_TOTAL = 1 << 26, 1 << 29  # bytes
_TICK = 0.1  # seconds; a younger file may change again without a new time


class ModelCache:
    """The cache entry of a model folder, for the state of its files at the creation of this object.

    runtime: the version of the runtime of the compiled model.
    """

    def __init__(self, model: Path, folder: Path, runtime: str) -> None:
        """OSError if the files cannot be read."""
        self._model = model
        self._folder = folder
        self._runtime = runtime
        self._key, self._newest = _fingerprint(model, runtime)

    @property
    def _entry(self) -> Path:
        return self._folder / self._key

    def find(self) -> CompiledModel | None:
        """The compiled model; None if it is not cached."""
        try:
            compiled = CompiledModel.from_bytes(self._entry.read_bytes(), self._read)
            os.utime(self._entry)
        except (OSError, ValueError, NnefToolsError):
            return None
        return compiled

    def _read(self, file: str) -> Array:
        return read_tensor(self._model / file)[0]

    def store(self, compiled: CompiledModel) -> None:
        """Stores a compiled model, unless it is too large or files of the model may just be changing."""
        if not compiled.is_storable or len(compiled.model) > _MAX_ENTRY or time.time() - self._newest < _TICK:
            return
        with suppress(OSError, NnefToolsError):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _make_room(self._folder)
            with replace_file(self._entry) as file:
                file.write(compiled.to_bytes())

    def is_current(self) -> bool:
        """Are the files of the model still in the state that the entry belongs to?"""
        try:
            return _fingerprint(self._model, self._runtime)[0] == self._key
        except OSError:
            return False


def find_cache(model: Path, runtime: str) -> ModelCache | None:
    """The cache of a model; None if the model is not a folder, or if the cache is off."""
    folder = cache_folder()
    try:
        return ModelCache(model, folder, runtime) if folder is not None and model.is_dir() else None
    except OSError:
        return None


def cache_folder() -> Path | None:
    """The folder of the cache; None if the cache is off."""
    chosen = os.environ.get(VARIABLE)
    if chosen:
        return None if chosen == "off" else Path(chosen)
    try:
        home = Path.home()
    except RuntimeError:  # there is no home folder
        return None
    if sys.platform == "win32":
        caches = os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local"
    elif sys.platform == "darwin":
        caches = home / "Library" / "Caches"
    else:
        caches = os.environ.get("XDG_CACHE_HOME") or home / ".cache"
    return Path(caches) / "nnef_tools"


def _fingerprint(model: Path, runtime: str) -> tuple[str, float]:
    """The name of the entry, and the time of the last change of a file (seconds)."""
    state = blake2b(f"{_software()} {runtime}\n".encode(), digest_size=20)
    newest = 0
    for name in (GRAPH, QUANTIZATION, SIDECAR):
        file = model / name
        if file.exists():
            content = file.read_bytes()
            state.update(f"{name} {len(content)}\n".encode() + content)
    for path, status in sorted(_files(str(model))):
        newest = max(newest, status.st_mtime_ns)
        place = path[len(str(model)) :]
        state.update(f"{place} {status.st_size} {status.st_mtime_ns} {status.st_ctime_ns} {status.st_ino}\n".encode())
    return state.hexdigest(), newest / 1e9


def _files(folder: str) -> Iterator[tuple[str, os.stat_result]]:
    """The data files in a folder; links are followed."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _files(entry.path)
            elif entry.name.lower().endswith(".dat"):
                yield entry.path, entry.stat()


@cache
def _software() -> str:
    """The version of the compiler, which is a part of the key."""
    root = Path(__file__).parents[2]
    changed = max(file.stat().st_mtime_ns for file in root.rglob("*.*") if file.suffix in (".py", ".nnef"))
    return f"{__version__} {changed}"


def _make_room(folder: Path) -> None:
    """Removes the least recently used entries if they take too much space."""
    entries = sorted((file.stat().st_mtime, file.stat().st_size, file) for file in folder.iterdir() if file.is_file())
    total = sum(size for _, size, _ in entries)
    for _, size, file in entries:
        if total <= _MAX_TOTAL:
            break
        file.unlink(missing_ok=True)
        total -= size
