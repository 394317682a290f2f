"""Variables of NNEF that are updated keep their values in TensorFlow Lite, as LiteRT runs it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnef_tools import convert_model, load_model, save_model
from nnef_tools.errors import ConversionError
from nnef_tools.execution import make_executor
from nnef_tools.io.tf.lite import Reader
from nnef_tools.model import Graph

from ...support.arrays import Array
from ...support.nnef_models import nnef_graph
from .checks import converted_to_tflite, operators

pytest.importorskip("ai_edge_litert")

FIRST = np.arange(6, dtype=np.float32).reshape(2, 3)


def check_runs(graph: Graph, tmp_path: Path, feeds: list[Array], *, exact: bool = True) -> Graph:
    """LiteRT gives what our kernels do in each run, and again after a reset. Returns the TensorFlow Lite model."""
    save_model(graph, tmp_path / "m.nnef")
    convert_model(tmp_path / "m.nnef", tmp_path / "m.tflite", verify=True)
    reference = make_executor(tmp_path / "m.nnef", backend="numpy")
    for backend in ("litert", "litert-reference"):
        lite = make_executor(tmp_path / "m.tflite", format="tflite", backend=backend)
        for _ in range(2):
            reference.reset()
            lite.reset()
            for x in feeds:
                wanted = list(reference.run({reference.inputs[0].name: x}).values())
                found = list(lite.run({lite.inputs[0].name: x}).values())
                for a, b in zip(wanted, found, strict=True):
                    assert a.dtype == b.dtype
                    np.testing.assert_allclose(b, a, rtol=0 if exact else 1e-5, atol=0 if exact else 1e-5)
    return Reader()(tmp_path / "m.tflite")


def stateful(body: str, outputs: str, *, item: str = "scalar", initial: Array = FIRST, **variables: Array) -> Graph:
    """A graph with input x and variable v, which have the shape of the first value."""
    shape = list(initial.shape)
    declared = f"x = external<{item}>(shape = {shape}); v = variable<{item}>(shape = {shape}, label = 'memory/v');"
    return with_values(nnef_graph(f"{declared} {body}", outputs.split(", ")), v=initial, **variables)


def with_values(graph: Graph, **values: Array) -> Graph:
    for tensor in graph.tensors:
        if tensor.name in values:
            tensor.data = values[tensor.name]
    return graph


def random_feeds(initial: Array = FIRST, runs: int = 4) -> list[Array]:
    random = np.random.default_rng(2)
    return [random.integers(-9, 10, initial.shape).astype(initial.dtype) for _ in range(runs)]


@pytest.mark.parametrize(
    ("body", "outputs"),
    [
        ("y = v + x; u = update(v, y);", "y"),
        ("y = copy(v); u = update(v, x);", "y"),  # what is read is the old value
        ("y = copy(v); u = update(v, v);", "y"),
        ("y = v * x; u = update(v, x); z = u + v;", "y, z"),
        ("y = x * 2.0; u = update(v, 3.0 * x);", "y"),  # is never read
        ("a = variable(shape = [2, 3], label = 'Memory/V'); u = update(v, a + x); y = a - v;", "y, u"),  # one label
        ("w = variable(shape = [2, 3], label = 'w'); u = update(v, w); t = update(w, x + v); y = copy(v);", "y"),
    ],
)
def test_values_pass_from_run_to_run(body: str, outputs: str, tmp_path: Path) -> None:
    further = {name: FIRST for name in ("a", "w") if f"{name} = variable" in body}
    graph = check_runs(stateful(body, outputs, **further), tmp_path, random_feeds())
    types = operators(graph)
    assert types[0] == "CALL_ONCE"
    assert types.count("ASSIGN_VARIABLE") == 2 if "w" in further else 1


@pytest.mark.parametrize(("item", "dtype"), [("integer", np.int64), ("logical", np.bool_)])
def test_other_types(item: str, dtype: Any, tmp_path: Path) -> None:
    body = f"y = copy(v); u = update(v, {'!v' if item == 'logical' else 'x'});"
    initial = FIRST.astype(dtype)
    check_runs(stateful(body, "y", item=item, initial=initial), tmp_path, random_feeds(initial))


def test_states_are_named_and_written_as_tensorflow_lite_does() -> None:
    graph = converted_to_tflite(stateful("y = v + x; u = update(v, y);", "y"))
    assert operators(graph) == ["CALL_ONCE", "VAR_HANDLE", "READ_VARIABLE", "ADD", "ASSIGN_VARIABLE"]
    first = graph.operations[0].attribs["init_subgraph"]
    assert operators(first) == ["VAR_HANDLE", "ASSIGN_VARIABLE"]
    for item in (graph, first):
        (handle,) = [op for op in item.operations if op.type == "VAR_HANDLE"]
        assert handle.attribs == {"container": "", "shared_name": "memory/v"}


def test_a_streaming_convolution(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    graph = nnef_graph(
        "x = external(shape = [1, 2, 3, 5]);"
        "v = variable(shape = [1, 2, 2, 5], label = 'v'); f = variable(shape = [4, 2, 3, 3], label = 'f');"
        "c = concat([v, x], axis = 2); u = update(v, slice(c, axes = [2], begin = [3], end = [5]));"
        "y = relu(conv(c, f, padding = [(0, 0), (0, 0)]));"
    )
    zeros, weights = np.zeros((1, 2, 2, 5), np.float32), random.normal(size=(4, 2, 3, 3)).astype(np.float32)
    graph = with_values(graph, v=zeros, f=weights)
    feeds = [random.normal(size=(1, 2, 3, 5)).astype(np.float32) for _ in range(4)]
    check_runs(graph, tmp_path, feeds, exact=False)


QUANT = {
    "op-name": "zero_point_linear_quantize",
    "zero_point": 3, "scale": 0.5, "bits": 8, "signed": False, "symmetric": False,
}  # fmt: skip


def test_quantized_states_are_codes(tmp_path: Path) -> None:
    graph = stateful("y = v + x; u = update(v, y);", "y", initial=np.array([[9, 3, 0]], np.uint8))
    for tensor in graph.tensors:
        if tensor.name in ("v", "u", "x", "y"):
            tensor.quant = dict(QUANT)
            tensor.dtype = np.float32
    lite = check_runs(graph, tmp_path, random_feeds(np.zeros((1, 3), np.float32)))
    (read,) = [op for op in lite.operations if op.type == "READ_VARIABLE"]
    assert read.output.dtype is np.int8
    first = lite.operations[0].attribs["init_subgraph"]
    (initial,) = [t.data for t in first.tensors if t.data is not None]
    assert initial.tolist() == [[9 - 128, 3 - 128, -128]]
    assert operators(lite).count("ADD") == 1


def test_what_has_no_form_is_refused() -> None:
    graph = stateful("y = v + x; u = update(v, y);", "y")
    (variable,) = [t for t in graph.tensors if t.name == "v"]
    variable.quant = {"op-name": "linear_quantize", "min": 0.0, "max": 1.0, "bits": 8}
    with pytest.raises(ConversionError, match="variable 'v' is updated, and quantized as TensorFlow Lite cannot"):
        converted_to_tflite(graph)


@pytest.mark.parametrize("target", ["cut.nnef", "cut.tflite"])
def test_a_part_keeps_the_states_that_it_depends_on(target: str, tmp_path: Path) -> None:
    body = (
        "w = variable(shape = [2, 3], label = 'w'); t = variable(shape = [2, 3], label = 't');"
        "y = v + x; u = update(v, y + w); s = update(w, x); z = y + t; r = update(t, z);"
    )
    save_model(stateful(body, "z", w=FIRST, t=FIRST), tmp_path / "m.nnef")
    convert_model(tmp_path / "m.nnef", tmp_path / "m.tflite")
    source = tmp_path / f"m{target[3:]}"
    name = next(t.name for t in load_model(source).tensors if t.name == "y")
    convert_model(source, tmp_path / target, output_names=[name], verify=True)
    part = load_model(tmp_path / target)
    kind = "update" if target.endswith("nnef") else "ASSIGN_VARIABLE"
    assert [op.type for op in part.operations].count(kind) == 2
    whole = make_executor(tmp_path / "m.nnef", backend="numpy")
    cut = make_executor(tmp_path / target, format=target[4:])
    for x in random_feeds():
        wanted = whole.run({"x": x}, output_names=["y"])["y"]
        np.testing.assert_array_equal(next(iter(cut.run({cut.inputs[0].name: x}).values())), wanted)
