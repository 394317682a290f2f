"""Variables that are updated: their values pass from run to run, in every runtime and through every conversion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from nnef_tools import convert_model, load_model, run_model, save_model
from nnef_tools.dialects.onnx.state import KEY, State, read_states, write_states
from nnef_tools.errors import ConversionError, ExecutionError, FormatError, VerificationError
from nnef_tools.execution import make_executor
from nnef_tools.execution.executor import EngineError, Executor
from nnef_tools.execution.fallback import FallbackExecutor
from nnef_tools.execution.feeds.sources import run_batches
from nnef_tools.execution.kernels.executor import GraphExecutor
from nnef_tools.execution.kernels.numpy import NumpyKernels
from nnef_tools.interpreter.pytorch import NNEFModule
from nnef_tools.language.tensor_file import write_tensor

from ..support.arrays import Array
from ..support.onnx_models import onnx_session

BACKENDS = ["numpy", "torch", "onnxruntime"]
X = np.ones((1, 2), np.float32)

COUNTER = """
    x = external(shape = [1, 2]);
    state = variable(shape = [1, 2], label = 'memory/state');
    sum = add(state, x);
    new = update(state, sum);
    y = mul(state, 2.0);
    z = copy(new);
"""
"""y is twice the state before the run, z the state after it."""


def model(folder: Path, body: str, outputs: str = "y, z", quant: str = "", **variables: Any) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "graph.nnef").write_text(f"version 1.0;\ngraph net(x) -> ({outputs})\n{{{body}}}\n")
    if quant:
        (folder / "graph.quant").write_text(quant)
    for label, array in variables.items():
        path = folder / f"{label.replace('__', '/')}.dat"
        path.parent.mkdir(exist_ok=True)
        write_tensor(str(path), array)
    return folder


@pytest.fixture
def counter(tmp_path: Path) -> Path:
    return model(tmp_path / "counter.nnef", COUNTER, memory__state=np.array([[1, 2]], np.float32))


def runs(executor: Executor, count: int, x: Array = X) -> list[list[Any]]:
    name = executor.inputs[0].name
    return [[value.reshape(-1).tolist() for value in executor.run({name: x}).values()] for _ in range(count)]


EXPECTED = [[[2, 4], [2, 3]], [[4, 6], [3, 4]], [[6, 8], [4, 5]]]


@pytest.mark.parametrize("backend", BACKENDS)
def test_values_pass_from_run_to_run(counter: Path, backend: str) -> None:
    executor = make_executor(counter, backend=backend)
    assert executor.has_state
    assert runs(executor, 3) == EXPECTED
    executor.reset()
    assert runs(executor, 2) == EXPECTED[:2]
    assert runs(make_executor(counter, backend=backend), 1) == EXPECTED[:1]  # not stored in the model
    assert make_executor(counter).backend == "onnxruntime"


@pytest.mark.parametrize("backend", BACKENDS)
def test_inner_tensors_belong_to_the_same_run(counter: Path, backend: str) -> None:
    executor = make_executor(counter, backend=backend)
    assert executor.run({"x": X}, output_names=["sum"])["sum"].tolist() == [[2, 3]]
    assert executor.run({"x": X}, output_names=["state"])["state"].tolist() == [[2, 3]]
    assert executor.run({"x": X}, output_names=["x"])["x"].tolist() == X.tolist()  # counts as well
    seen: dict[str, Array] = {}
    executor.run({"x": X}, observe=seen.__setitem__)
    assert seen["state"].tolist() == [[4, 5]] and seen["new"].tolist() == [[5, 6]]


@pytest.mark.parametrize("backend", BACKENDS)
def test_state_is_separate_from_arrays_of_the_caller(tmp_path: Path, backend: str) -> None:
    body = "x = external(shape = [2]); s = variable(shape = [2], label = 's'); n = update(s, x); y = copy(s);"
    executor = make_executor(model(tmp_path / "m", body, "y, n", s=np.zeros(2, np.float32)), backend=backend)
    x = np.array([1, 2], np.float32)
    results = executor.run({"x": x})
    x[:] = 9
    results["n"][:] = 9
    assert executor.run({"x": x})["y"].tolist() == [1, 2]


@pytest.mark.parametrize("backend", BACKENDS)
def test_variables_of_one_label_share_their_value(tmp_path: Path, backend: str) -> None:
    body = """x = external(shape = [2]); a = variable(shape = [2], label = 's'); b = variable(shape = [2], label = 'S');
        n = update(a, x); y = add(b, 0.0);"""
    executor = make_executor(model(tmp_path / "m", body, "y", s=np.zeros(2, np.float32)), backend=backend)
    x = np.array([1, 2], np.float32)
    assert runs(executor, 2, x) == [[[0, 0]], [[1, 2]]]


@pytest.mark.parametrize("backend", BACKENDS)
def test_quantized_variables_store_codes(tmp_path: Path, backend: str) -> None:
    body = "x = external(shape = [2]); s = variable(shape = [2], label = 's'); n = update(s, x); y = add(s, 0.0);"
    entry = "zero_point_linear_quantize(zero_point = 0, scale = 0.5, bits = 8, signed = true, symmetric = false)"
    folder = model(tmp_path / "m.nnef", body, "y", f"'s': {entry};\n", s=np.array([2, -2], np.int8))
    executor = make_executor(folder, backend=backend)
    x = np.array([0.7, 100], np.float32)
    assert runs(executor, 2, x) == [[[1, -1]], [[0.5, 63.5]]]
    convert_model(folder, tmp_path / "m.onnx", verify=True)
    convert_model(tmp_path / "m.onnx", tmp_path / "back.nnef")
    assert runs(make_executor(tmp_path / "back.nnef", backend=backend), 2, x) == [[[1, -1]], [[0.5, 63.5]]]
    graph = load_model(tmp_path / "back.nnef")
    (variable,) = [op.output for op in graph.operations if op.type == "variable"]
    assert variable.data.dtype == np.int8 and variable.data.tolist() == [2, -2]


@pytest.mark.parametrize("backend", BACKENDS)
def test_parts_of_a_batch_start_alike(counter: Path, backend: str) -> None:
    executor = make_executor(counter, backend=backend)
    assert run_batches(executor, {"x": np.ones((2, 2), np.float32)})["y"].tolist() == [[2, 4], [2, 4]]


def test_run_model_starts_anew(counter: Path) -> None:
    assert run_model(counter, {"x": X})["z"].tolist() == run_model(counter, {"x": X})["z"].tolist() == [[2, 3]]


def test_module(counter: Path) -> None:
    import torch

    module = NNEFModule(counter)
    x = torch.from_numpy(X)
    assert [module(x)[1].tolist() for _ in range(2)] == [[[2, 3]], [[3, 4]]]
    module.reset()
    assert module(x)[1].tolist() == [[2, 3]]


def test_onnx_has_inputs_and_outputs(counter: Path, tmp_path: Path) -> None:
    target = tmp_path / "counter.onnx"
    convert_model(counter, target, verify=True)
    session = onnx_session(target)
    assert [item.name for item in session.get_inputs()] == ["x", "memory/state"]
    assert [item.name for item in session.get_outputs()] == ["y", "z", "memory/state_next"]
    (state,) = read_states(session.get_modelmeta().custom_metadata_map)
    value = state.initial
    for expected in EXPECTED:
        y, z, value = session.run(None, {"x": X, state.input: value})
        assert [y[0].tolist(), z[0].tolist()] == expected
    executor = make_executor(target, format="onnx")
    assert [info.name for info in executor.inputs] == ["x"]
    assert runs(executor, 2) == EXPECTED[:2]
    assert executor.run({"x": X}, output_names=["memory/state_next"])["memory/state_next"].tolist() == [[4, 5]]
    executor.reset()
    assert runs(executor, 1) == EXPECTED[:1]


def test_onnx_and_back(counter: Path, tmp_path: Path) -> None:
    convert_model(counter, tmp_path / "m.onnx")
    convert_model(tmp_path / "m.onnx", tmp_path / "optimized.onnx", verify=True, optimize=True)
    convert_model(tmp_path / "optimized.onnx", tmp_path / "back.nnef", verify=True, keep_names=True)
    graph = load_model(tmp_path / "back.nnef")
    assert [op.attribs["label"] for op in graph.operations if op.type == "variable"] == ["memory/state"]
    assert KEY not in graph.metadata.get("metadata_props", {})
    assert runs(make_executor(tmp_path / "back.nnef"), 3) == EXPECTED
    assert save_model(graph, tmp_path / "again.nnef") is None


def test_states_in_metadata() -> None:
    values = [np.zeros((2, 3), np.float32), np.array([1, -2], np.int64), np.array(True), np.array([-0.0], np.float64)]
    states = [State(f"v{k}", f"i{k}", f"o{k}", value) for k, value in enumerate(values)]
    text = write_states(states)
    for state, found in zip(states, read_states({KEY: text}), strict=True):
        assert (found.label, found.input, found.output) == (state.label, state.input, state.output)
        assert (found.initial.dtype, found.initial.shape) == (state.initial.dtype, state.initial.shape)
        assert found.initial.tobytes() == state.initial.tobytes()
    assert "data" not in write_states(states[:1])


DAMAGED = [
    "[",
    "{}x",
    '[{"label": "a"}]',
    "[3]",
    '[{"label": "a", "input": "i", "output": "o", "dtype": "object", "shape": [1], "value": 0}]',
    '[{"label": "a", "input": "i", "output": "o", "dtype": "float32", "shape": [3], "data": "AAAA"}]',
    '[{"label": "a", "input": "i", "output": "o", "dtype": "float32", "shape": [-1], "value": 0}]',
    str([{"label": "a", "input": "i", "output": "o", "dtype": "bool", "shape": [1], "value": 1}] * 2).replace("'", '"'),
]


@pytest.mark.parametrize("text", DAMAGED)
def test_damaged_metadata(counter: Path, tmp_path: Path, text: str) -> None:
    path = tmp_path / "m.onnx"
    convert_model(counter, path)
    proto = onnx.load(path)
    (entry,) = [item for item in proto.metadata_props if item.key == KEY]
    entry.value = text
    onnx.save(proto, path)
    for attempt in (lambda: convert_model(path, tmp_path / "n.nnef"), lambda: make_executor(path, format="onnx")):
        with pytest.raises(FormatError, match=KEY):
            attempt()


@pytest.mark.parametrize("shape", ["[2, 1]", "[2]", "[1, 2, 1]"])
def test_a_changed_state_input_is_refused(counter: Path, tmp_path: Path, shape: str) -> None:
    path = tmp_path / "m.onnx"
    convert_model(counter, path)
    proto = onnx.load(path)
    (entry,) = [item for item in proto.metadata_props if item.key == KEY]
    entry.value = entry.value.replace("[1, 2]", shape)
    onnx.save(proto, path)
    with pytest.raises(ConversionError, match="another shape than its state"):
        convert_model(path, tmp_path / "n.nnef")


def test_tensorflow_refuses(counter: Path, tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match=r"keeps no state between runs .models of ONNX and TensorFlow") as error:
        convert_model(counter, tmp_path / "m.pb")
    assert "plugin" not in (error.value.hint or "")  # would not help


def test_verification_compares_sequences(counter: Path, tmp_path: Path) -> None:
    """A state that is not passed on shows in the second step only."""
    from nnef_tools.verification.check import Interface, verify_conversion

    other = model(tmp_path / "other.nnef", COUNTER.replace("new = update(state, sum)", "new = copy(sum)"))
    write_tensor(str(other / "memory.dat"), np.zeros(1, np.float32))
    (other / "memory").mkdir()
    write_tensor(str(other / "memory" / "state.dat"), np.array([[1, 2]], np.float32))
    graph = load_model(counter)
    interface = Interface.of(graph, graph.outputs)
    assert verify_conversion((counter, "nnef"), (counter, "nnef"), interface, samples=2).passed
    with pytest.raises(VerificationError, match="does not compute"):
        verify_conversion((counter, "nnef"), (other, "nnef"), interface, samples=1)


class _Failing(GraphExecutor):
    """Fails from the second run on."""

    count = 0

    def run(self, inputs: Mapping[str, Array], **options: Any) -> dict[str, Array]:
        self.count += 1
        if self.count > 1:
            raise EngineError("failed")
        return super().run(inputs, **options)


@pytest.mark.parametrize("label", ["memory/state", None])
def test_another_backend_does_not_take_over_a_state(counter: Path, label: str | None) -> None:
    graph = load_model(counter)
    if label is None:  # without a state
        graph.remove_operations([op for op in graph.operations if op.type == "update"], unlink=True)
        graph.outputs = graph.outputs[:1]
        graph.remove_operations([op for op in graph.operations if op.type == "copy"], unlink=True)
    executor = FallbackExecutor(_Failing(graph, NumpyKernels()), lambda note: make_executor(counter, backend="numpy"))
    names: Sequence[str] = ["y"]
    assert executor.run({"x": X}, output_names=names)["y"].tolist() == [[2, 4]]
    if label is None:
        assert executor.run({"x": X}, output_names=names)["y"].tolist() == [[2, 4]]
    else:
        with pytest.raises(ExecutionError, match="failed"):
            executor.run({"x": X}, output_names=names)
