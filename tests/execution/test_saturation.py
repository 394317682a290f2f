"""Products of 8-bit codes in onnxruntime are exact on all processors, also where its kernels saturate.

The expected values are computed in int64 or float64. Each case also runs as on a processor that saturates, whatever
this one is; `test_codes_are_unsigned` shows there what one without saturation cannot.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

import nnef_tools
from nnef_tools.execution.onnxruntime import onnx as onnx_executor
from nnef_tools.execution.onnxruntime.onnx import OnnxExecutor
from nnef_tools.execution.onnxruntime.unsigned import OPERATORS, make_unsigned
from nnef_tools.ops.quantization import Quantization

from ..support.arrays import Array
from ..support.onnx_models import onnx_model

MICROSOFT = "com.microsoft"
PROBE = onnx_executor.saturates
MIDDLE = {np.uint8: np.uint8(128), np.int8: np.int8(0)}


@pytest.fixture(autouse=True, params=[False, True], ids=["here", "saturating"])
def saturating(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param:
        monkeypatch.setattr(onnx_executor, "saturates", lambda: True)


class Case(NamedTuple):
    name: str
    model: ModelProto
    feeds: Mapping[str, Array]
    expected: Array
    steps: float = 0
    """How far results may be off: a code of those that are rounded."""


def codes(dtype: Any, *shape: int) -> Array:
    """Mostly large ones, of equal signs: sums of two products of these need more than 16 bits."""
    low, high = int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)
    values = [high, high, high - 27, low + 20]
    return np.random.default_rng(len(shape)).choice(values, shape).astype(dtype)


def make_model(nodes: Sequence[NodeProto], feeds: Mapping[str, Array], constants: Mapping[str, Any]) -> ModelProto:
    return onnx_model(nodes, feeds, {"y": None}, constants, opset=20, domains=[MICROSOFT], ir_version=9)


def node(op: str, inputs: str, outputs: str = "y", **attributes: Any) -> NodeProto:
    """inputs: names with spaces between, '-' for one that is left out."""
    names = ["" if name == "-" else name for name in inputs.split()]
    return helper.make_node(op, names, outputs.split(), **attributes)


A_SCALE, B_SCALE = np.float32(0.02), np.float32(0.01)


def integer_products(a_type: Any, b_type: Any, is_constant: bool) -> Iterator[Case]:
    a, b = codes(a_type, 8, 64), codes(b_type, 64, 24)
    zero, middle = a_type(3), MIDDLE[b_type]
    exact = (a.astype(np.int64) - int(zero)) @ (b.astype(np.int64) - int(middle))
    feeds = {"a": a} if is_constant else {"a": a, "b": b}
    scale = np.float32(np.abs(exact).max() * A_SCALE * B_SCALE / 100)
    constants = {"az": zero, "bz": middle, "as": A_SCALE, "bs": B_SCALE, "ys": scale, "yz": MIDDLE[a_type]}
    if is_constant:
        constants["b"] = b
    real = exact * float(A_SCALE) * float(B_SCALE)
    rounded = np.rint(real / float(scale)) + int(MIDDLE[a_type])

    def case(name: str, nodes: Sequence[NodeProto], expected: Array, steps: float) -> Case:
        return Case(name, make_model(nodes, feeds, constants), feeds, expected, steps)

    yield case("MatMulInteger", [node("MatMulInteger", "a b az bz")], exact, 0)
    dequantized = [node("DequantizeLinear", "a as az", "ad"), node("DequantizeLinear", "b bs bz", "bd")]
    yield case("MatMul", [*dequantized, node("MatMul", "ad bd")], real, 1e-3)
    quantized = [node("MatMul", "ad bd", "c"), node("QuantizeLinear", "c ys yz")]
    yield case("MatMul and QuantizeLinear", [*dequantized, *quantized], rounded, 1)
    if (a_type, b_type) == (np.int8, np.uint8):
        return  # onnxruntime has no kernels
    yield case("QLinearMatMul", [node("QLinearMatMul", "a as az b bs bz ys yz")], rounded, 1)
    fused = node("MatMulIntegerToFloat", "a b as bs az bz", domain=MICROSOFT)
    yield case("MatMulIntegerToFloat", [fused], real, 1e-3)
    if is_constant:
        yield case("QGemm", [node("QGemm", "a as az b bs bz - ys yz", domain=MICROSOFT)], rounded, 1)


def convolve(x: Array, w: Array) -> Array:
    """Of 3 x 3, from the definition."""
    height, width = x.shape[2] - 2, x.shape[3] - 2
    windows = [x[:, :, i : i + height, j : j + width] for i in range(3) for j in range(3)]
    return np.einsum("kncij,ock->noij", np.stack(windows), w.reshape(*w.shape[:2], 9))


def integer_convolutions(x_type: Any, w_type: Any, is_constant: bool) -> Iterator[Case]:
    x, w = codes(x_type, 1, 16, 6, 6), codes(w_type, 8, 16, 3, 3)
    zero, middle = x_type(3), MIDDLE[w_type]
    exact = convolve(x.astype(np.int64) - int(zero), w.astype(np.int64) - int(middle))
    feeds = {"x": x} if is_constant else {"x": x, "w": w}
    scale = np.float32(np.abs(exact).max() * A_SCALE * B_SCALE / 100)
    constants = {"xz": zero, "wz": middle, "xs": A_SCALE, "ws": B_SCALE, "ys": scale, "yz": MIDDLE[x_type]}
    if is_constant:
        constants["w"] = w
    rounded = np.rint(exact * float(A_SCALE) * float(B_SCALE) / float(scale)) + int(MIDDLE[x_type])
    integers = make_model([node("ConvInteger", "x w xz wz")], feeds, constants)
    yield Case("ConvInteger", integers, feeds, exact)
    if not is_constant:
        constants = {**constants, "wz": middle}
    nodes = [
        node("DequantizeLinear", "x xs xz", "xd"),
        node("DequantizeLinear", "w ws wz", "wd"),
        node("Conv", "xd wd", "c"),
        node("QuantizeLinear", "c ys yz"),
    ]
    yield Case("Conv", make_model(nodes, feeds, constants), feeds, rounded, 1)
    if (x_type, w_type) != (np.int8, np.uint8):
        linear = make_model([node("QLinearConv", "x xs xz w ws wz ys yz")], feeds, constants)
        yield Case("QLinearConv", linear, feeds, rounded, 1)


def dynamic_products() -> Iterator[Case]:
    x = np.random.default_rng(0).choice([0, 1, 0.99], (8, 64)).astype(np.float32)
    b = codes(np.int8, 64, 24)
    scale = np.float32(1 / 255)
    real = np.rint(x / scale).astype(np.float64) @ b.astype(np.float64) * float(scale) * float(B_SCALE)
    feeds, constants = {"x": x}, {"b": b, "bs": B_SCALE}
    for name, inputs in (("with", "x b bs bz"), ("without", "x b bs")):
        fused = node("DynamicQuantizeMatMul", inputs, domain=MICROSOFT)
        model = make_model([fused], feeds, {**constants, "bz": np.int8(0)})
        yield Case(f"DynamicQuantizeMatMul {name} zero point", model, feeds, real, 1e-3)
    nodes = [
        node("DynamicQuantizeLinear", "x", "q qs qz"),
        node("MatMulInteger", "q b qz", "i"),
        node("Cast", "i", "f", to=TensorProto.FLOAT),
        node("Mul", "f qs", "g"),
        node("Mul", "g bs"),
    ]
    yield Case("dynamic quantization", make_model(nodes, feeds, constants), feeds, real, 1e-3)


def layers() -> Iterator[Case]:
    """Fused ones."""
    x, w = codes(np.uint8, 1, 4, 32), codes(np.int8, 32, 96)
    q, k, v = np.split((x[0].astype(np.float64) - 3) * 0.002 @ (w * 0.003), 3, -1)
    heads = [(q[:, s], k[:, s], v[:, s]) for s in (slice(0, 16), slice(16, 32))]
    weights = [np.exp(q @ k.T / 4 - (q @ k.T / 4).max(-1, keepdims=True)) for q, k, _ in heads]
    parts = [e / e.sum(-1, keepdims=True) @ v for e, (_, _, v) in zip(weights, heads, strict=True)]
    constants = {"w": w, "b": np.zeros(96, np.float32), "xs": np.float32(0.002), "ws": np.float32(0.003),
                 "xz": np.uint8(3)}  # fmt: skip
    attention = node("QAttention", "x w b xs ws - xz", num_heads=2, domain=MICROSOFT)
    yield Case(
        "QAttention", make_model([attention], {"x": x}, constants), {"x": x}, np.concatenate(parts, -1)[None], 1e-3
    )
    x = np.ones((3, 1, 32), np.float32)
    w, r = codes(np.int8, 1, 32, 64), codes(np.int8, 1, 16, 64)
    constants = {"w": w, "r": r, "s": np.full(1, 0.0005, np.float32), "z": np.zeros(1, np.int8)}
    lstm = node("DynamicQuantizeLSTM", "x w r - - - - - s z s z", hidden_size=16, domain=MICROSOFT)
    h = c = np.zeros((1, 16))
    results = []
    for step in x:
        i, o, f, g = np.split(step @ w[0] * 0.0005 + h @ r[0] * 0.0005, 4, -1)
        i, o, f = (1 / (1 + np.exp(-gate)) for gate in (i, o, f))
        c = f * c + i * np.tanh(g)
        h = o * np.tanh(c)
        results.append(h)
    yield Case(
        "DynamicQuantizeLSTM", make_model([lstm], {"x": x}, constants), {"x": x}, np.stack(results)[:, None], 0.01
    )


def moved_codes() -> Iterator[Case]:
    """Codes that are moved between quantization and dequantization, and not."""
    a, b = np.ones((4, 64), np.float32), np.ones((64, 24), np.float32)
    feeds = {"a": a, "b": b.T}
    expected = np.full((4, 24), 64.0)
    for name, type_ in (("unsigned", np.uint8), ("signed", np.int8)):
        constants = {"as": np.float32(1 / np.iinfo(type_).max), "az": type_(0), "bs": np.float32(1 / 127),
                     "bz": np.int8(0)}  # fmt: skip
        ends = [
            node("QuantizeLinear", "a as az", "aq"),
            node("DequantizeLinear", "aq as az", "ad"),
            node("QuantizeLinear", "b bs bz", "bq"),
        ]
        moved = [node("Transpose", "bq", "bt"), node("DequantizeLinear", "bt bs bz", "bd"), node("MatMul", "ad bd")]
        yield Case(f"moved, {name}", make_model([*ends, *moved], feeds, constants), feeds, expected, 1e-4)
        both = [node("DequantizeLinear", "bq bs bz", "be"), node("ReduceSum", "be", "e", keepdims=0)]
        both += [*moved[:2], node("MatMul", "ad bd", "p"), node("Add", "p e")]
        yield Case(f"shared, {name}", make_model([*ends, *both], feeds, constants), feeds, expected + 64 * 24, 1e-4)


def several_weights() -> Iterator[Case]:
    """Of one zero point, or none, with scales of channels; one in a branch, one in a function."""
    a, b = codes(np.uint8, 4, 32), codes(np.int8, 32, 32)
    exact = a.astype(np.int64) @ b.astype(np.int64)
    feeds = {"a": a}
    constants = {"b": b, "c": -b, "az": np.uint8(0), "z": np.int8(0), "s": np.float32(1), "ss": np.ones(32, np.float32),
                 "zs": np.zeros(32, np.int8)}  # fmt: skip
    for name, weights in (
        ("one zero point", ("b s z", "c s z")),
        ("none", ("b s", "c ss")),
        ("axes", ("b ss zs", "c ss zs")),
    ):
        nodes = [node("DequantizeLinear", "a s az", "ad")]
        for k, inputs in enumerate(weights):
            nodes += [node("DequantizeLinear", inputs, f"w{k}"), node("MatMul", f"ad w{k}", f"p{k}")]
        nodes.append(node("Sub", "p0 p1"))
        yield Case(name, make_model(nodes, feeds, constants), feeds, exact * 2, 1e-6)
    branches = {
        f"{branch}_branch": helper.make_graph(
            [node("MatMulInteger", f"a {weight} az", branch)], branch, [], [onnx.ValueInfoProto(name=branch)]
        )
        for branch, weight in (("then", "b"), ("else", "c"))
    }
    nodes = [node("Cast", "flag", "is", to=TensorProto.BOOL), node("If", "is", **branches)]
    feeds = {"a": a, "flag": np.array(1, np.int32)}
    yield Case("branch", make_model(nodes, feeds, constants), feeds, exact)
    feeds = {"a": a}
    model = make_model([node("product", "a b az", domain="own")], feeds, constants)
    opset = [helper.make_opsetid("", 20)]
    body = [node("MatMulInteger", "i j k", "o")]
    model.functions.append(helper.make_function("own", "product", ["i", "j", "k"], ["o"], body, opset))
    model.opset_import.append(helper.make_opsetid("own", 1))
    yield Case("function", model, feeds, exact)


def all_cases() -> Iterator[Case]:
    for a in (np.uint8, np.int8):
        for b in (np.uint8, np.int8):
            for is_constant in (True, False):
                for maker in (integer_products, integer_convolutions):
                    for case in maker(a, b, is_constant):
                        name = f"{case.name} {a.__name__} {b.__name__}{'' if is_constant else ' variable'}"
                        yield case._replace(name=name)
    for others in (dynamic_products, layers, moved_codes, several_weights):
        yield from others()


CASES = list(all_cases())


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_products_are_exact(case: Case) -> None:
    """Of the model as it is run, and of the one without optimizations, which gives intermediate values."""
    executor = OnnxExecutor(case.model.SerializeToString(), threads=1)
    session = executor._make_session(executor._bytes, optimized=False)
    found = [executor.run(case.feeds)["y"], session.run(["y"], dict(case.feeds))[0]]
    limit = case.steps if case.steps >= 1 else case.steps * np.abs(case.expected).max()
    for y in found:
        assert np.abs(y.astype(np.float64) - case.expected).max() <= limit


PRODUCTS = [case for case in CASES if "uint8 int8" in case.name]


@pytest.mark.parametrize("case", PRODUCTS, ids=[case.name for case in PRODUCTS])
def test_codes_are_unsigned(case: Case) -> None:
    """What is run where kernels saturate has no signed codes but those that it is given."""
    model = ModelProto.FromString(case.model.SerializeToString())
    assert make_unsigned(model)
    del model.graph.value_info[:]
    types = {v.name: v.type.tensor_type.elem_type for v in model.graph.input}
    types |= {t.name: t.data_type for t in model.graph.initializer}
    for n in model.graph.node:
        if n.op_type == "Cast":
            types[n.output[0]] = n.attribute[0].i
        elif n.op_type not in ("Add", "Shape", "Expand"):
            assert TensorProto.INT8 not in [types.get(name) for name in n.input]


def test_others_stay() -> None:
    """Products of two signed operands are exact, and onnxruntime has no kernels for signed with unsigned ones."""
    for case in CASES:
        if "QLinear" in case.name and ("int8 uint8" in case.name or " int8 int8" in case.name):
            before = case.model.SerializeToString()
            assert not make_unsigned(case.model)
            assert case.model.SerializeToString() == before


def test_operators_are_found_in_bytes() -> None:
    assert all(onnx_executor._QUANTIZED.search(name.encode()) for name in OPERATORS)


@pytest.mark.skipif("NNEF_TOOLS_TEST_SATURATING" in os.environ, reason="there is no probing then")
def test_probe() -> None:
    """It says what a larger product shows."""
    a, b = codes(np.uint8, 64, 256), codes(np.int8, 256, 64)
    model = make_model([node("MatMulInteger", "a b")], {"a": a}, {"b": b})
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (y,) = session.run(None, {"a": a})
    is_exact = np.array_equal(y, a.astype(np.int64) @ b.astype(np.int64))
    assert PROBE() != is_exact


def test_external_weights(tmp_path: Any) -> None:
    """They stay in their file."""
    case = next(case for case in CASES if case.name == "QLinearConv uint8 int8")
    path = tmp_path / "m.onnx"
    model = ModelProto.FromString(case.model.SerializeToString())
    onnx.save(model, path, save_as_external_data=True, size_threshold=0, location="weights")
    y = OnnxExecutor(path, threads=1).run(case.feeds)["y"]
    assert np.abs(y.astype(np.float64) - case.expected).max() <= 1


@pytest.mark.parametrize("backend", ["numpy", "torch", "onnxruntime", "auto"])
def test_converted_model(backend: str, tmp_path: Any) -> None:
    """As NNEF, which the backends run on the real values of the codes, and verified."""
    case = next(case for case in CASES if case.name == "Conv uint8 int8")
    onnx.save(onnx.shape_inference.infer_shapes(case.model), tmp_path / "m.onnx")
    nnef_tools.convert_model(tmp_path / "m.onnx", tmp_path / "m.nnef", verify=1, random="integers(0,255)")
    graph = nnef_tools.load_model(tmp_path / "m.nnef")
    inputs, outputs = ([Quantization.of(t.quant) for t in tensors] for tensors in (graph.inputs, graph.outputs))
    assert None not in (*inputs, *outputs)
    feeds = [form.real_values(x) for form, x in zip(inputs, case.feeds.values(), strict=True) if form is not None]
    (y,) = nnef_tools.run_model(tmp_path / "m.nnef", feeds, backend=backend).values()
    found = outputs[0].codes(y) if outputs[0] is not None else y
    assert np.abs(found.astype(np.float64) - case.expected).max() <= 1


@pytest.mark.parametrize("bits", [4, 8])
def test_operands_of_quantized_weights_are_not_rounded(bits: int) -> None:
    """onnxruntime would quantize real operands by itself, unless told not to."""
    x = np.random.default_rng(0).random((8, 64), np.float32)
    w = np.random.default_rng(1).integers(-(1 << (bits - 1)), 1 << (bits - 1), (64, 32))
    kind = {4: TensorProto.INT4, 8: TensorProto.INT8}[bits]
    graph = helper.make_graph(
        [node("DequantizeLinear", "w s", "d"), node("MatMul", "x d")],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)],
        [onnx.ValueInfoProto(name="y")],
        [helper.make_tensor("w", kind, w.shape, w.flatten().tolist()), numpy_helper.from_array(B_SCALE, "s")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    y = OnnxExecutor(model.SerializeToString()).run({"x": x})["y"]
    np.testing.assert_allclose(y, x.astype(np.float64) @ w * float(B_SCALE), rtol=1e-5, atol=1e-5)
