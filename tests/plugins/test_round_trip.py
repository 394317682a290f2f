"""One plugin module with all tables: convert, write, read, run with its operators, and decomposed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, save

from nnef_tools import plugins
from nnef_tools.conversion.onnx_to_nnef import Converter
from nnef_tools.errors import ConversionError, PluginError
from nnef_tools.execution import make_executor
from nnef_tools.io.nnef import Reader, Writer
from nnef_tools.io.onnx import Reader as OnnxReader
from nnef_tools.model import Graph

from ..support.onnx_models import Typed, onnx_model

Array = np.ndarray[Any, Any]

PLUGIN = '''
import math
import numpy as np
from nnef_tools.conversion import Transform
from nnef_tools.model import Operation


def total(converter, values):
    """The sum of a list attribute."""
    return float(sum(values))


def doubled(converter, x):
    result = converter.new_tensor(x.shape, x.dtype)
    Operation(x.graph, type="add", inputs=(x, x), outputs=result)
    return result


CUSTOM_TRANSFORMS = {
    "Foo": Transform(
        type="foo",
        defaults={"beta": 0.5},
        using={"w": "!as_tensor(weights, np.float32)"},
        cond={"!len(axes) == 1": "exactly one axis is supported"},
        inputs=("!doubled(I[0])", "!unsqueeze_vector(w)", "!I[1]"),
        outputs=("!O[0]", "!squeeze_output(O[1], ensure_positive(axes, I[0].rank), keepdims)"),
        attribs={
            "alpha": "!alpha",
            "beta": "!beta",
            "axes": "!ensure_positive(axes, I[0].rank)",
            "scales": "!scales",
            "bias": "!total(scales)",
            "mode": "!mode",
            "names": "!names",
            "flag": "!bool(flag)",
            "empty": "!None",
        },
        custom=True,
    )
}


def foo_shape(x, w, y, *, axes, **kwargs):
    assert len(w) == 2 and w[1] == x[1], f"weights {w} do not fit {x}"
    return x, [1 if k in axes else n for k, n in enumerate(x)]


CUSTOM_SHAPES = {"foo": foo_shape}

CUSTOM_FRAGMENTS = {
    "foo": """
fragment foo(x: tensor<scalar>, w: tensor<scalar>, y: tensor<scalar>, alpha: scalar, beta: scalar, axes: integer[],
             scales: scalar[], bias: scalar, mode: string, names: string[], flag: logical)
    -> (z: tensor<scalar>, total: tensor<scalar>)
{
    z = x * w * alpha + (y + bias) * beta;
    total = sum_reduce(z, axes = axes);
}
"""
}


def foo(x, w, y, *, alpha, beta, axes, scales, bias, mode, names, flag):
    assert (mode, names, flag, len(scales)) == ("fast", ["a", "b"], True, 2)
    CALLS.append("foo")
    w = w.reshape(1, 3, 1)
    z = x * w * alpha + (y + bias) * beta
    return z, z.sum(tuple(axes), keepdims=True) if isinstance(z, np.ndarray) else z.sum(axes, keepdim=True)


CALLS = []
CUSTOM_OPERATORS = {"foo": foo}
'''


@pytest.fixture
def plugin(tmp_path: Path) -> Iterator[ModuleType]:
    path = tmp_path / "my_plugin.py"
    path.write_text(PLUGIN)
    module = plugins.load_module(str(path))
    yield module
    sys.modules.pop(module.__name__, None)


def foo_model(keepdims: int = 0, **changes: Any) -> ModelProto:
    """`Foo` in a domain of its own, with every kind of attribute, between two standard operators."""
    attributes: dict[str, Any] = {
        "alpha": 1.5,
        "axes": [-1],
        "scales": [0.25, 0.5],
        "mode": "fast",
        "names": ["a", "b"],
        "flag": 1,
        "keepdims": keepdims,
        "weights": helper.make_tensor("w", TensorProto.FLOAT, [3], [1.0, 2.0, 3.0]),
        **changes,
    }
    attributes = {key: value for key, value in attributes.items() if value is not None}
    nodes = [
        helper.make_node("Relu", ["x"], ["r"]),
        helper.make_node("Foo", ["r", "x"], ["f", "s"], name="the foo", domain="com.example", **attributes),
        helper.make_node("Neg", ["f"], ["y"]),
    ]
    outputs = {"y": Typed(np.float32), "s": ["n", "m", 1] if keepdims else ["n", "m"]}
    return onnx_model(nodes, {"x": [2, 3, 4]}, outputs, domains=["com.example"])


def expected(x: Array, keepdims: int = 0) -> tuple[Array, Array]:
    """What the model computes, by hand."""
    w = np.array([1, 2, 3], np.float32).reshape(1, 3, 1)
    f = 2 * np.maximum(x, 0) * w * 1.5 + (x + 0.75) * 0.5
    return -f, f.sum(2, keepdims=bool(keepdims))


def converted(model: ModelProto, plugin: ModuleType, tmp_path: Path) -> Graph:
    """The NNEF graph as the command line would make it."""
    save(model, tmp_path / "net.onnx")
    transforms, functions = plugins.load_transforms([plugin])
    shapes = plugins.load_shapes([plugin])
    converter = Converter(
        custom_transforms=transforms,
        custom_functions=functions,
        custom_shapes=shapes,
        infer_shapes=True,
        keep_io_names=True,
    )
    return converter(OnnxReader()(tmp_path / "net.onnx"))


@pytest.mark.parametrize("keepdims", [0, 1])
@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_round_trip(plugin: ModuleType, tmp_path: Path, backend: str, keepdims: int) -> None:
    graph = converted(foo_model(keepdims), plugin, tmp_path)
    foo = next(op for op in graph.operations if op.type == "foo")
    assert foo.custom
    assert foo.name == "the foo"
    assert foo.attribs == {
        "alpha": 1.5,
        "beta": 0.5,
        "axes": [2],
        "scales": [0.25, 0.5],
        "bias": 0.75,
        "mode": "fast",
        "names": ["a", "b"],
        "flag": True,
    }
    assert [t.shape for t in graph.outputs] == [(2, 3, 4), (2, 3, 1) if keepdims else (2, 3)]
    assert [t.name for t in graph.outputs] == ["y", "s"]

    fragments = plugins.load_fragments([plugin])
    Writer(fragments=fragments)(graph, tmp_path / "net")
    text = (tmp_path / "net" / "graph.nnef").read_text()
    assert fragments["foo"].strip() in text
    assert "extension KHR_enable_fragment_definitions;" in text
    assert "extension KHR_enable_operator_expressions;" in text

    again = Reader(custom_shapes=plugins.load_shapes([plugin]))(tmp_path / "net")
    assert [t.shape for t in again.outputs] == [t.shape for t in graph.outputs]
    assert [op.type for op in again.operations] == [op.type for op in graph.operations]
    read = next(op for op in again.operations if op.type == "foo")
    assert {key: value for key, value in read.attribs.items() if key != "dtype"} == foo.attribs

    x = np.random.default_rng(0).standard_normal((2, 3, 4)).astype(np.float32)
    operators = plugins.load_operators([plugin])
    for model in (again, str(tmp_path / "net")):
        executor = make_executor(model, backend=backend, custom_operators=operators)
        results = executor.run({"x": x})
        for actual, wanted in zip(results.values(), expected(x, keepdims), strict=True):
            np.testing.assert_allclose(actual, wanted, rtol=1e-5, atol=1e-6)
    assert plugin.CALLS == ["foo", "foo"]


@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_decomposed(plugin: ModuleType, tmp_path: Path, backend: str) -> None:
    graph = converted(foo_model(), plugin, tmp_path)
    Writer(fragments=plugins.load_fragments([plugin]))(graph, tmp_path / "net")
    x = np.random.default_rng(1).standard_normal((2, 3, 4)).astype(np.float32)
    executor = make_executor(str(tmp_path / "net"), backend=backend, decomposed=["foo"])
    results = executor.run({"x": x})
    for actual, wanted in zip(results.values(), expected(x), strict=True):
        np.testing.assert_allclose(actual, wanted, rtol=1e-5, atol=1e-6)
    assert plugin.CALLS == []
    read = Reader(decomposed=["foo"])(tmp_path / "net")
    assert "foo" not in [op.type for op in read.operations]


def test_condition_and_shape_function_refuse(plugin: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(ConversionError) as caught:
        converted(foo_model(axes=[0, 1]), plugin, tmp_path)
    assert "operator 'com.example.Foo' (node 'the foo') is not possible: exactly one axis is supported" in str(
        caught.value
    )
    weights = helper.make_tensor("w", TensorProto.FLOAT, [2], [1.0, 2.0])
    with pytest.raises(ConversionError, match=r"weights \[1, 2\] do not fit \[2, 3, 4\]"):
        converted(foo_model(weights=weights), plugin, tmp_path)


def test_missing_attribute_is_named(plugin: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(ConversionError) as caught:
        converted(foo_model(mode=None), plugin, tmp_path)
    text = "Could not evaluate attribute 'mode' while converting operator 'Foo'; NameError: name 'mode' is not defined"
    assert text in str(caught.value)


def test_mistake_in_a_transform_names_the_place(tmp_path: Path) -> None:
    path = tmp_path / "broken_plugin.py"
    path.write_text(
        "from nnef_tools.conversion import Transform\nCUSTOM_TRANSFORMS = {'Foo': Transform('foo', inputs='!I[')}\n"
    )
    transforms, functions = plugins.load_transforms([str(path)])
    with pytest.raises(PluginError, match=r"Transform of 'Foo', input: not a Python expression") as caught:
        Converter(custom_transforms=transforms, custom_functions=functions)
    assert caught.value.exit_code == 5


def test_without_the_plugin(tmp_path: Path) -> None:
    save(foo_model(), tmp_path / "net.onnx")
    with pytest.raises(ConversionError) as caught:
        Converter()(OnnxReader()(tmp_path / "net.onnx"))
    assert [(r.type, r.name) for r in caught.value.refused] == [("com.example.Foo", "the foo")]


def test_mirrored_and_generated(plugin: ModuleType, tmp_path: Path) -> None:
    """Without transform: copied as it is, its declaration made from the call, and run by the plugin's operator."""
    model = foo_model(1, weights=None)
    save(model, tmp_path / "net.onnx")
    shapes = {"Foo": lambda x, y, **attribs: (x, [*x[:2], 1])}
    converter = Converter(mirror_unsupported=True, custom_shapes=shapes, infer_shapes=True, keep_io_names=True)
    graph = converter(OnnxReader()(tmp_path / "net.onnx"))
    Writer(generate_custom_fragments=True, version_custom_fragments=False)(graph, tmp_path / "net")
    text = (tmp_path / "net" / "graph.nnef").read_text()
    assert "fragment Foo( _I1: tensor<scalar>, _I2: tensor<scalar>, " in text

    def foo(x: Array, y: Array, **attribs: Any) -> tuple[Array, Array]:
        assert attribs["names"] == ["a", "b"]
        return x * y, x.sum(2, keepdims=True)

    x = np.random.default_rng(2).standard_normal((2, 3, 4)).astype(np.float32)
    executor = make_executor(str(tmp_path / "net"), backend="numpy", custom_operators={"Foo": foo})
    y, s = executor.run({"x": x}).values()
    np.testing.assert_allclose(y, -np.maximum(x, 0) * x, rtol=1e-6)
    np.testing.assert_allclose(s, np.maximum(x, 0).sum(2, keepdims=True), rtol=1e-5)
