"""Executors of NNEF graphs: results, names, liveness, errors, quantization, variables that are updated."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nnef_tools.errors import ExecutionError, FileError, UsageError
from nnef_tools.execution import make_executor, runtimes
from nnef_tools.execution.executor import TensorInfo
from nnef_tools.execution.feeds.inputs import check_inputs
from nnef_tools.execution.kernels.executor import GraphExecutor
from nnef_tools.execution.kernels.numpy import NumpyKernels
from nnef_tools.execution.kernels.plan import Plan
from nnef_tools.language.tensor_file import write_tensor
from nnef_tools.model import Graph, Operation, Tensor

from ..support.arrays import Array

KERNELS = ["numpy", "torch"]
BACKENDS = [*KERNELS, "onnxruntime"]


def write_model(folder: Path, text: str, quant: str = "", **variables: Any) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "graph.nnef").write_text(text)
    if quant:
        (folder / "graph.quant").write_text(quant)
    for label, array in variables.items():
        write_tensor(str(folder / f"{label}.dat"), array)
    return folder


HEAD = "version 1.0;\nextension KHR_enable_fragment_definitions, KHR_enable_operator_expressions;\n"

MODEL = """version 1.0;
graph net(x) -> (y, s)
{
    x = external(shape = [1, 2, 4]);
    w = variable(shape = [3, 2, 3], label = 'w');
    b = constant(shape = [1, 3], value = [1.0, 2.0, 3.0]);
    c = conv(x, w, b);
    r = relu(c);
    y = mul(r, 2.0);
    [s, t] = split(y, axis = 1, ratios = [1, 2]);
}
"""


@pytest.fixture
def weights() -> Array:
    return np.random.default_rng(0).normal(size=(3, 2, 3)).astype(np.float32)


@pytest.fixture
def model(tmp_path: Path, weights: Array) -> Path:
    return write_model(tmp_path / "model", MODEL, w=weights)


def reference(x: Array, weights: Array) -> Array:
    bias = torch.tensor([1.0, 2, 3])
    return 2 * torch.relu(torch.conv1d(torch.from_numpy(x), torch.from_numpy(weights), bias, padding=1)).numpy()


@pytest.mark.parametrize("backend", BACKENDS)
def test_run(model: Path, weights: Array, backend: str) -> None:
    executor = make_executor(model, backend=backend)
    assert executor.backend == backend
    assert [(i.name, i.dtype, i.shape) for i in executor.inputs] == [("x", np.float32, (1, 2, 4))]
    assert [i.name for i in executor.outputs] == ["y", "s"]
    x = np.random.default_rng(1).normal(size=(1, 2, 4)).astype(np.float32)
    results = executor.run({"x": x})
    assert list(results) == ["y", "s"]
    np.testing.assert_allclose(results["y"], reference(x, weights), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(results["s"], results["y"][:, :1])


def test_auto_is_onnxruntime_unless_it_cannot_run_the_model(model: Path, tmp_path: Path) -> None:
    assert make_executor(model).backend == "onnxruntime"
    assert make_executor(model).note == ""
    executor = make_executor(model, custom_operators={"relu": torch.relu})
    assert executor.backend == "torch"
    assert executor.note == "onnxruntime cannot call the Python functions of relu"
    with pytest.raises(UsageError, match="onnxruntime cannot call the Python functions of relu"):
        make_executor(model, backend="onnxruntime", custom_operators={"relu": torch.relu})
    unused = make_executor(model, custom_operators={"other": torch.relu})
    assert unused.backend == "onnxruntime"


@pytest.mark.parametrize("backend", BACKENDS)
def test_any_tensor_can_be_asked_for_and_observed(model: Path, weights: Array, backend: str) -> None:
    executor = make_executor(model, backend=backend)
    x = np.ones((1, 2, 4), np.float32)
    seen: dict[str, np.ndarray] = {}
    results = executor.run({"x": x}, output_names=["c", "w", "x", "b", "t"], observe=seen.__setitem__)
    assert list(results) == ["c", "w", "x", "b", "t"]
    np.testing.assert_array_equal(results["w"], weights)
    np.testing.assert_array_equal(results["x"], x)
    assert results["b"].tolist() == [[1, 2, 3]]
    assert set(seen) == {"x", "w", "b", "c", "r", "y", "s", "t"} == set(executor.tensor_names)
    np.testing.assert_array_equal(seen["r"], np.maximum(seen["c"], 0))


def test_unknown_names(model: Path) -> None:
    executor = make_executor(model, backend="numpy")
    x = np.ones((1, 2, 4), np.float32)
    with pytest.raises(UsageError, match=r"no tensor 'yy'(.|\n)*'y'"):
        executor.run({"x": x}, output_names=["yy"])
    with pytest.raises(UsageError, match="no input 'z'"):
        executor.run({"x": x, "z": x})
    with pytest.raises(UsageError, match="'x' is not given"):
        executor.run({})
    with pytest.raises(UsageError, match="shape"):
        executor.run({"x": x[0]})
    with pytest.raises(UsageError, match="complex64"):
        executor.run({"x": x.astype(np.complex64)})


def test_integers_that_do_not_fit() -> None:
    info = TensorInfo("i", np.int32, (1,))
    assert check_inputs([info], {"i": np.array([-5])})[0].dtype == np.int32
    with pytest.raises(UsageError, match="do not fit"):
        check_inputs([info], {"i": np.array([2**40])})


def test_wrong_combinations(model: Path) -> None:
    with pytest.raises(UsageError, match="unknown backend"):
        make_executor(model, backend="tpu")
    with pytest.raises(UsageError, match="onnxruntime cannot use device 'nonsense'"):
        make_executor(model, backend="onnxruntime", device="nonsense")
    with pytest.raises(UsageError, match="cannot run ONNX"):
        make_executor(model, format="onnx", backend="torch")
    with pytest.raises(FileError, match="predict_net"):
        make_executor(model, format="caffe2")
    with pytest.raises(UsageError, match="format"):
        make_executor(model, format="nonsense")
    with pytest.raises(UsageError, match="device"):
        make_executor(model, device="nonsense")


@pytest.mark.parametrize("backend", BACKENDS)
def test_results_do_not_change_the_model(model: Path, weights: Array, backend: str) -> None:
    executor = make_executor(model, backend=backend)
    x = np.ones((1, 2, 4), np.float32)
    first = executor.run({"x": x}, output_names=["w", "y"])
    first["w"][...] = 0
    np.testing.assert_array_equal(executor.run({"x": x}, output_names=["y"])["y"], first["y"])


@pytest.mark.parametrize("backend", KERNELS)
def test_failing_operator_is_named(tmp_path: Path, backend: str) -> None:
    text = """version 1.0;
graph net(x, i) -> (y)
{
    x = external(shape = [2, 3]);
    i = external<integer>(shape = [1]);
    y = gather(x, i);
}
"""
    executor = make_executor(write_model(tmp_path / "m", text), backend=backend)
    with pytest.raises(ExecutionError) as info:
        executor.run({"x": np.ones((2, 3), np.float32), "i": np.asarray([7])})
    assert "'gather'" in str(info.value) and "'y'" in str(info.value) and "[2, 3], [1]" in str(info.value)


CUSTOM = (
    HEAD
    + """fragment shuffle(x: tensor<scalar>, ys: tensor<scalar>[], alpha: scalar = 2.0, lambda: scalar = 3.0)
    -> (y: tensor<scalar>);
graph net(x) -> (y)
{
    x = external(shape = [2, 3]);
    y = shuffle(x, [x, x]);
}
"""
)


@pytest.mark.parametrize("backend, kind", [("numpy", np.ndarray), ("torch", torch.Tensor)])
def test_custom_operator(tmp_path: Path, backend: str, kind: type[Any]) -> None:
    def shuffle(x: Array | torch.Tensor, ys: list[Any], *, alpha: float, _lambda_: float) -> tuple[Any, ...]:
        assert isinstance(x, kind) and isinstance(ys, list) and len(ys) == 2
        return x * alpha + ys[0] + ys[1] * _lambda_, "ignored"

    folder = write_model(tmp_path / "m", CUSTOM)
    x = np.ones((2, 3), np.float32)
    result = make_executor(folder, backend=backend, custom_operators={"shuffle": lambda *i, **a: shuffle(*i, **a)[0]})
    assert np.all(result.run({"x": x})["y"] == 6)
    with pytest.raises(ExecutionError, match="1 x shuffle"):
        make_executor(folder, backend=backend)


@pytest.mark.parametrize("backend", KERNELS)
def test_custom_operator_overrides_and_extra_results(tmp_path: Path, backend: str) -> None:
    text = "version 1.0;\ngraph net(x) -> (y) { x = external(shape = [2]); y = relu(x); }\n"
    folder = write_model(tmp_path / "m", text)
    executor = make_executor(folder, backend=backend, custom_operators={"relu": lambda x: (x + 7, x)})
    assert executor.run({"x": np.zeros(2, np.float32)})["y"].tolist() == [7, 7]
    executor = make_executor(folder, backend=backend, custom_operators={"relu": lambda x: ()})
    with pytest.raises(ExecutionError, match="0 results"):
        executor.run({"x": np.zeros(2, np.float32)})


@pytest.mark.parametrize("backend", BACKENDS)
def test_compound_custom_operation_runs_by_its_body(tmp_path: Path, backend: str) -> None:
    text = (
        HEAD
        + """fragment twice(x: tensor<scalar>, n: scalar) -> (y: tensor<scalar>)
{
    y = softplus(x) * n;
}
graph net(x) -> (y) { x = external(shape = [2]); y = twice(x, n = 3.0); }
"""
    )
    folder = write_model(tmp_path / "m", text)
    for decomposed in ([], ["softplus"]):
        executor = make_executor(folder, backend=backend, decomposed=decomposed)
        result = executor.run({"x": np.zeros(2, np.float32)})["y"]
        np.testing.assert_allclose(result, [3 * np.log(2)] * 2, rtol=1e-6)


def test_choices_are_read_off_the_table_of_runtimes() -> None:
    known = ("auto", "onnxruntime", "torch", "numpy", "tensorflow", "litert", "litert-reference", "litert-real-weights")
    assert known == runtimes.BACKENDS
    assert runtimes.kernel_backends("nnef") == ["torch", "numpy"]
    assert [runtimes.kernel_backends(name) for name in ("onnx", "tf", "caffe")] == [[], [], []]


class Watched(NumpyKernels):
    """Keeps weak references to all results, and the most that were alive at the start of an operation."""

    def __init__(self) -> None:
        self.alive: list[weakref.ref] = []
        self.most = 0

    def as_value(self, result: Array) -> Array:
        gc.collect()
        value = np.array(result)
        self.alive = [ref for ref in self.alive if ref() is not None] + [weakref.ref(value)]
        self.most = max(self.most, len(self.alive))
        return value


def chain(length: int) -> Graph:
    graph = Graph("chain")
    x = Tensor(graph, "x", (4,), np.float32)
    Operation(graph, "external", attribs={"shape": [4]}, outputs=x)
    last = x
    for k in range(length):
        result = Tensor(graph, f"t{k}", (4,), np.float32)
        Operation(graph, "neg", inputs=(last,), outputs=result)
        last = result
    graph.inputs, graph.outputs = [x], [last]
    return graph


def test_intermediates_are_freed_after_their_last_use() -> None:
    backend = Watched()
    result = GraphExecutor(chain(10), backend).run({"x": np.arange(4, dtype=np.float32)})
    assert result["t9"].tolist() == [0, 1, 2, 3]
    assert backend.most == 2  # the input and the result of the running operation
    kept = GraphExecutor(chain(10), backend).run({"x": np.zeros(4, np.float32)}, output_names=["t2", "t9"])
    assert set(kept) == {"t2", "t9"}


def test_liveness_of_values_used_twice() -> None:
    graph = chain(3)
    t = {tensor.name: tensor for tensor in graph.tensors}
    y = Tensor(graph, "y", (4,), np.float32)
    Operation(graph, "add", inputs=(t["t0"], t["t2"]), outputs=y)
    graph.outputs = [y]
    plan = Plan(graph, NumpyKernels())
    frees = [{plan.names[slot] for slot in step.frees} for step in plan.steps]
    assert frees == [{"x"}, set(), {"t1"}, {"t0", "t2", "y"}]
    x = np.arange(4, dtype=np.float32)
    assert GraphExecutor(graph, NumpyKernels()).run({"x": x})["y"].tolist() == [0, -2, -4, -6]


def test_operators_are_resolved_once() -> None:
    class Counting(NumpyKernels):
        asked = 0

        def operator(self, name: str) -> Callable[..., Any]:
            self.asked += 1
            return super().operator(name)

    backend = Counting()
    executor = GraphExecutor(chain(5), backend)
    before = backend.asked
    for _ in range(3):
        executor.run({"x": np.zeros(4, np.float32)})
    assert backend.asked == before


def test_unsorted_graph_is_refused() -> None:
    graph = chain(2)
    graph.reverse()
    with pytest.raises(ExecutionError, match="sorted"):
        GraphExecutor(graph, NumpyKernels())


def test_missing_attribute_and_missing_data() -> None:
    graph = chain(1)
    y = Tensor(graph, "y", (4,), np.float32)
    Operation(graph, "leaky_relu", inputs=graph.outputs[0], outputs=y)
    graph.outputs = [y]
    with pytest.raises(ExecutionError, match="'alpha' is missing"):
        GraphExecutor(graph, NumpyKernels())
    graph = chain(1)
    y = Tensor(graph, "y", (4,), np.float32)
    Operation(graph, "add", inputs=(graph.outputs[0], Tensor(graph, "w", (4,), np.float32)), outputs=y)
    graph.outputs = [y]
    with pytest.raises(ExecutionError, match="'w' has neither a value"):
        GraphExecutor(graph, NumpyKernels())


QUANT_MODEL = """version 1.0;
graph net(x) -> (y)
{
    x = external(shape = [1, 2]);
    w = variable(shape = [1, 2], label = 'w');
    v = variable(shape = [1, 2], label = 'v');
    m = mul(x, w);
    y = add(m, v);
}
"""
QUANT = """"w": zero_point_linear_quantize(zero_point = 10, scale = 0.5, bits = 8, signed = false, symmetric = false);
"v": linear_quantize(min = 0.0, max = 3.0, bits = 2);
"m": zero_point_linear_quantize(zero_point = 0, scale = 1.0, bits = 8, signed = true, symmetric = false);
"x": linear_quantize(min = [[-1.0, 0.0]], max = [[1.0, 3.0]], bits = 1);
"""


@pytest.mark.parametrize("backend", BACKENDS)
def test_quantized_tensors(tmp_path: Path, backend: str) -> None:
    codes = np.array([[12, 7]], np.uint8)
    folder = write_model(tmp_path / "m", QUANT_MODEL, QUANT, v=np.array([[1.2, 2.6]], np.float32))
    write_tensor(str(folder / "w.dat"), codes, quantized=True)
    executor = make_executor(folder, backend=backend)
    got = executor.run({"x": np.array([[0.9, 2.7]], np.float32)}, output_names=["x", "w", "v", "m", "y"])
    assert got["x"].tolist() == [[1, 3]]  # one bit for each channel
    assert got["w"].tolist() == [[1, -1.5]]  # (q - 10) * 0.5
    assert got["v"].tolist() == [[1, 3]]
    assert got["m"].tolist() == [[1, -4]]  # round(-4.5) is -4
    assert got["y"].tolist() == [[2, -1]]


@pytest.mark.parametrize("backend", BACKENDS)
def test_item_types(tmp_path: Path, backend: str) -> None:
    text = """version 1.0;
graph net(x, i, c) -> (g, s, k)
{
    x = external(shape = [3]);
    i = external<integer>(shape = [2]);
    c = external<logical>(shape = [3]);
    w = variable(shape = [3], label = 'w');
    g = gather(x, i);
    s = select(c, x, w);
    k = cast<integer>(s);
}
"""
    folder = write_model(tmp_path / "m", text, w=np.array([0.5, 1.5, 2.5], np.float16))
    got = make_executor(folder, backend=backend).run(
        {"x": np.array([1, -2, 3]), "i": np.array([2, 0], np.int32), "c": np.array([True, False, True])}
    )
    assert got["g"].tolist() == [3, 1] and got["g"].dtype == np.float32
    assert got["s"].tolist() == [1, 1.5, 3]
    assert got["k"].tolist() == [1, 1, 3] and got["k"].dtype.kind == "i"


@pytest.mark.parametrize("backend", BACKENDS)
def test_more_dimensions_than_arrays_have(tmp_path: Path, backend: str) -> None:
    text = f"x = external(shape = [1]); t = reshape(x, shape = {[1] * 65}); y = relu(t);"
    folder = write_model(tmp_path / "m", f"version 1.0;\ngraph net(x) -> (y) {{ {text} }}\n")
    executor = make_executor(folder, backend=backend, limits={"rank": 65})
    assert executor.device == "cpu"
    with pytest.raises(ExecutionError, match="dimension"):
        executor.run({"x": np.zeros(1, np.float32)})
