"""The bias takes what rounded weights add to the mean; samples are read one at a time."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from nnef_tools import load_model, run_model
from nnef_tools.execution.executor import Array
from nnef_tools.execution.results.statistics import Statistics, StatisticsCollector
from nnef_tools.execution.session import open_executor
from nnef_tools.language.tensor_file import write_tensor
from nnef_tools.model import Graph
from nnef_tools.quantization import Codes, Scheme, quantize_graph, quantize_model
from nnef_tools.quantization.measure import StreamedSamples
from nnef_tools.quantization.ranges import Observed

SHAPES = {"w": [4, 3, 3, 3], "g": [4, 1, 3, 3], "d": [3, 4, 2, 2], "m": [5, 768], "b": [1, 4], "c": [1, 5]}
OPERATIONS = {
    "conv": "y = conv(x, w, b);",
    "conv without bias": "y = conv(x, w);",
    "border": "y = conv(x, w, b, border = 'replicate', stride = [2, 2], padding = [(1, 1), (1, 1)]);",
    "depthwise": "f = conv(x, w); y = conv(f, g, b, groups = 0);",
    "deconv": "y = deconv(x, d, b, stride = [2, 2], output_shape = [2, 4, 32, 32]);",
    "linear": "r = reshape(x, shape = [2, 768]); y = linear(r, m, c);",
}


def _model(folder: Path, operations: str) -> Path:
    random = np.random.default_rng(0)
    folder.mkdir()
    variables = ""
    for key, shape in SHAPES.items():
        if f" {key}," in operations or f" {key})" in operations:
            variables += f"{key} = variable<scalar>(shape = {shape}, label = '{key}');\n"
            write_tensor(str(folder / f"{key}.dat"), random.normal(0, 0.3, shape).astype(np.float32))
    text = f"x = external<scalar>(shape = [2, 3, 16, 16]);\n{variables}{operations}"
    (folder / "graph.nnef").write_text(f"version 1.0;\ngraph net(x) -> (y)\n{{\n{text}\n}}\n", "utf-8")
    return folder


@pytest.mark.parametrize("name", OPERATIONS)
def test_mean_of_each_channel_is_kept(name: str, tmp_path: Path) -> None:
    model = _model(tmp_path / "m", OPERATIONS[name])
    x = np.random.default_rng(1).uniform(0, 1, (40, 3, 16, 16)).astype(np.float32)  # a mean that is not 0
    np.savez(tmp_path / "s.npz", x=x)
    scheme = Scheme(activations=Codes(16, signed=True, symmetric=True))  # all but exact, unlike the weights
    quantize_model(model, tmp_path / "q", input_path=tmp_path / "s.npz", scheme=scheme)
    parts, collector, executor = x.reshape(20, 2, 3, 16, 16), StatisticsCollector(), open_executor(model)
    for part in parts:
        executor.run({"x": part}, observe=collector)
    seen = {key: Observed(found) for key, found in collector.statistics.items()}
    _, without_means = quantize_graph(load_model(model), seen, scheme)

    def means(item: Path | Graph) -> Array:
        values = [next(iter(run_model(item, [part], backend="numpy").values())) for part in parts]
        found = np.stack(values).astype(np.float64)
        return np.asarray(found.mean(axis=tuple(k for k in range(found.ndim) if k != 2)))

    expected = means(model)
    corrected, uncorrected = (np.abs(means(item) - expected).max() for item in (tmp_path / "q", without_means))
    assert corrected < 0.05 * uncorrected


def test_samples_are_not_kept(tmp_path: Path) -> None:
    graph = load_model(_model(tmp_path / "m", "y = relu(x);"))
    made: list[weakref.ref[Array]] = []
    most = 0

    def make() -> Iterator[dict[str, Array]]:
        nonlocal most
        for _ in range(20):
            array = np.ones((2, 3, 16, 16), np.float32)
            made.append(weakref.ref(array))
            most = max(most, sum(item() is not None for item in made))
            yield {"x": array}

    seen = {name: Observed(Statistics.of(np.ones(4, np.float32))) for name in ("x", "y")}
    report, _ = quantize_graph(graph, seen, samples=StreamedSamples(make))
    assert report.samples == 20
    assert most <= 3
