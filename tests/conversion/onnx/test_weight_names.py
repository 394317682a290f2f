"""ONNX -> NNEF -> ONNX: weights keep their names, also where an operator has them in another shape, order or type."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto, numpy_helper

import nnef_tools

from ...support.onnx_models import run_unoptimized

Array = np.ndarray[Any, Any]
Weights = dict[str, Array]


def random(*shape: int, dtype: Any = np.float32) -> Array:
    return np.random.default_rng(sum(shape)).uniform(0.5, 1.5, shape).astype(dtype)


def build(body: str, weights: Weights, **inputs: tuple[int, ...]) -> ModelProto:
    """A model with the nodes of the text, the initializers, and one output `y`."""
    parameters = ", ".join(f"float[{','.join(map(str, shape))}] {name}" for name, shape in inputs.items())
    model = onnx.parser.parse_model(
        f'<ir_version: 10, opset_import: ["" : 21]> g ({parameters}) => (float[] y) {{ {body} }}'
    )
    model.graph.output[0].type.tensor_type.ClearField("shape")
    model.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in weights.items())
    return onnx.shape_inference.infer_shapes(model)


def stored(model: ModelProto) -> Weights:
    """All initializers by name, which occur once each."""
    names = [tensor.name for tensor in model.graph.initializer]
    assert len(set(names)) == len(names)
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


class Trip:
    """What a model became on the way to NNEF and back, and that it computes the same."""

    def __init__(self, model: ModelProto, folder: Path, **options: Any) -> None:
        source, nnef, back, mapping = (folder / name for name in ("source.onnx", "model.nnef", "back.onnx", "map.json"))
        onnx.save(model, source)
        nnef_tools.convert_model(source, nnef, tensor_mapping=mapping, **options)
        nnef_tools.convert_model(nnef, back, **options)
        self.model = onnx.load(back)
        onnx.checker.check_model(self.model, full_check=True)
        self.weights = stored(self.model)
        self.mapping = json.loads(mapping.read_text())
        self.nnef = {t.name: np.asarray(t.data) for t in nnef_tools.load_model(nnef).tensors if t.data is not None}
        self.types = [node.op_type for node in self.model.graph.node]
        rng = np.random.default_rng(0)
        extents = {v.name: [dim.dim_value for dim in v.type.tensor_type.shape.dim] for v in model.graph.input}
        inputs = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in extents.items()}
        for expected, actual in zip(run_unoptimized(model, inputs), run_unoptimized(self.model, inputs), strict=True):
            np.testing.assert_allclose(actual, expected, rtol=2e-4, atol=2e-5)

    def direct(self, operator: str, position: int) -> list[str]:
        """The initializers that reach the operators of that type at that input, without an operator between."""
        return [node.input[position] for node in self.model.graph.node if node.op_type == operator]

    def keeps(self, weights: Weights) -> None:
        """All names are there, with the same items in some order, here and under what the mapping says."""
        for name, array in weights.items():
            items = np.sort(array.ravel())
            np.testing.assert_array_equal(np.sort(self.weights[name].ravel()), items)
            np.testing.assert_array_equal(np.sort(self.nnef[self.mapping[name]].ravel()), items)


@pytest.mark.parametrize("trans", [0, 1])
def test_gemm(trans: int, tmp_path: Path) -> None:
    weights = {"fc/weight:0": random(4, 6) if trans else random(6, 4), "fc.bias": random(4)}
    model = build(f"y = Gemm <transB = {trans}> (x, w, b)", {}, x=(2, 6))
    rename(model, {"w": "fc/weight:0", "b": "fc.bias"}, weights)
    trip = Trip(model, tmp_path)
    trip.keeps(weights)
    assert {name: array.shape for name, array in trip.weights.items()} == {n: a.shape for n, a in weights.items()}


def rename(model: ModelProto, names: dict[str, str], weights: Weights) -> None:
    """Gives weights names that the text syntax has no way to write."""
    for node in model.graph.node:
        for k, name in enumerate(node.input):
            node.input[k] = names.get(name, name)
    model.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in weights.items())


def test_factors_of_gemm_go_into_the_bias_which_keeps_its_name(tmp_path: Path) -> None:
    weights = {"w": random(6, 4), "b": random(4)}
    trip = Trip(build("y = Gemm <alpha = 0.5, beta = 3.0> (x, w, b)", weights, x=(2, 6)), tmp_path)
    trip.keeps({"w": weights["w"]})
    np.testing.assert_allclose(trip.weights["b"].ravel(), 3.0 * weights["b"], rtol=1e-6)
    assert "b" not in trip.mapping, "no tensor of the NNEF model has these values"


def test_bias_of_one_item_and_slopes(tmp_path: Path) -> None:
    weights = {"f": random(1, 3, 3, 3), "b": random(1), "s": random(3, 1, 1)}
    trip = Trip(build("t = PRelu (x, s)  y = Conv (t, f, b)", weights, x=(1, 3, 5, 5)), tmp_path)
    trip.keeps(weights)
    assert (trip.direct("PRelu", 1), trip.direct("Conv", 1), trip.direct("Conv", 2)) == (["s"], ["f"], ["b"])
    assert {name: array.shape for name, array in trip.weights.items()} == {n: a.shape for n, a in weights.items()}


NORMALIZED = "t = Conv (x, f{bias})  y = BatchNormalization (t, scale, offset, mean, variance)"


def normalization() -> Weights:
    names = ("scale", "offset", "mean", "variance")
    return {name: random(4) + np.float32(k / 10) for k, name in enumerate(names)}


@pytest.mark.parametrize("bias", [{}, {"b": random(4) - 2}], ids=["without bias", "with bias"])
def test_convolution_and_normalization(bias: Weights, tmp_path: Path) -> None:
    weights = {"f": random(4, 3, 3, 3), **bias, **normalization()}
    model = build(NORMALIZED.format(bias=", b" if bias else ""), weights, x=(1, 3, 5, 5))
    Trip(model, tmp_path).keeps(weights)
    folder = tmp_path / "optimized"
    folder.mkdir()
    trip = Trip(model, folder, optimize=True)
    assert trip.types == ["Conv"]
    assert trip.direct("Conv", 1) == ["f"] and trip.direct("Conv", 2) == (["b"] if bias else ["offset"])
    assert set(trip.weights) == {"f", "b" if bias else "offset"}


def test_optimized_biases_keep_the_name_of_the_largest(tmp_path: Path) -> None:
    weights = {"w": random(6, 4), "b": random(4), "c": random(1, 4), "s": random(1)}
    body = "t = MatMul (x, w)  u = Add (t, b)  v = Relu (u)  p = Add (v, s)  y = Add (p, c)"
    trip = Trip(build(body, weights, x=(2, 6)), tmp_path, optimize=True)
    assert trip.types == ["Gemm", "Relu", "Add"]
    assert trip.direct("Gemm", 2) == ["b"] and set(trip.weights) == {"w", "b", "c"}
    np.testing.assert_allclose(trip.weights["c"].ravel(), (weights["c"] + weights["s"]).ravel(), rtol=1e-6)


def test_names_of_weights_that_are_gone_are_not_given_to_others(tmp_path: Path) -> None:
    """Variables that passes add are numbered on, and a number may be free again."""
    weights = {f"w{k}": random(4, 4) + np.float32(k) for k in range(3)} | {f"b{k}": random(4) + k for k in range(3)}
    weights = {name: array.astype(np.float32) for name, array in weights.items()}
    body = "".join(f"m{k} = MatMul ({'x' if k == 0 else f'a{k - 1}'}, w{k}) a{k} = Add (m{k}, b{k}) " for k in range(3))
    trip = Trip(build(body + "y = Relu (a2)", weights, x=(2, 4)), tmp_path, optimize=True)
    for name, array in trip.weights.items():
        np.testing.assert_array_equal(np.sort(array.ravel()), np.sort(weights[name].ravel()))
    assert set(trip.weights) == set(weights)


MOVED = {
    "Unsqueeze": ("axes = Constant <value_ints = [0, 2]> ()  v = Unsqueeze (w, axes)", (3,)),
    "Reshape": ("shape = Constant <value_ints = [1, 3, 1]> ()  v = Reshape (w, shape)", (3,)),
    "Squeeze": ("axes = Constant <value_ints = [0]> ()  v = Squeeze (w, axes)", (1, 3, 4)),
    "Transpose": ("v = Transpose <perm = [1, 0]> (w)", (4, 3)),
    "large Transpose": ("v = Transpose <perm = [0, 2, 1]> (w)", (50, 4, 3)),
    "Identity": ("v = Identity (w)", (3, 4)),
    "Expand": ("shape = Constant <value_ints = [3, 4]> ()  v = Expand (w, shape)", (3, 1)),
    "Identity of Reshape": ("shape = Constant <value_ints = [3, 1]> ()  r = Reshape (w, shape) v = Identity (r)", (3,)),
}


@pytest.mark.parametrize("optimize", [False, True])
@pytest.mark.parametrize("name", MOVED)
def test_moved_weights(name: str, optimize: bool, tmp_path: Path) -> None:
    body, shape = MOVED[name]
    weights = {"w": random(*shape)}
    trip = Trip(build(f"{body}  y = Mul (x, v)", weights, x=(50, 3, 4)), tmp_path, optimize=optimize)
    assert trip.types == ["Mul"] and trip.direct("Mul", 1) == ["w"]
    assert np.unique(trip.weights["w"]).tolist() == np.unique(weights["w"]).tolist()
    assert trip.weights["w"].size == (12 if name == "Expand" else weights["w"].size)
    assert np.unique(trip.nnef[trip.mapping["w"]]).tolist() == np.unique(weights["w"]).tolist()


@pytest.mark.parametrize("optimize", [False, True])
@pytest.mark.parametrize("dtype", [np.float16, np.float64, np.int32, np.uint8])
def test_cast_weights(dtype: Any, optimize: bool, tmp_path: Path) -> None:
    weights = {"w": (10 * random(5)).astype(dtype)}
    trip = Trip(build("v = Cast <to = 1> (w)  y = Mul (x, v)", weights, x=(2, 5)), tmp_path, optimize=optimize)
    assert trip.direct("Mul", 1) == ["w"] and set(trip.weights) == {"w"}
    np.testing.assert_array_equal(trip.weights["w"], weights["w"].astype(np.float32))
    np.testing.assert_array_equal(trip.nnef[trip.mapping["w"]].ravel(), weights["w"].astype(np.float32))


@pytest.mark.parametrize("optimize", [False, True])
def test_codes_that_are_multiplied(optimize: bool, tmp_path: Path) -> None:
    """The product of codes comes back, and with it the codes under their name."""
    weights = {"w": (60 * random(40, 50) - 60).astype(np.int8)}
    body = "q, s, z = DynamicQuantizeLinear (x)  i = MatMulInteger (q, w, z)  f = Cast <to = 1> (i)  y = Mul (f, s)"
    trip = Trip(build(body, weights, x=(2, 3, 40)), tmp_path, optimize=optimize)
    assert trip.direct("MatMulInteger", 1) == ["w"]
    np.testing.assert_array_equal(trip.weights["w"], weights["w"])


def test_constant_nodes(tmp_path: Path) -> None:
    body = "w = Constant <value_floats = [1.5, 2.5, 3.5]> ()  t = Mul (x, w)  y = Add (t, b)"
    trip = Trip(build(body, {"b": random(3)}, x=(2, 3)), tmp_path)
    trip.keeps({"w": np.array([1.5, 2.5, 3.5], np.float32), "b": random(3)})
    assert trip.direct("Mul", 1) == ["w"] and trip.direct("Add", 1) == ["b"]


def test_weights_of_several_operators(tmp_path: Path) -> None:
    """One initializer for all, in each shape that is needed: the name is that of the weight in its own shape."""
    weights = {"w": random(4, 4), "b": random(4)}
    body = "t = Gemm <transB = 1> (x, w, b)  u = Gemm <transB = 1> (t, w, b)  y = Add (u, b)"
    trip = Trip(build(body, weights, x=(2, 4)), tmp_path)
    trip.keeps(weights)
    assert trip.direct("Gemm", 1) == ["w", "w"] and trip.direct("Gemm", 2) == ["b", "b"]
    assert set(trip.weights) == {"w", "b"}


def test_the_same_weight_in_two_shapes(tmp_path: Path) -> None:
    weights = {"w": random(3)}
    body = "axes = Constant <value_ints = [1]> ()  v = Unsqueeze (w, axes)  t = Mul (x, v)  y = Add (t, w)"
    trip = Trip(build(body, weights, x=(3, 3)), tmp_path)
    trip.keeps(weights)
    assert trip.direct("Add", 1) == ["w"] and trip.direct("Mul", 1) == ["v"]
    np.testing.assert_array_equal(trip.weights["v"], weights["w"].reshape(3, 1))


@pytest.mark.parametrize("optimize", [False, True])
def test_channels_last(optimize: bool, tmp_path: Path) -> None:
    """As from TensorFlow: filters and biases in channels last, transposes around each convolution."""
    weights = {"kernel:0": random(3, 3, 2, 4), "beta": random(4), "slope": random(1, 1, 4)}
    body = """
        f = Transpose <perm = [3, 2, 0, 1]> (k)
        t = Transpose <perm = [0, 3, 1, 2]> (x)
        c = Conv <auto_pad = "SAME_UPPER"> (t, f)
        u = Transpose <perm = [0, 2, 3, 1]> (c)
        v = Add (u, e)
        p = PRelu (v, s)
        y = Relu (p)
    """
    model = build(body, {}, x=(1, 6, 5, 2))
    rename(model, {"k": "kernel:0", "e": "beta", "s": "slope"}, weights)
    trip = Trip(model, tmp_path, optimize=optimize)
    trip.keeps(weights)
    assert trip.direct("Conv", 1) == ["kernel:0"] and trip.direct("PRelu", 1) == ["slope"]


def test_names_are_the_same_each_time(tmp_path: Path) -> None:
    weights = {"f": random(4, 3, 3, 3), **normalization()}
    model = build(NORMALIZED.format(bias=""), weights, x=(1, 3, 5, 5))
    texts = []
    for k in range(2):
        (tmp_path / str(k)).mkdir()
        texts.append(Trip(model, tmp_path / str(k), optimize=True).model.SerializeToString())
    assert texts[0] == texts[1]
