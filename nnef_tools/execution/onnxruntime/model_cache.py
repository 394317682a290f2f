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
from functools import cache
from hashlib import blake2b
from pathlib import Path

from ... import __version__
from ...errors import FileError, NnefToolsError
from ...io.nnef.model_files import GRAPH, QUANTIZATION, SIDECAR, ModelFiles, open_model
from ..executor import Array
from .cache_folder import CacheFolder, CacheWarning
from .compiled import CompiledModel

_TICK = 0.1  # seconds; a younger file may change again without a new time
_MAX_FILES = 100_000  # of a model; beyond that the folder is another one, such as a home folder


class ModelCache:
    """The cache entry of a model folder, for the state of its files at the creation of this object.

    runtime: the version of the runtime of the compiled model.
    """

    def __init__(self, model: Path, folder: CacheFolder, runtime: str) -> None:
        """OSError or NnefToolsError if the files cannot be read."""
        self._model = model
        self._files = open_model(model)
        self._folder = folder
        self._runtime = runtime
        self._state = _State(model, self._files, runtime)

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
        found = self._files.tensor(file)
        if found is None or _facts(self._model / file)[0] != self._state.facts.get(file):
            raise ValueError("not the file that the model had")
        return found[0]

    def remove(self) -> None:
        """Removes the entry, which turned out to be wrong."""
        self._folder.remove(self._state.key)

    def store(self, compiled: CompiledModel) -> None:
        """Stores a compiled model, unless files of the model changed since, or may just be changing."""
        known = all(weight.file in self._state.facts for weight in compiled.weights.values())
        if known and compiled.is_storable and time.time() - self._state.changed >= _TICK and self.is_current():
            self._folder.write(self._state.key, compiled.to_bytes(self._state.key))

    def is_current(self) -> bool:
        """Are the files of the model still in the state that the entry belongs to?"""
        try:
            return _State(self._model, self._files, self._runtime).key == self._state.key
        except (OSError, NnefToolsError):
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
    except (OSError, NnefToolsError):
        return None


class _State:
    """The state of the files of a model. key: the name of the entry. changed: the time of the last change (seconds).

    facts: what tells whether a data file changed, by its path relative to the model with `/`.
    """

    def __init__(self, model: Path, files: ModelFiles, runtime: str) -> None:
        state = blake2b(f"{_software()} {runtime}\n".encode(), digest_size=20)
        for name in (GRAPH, QUANTIZATION, SIDECAR):
            content = files.read(name)
            if content is not None:
                state.update(f"{name} {len(content)}\n".encode() + content)
        found = sorted(_data_files(str(model)))
        self.facts = {place: facts for place, facts, _ in found}
        state.update(repr(self.facts).encode())
        self.changed = max((changed for _, _, changed in found), default=0) / 1e9
        self.key = state.hexdigest()


def _data_files(model: str) -> Iterator[tuple[str, tuple[object, ...], int]]:
    """Relative path, facts and time of the last change in nanoseconds of all that weights are read from.

    The facts of a link are those of the file that it leads to. A link to a folder is not entered, since only links that
    stay inside of the model are read: where it leads to is its fact. FileError for too many files.
    """
    count, folders, start = 0, [model], len(os.path.join(model, ""))  # noqa: PTH118
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                count += 1
                if count > _MAX_FILES:
                    raise FileError("too many files for a model", where=model)
                place = entry.path[start:].replace(os.sep, "/")
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                elif entry.is_dir():
                    yield place, (os.path.realpath(entry.path),), entry.stat(follow_symlinks=False).st_ctime_ns
                elif place.lower().endswith(".dat"):
                    yield place, *_facts(entry)


def _facts(file: Path | os.DirEntry[str]) -> tuple[tuple[object, ...], int]:
    """Facts and time of the last change of a file, or of a link that leads nowhere."""
    try:
        status = file.stat()
    except OSError:
        return (), os.lstat(file).st_ctime_ns
    changed = max(status.st_mtime_ns, status.st_ctime_ns)
    kind = stat.S_IFMT(status.st_mode)
    return (kind, status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns), changed


@cache
def _software() -> str:
    """The version of the compiler, which is a part of the key."""
    root = Path(__file__).parents[2]
    changed = max(file.stat().st_mtime_ns for file in root.rglob("*.*") if file.suffix in (".py", ".nnef"))
    return f"{__version__} {changed}"
