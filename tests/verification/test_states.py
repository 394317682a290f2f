"""Models with a state are compared on a sequence of samples, and judged by float64 after the same ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import nnef_tools
from nnef_tools.language.tensor_file import write_tensor
from nnef_tools.verification.compare import ModelComparison, compare_tensors
from nnef_tools.verification.compare_inputs import given_inputs
from nnef_tools.verification.compared_model import ComparedModel

from ..support.arrays import random

SUMS = """
    x = external(shape = [1, 8]);
    state = variable(shape = [1, 8], label = 'state');
    y = add(state, x);
    new = update(state, y);
"""
FADING = SUMS.replace("update(state, y)", "update(state, half)").replace("new =", "half = mul(y, 0.5);\n    new =")


def model(folder: Path, body: str) -> Path:
    folder.mkdir()
    (folder / "graph.nnef").write_text(f"version 1.0;\ngraph net(x) -> (y)\n{{{body}}}\n")
    write_tensor(str(folder / "state.dat"), np.zeros((1, 8), np.float32))
    return folder


def compared(a: Path, b: Path, count: int = 3) -> ModelComparison:
    models = ComparedModel(a), ComparedModel(b)
    return compare_tensors(*models, [given_inputs(*models, [random(1, 8, seed=k)]) for k in range(count)])


def test_a_fault_in_the_new_state_is_found(tmp_path: Path) -> None:
    a = model(tmp_path / "a", SUMS)
    nnef_tools.convert_model(a, tmp_path / "a.onnx")
    assert compared(a, tmp_path / "a.onnx").ok
    wrong = model(tmp_path / "b", FADING)
    assert not compared(a, wrong).ok and not compared(tmp_path / "a.onnx", wrong).ok
    assert compared(a, wrong, count=1).ok  # in the first run the state is zero


def test_cancellation_in_a_state_is_rounding(tmp_path: Path) -> None:
    """x + c + L - L keeps few bits of x + c; which ones, depends on the order, and goes into the state."""

    def summed(first: str, second: str) -> str:
        p = "p" if first == "c" else "o"  # of the same name would be the same
        sums = f"c = mul(x, 0.37); {p} = add(x, {first}); q = add({p}, {second}); d = sub(q, 16384.0)"
        return SUMS.replace("y = add(state, x)", f"{sums}; y = add(state, d)")

    a = model(tmp_path / "a", summed("c", "16384.0"))
    found = compared(a, model(tmp_path / "b", summed("16384.0", "c")))
    assert found.ok and found.outputs[0].relative_error > 1e-4 and not found.note
    wrong = model(tmp_path / "c", summed("16384.0", "c").replace("update(state, y)", "update(state, d)"))
    assert not compared(a, wrong).ok
