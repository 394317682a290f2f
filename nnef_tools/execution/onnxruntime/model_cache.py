"""A cache of compiled models, so that a known NNEF model loads as fast as the ONNX model that it was compiled to.

An entry belongs to the files of a model in a certain state: its key is made of contents (of the graph) and of sizes,
times and inodes (of weights). It refers to the weights, and is therefore small. An entry that is not what its key
stands for is removed; see `cache_folder` for where entries are.
"""

from __future__ import annotations

import os
import stat
import time
import warnings
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TypeAlias

from ... import __version__
from ...errors import FileError, NnefToolsError
from ...io.nnef.model_files import GRAPH, QUANTIZATION, SIDECAR
from ...language.tensor_file import read_tensor
from ..executor import Array
from .cache_folder import READ_PLAIN, CacheFolder, CacheWarning
from .compiled import CompiledModel

_TICK = 0.1  # seconds; a younger file may change again without a new time
_MAX_FILES = 100_000  # of a model; beyond that the folder is another one, such as a home folder


class ModelCache:
    """The cache entry of a model folder, for the state of its files at the creation of this object.

    runtime: the version of the runtime of the compiled model.
    """

    def __init__(self, model: Path, folder: CacheFolder, runtime: str) -> None:
        """OSError if the files cannot be read, or if one of the graph is a link."""
        self._model = model
        self._folder = folder
        self._runtime = runtime
        self._state = _State(str(model), runtime)

    def find(self) -> CompiledModel | None:
        """The compiled model; None if it is not cached."""
        raw = self._folder.read(self._state.key)
        if raw is None:
            return None
        try:
            return CompiledModel.from_bytes(raw, self._state.key, self._read)
        except (OSError, ValueError, NnefToolsError):
            self.remove()
            return None

    def _read(self, file: str) -> Array:
        """The array in a file. ValueError if that is not the file that the key was made of."""
        path = str(self._model / file)
        self._state.check(file, path)  # a pipe would never end
        array = read_tensor(path)[0]
        self._state.check(file, path)
        return array

    def remove(self) -> None:
        """Removes the entry, which turned out to be wrong."""
        self._folder.remove(self._state.key)

    def store(self, compiled: CompiledModel) -> None:
        """Stores a compiled model, unless files of the model changed since, or may just be changing."""
        plain = all(weight.file in self._state.plain for weight in compiled.weights.values())
        if plain and compiled.is_storable and time.time() - self._state.changed >= _TICK and self.is_current():
            self._folder.write(self._state.key, compiled.to_bytes(self._state.key))

    def is_current(self) -> bool:
        """Are the files of the model still in the state that the entry belongs to?"""
        try:
            return _State(str(self._model), self._runtime).key == self._state.key
        except OSError:
            return False


def find_cache(model: Path, runtime: str) -> ModelCache | None:
    """The cache of a model; None if the model is not a folder, or if the cache is off or must not be used.

    CacheWarning, which Python shows once, in the last case.
    """
    folder = CacheFolder.of_user()
    if folder is None or not model.is_dir():
        return None
    try:
        folder.check()
    except FileError as error:
        warnings.warn(f"{error.where}: {error.message}; {error.hint}", CacheWarning, stacklevel=2)
        return None
    try:
        return ModelCache(model, folder, runtime)
    except OSError:
        return None


class _State:
    """The state of the files of a model. key: the name of the entry. changed: the time of the last change (seconds).

    plain: what tells whether a data file changed, by its path relative to the model with `/`, for plain files.
    """

    def __init__(self, model: str, runtime: str) -> None:
        state = sha256(f"{_software()} {runtime}\n".encode())
        start = os.path.join(model, "")  # noqa: PTH118
        for name in (GRAPH, QUANTIZATION, SIDECAR):
            content = _content(start + name)
            if content is not None:
                state.update(f"{name} {len(content)}\n".encode() + content)
        self.plain: dict[str, _Facts] = {}
        changed, found = 0, []
        for entry in _entries(model):
            place = entry.path[len(start) :].replace(os.sep, "/")
            status, target = _status(entry)
            facts = _facts(status)
            if not target and stat.S_ISREG(facts[0]):
                self.plain[place] = facts
            changed = max(changed, *facts[-2:])
            found.append((place, facts, target))
        state.update(repr(sorted(found)).encode())
        self.changed = changed / 1e9
        self.key = state.hexdigest()[:40]

    def check(self, file: str, path: str) -> None:
        """ValueError if a path is not that of the plain file that was there."""
        if self.plain.get(file) != _facts(os.lstat(path)):
            raise ValueError("not the file that the model had")


_Facts: TypeAlias = tuple[int, int, int, int, int, int]


def _facts(status: os.stat_result) -> _Facts:
    times = status.st_mtime_ns, status.st_ctime_ns
    return status.st_mode, status.st_dev, status.st_ino, status.st_size, *times


def _content(path: str) -> bytes | None:
    """The content of a file; None if there is none. OSError for a link, and for anything that is not a plain file."""
    try:
        number = os.open(path, READ_PLAIN)
    except FileNotFoundError:
        return None
    with os.fdopen(number, "rb", buffering=0) as file:
        if not stat.S_ISREG(os.fstat(number).st_mode):
            raise FileError("not a file", where=path)
        return file.read()


def _entries(model: str) -> Iterator[os.DirEntry[str]]:
    """All that weights are read from: data files, and links to folders. OSError for too many files.

    Links to folders are not entered: what is outside of the model is not read, what is inside is met anyway.
    """
    count, folders = 0, [model]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                count += 1
                if count > _MAX_FILES:
                    raise FileError("too many files for a model", where=model)
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                elif entry.name.lower().endswith(".dat") or entry.is_symlink():
                    yield entry


def _status(entry: os.DirEntry[str]) -> tuple[os.stat_result, str]:
    """The status of a file, or of a link to a folder or nowhere; and where a link leads to."""
    if not entry.is_symlink():
        return entry.stat(), ""
    target = os.path.realpath(entry.path)
    with suppress(OSError):  # it leads nowhere
        status = entry.stat()
        if not stat.S_ISDIR(status.st_mode):
            return status, target
    return entry.stat(follow_symlinks=False), target


@cache
def _software() -> str:
    """The version of the compiler, which is a part of the key."""
    root = Path(__file__).parents[2]
    changed = max(file.stat().st_mtime_ns for file in root.rglob("*.*") if file.suffix in (".py", ".nnef"))
    return f"{__version__} {changed}"
