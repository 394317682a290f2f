"""Parts and copies of large arrays."""

from __future__ import annotations

import mmap
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest

from nnef_tools.model.memory import blocks, reordered


@pytest.mark.parametrize("perm", list(permutations(range(3))))
@pytest.mark.parametrize("size", [1, 8, 60, 100, 1 << 20])
def test_blocks_are_the_items_in_order(perm: tuple[int, ...], size: int) -> None:
    array = np.arange(5 * 3 * 4, dtype=np.int16).reshape(5, 3, 4)[:, ::-1].transpose(perm)
    parts = list(blocks(array, size))
    np.testing.assert_array_equal(np.concatenate(parts), array.reshape(-1))
    assert all(part.ndim == 1 and part.flags.c_contiguous and part.nbytes <= max(size, 2) for part in parts)


@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (1,), (1, 7)])
def test_blocks_of_small_arrays(shape: tuple[int, ...]) -> None:
    array = np.ones(shape)
    assert sum(part.size for part in blocks(array)) == array.size
    assert sum(part.size for part in blocks(array.T)) == array.size


@pytest.mark.parametrize("perm", list(permutations(range(3))))
def test_reordered_copy_of_a_mapped_file(perm: tuple[int, ...], tmp_path: Path) -> None:
    """Pages of the file that are let go keep their contents, those of changes made in memory only are not let go."""
    path = tmp_path / "data"
    data = np.random.default_rng(0).standard_normal((9, 250, 70)).astype(np.float32)
    path.write_bytes(b"..." + data.tobytes())
    with path.open("rb") as file:
        for access in (mmap.ACCESS_READ, mmap.ACCESS_COPY):
            mapped = mmap.mmap(file.fileno(), 0, access=access)
            view = np.frombuffer(mapped, np.uint8)[3:].view(np.float32).reshape(data.shape)
            expected = data.copy()
            if access == mmap.ACCESS_COPY:
                view[4] = expected[4] = 1
            copy = reordered(view, perm)
            assert copy.flags.c_contiguous and copy.flags.writeable
            np.testing.assert_array_equal(copy, expected.transpose(perm))
            np.testing.assert_array_equal(view, expected)
            np.testing.assert_array_equal(reordered(view.T, perm), expected.T.transpose(perm))
            np.testing.assert_array_equal(reordered(view[::2, 1:], perm), expected[::2, 1:].transpose(perm))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="tells how much of a map is in memory")
def test_blocks_of_a_mapped_file_do_not_stay_in_memory(tmp_path: Path) -> None:
    size = 64 << 20
    path = tmp_path / "data"
    path.write_bytes(bytes(size))
    with path.open("rb") as file:
        array = np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), np.float32)
    before = _mapped_kilobytes()
    assert sum(int(block.view(np.uint8).sum()) for block in blocks(array[7:-5])) == 0
    assert _mapped_kilobytes() - before < size >> 12  # a quarter


def _mapped_kilobytes() -> int:
    """The pages of files in the memory of this process."""
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssFile"))
