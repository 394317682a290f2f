"""A real model that is read and written: the same tensors, options, outputs, and about the same size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ....support.packages import member
from .models import official, rewritten, run


def test_basic_pitch(tmp_path: Path) -> None:
    path = tmp_path / "nmp.tflite"
    path.write_bytes(member("basic-pitch", "basic_pitch/saved_models/icassp_2022/nmp.tflite").read_bytes())
    again = rewritten(path)
    assert abs(again.stat().st_size / path.stat().st_size - 1) < 0.02
    before, after = official(path), official(again)
    assert len(before.subgraphs) == len(after.subgraphs) == 1
    tensors = [graph.subgraphs[0].tensors for graph in (before, after)]
    for a, b in zip(*tensors, strict=True):
        assert (a.name, a.type, _list(a.shape)) == (b.name, b.type, _list(b.shape))
        assert -1 not in _list(a.shapeSignature) or _list(a.shapeSignature) == _list(b.shapeSignature)
        assert _content(before, a) == _content(after, b)
    for a, b in zip(before.subgraphs[0].operators, after.subgraphs[0].operators, strict=True):
        assert (_list(a.inputs), _list(a.outputs)) == (_list(b.inputs), _list(b.outputs))
        # options that the file leaves out are written with their defaults
        assert a.builtinOptions is None or _fields(a.builtinOptions) == _fields(b.builtinOptions)
        codes = [before.operatorCodes[a.opcodeIndex], after.operatorCodes[b.opcodeIndex]]
        assert codes[0].builtinCode == codes[1].builtinCode
    assert [item.name for item in after.metadata] == [b"CONVERSION_METADATA", b"min_runtime_version"]
    assert after.signatureDefs[0].signatureKey == b"serving_default"
    x = np.random.default_rng(0).uniform(-1, 1, (1, 43844, 1)).astype(np.float32)
    assert [y.tobytes() for y in run(path, x)] == [y.tobytes() for y in run(again, x)]


def _list(array: Any) -> list[int]:
    return [] if array is None else list(array)


def _content(model: Any, tensor: Any) -> bytes:
    data = model.buffers[tensor.buffer].data
    return b"" if data is None else bytes(data)


def _fields(table: Any) -> dict[str, Any]:
    return {key: _list(value) if isinstance(value, np.ndarray) else value for key, value in vars(table).items()}
