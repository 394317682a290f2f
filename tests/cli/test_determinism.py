"""The same model, options and version give the same bytes, whatever the process runs in."""

from __future__ import annotations

from pathlib import Path

import pytest

from nnef_tools.formats import FORMATS

from ..support.commands import shell

SETTINGS: tuple[dict[str, str], ...] = (
    {"PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1", "LC_ALL": "C", "TZ": "UTC"},
    {"PYTHONHASHSEED": "77", "OMP_NUM_THREADS": "3", "LC_ALL": "C.UTF-8", "TZ": "Asia/Tokyo"},
)
UMASKS = ("022", "077")
WRITTEN = [format for format in FORMATS.values() if format.writer is not None]


def contents(folder: Path) -> dict[str, bytes]:
    """The bytes of all files below a folder."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.mark.parametrize("options", ["", "--optimize --keep-io-names"])
@pytest.mark.parametrize(
    ("format", "suffix"), [(format.name, format.suffixes[0]) for format in WRITTEN] + [("nnef", ".tgz")]
)
def test_written_bytes(tmp_path: Path, model: Path, format: str, suffix: str, options: str) -> None:
    results = []
    for number, (setting, umask) in enumerate(zip(SETTINGS, UMASKS, strict=True)):
        folder = tmp_path / str(number)
        folder.mkdir()
        line = f"NNEF convert {model} out{suffix} --output-format {format} --tensor-mapping map.json {options}"
        done = shell(f"umask {umask}; {line}", folder=folder, **setting)
        assert done.returncode == 0, done.stderr.decode()
        results.append(contents(folder))
    first, second = results
    assert len(first) > 1
    assert first == second
