"""Boolean indices, whose number of rows depends on the data: onnxruntime tells what they give."""

from __future__ import annotations

import numpy as np
import pytest

from nnef_tools.errors import ConversionError

from ...support.arrays import Array, assert_agree, nnef_kind
from ...support.nnef_models import run_nnef
from ...support.onnx_models import onnx_session, run_onnx, text_model
from .checks import check, convert

ROWS = "float[4,5] x, bool[4] m"
CASES = {
    # the forms of x[m] = v that torch's exporters write
    "scalar": ("float[2,5,3] x", "float[2,5,3] y", """
        h = Constant<value = float {0.5}>() g = Greater(x, h) n = NonZero(g) i = Transpose<perm = [1, 0]>(n)
        flat = Constant<value = int64[1] {-1}>() r = Reshape(g, flat) c = Cast<to = 7>(r)
        s = ReduceSum<keepdims = 1>(c) v = Expand(h, s) y = ScatterND(x, i, v)"""),
    "rows": ("float[4,5] x, bool[4] m, float[5] v", "float[4,5] y", """
        n = NonZero(m) i = Transpose<perm = [1, 0]>(n) s = Shape(n) one = Constant<value = int64[1] {1}>()
        two = Constant<value = int64[1] {2}>() c = Slice(s, one, two) five = Constant<value = int64[1] {5}>()
        e = Concat<axis = 0>(c, five) w = Expand(v, e) y = ScatterND(x, i, w)"""),
    "changed rows": (ROWS, "float[4,5] y", """
        n = NonZero(m) i = Transpose<perm = [1, 0]>(n) a = GatherND(x, i) b = Exp(a) y = ScatterND(x, i, b)"""),
    "masked_scatter": ("float[4,5] x, bool[4,5] m, float[30] f", "float[4,5] y", """
        n = NonZero(m) i = Transpose<perm = [1, 0]>(n) s = Shape(i) zero = Constant<value = int64[1] {0}>()
        c = Gather(s, zero) v = Slice(f, zero, c, zero) y = ScatterND(x, i, v)"""),
    "elements": ("float[4,5] x, bool[4] m, float[6,5] z", "float[6,5] y", """
        n = NonZero(m) zero = Constant<value = int64[1] {0}>() i = Squeeze(n, zero) a = Gather(x, i)
        s = Shape(a) t = Transpose<perm = [1, 0]>(n) e = Expand(t, s)
        y = ScatterElements<axis = 0, reduction = "add">(z, e, a)"""),
    "sparse": ("float[4,5] x, bool[4] m, float[6,5] z", "float[6,5] y", """
        n = NonZero(m) zero = Constant<value = int64[1] {0}>() i = Squeeze(n, zero) a = Gather(x, i)
        t = Transpose<perm = [1, 0]>(n) two = Constant<value = int64 {2}>() u = Add(t, two)
        y = ScatterND(z, u, a)"""),
    # reductions
    "sums": (ROWS, "float[5] y, float[5] z, float w, float[5] v", """
        n = NonZero(m) i = Transpose<perm = [1, 0]>(n) a = GatherND(x, i) zero = Constant<value = int64[1] {0}>()
        y = ReduceSum<keepdims = 0>(a, zero) z = ReduceMax<keepdims = 0>(a, zero) w = ReduceProd<keepdims = 0>(a)
        v = ReduceL2<keepdims = 0>(a, zero)"""),
    "means": (ROWS, "float[5] y, float w", """
        n = NonZero(m) i = Transpose<perm = [1, 0]>(n) a = GatherND(x, i) zero = Constant<value = int64[1] {0}>()
        y = ReduceMean<keepdims = 0>(a, zero) w = ReduceMean<keepdims = 0>(a)"""),
    "attention": (ROWS, "float[5] y", """
        n = NonZero(m) i = Transpose<perm = [1, 0]>(n) a = GatherND(x, i) t = Transpose<perm = [1, 0]>(a)
        p = MatMul(a, t) q = Softmax(p) r = MatMul(q, a) zero = Constant<value = int64[1] {0}>()
        y = ReduceSum<keepdims = 0>(r, zero)"""),
    "counts": ("float[4,5] x", "int64[2] s, float[4,5] y, int64 w", """
        zero = Constant<value = float {0}>() g = Greater(x, zero) n = NonZero(g) s = Shape(n) w = Size(n)
        one = Constant<value = int64 {1}>() c = Gather(s, one) f = Cast<to = 1>(c) y = Div(x, f)"""),
    "first and last": (ROWS, "float[5] y, float[5] z", """
        n = NonZero(m) i = Transpose<perm = [1, 0]>(n) a = GatherND(x, i) k = Constant<value = int64 {0}>()
        l = Constant<value = int64 {-1}>() y = Gather(a, k) z = Gather(a, l)"""),
    "first two": (ROWS, "float[5] y, int64 w", """
        n = NonZero(m) i = Transpose<perm = [1, 0]>(n) a = GatherND(x, i) zero = Constant<value = int64[1] {0}>()
        two = Constant<value = int64[1] {2}>() b = Slice(a, zero, two, zero) y = ReduceSum<keepdims = 0>(b, zero)
        k = Constant<value = int64 {0}>() s = Shape(b) w = Gather(s, k)"""),
    "ranks": (ROWS, "float[4,5] y", """
        n = NonZero(m) i = Transpose<perm = [1, 0]>(n) a = GatherND(x, i) zero = Constant<value = int64 {0}>()
        one = Constant<value = int64 {1}>() s = Shape(a) c = Gather(s, zero) r = Range(zero, c, one)
        f = Cast<to = 1>(r) ax = Constant<value = int64[1] {1}>() u = Unsqueeze(f, ax) b = Add(a, u)
        y = ScatterND(x, i, b)"""),
    # two selections after each other, and rows that are joined
    "twice": (ROWS, "float[5] y", """
        n = NonZero(m) zero = Constant<value = int64[1] {0}>() i = Squeeze(n, zero) a = Gather(x, i)
        k = Constant<value = int64 {1}>() p = Gather<axis = 1>(a, k) h = Constant<value = float {0}>()
        g = Less(p, h) o = NonZero(g) j = Squeeze(o, zero) b = Gather(a, j) y = ReduceSum<keepdims = 0>(b, zero)"""),
    "joined": (ROWS + ", float[3,5] z", "float[5] y, int64 w", """
        n = NonZero(m) i = Transpose<perm = [1, 0]>(n) a = GatherND(x, i) c = Concat<axis = 0>(a, z)
        zero = Constant<value = int64[1] {0}>() y = ReduceMean<keepdims = 0>(c, zero) s = Shape(c)
        k = Constant<value = int64 {0}>() w = Gather(s, k)"""),
    "compressed": (ROWS, "float[5] y", """
        a = Compress<axis = 0>(x, m) zero = Constant<value = int64[1] {0}>() y = ReduceSum<keepdims = 0>(a, zero)"""),
    "merged": ("float[4,5,2] x, bool[4] m", "float y", """
        n = NonZero(m) zero = Constant<value = int64[1] {0}>() i = Squeeze(n, zero) a = Gather(x, i)
        flat = Constant<value = int64[1] {-1}>() b = Reshape(a, flat) y = ReduceMean<keepdims = 0>(b)"""),
}  # fmt: skip


def _inputs(declared: str, seed: int) -> list[Array]:
    random = np.random.default_rng(seed)
    arrays: list[Array] = []
    for item in declared.split(" ")[::2]:
        kind, _, dims = item.rstrip("]").partition("[")
        extents = [int(n) for n in dims.split(",")]
        drawn = random.standard_normal(extents)
        arrays.append(drawn > -0.3 if kind == "bool" else drawn.astype("float32" if kind == "float" else kind))
    return arrays


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("seed", [1, 2])
def test_rows_that_are_counted(name: str, seed: int) -> None:
    inputs, outputs, body = CASES[name]
    model = text_model(f'<ir_version: 8, opset_import: ["" : 18]> g ({inputs}) => ({outputs}) {{ {body} }}')
    given = _inputs(inputs.replace(", ", " "), seed)
    check(model, given, expected=run_onnx(model, given))


SELECTED = """
    n = NonZero(m) i = Transpose<perm = [1, 0]>(n) a = GatherND(x, i) zero = Constant<value = int64[1] {0}>()
    s = Shape(a) c = Gather(s, zero) five = Constant<value = int64[1] {5}>() """
SIZED = {
    # numbers that are computed from the count: those that fall, stay or jump while it rises
    "padded to 8": """e = Constant<value = int64[1] {8}>() d = Sub(e, c) t = Concat<axis = 0>(d, five)
        z = ConstantOfShape<value = float[1] {1.5}>(t) q = Concat<axis = 0>(a, z)""",
    "at most 2": """e = Constant<value = int64[1] {2}>() d = Min(c, e) t = Concat<axis = 0>(d, five)
        z = ConstantOfShape<value = float[1] {1.5}>(t) o = Slice(x, zero, d, zero) q = Concat<axis = 0>(z, o)""",
    "at least 2": """e = Constant<value = int64[1] {2}>() d = Max(c, e) t = Concat<axis = 0>(d, five)
        z = ConstantOfShape<value = float[1] {1.5}>(t) o = Slice(x, zero, d, zero) q = Concat<axis = 0>(z, o)""",
    "half": """e = Constant<value = int64[1] {2}>() d = Div(c, e) q = Slice(x, zero, d, zero)""",
    "what is left over": """e = Constant<value = int64[1] {3}>() d = Mod(c, e) q = Slice(a, zero, d, zero)""",
    "all but the last": """e = Constant<value = int64[1] {1}>() d = Sub(c, e) q = Slice(a, zero, d, zero)""",
    "from the end": """e = Constant<value = int64[1] {2}>() d = Sub(c, e) q = Slice(x, zero, d, zero)""",
    "more than there are": """e = Constant<value = int64[1] {6}>() d = Sub(e, c) q = Slice(x, zero, d, zero)""",
}


def _on_all_masks(inputs: str, outputs: str, body: str) -> None:
    model = text_model(f'<ir_version: 8, opset_import: ["" : 18]> g ({inputs}) => ({outputs}) {{ {body} }}')
    x, *_ = given = _inputs(inputs.replace(", ", " "), 1)
    graph = convert(model, given).graph
    session = onnx_session(model, optimized=False)
    for bits in range(2 ** len(x)):
        mask = (bits >> np.arange(len(x)) & 1).astype(bool)
        expected = session.run(None, {"x": x, "m": mask})
        for actual, wanted in zip(run_nnef(graph, [x, mask]), expected, strict=True):
            assert_agree(actual, wanted, rtol=1e-5, atol=1e-6, kind=nnef_kind)


@pytest.mark.parametrize("name", SIZED)
def test_extents_follow_every_count(name: str) -> None:
    sums = "y = ReduceSum<keepdims = 0>(q, zero) k = Shape(q) l = Constant<value = int64 {0}>() w = Gather(k, l)"
    _on_all_masks(ROWS, "float[5] y, int64 w", f"{SELECTED} {SIZED[name]} {sums}")


def test_no_integer_is_the_least_of_no_rows() -> None:
    _on_all_masks("int32[4,5] x, bool[4] m", "int32[5] y", SELECTED + "y = ReduceMin<keepdims = 0>(a, zero)")


def test_an_assignment_by_mask_is_a_select() -> None:
    inputs, outputs, body = CASES["scalar"]
    model = text_model(f'<ir_version: 8, opset_import: ["" : 18]> g ({inputs}) => ({outputs}) {{ {body} }}')
    assert convert(model, _inputs(inputs, 0)).ops == ["gt", "select"]


def test_negative_extents_are_refused() -> None:
    text = """<ir_version: 8, opset_import: ["" : 18]> g (float[2] x) => (float[k,l] y) {
        s = Constant<value = int64[2] {2, -1}>() z = ConstantOfShape(s) y = Add(x, z) }"""
    with pytest.raises(ConversionError) as raised:
        convert(text_model(text), _inputs("float[2] x", 0))
    assert "negative extent" in "\n".join(raised.value.details)


REFUSED = {
    "y = Identity(a)": "the shape of the result depends on the data, which shows in that of output 'y'",
    "s = Shape(a) y = ConstantOfShape(s)": "which shows in that of output 'y'",
    "h = Constant<value = int64[3] {2, -1, 5}>() b = Reshape(a, h) y = ReduceSum<keepdims = 0>(b)": "takes it apart",
    "h = Constant<value = int64[2] {4, -1}>() b = Reshape(a, h) y = ReduceSum<keepdims = 0>(b)": "to fixed extents",
    "y = LpNormalization<axis = 0>(a)": "depends on the data",
    "o = Constant<value = int64[1] {1}>() t = Constant<value = int64[1] {9}>() b = Slice(a, o, t) y = ReduceSum(b)": (
        "a slice leaves out the first or the last of them"
    ),
}


@pytest.mark.parametrize("body", REFUSED)
def test_numbers_of_rows_that_show_are_refused(body: str) -> None:
    text = f"""<ir_version: 8, opset_import: ["" : 18]> g ({ROWS}) => (float[k,l] y) {{
        n = NonZero(m) i = Transpose<perm = [1, 0]>(n) a = GatherND(x, i) {body} }}"""
    with pytest.raises(ConversionError) as raised:
        convert(text_model(text), _inputs("float[4,5] x bool[4] m", 0))
    assert REFUSED[body] in "\n".join(raised.value.details)
