"""NNEF models in onnxruntime: the same numbers as the numpy backend, under the names of the NNEF model."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

from nnef_tools import load_model
from nnef_tools.errors import ConversionError, ExecutionError, UsageError
from nnef_tools.execution import make_executor
from nnef_tools.language.tensor_file import write_tensor

TEXT = """version 1.0;
extension KHR_enable_fragment_definitions, KHR_enable_operator_expressions;
fragment twice(x: tensor<scalar>) -> (y: tensor<scalar>) { y = x * 2.0; }
graph net(x, i) -> (y, k, c)
{
    x = external(shape = [2, 3, 8]);
    i = external<integer>(shape = [2]);
    w = variable(shape = [4, 3, 3], label = 'w');
    c = constant(shape = [2], value = [1.0, 2.0]);
    h = conv(x, w);
    d = copy(h);
    t = twice(d);
    unused = exp(t);
    y = softmax(t, axes = [1]);
    k = gather(argmax_reduce(y, axes = [1]), i, axis = 0);
}
"""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    (tmp_path / "graph.nnef").write_text(TEXT)
    write_tensor(str(tmp_path / "w.dat"), np.random.default_rng(0).standard_normal((4, 3, 3)).astype(np.float32))
    return tmp_path


FEEDS = {"x": np.random.default_rng(1).standard_normal((2, 3, 8)).astype(np.float32), "i": np.array([1, 0])}


def test_outputs_intermediates_and_observation(model: Path) -> None:
    numpy, ort = (make_executor(model, backend=name) for name in ("numpy", "onnxruntime"))
    assert ort.inputs == numpy.inputs and ort.outputs == numpy.outputs
    names = [name for name in ort.tensor_names if name in numpy.tensor_names]
    assert {"x", "i", "w", "c", "h", "d", "unused", "y", "k"} <= set(names)
    for wanted in (None, ["y"], ["k", "d", "x", "c"], names):
        expected, actual = numpy.run(FEEDS, output_names=wanted), ort.run(FEEDS, output_names=wanted)
        assert list(actual) == list(expected)
        for name in expected:
            assert actual[name].dtype == expected[name].dtype
            np.testing.assert_allclose(actual[name], expected[name], rtol=1e-5, atol=1e-5)
    seen: dict[str, np.ndarray] = {}
    ort.run(FEEDS, output_names=["y"], observe=lambda name, value: seen.update({name: value}))
    assert list(seen) == list(ort.tensor_names)


def test_results_do_not_share_memory_with_the_model(model: Path) -> None:
    ort = make_executor(model, backend="onnxruntime")
    feeds = {name: array.copy() for name, array in FEEDS.items()}
    results = ort.run(feeds, output_names=["x", "w", "c"])
    for array in results.values():
        array[...] = 0
    assert np.array_equal(feeds["x"], FEEDS["x"])
    assert all(array.any() for array in ort.run(feeds, output_names=["x", "w", "c"]).values())


def test_names_are_those_of_the_nnef_model(model: Path) -> None:
    """Facts of a source model do not change them."""
    (model / "nnef_tools.json").write_text(
        '{"tensors": {"y": {"source": "out"}, "x": {"source": "in", "dtype": "float16"}}}'
    )
    ort = make_executor(model, backend="onnxruntime")
    assert [info.name for info in ort.inputs] == ["x", "i"]
    assert ort.run(FEEDS)["y"].dtype == np.float32


SCRIPT = """
import resource, sys, numpy as np
from nnef_tools import load_model
from nnef_tools.errors import ConversionError, ExecutionError, UsageError
from nnef_tools.execution import make_executor
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
import onnxruntime, onnx
before = peak()
executor = make_executor(sys.argv[1], backend="onnxruntime")
executor.run({"x": np.zeros((1, 4096), np.float32)})
print(peak() - before)
"""


def test_weights_are_not_copied_without_need(tmp_path: Path) -> None:
    """256 MB of weights: onnxruntime packs matrices once, which is a second copy; a third one would be ours."""
    size = 4096 * 16384
    text = f"""version 1.0;
graph net(x) -> (y)
{{
    x = external(shape = [1, 4096]);
    w = variable(shape = [4096, {size // 4096}], label = 'w');
    y = matmul(x, w);
}}
"""
    (tmp_path / "graph.nnef").write_text(text)
    write_tensor(str(tmp_path / "w.dat"), np.ones((4096, size // 4096), np.float32))
    command = [sys.executable, "-c", SCRIPT, str(tmp_path)]
    used = float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert used < 2.5 * size * 4 / 2**20


def test_inputs_of_other_kinds_give_the_same(model: Any) -> None:
    """Inputs that are just what the model takes go a shorter way."""
    ort = make_executor(model, backend="onnxruntime")
    expected = ort.run(FEEDS)
    for feeds in (MappingProxyType(FEEDS), {**FEEDS, "i": FEEDS["i"].astype(np.int32)}, dict(reversed(FEEDS.items()))):
        actual = ort.run(feeds)
        assert all(np.array_equal(actual[name], expected[name]) for name in expected)
    for wrong in ({"x": FEEDS["x"]}, {**FEEDS, "z": FEEDS["x"]}, {"x": FEEDS["x"], "j": FEEDS["i"]}):
        with pytest.raises(UsageError, match=r"no input|not given"):
            ort.run(wrong)


def test_a_graph_of_the_caller_is_not_changed(model: Path) -> None:
    graph = load_model(model)
    for tensor in graph.tensors:
        if tensor.producer is not None and tensor.producer.type not in ("external", "variable", "constant"):
            tensor.shape = None
    before = [(tensor.name, tensor.shape) for tensor in graph.tensors], list(graph.outputs), dict(graph.metadata)
    ort = make_executor(graph, backend="onnxruntime")
    ort.run(FEEDS, output_names=["d"])
    assert before == (
        [(tensor.name, tensor.shape) for tensor in graph.tensors], list(graph.outputs), dict(graph.metadata)
    )  # fmt: skip


def test_an_operation_of_the_model_that_has_a_name_of_ours(tmp_path: Path) -> None:
    """Its further attributes are not left out."""
    text = """version 1.0;
extension KHR_enable_fragment_definitions;
fragment erf(x: tensor<scalar>, scale: scalar = 2.0) -> (y: tensor<scalar>);
graph net(x) -> (y) { x = external<scalar>(shape = [3]); y = erf(x, scale = 3.0); }
"""
    (tmp_path / "graph.nnef").write_text(text)
    with pytest.raises(ConversionError) as error:
        make_executor(tmp_path, backend="onnxruntime")
    assert "declares it with 'scale'" in "\n".join(map(str, (error.value.message, *error.value.details)))
    with pytest.raises(ExecutionError, match="erf"):
        make_executor(tmp_path).run({"x": np.ones(3, np.float32)})
