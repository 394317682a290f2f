"""Numbers keep their value and width: those that NNEF's text cannot carry, float64, integers of 64 bits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto as T
from onnx import helper, numpy_helper

import nnef_tools
from nnef_tools.execution import make_executor
from nnef_tools.io.nnef import Reader
from nnef_tools.language.tensor_file import write_tensor

from ..support.arrays import Array
from ..support.onnx_models import Typed, onnx_model, onnx_session, run_onnx

BACKENDS = ("numpy", "torch", "onnxruntime")
node = helper.make_node


def save(
    folder: Path,
    nodes: Sequence[Any],
    inputs: Sequence[Array],
    output: int = T.DOUBLE,
    opset: int = 18,
    **constants: Any,
) -> Path:
    """A model of inputs x0, x1, .. and output y, which may be named as several: y0, y1, ...."""
    names = [name for item in nodes for name in item.output if name.startswith("y")]
    given = {f"x{k}": x for k, x in enumerate(inputs)}
    dtype = helper.tensor_dtype_to_np_dtype(output)
    model = onnx_model(nodes, given, {name: Typed(dtype) for name in names}, constants, opset=opset)
    onnx.save(model, folder / "model.onnx")
    return folder / "model.onnx"


def bits(array: Array) -> Any:
    """What tells -0.0 from 0.0."""
    return np.ascontiguousarray(array).view(f"u{array.dtype.itemsize}").tolist()


def check(
    path: Path, inputs: Sequence[Array], *, backends: Sequence[str] = BACKENDS, back: bool = True, exact: bool = True
) -> None:
    """The NNEF model, in a folder, an archive or optimized, and the ONNX model made of it give the same values."""
    expected = run_onnx(path, inputs)

    def same(results: Sequence[Array]) -> None:
        for result, wanted in zip(results, expected, strict=True):
            assert result.dtype == wanted.dtype
            if exact:
                assert bits(result) == bits(wanted)
            else:
                np.testing.assert_allclose(result, wanted, rtol=1e-13)

    for name, options in (("a.nnef", {}), ("b.nnef.tgz", {"compress": 1}), ("c.nnef", {"optimize": True})):
        target = path.parent / name
        nnef_tools.convert_model(path, target, **options)
        for backend in backends:
            same(list(nnef_tools.run_model(target, list(inputs), backend=backend).values()))
    if back:
        for source in ("a.nnef", "c.nnef"):
            returned = path.parent / "back.onnx"
            nnef_tools.convert_model(path.parent / source, returned)
            session = onnx_session(returned)
            kinds = [helper.np_dtype_to_tensor_dtype(x.dtype) for x in inputs]
            assert [item.type for item in session.get_inputs()] == [
                f"tensor({T.DataType.Name(kind).lower()})" for kind in kinds
            ]
            same(run_onnx(returned, inputs))


X = np.array([1.0, -2.0, 3.0, 0.7])
SCALARS = [1 / 3, 1e-60, 1e300, -1e300, np.finfo(np.float64).min, 5e-324, -0.0, 0.1, np.inf, np.nextafter(1, 2)]


@pytest.mark.parametrize("value", SCALARS)
@pytest.mark.parametrize("operator", ["Mul", "Min"])
def test_double_scalars(tmp_path: Path, operator: str, value: float) -> None:
    check(save(tmp_path, [node(operator, ["x0", "c"], ["y"])], [X], c=np.float64(value)), [X])


@pytest.mark.parametrize("value", [-1e300, 1e-60, 1 / 3, -0.0, -np.inf])
def test_double_pads(tmp_path: Path, value: float) -> None:
    nodes = [node("Pad", ["x0", "p", "c"], ["y"])]
    check(save(tmp_path, nodes, [X], p=np.array([1, 2]), c=np.float64(value)), [X])


def test_double_arrays_and_attributes(tmp_path: Path) -> None:
    nodes = [
        node("Mul", ["x0", "w"], ["a"]),
        node("Clip", ["a", "lo", "hi"], ["b"]),
        node("Relu", ["b"], ["c"]),
        node("Where", ["m", "c", "n"], ["y0"]),
        node("Constant", [], ["y1"], value=numpy_helper.from_array(np.array([1e300, 1e-300]))),
    ]
    constants = {
        "w": np.array([1e250, 1e-250, 1 / 3, 1]),
        "lo": np.float64(-1e200),
        "hi": np.float64(1e240),
        "m": np.array([True, True, False, True]),
        "n": np.array([-1e299]),
    }
    check(save(tmp_path, nodes, [X], **constants), [X])


def test_double_matrices(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(3, 4)) * 1e60
    nodes = [
        node("MatMul", ["x0", "w"], ["a"]),
        node("ReduceMean", ["a"], ["b"], axes=[1]),
        node("Sub", ["a", "b"], ["y"]),
    ]
    check(save(tmp_path, nodes, [x], opset=13, w=np.random.default_rng(1).normal(size=(4, 4))), [x], exact=False)


def test_doubles_within_floats(tmp_path: Path) -> None:
    """(x + 1e9) - 1e9 loses most of x in float32, and 1e-60 is 0."""
    x = np.array([0.5, 1.25], np.float32)
    nodes = [
        node("Cast", ["x0"], ["d"], to=T.DOUBLE),
        node("Add", ["d", "big"], ["a"]),
        node("Sub", ["a", "big"], ["b"]),
        node("Mul", ["b", "tiny"], ["c"]),
        node("Div", ["c", "tiny"], ["e"]),
        node("Cast", ["e"], ["f"], to=T.FLOAT),
        node("Mul", ["f", "third"], ["y"]),
    ]
    constants = {"big": np.float64(1e9), "tiny": np.float64(1e-60), "third": np.float32(1 / 3)}
    check(save(tmp_path, nodes, [x], T.FLOAT, **constants), [x])


def test_floats_within_doubles(tmp_path: Path) -> None:
    """What a model rounds to float32 is rounded."""
    x = np.array([1 / 3, 1e-10 + 1])
    nodes = [
        node("Cast", ["x0"], ["f"], to=T.FLOAT),
        node("Cast", ["f"], ["d"], to=T.DOUBLE),
        node("Sub", ["x0", "d"], ["y"]),
    ]
    check(save(tmp_path, nodes, [x]), [x])


def test_doubles_of_integers(tmp_path: Path) -> None:
    """Float64 comes in by a table and by a cast of integers beyond 2**24 alone."""
    i = np.array([2, 0])
    nodes = [
        node("Gather", ["table", "x0"], ["a"], axis=0),
        node("Add", ["x0", "offset"], ["j"]),
        node("Cast", ["j"], ["b"], to=T.DOUBLE),
        node("Add", ["a", "b"], ["y"]),
    ]
    constants = {"table": np.array([1 / 3, 1e-60, 1e300]), "offset": np.int64(0)}
    check(save(tmp_path, nodes, [i], **constants), [i])


def test_numbers_of_rules_in_doubles(tmp_path: Path) -> None:
    """Constants that rules bring along, such as the root of 2 in Gelu, have all their digits."""
    path = save(tmp_path, [node("Gelu", ["x0"], ["y"])], [X], opset=20)
    nnef_tools.convert_model(path, tmp_path / "a.nnef")
    expected = [0.5 * x * (1 + math.erf(x / math.sqrt(2))) for x in X.tolist()]
    for backend in ("numpy", "torch"):
        (result,) = nnef_tools.run_model(tmp_path / "a.nnef", [X], backend=backend).values()
        np.testing.assert_allclose(result, expected, rtol=1e-14)


def test_large_doubles_in_log_sum_exp(tmp_path: Path) -> None:
    """The maximum that is taken out is not limited to the range of float32."""
    x = np.array([[1e300, 1e300, 0.0]])
    path = save(tmp_path, [node("ReduceLogSumExp", ["x0"], ["y"], axes=[1], keepdims=0)], [x], opset=13)
    nnef_tools.convert_model(path, tmp_path / "a.nnef")
    (result,) = nnef_tools.run_model(tmp_path / "a.nnef", [x], backend="numpy").values()
    assert result.tolist() == [1e300]


def test_double_decompositions(tmp_path: Path) -> None:
    """Fragments that are replaced by their definition read their numbers in the width of the operation."""
    nodes = [node("Softmax", ["x0"], ["a"], axis=0), node("Clip", ["a", "lo", "hi"], ["y"])]
    path = save(tmp_path, nodes, [X], lo=np.float64(1 / 3), hi=np.float64(0.7))
    nnef_tools.convert_model(path, tmp_path / "d.nnef", decompose=True)
    for backend in BACKENDS:
        (result,) = nnef_tools.run_model(tmp_path / "d.nnef", [X], backend=backend).values()
        np.testing.assert_allclose(result, run_onnx(path, [X])[0], rtol=1e-13)
    nnef_tools.convert_model(path, tmp_path / "e.nnef")
    executor = make_executor(tmp_path / "e.nnef", backend="numpy", decomposed=["clamp", "softmax"])
    np.testing.assert_allclose(executor.run({executor.inputs[0].name: X})[executor.outputs[0].name], result, rtol=1e-13)


def test_double_graph_in_memory(tmp_path: Path) -> None:
    path = save(tmp_path, [node("Mul", ["x0", "c"], ["y"])], [X], c=np.float64(1e300 / 3))
    nnef_tools.convert_model(path, tmp_path / "a.nnef")
    graph = Reader()(tmp_path / "a.nnef")
    assert [t.dtype for t in (*graph.inputs, *graph.outputs)] == [np.float64] * 2
    for backend in BACKENDS:
        (result,) = nnef_tools.run_model(graph, [X], backend=backend).values()
        assert bits(result) == bits(X * (1e300 / 3))


def test_rewritten_double_model(tmp_path: Path) -> None:
    path = save(tmp_path, [node("Mul", ["x0", "c"], ["y"])], [X], c=np.float64(1e300 / 3))
    nnef_tools.convert_model(path, tmp_path / "a.nnef")
    nnef_tools.convert_model(tmp_path / "a.nnef", tmp_path / "b.nnef", optimize=True)
    for name in ("graph.nnef", "nnef_tools.json"):
        assert (tmp_path / "b.nnef" / name).read_bytes() == (tmp_path / "a.nnef" / name).read_bytes()


def test_double_without_facts_is_refused(tmp_path: Path) -> None:
    """Without the file beside the text a number of double precision has no value."""
    path = save(tmp_path, [node("Mul", ["x0", "c"], ["y"])], [X], c=np.float64(1e300))
    nnef_tools.convert_model(path, tmp_path / "a.nnef")
    (tmp_path / "a.nnef" / "nnef_tools.json").unlink()
    with pytest.raises(nnef_tools.errors.FormatError, match=r"1e\+300 is out of the range of single precision"):
        nnef_tools.run_model(tmp_path / "a.nnef", [X], backend="numpy")


# integers

U = np.array([1, 5, 2**40], np.uint64)
TOP = np.uint64(2**63)


@pytest.mark.parametrize(
    ("nodes", "constants"),
    [
        ([node("BitwiseOr", ["x0", "c"], ["y"])], {"c": TOP}),
        ([node("BitwiseXor", ["x0", "c"], ["y"])], {"c": np.array([2**63, 3, 2**64 - 1], np.uint64)}),
        ([node("BitwiseNot", ["x0"], ["y"])], {}),
        ([node("Pad", ["x0", "p", "c"], ["y"])], {"p": np.array([1, 1]), "c": np.uint64(2**64 - 1)}),
        ([node("Concat", ["x0", "c"], ["y"], axis=0)], {"c": np.array([2**63 + 7], np.uint64)}),
        (
            [node("Gather", ["c", "i"], ["g"]), node("BitwiseAnd", ["g", "x0"], ["y"])],
            {"i": np.array([1, 0, 1]), "c": np.array([2**64 - 2, 2**63 + 1], np.uint64)},
        ),
        (
            [node("BitwiseNot", ["x0"], ["n"]), node("BitShift", ["n", "s"], ["y"], direction="RIGHT")],
            {"s": np.array([0, 1, 63], np.uint64)},
        ),
        (
            [node("BitwiseNot", ["x0"], ["n"]), node("BitwiseAnd", ["x0", "s"], ["k"])]
            + [node("BitShift", ["n", "k"], ["y"], direction="RIGHT")],
            {"s": np.uint64(7)},
        ),
    ],
)
def test_unsigned_integers(tmp_path: Path, nodes: Any, constants: Any) -> None:
    path = save(tmp_path, nodes, [U], T.UINT64, **constants)
    (expected,) = run_onnx(path, [U])
    nnef_tools.convert_model(path, tmp_path / "a.nnef")
    for backend in BACKENDS:
        (result,) = nnef_tools.run_model(tmp_path / "a.nnef", [U], backend=backend).values()
        assert result.dtype.kind in "iu" and bits(result) == bits(expected), backend
    nnef_tools.convert_model(tmp_path / "a.nnef", tmp_path / "back.onnx")
    (result,) = run_onnx(tmp_path / "back.onnx", [U])
    assert result.dtype == np.uint64 and bits(result) == bits(expected)


def test_shift_as_torch_exports_it(tmp_path: Path) -> None:
    """int64 >> 1: the bits that come in from above are those of the sign."""
    x = np.array([-7, -1, 0, 5, 8, -(2**63), 2**63 - 1])
    nodes = [
        node("Less", ["x0", "zero"], ["negative"]),
        node("Cast", ["x0"], ["u"], to=T.UINT64),
        node("BitShift", ["u", "one"], ["s"], direction="RIGHT"),
        node("BitwiseOr", ["s", "top"], ["st"]),
        node("Cast", ["st"], ["a"], to=T.INT64),
        node("Cast", ["s"], ["b"], to=T.INT64),
        node("Where", ["negative", "a", "b"], ["y"]),
    ]
    path = save(tmp_path, nodes, [x], T.INT64, zero=np.int64(0), one=np.uint64(1), top=TOP)
    check(path, [x])
    assert bits(run_onnx(path, [x])[0]) == bits(x >> 1)


@pytest.mark.parametrize("value", [2**24 + 1, 2**53 + 1, -(2**63), 2**63 - 1, 7])
def test_padding_with_integers(tmp_path: Path, value: int) -> None:
    x = np.array([1, -2])
    nodes = [node("Pad", ["x0", "p", "c"], ["y"])]
    check(save(tmp_path, nodes, [x], T.INT64, p=np.array([1, 2]), c=np.int64(value)), [x])


def test_comparison_of_large_unsigned_integers_is_reported(tmp_path: Path) -> None:
    nodes = [node("BitwiseNot", ["x0"], ["n"]), node("Less", ["n", "c"], ["y"])]
    path = save(tmp_path, nodes, [U], T.BOOL, c=np.uint64(9))
    report = nnef_tools.convert_model(path, tmp_path / "a.nnef")
    assert any("uint64: values from 2**63 on are taken as negative" in text for text in report.warnings)


# any number

NUMBERS = {
    T.DOUBLE: (np.float64, st.floats(allow_nan=False)),
    T.FLOAT: (np.float32, st.floats(width=32, allow_nan=False)),
    T.INT64: (np.int64, st.integers(-(2**63), 2**63 - 1)),
    T.UINT64: (np.uint64, st.integers(0, 2**64 - 1)),
    T.INT32: (np.int32, st.integers(-(2**31), 2**31 - 1)),
    T.FLOAT16: (np.float16, st.floats(width=16, allow_nan=False)),
}


@pytest.mark.parametrize("kind", NUMBERS)
def test_any_number_survives(tmp_path: Path, kind: int) -> None:
    """As a scalar that is chosen, as a border, and in an array: from the source through the text to the result."""
    dtype, values = NUMBERS[kind]

    @settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(values)
    def survives(value: Any) -> None:
        c = np.asarray(value, dtype)
        x = np.array([1, 2], dtype)
        nodes = [
            node("Where", ["m", "x0", "c"], ["a"]),
            node("Pad", ["a", "p", "c"], ["b"]),
            node("Concat", ["b", "v"], ["y"], axis=0),
        ]
        constants = {"m": np.array([True, False]), "c": c, "p": np.array([1, 0]), "v": np.array([value, 1], dtype)}
        path = save(tmp_path, nodes, [x], kind, **constants)
        nnef_tools.convert_model(path, tmp_path / "a.nnef")
        expected = np.array([value, 1, value, value, 1], dtype)
        for backend in ("numpy", "torch"):
            (result,) = nnef_tools.run_model(tmp_path / "a.nnef", [x], backend=backend).values()
            assert bits(result.astype(dtype)) == bits(expected), (backend, value)

    survives()


# what the text holds

TEXT = """version 1.0;
extension KHR_enable_operator_expressions;
graph g(x) -> (y)
{
    x = external<scalar>(shape = [2]);
    y = %s;
}
"""
FACTS = '{"tensors": {"x": {"dtype": "float64"}}}'


def write_text(folder: Path, expression: str, facts: str = "") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "graph.nnef").write_text(TEXT % expression)
    if facts:
        (folder / "nnef_tools.json").write_text(facts)
    return folder


@pytest.mark.parametrize("expression", ["mul(x, 1e300)", "pad(x, padding = [(1, 0)], value = -1e300)", "x + 1e39"])
def test_text_beyond_single_precision(tmp_path: Path, expression: str) -> None:
    """Refused by the text alone; exact if the facts say that the model is float64."""
    with pytest.raises(nnef_tools.errors.FormatError, match="out of the range of single precision"):
        Reader()(write_text(tmp_path / "a", expression))
    folder = write_text(tmp_path / "b", expression, FACTS)
    x = np.array([1.0, -2.0])
    expected = {"m": x * 1e300, "p": np.array([-1e300, 1.0, -2.0]), "x": x + 1e39}[expression[0]]
    for backend in BACKENDS:
        (result,) = nnef_tools.run_model(folder, [x], backend=backend).values()
        assert bits(result) == bits(expected), backend


def test_doubles_in_texts_of_constants(tmp_path: Path) -> None:
    """An array in the text is float64 if the facts say so of it, and never infinite otherwise."""
    text = TEXT.replace("    y =", "    c = constant<scalar>(shape = [2], value = [1e300, 0.1]);\n    y =")
    (tmp_path / "graph.nnef").write_text(text % "mul(x, c)")
    with pytest.raises(nnef_tools.errors.FormatError, match="out of the range of single precision"):
        Reader()(tmp_path)
    facts = '{"tensors": {"x": {"dtype": "float64"}, "c": {"dtype": "float64"}}}'
    (tmp_path / "nnef_tools.json").write_text(facts)
    for backend in BACKENDS:
        (result,) = nnef_tools.run_model(tmp_path, [np.array([1.0, 3.0])], backend=backend).values()
        assert bits(result) == bits(np.array([1e300, 0.1 * 3.0])), backend


def test_unsigned_variable_that_is_a_value_is_refused(tmp_path: Path) -> None:
    """Integers from 2**63 on cannot be told from negative ones where they are more than bits."""
    text = TEXT.replace("    y =", "    c = variable<integer>(shape = [2], label = 'c');\n    y =")
    (tmp_path / "graph.nnef").write_text(text % "mul(x, cast<scalar>(c))")
    write_tensor(tmp_path / "c.dat", np.array([2**63, 1], np.uint64))
    for backend in BACKENDS:
        with pytest.raises(nnef_tools.errors.NnefToolsError, match=r"above 2\*\*63 - 1"):
            nnef_tools.run_model(tmp_path, [np.ones(2, np.float32)], backend=backend)


def test_numbers_that_meet_only_each_other(tmp_path: Path) -> None:
    """A choice between two numbers is float64 or float32 as in the source, also where a model has both."""
    x, condition = np.array([1.0, 2.0]), np.array([True, False])
    nodes = [
        node("Where", ["x1", "big", "third"], ["a"]),
        node("Mul", ["x0", "a"], ["y0"]),
        node("Where", ["x1", "one", "two"], ["b"]),
        node("Cast", ["b"], ["c"], to=T.DOUBLE),
        node("Mul", ["x0", "c"], ["y1"]),
    ]
    constants = {"big": np.float64(1e300), "third": np.float64(1 / 3), "one": np.float32(0.1), "two": np.float32(2)}
    check(save(tmp_path, nodes, [x, condition], **constants), [x, condition])
