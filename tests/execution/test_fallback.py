"""The backend `auto` goes over to the next one where onnxruntime fails, when it loads a model or when it runs it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnef_tools import run_model
from nnef_tools.cli.main import main
from nnef_tools.errors import ExecutionError, UsageError
from nnef_tools.execution import make_executor
from nnef_tools.execution.executor import EngineError
from nnef_tools.execution.onnxruntime.nnef import NnefOnnxExecutor
from nnef_tools.execution.runtimes import kernel_backends

TEXT = """version 1.0;
graph net(x, i) -> (y)
{
    x = external(shape = [2, 3]);
    i = external<integer>(shape = [2]);
    g = gather(x, i, axis = 0);
    y = relu(g);
}
"""
FEEDS = {"x": np.asarray([[-1, 2, 3], [4, -5, 6]], np.float32), "i": np.asarray([1, 1])}
EXPECTED = [[4, 0, 6], [4, 0, 6]]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    (tmp_path / "graph.nnef").write_text(TEXT)
    return tmp_path


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """onnxruntime loads models and fails in each run; the result counts the runs."""
    runs: list[int] = []

    def run(self: Any, *arguments: Any, **options: Any) -> Any:
        runs.append(1)
        raise EngineError("onnxruntime failed: no such kernel")

    monkeypatch.setattr(NnefOnnxExecutor, "run", run)
    return runs


def test_the_next_backend_runs_it(model: Path, failing: list[int]) -> None:
    executor = make_executor(model)
    assert (executor.backend, executor.note) == ("onnxruntime", "")
    for _ in range(2):
        assert executor.run(FEEDS)["y"].tolist() == EXPECTED
    assert (executor.backend, executor.note) == (kernel_backends("nnef")[0], "onnxruntime failed: no such kernel")
    assert len(failing) == 1
    assert run_model(model, FEEDS)["y"].tolist() == EXPECTED


def test_an_explicit_backend_is_no_wish(model: Path, failing: list[int]) -> None:
    with pytest.raises(ExecutionError, match="no such kernel"):
        make_executor(model, backend="onnxruntime").run(FEEDS)


def test_a_line_says_so(model: Path, failing: list[int], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, array in FEEDS.items():
        np.save(tmp_path / f"{name}.npy", array)
    assert main(["execute", str(model), "--random", "integers(0,1)", "--output-path", str(tmp_path / "out")]) in (
        0,
        None,
    )
    backend = kernel_backends("nnef")[0]
    assert f"ran in {backend} (onnxruntime failed: no such kernel)" in capsys.readouterr().err


def test_what_fails_in_both(model: Path) -> None:
    """An index out of range is no fault of the backend, and the next run may go well."""
    executor = make_executor(model)
    with pytest.raises(ExecutionError):
        executor.run({**FEEDS, "i": np.asarray([1, 7])})
    with pytest.raises(UsageError):
        executor.run({"x": FEEDS["x"]})
    assert executor.run(FEEDS)["y"].tolist() == EXPECTED
    assert executor.backend == "onnxruntime"
