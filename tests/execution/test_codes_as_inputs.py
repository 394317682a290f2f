"""Codes that are given for the real numbers of a quantized input are refused: as numbers they would be wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnef_tools.errors import UsageError
from nnef_tools.execution.runtimes import make_executor

QUANT = '"x": zero_point_linear_quantize(zero_point = {zero}, scale = {scale}, bits = {bits}, signed = {signed}, ' \
        'symmetric = false);\n'  # fmt: skip


def model(folder: Path, scale: float = 0.5, zero: int = 3, bits: int = 8, signed: str = "false") -> Path:
    text = "version 1.0;\ngraph g(x) -> (y) { x = external(shape = [2]); y = add(x, 1.0); }\n"
    (folder / "graph.nnef").write_text(text)
    (folder / "graph.quant").write_text(QUANT.format(scale=scale, zero=zero, bits=bits, signed=signed))
    return folder


@pytest.mark.parametrize("backend", ["numpy", "torch", "onnxruntime"])
def test_codes_are_refused_and_numbers_are_not(tmp_path: Path, backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if backend != "numpy":
        pytest.importorskip(backend)
    cache = tmp_path / "cache"
    monkeypatch.setenv("NNEF_TOOLS_MODEL_CACHE", str(cache))
    folder = tmp_path / "m.nnef"
    folder.mkdir()
    for _ in range(2):  # the second model may come from the cache
        executor = make_executor(model(folder), format="nnef", backend=backend)
        with pytest.raises(UsageError, match="input 'x' takes real numbers, but items of type uint8 would be codes"):
            executor.run({"x": np.array([4, 5], np.uint8)})
        for dtype in (np.float32, np.float64, np.int64, np.int8):
            np.testing.assert_array_equal(executor.run({"x": np.array([4, 5], dtype)})["y"], [5, 6])


@pytest.mark.parametrize(
    ("options", "dtype"),
    [({"scale": 1.0, "zero": 0}, np.uint8), ({"signed": "true"}, np.uint8), ({"bits": 4}, np.uint8)],
)
def test_integers_that_are_no_codes_are_numbers(tmp_path: Path, options: dict[str, Any], dtype: Any) -> None:
    executor = make_executor(model(tmp_path, **options), format="nnef", backend="numpy")
    assert executor.run({"x": np.array([2, 2], dtype)})["y"].dtype == np.float32
