"""Branches, loops, scans and function bodies against onnxruntime."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto

from nnef_tools.budget import within
from nnef_tools.errors import ConversionError

from ...support.arrays import Array
from ...support.onnx_models import text_model
from .checks import check, convert

Random = Callable[..., Array]
HEADER = '<ir_version: 8, opset_import: ["" : 17, "local": 1]>'


def test_if_with_a_constant_condition(random: Random) -> None:
    for condition, ops in (("1", ["mul"]), ("0", ["add", "neg"])):
        model = text_model(f"""{HEADER}
        g (float[2,3] x) => (float[2,3] y) {{
            cond = Constant<value = bool {{{condition}}}>()
            scale = Constant<value_float = 2.0>()
            y = If (cond) <
                then_branch = t () => (float[2,3] r) {{ r = Mul(x, scale) }},
                else_branch = e () => (float[2,3] r) {{ s = Add(x, scale) r = Neg(s) }}
            >
        }}""")
        check(model, [random(2, 3)], ops=ops)


def test_constant_branches_may_differ_in_shape(random: Random) -> None:
    model = text_model(f"""{HEADER}
    g (float[2,3] x) => (float[n,m] y) {{
        s = Shape(x) zero = Constant<value_int = 0>() rows = Gather(s, zero)
        two = Constant<value_int = 2>() cond = Equal(rows, two)
        y = If (cond) <
            then_branch = t () => (float[3,2] r) {{ r = Transpose(x) }},
            else_branch = e () => (float[2,3] r) {{ r = Identity(x) }}
        >
    }}""")
    check(model, [random(2, 3)], ops=["transpose"])


@pytest.mark.parametrize("taken", [False, True])
def test_if_with_a_computed_condition(random: Random, taken: bool) -> None:
    model = text_model(f"""{HEADER}
    g (bool cond, float[2,3] x) => (float[2,3] y, float[2] z) {{
        y, z = If (cond) <
            then_branch = t () => (float[2,3] r, float[2] q) {{
                r = Neg(x) q = ReduceSum<keepdims = 0>(x, one) one = Constant<value_ints = [1]>() }},
            else_branch = e () => (float[2,3] r, float[2] q) {{
                r = Identity(x) q = Constant<value_floats = [1.0, 2.0]>() }}
        >
    }}""".replace("q = ReduceSum<keepdims = 0>(x, one) one = Constant<value_ints = [1]>()",
                  "one = Constant<value_ints = [1]>() q = ReduceSum<keepdims = 0>(x, one)"))  # fmt: skip
    result = check(model, [np.array(taken), random(2, 3)])
    assert result.ops.count("select") == 2
    assert result.converter.warnings == [
        "If with a condition that is computed: both branches are computed, one is selected"
    ]


# onnxruntime does not know the axes, and so the rank, before it runs.
BRANCHES = """{header}
g (bool cond, float[2,1,3] x) => (float[2,1,1,4] y) {{
    zero = Constant<value_floats = [0.2]>() floor = Floor(zero) axes = Cast<to = 7>(floor)
    ws = Constant<value_ints = [1, 4, 3]>() w = ConstantOfShape<value = float[1] {{0.5}}>(ws)
    rs = Constant<value_ints = [1, 4, 4]>() r = ConstantOfShape<value = float[1] {{0.25}}>(rs)
    y = If (cond) <
        then_branch = t () => (float[2,1,1,4] p) {{ {then_branch} }},
        else_branch = e () => (float[2,1,1,4] q) {{ {else_branch} }}
    >
}}"""
FITTING = "{result}, h1 = RNN<hidden_size = 4>(x, w, r)"
INVALID = "u{result} = Unsqueeze(x, axes) {result}, h2 = RNN<hidden_size = 4>(u{result}, w, r)"


def branches(first: str, second: str) -> ModelProto:
    parts = {"then_branch": first.format(result="p"), "else_branch": second.format(result="q")}
    return text_model(BRANCHES.format(header=HEADER, **parts))


@pytest.mark.parametrize("valid", ["then_branch", "else_branch"])
def test_if_with_a_branch_that_these_shapes_do_not_allow(random: Random, valid: str) -> None:
    first = valid == "then_branch"
    model = branches(FITTING, INVALID) if first else branches(INVALID, FITTING)
    result = check(model, [np.array(first), random(2, 1, 3)], ops=["rnn_layer"])
    other = "else_branch" if first else "then_branch"
    (warning,) = [text for text in result.converter.warnings if text.startswith("If ")]
    assert warning == (
        f"If always takes its {valid}, as {other} cannot be computed: "
        "RNN in its body: X has shape [1, 2, 1, 3], but must have 3 axes"
    )


def test_if_with_two_branches_that_these_shapes_do_not_allow() -> None:
    with pytest.raises(ConversionError, match=r"RNN in its body: X has shape \[1, 2, 1, 3\], but must have 3 axes"):
        convert(branches(INVALID, INVALID), [np.array(True), np.zeros((2, 1, 3), np.float32)])


def test_if_whose_shape_depends_on_the_data() -> None:
    model = text_model(f"""{HEADER}
    g (bool cond, float[2,3] x) => (float[n,m] y) {{
        y = If (cond) <
            then_branch = t () => (float[3,2] r) {{ r = Transpose(x) }},
            else_branch = e () => (float[2,3] r) {{ r = Identity(x) }}
        >
    }}""")
    with pytest.raises(ConversionError, match=r"depends on the condition: \[3, 2\] or \[2, 3\]"):
        convert(model, [np.array(True), np.zeros((2, 3), np.float32)])


def test_results_of_if_that_nothing_uses_may_differ_in_shape(random: Random) -> None:
    model = text_model(f"""{HEADER}
    g (bool cond, float[2,3] x) => (float[2,3] y) {{
        y, unused = If (cond) <
            then_branch = t () => (float[2,3] r, float[3,2] q) {{ r = Neg(x) q = Transpose(x) }},
            else_branch = e () => (float[2,3] r, float[2,3] q) {{ r = Abs(x) q = Identity(x) }}
        >
    }}""")
    for taken in (False, True):
        check(model, [np.array(taken), random(2, 3)], ops=["neg", "abs", "select"])


def test_branches_with_the_same_names(random: Random) -> None:
    """Each graph has names of its own; all are in the facts, those of the main graph in the mapping."""
    model = text_model(f"""{HEADER}
    g (bool cond, float[2,3] x) => (float[2,3] y) {{
        y = If (cond) <
            then_branch = t () => (float[2,3] r) {{ s = Neg(x) r = Exp(s) }},
            else_branch = e () => (float[2,3] r) {{ s = Abs(x) r = Tanh(s) }}
        >
    }}""")
    for taken in (False, True):
        result = check(model, [np.array(taken), random(2, 3)])
    assert set(result.converter.tensor_mapping()) == {"cond", "x", "y"}
    facts = result.graph.metadata["tensors"]
    sources = {str(op.type): facts.get(op.output.name, {}).get("source") for op in result.graph.operations}
    assert (sources["neg"], sources["exp"], sources["abs"], sources["tanh"]) == ("s", "r", "s", "r")


def test_nested_captures(random: Random) -> None:
    """The inner graph uses tensors of both enclosing ones."""
    model = text_model(f"""{HEADER}
    g (bool a, bool b, float[2] x) => (float[2] y) {{
        u = Neg(x)
        y = If (a) <
            then_branch = t () => (float[2] r) {{
                v = Abs(u)
                r = If (b) <
                    then_branch = tt () => (float[2] q) {{ q = Add(u, v) }},
                    else_branch = te () => (float[2] q) {{ q = Mul(x, v) }}
                >
            }},
            else_branch = e () => (float[2] r) {{ r = Identity(u) }}
        >
    }}""")
    for a in (False, True):
        for b in (False, True):
            check(model, [np.array(a), np.array(b), random(2)])


def test_refusal_inside_a_branch_names_the_operator() -> None:
    model = text_model(f"""{HEADER}
    g (float[2] x) => (float[2] y) {{
        cond = Constant<value = bool {{1}}>()
        y = If (cond) <
            then_branch = t () => (float[2] r) {{ r = local.Foo(x) }},
            else_branch = e () => (float[2] r) {{ r = Neg(x) }}
        >
    }}""")
    with pytest.raises(ConversionError, match=r"'If' is not possible: local.Foo in its body: there is no rule"):
        convert(model, [np.zeros(2, np.float32)])


LOOP = (
    HEADER
    + """
g (float[2] x) => (float[2] y, float[n, 2] all) {
    count = Constant<value_int = 3>()
    yes = Constant<value = bool {1}>()
    step = Constant<value_floats = [1.0, 10.0]>()
    y, all = Loop (COUNT, CONDITION, x) <
        body = body (int64 i, bool c, float[2] a) => (bool d, float[2] b, float[2] e) {
            k = Cast<to = 1>(i)
            s = Mul(step, k)
            b = Add(a, s)
            e = Neg(b)
            limit = Constant<value_int = 1>()
            d = LAST
        }
    >
}"""
)


@pytest.mark.parametrize(
    ("count", "condition", "last"),
    [
        ("count", "yes", "Identity(c)"),
        ("count", "", "Identity(c)"),
        ("count", "yes", "Less(i, limit)"),
        ("", "yes", "Less(i, limit)"),
    ],
)
def test_loop(random: Random, count: str, condition: str, last: str) -> None:
    text = LOOP.replace("COUNT", count).replace("CONDITION", condition).replace("LAST", last)
    result = check(text_model(text), [random(2)])
    assert "stack" in result.ops


def test_loop_without_iterations(random: Random) -> None:
    text = f"""{HEADER}
    g (float[2] x) => (float[2] y) {{
        none = Constant<value_int = 0>() yes = Constant<value = bool {{1}}>()
        y = Loop (none, yes, x) <
            body = body (int64 i, bool c, float[2] a) => (bool d, float[2] b) {{ d = Identity(c) b = Neg(a) }}
        >
    }}"""
    check(text_model(text), [random(2)], ops=["copy"])


def loop_model(
    count: str, condition: str, body: str, results: str = "y", outputs: str = "float[3] y", scanned: str = ""
) -> Any:
    """A loop that carries a number k from 1 on and a vector from x on. The body makes next, new and again."""
    extra = f", float[3] {scanned}" if scanned else ""
    return text_model(f"""{HEADER}
    g (float[3] x, int64 n, float[6] t) => ({outputs}) {{
        zero = Constant<value_int = 0>() one = Constant<value_int = 1>() five = Constant<value_int = 5>()
        ten = Constant<value_float = 10.0>() yes = Constant<value = bool {{1}}>() {count}
        k, {results} = Loop (limit, {condition}, one, x) <body = body (int64 i, bool c, int64 a, float[3] b)
            => (bool again, int64 next, float[3] new{extra}) {{ {body} }}>
    }}""")


BOUNDED = {
    "a limit": (
        "limit = Min(n, five)", "yes", "again = Identity(c) next = Add(a, one) f = Cast<to = 1>(i) new = Mul(b, f)",
    ),
    "a constant limit": (
        "limit = Constant<value_int = 4>()", "",
        "next = Add(a, one) new = Add(b, b) s = ReduceSum<keepdims = 0>(new) again = Less(s, ten)",
    ),
    "a first condition": (
        "limit = Constant<value_int = 4>() s = ReduceSum<keepdims = 0>(x) first = Less(s, ten)", "first",
        "next = Add(a, one) new = Add(b, b) q = ReduceSum<keepdims = 0>(new) again = Less(q, ten)",
    ),
    "a counter": (
        "limit = Constant<value_int = 9223372036854775807>()", "yes",
        """next = Add(a, one) new = Add(b, b) s = ReduceSum<keepdims = 0>(new) low = Less(s, ten) few = Less(next, five)
           again = And(few, low)""",
    ),
    "a counter in a branch": (
        "limit = Constant<value_int = 9223372036854775807>()", "yes",
        """next = Add(a, one) new = Add(b, b) few = Less(next, five) again = If (few) <
           then_branch = p () => (bool l) { s = ReduceSum<keepdims = 0>(new) l = Less(s, ten) },
           else_branch = o () => (bool m) { m = Not(yes) }>""",
    ),
    "a computed bound": (
        """limit = Constant<value_int = 9223372036854775807>() most = Clip(n, zero, five)
           first = Greater(n, one)""", "first",
        "next = Add(a, one) new = Add(b, b) again = LessOrEqual(next, most)",
    ),
    "the number of the round": (
        "limit = Constant<value_int = 9223372036854775807>()", "yes",
        """next = Add(a, one) f = Cast<to = 1>(next) new = Mul(b, f) s = ReduceSum<keepdims = 0>(new) low = Less(s, ten)
           few = Less(i, five) again = And(low, few)""",
    ),
    "a break before the counter": (
        "limit = Constant<value_int = 9223372036854775807>()", "yes",
        """late = GreaterOrEqual(a, n) again, next, new = If (late) <
           then_branch = p () => (bool p1, int64 p2, float[3] p3) {
               p1 = Not(yes) p2 = Identity(a) p3 = Identity(b) },
           else_branch = o () => (bool o1, int64 o2, float[3] o3) {
               v = Gather(t, a) o3 = Add(b, v) o2 = Add(a, one) o1 = Less(o2, five) }>""",
    ),
    "more rounds than items": (
        "eight = Add(five, five) limit = Min(n, eight) z = Clip(n, zero, five)", "yes",
        "v = Gather(t, i) new = Add(b, v) next = Identity(a) again = Identity(c)",
    ),
    "positions that would be wrong afterwards": (
        "limit = Constant<value_int = 5>()", "yes",
        """v = Gather(t, a) w = Cast<to = 7>(v) next = Add(a, w) new = Add(b, v) s = Size(t)
           again = Less(next, s)""",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", BOUNDED)
@pytest.mark.parametrize("n", [-1, 0, 2, 5, 6])
def test_loop_whose_end_is_computed(kind: str, n: int, random: Random) -> None:
    """As many rounds as there can be; those that onnxruntime does not make change nothing."""
    steps = np.array([1, 2, 2, 1, 3, 2], np.float32)
    for scale in (0.5, 3.0):
        model = loop_model(*BOUNDED[kind], outputs="int64 k, float[3] y")
        result = check(model, [np.abs(random(3)) * scale, np.array(n), steps])
        assert any("Loop whose end is computed" in warning for warning in result.converter.warnings)


def test_ranges_decide_branches(random: Random) -> None:
    """A condition that is computed, but can have only one value."""
    text = f"""{HEADER}
    g (float[2,3] x, int64 n) => (float[n,m] y) {{
        five = Constant<value_int = 5>() six = Constant<value_int = 6>() few = Min(n, five) c = Less(few, six)
        y = If (c) <then_branch = p () => (float[3,2] q) {{ q = Transpose(x) }},
                    else_branch = o () => (float[2,3] r) {{ r = Neg(x) }}>
    }}"""
    check(text_model(text), [random(2, 3), np.array(7)], ops=["transpose"])


def test_loops_that_cannot_be_unrolled() -> None:
    def reason(count: str, decide: str, body: str = "next = Identity(a) new = Neg(b)") -> str:
        model = loop_model(count, "yes", f"{body} {decide}")
        with pytest.raises(ConversionError) as caught:
            convert(model, [])
        return str(caught.value)

    fixed, endless = "limit = Constant<value_int = 3>()", "limit = Constant<value_int = 9223372036854775807>()"
    low = "s = ReduceSum<keepdims = 0>(b) again = Less(s, ten)"
    unbounded = "the number of iterations depends on the data, and there is no upper bound for it"
    assert unbounded in reason("limit = Identity(n)", "again = Identity(c)")
    assert unbounded in reason(endless, low)
    with within({"steps": 160}):
        counted = reason(endless, low, "next = Add(a, one) new = Neg(b)")
    assert "no upper bound for it shows in 11 rounds" in counted
    assert "more than the limit of 16,384" in reason("limit = Constant<value_int = 20000>()", "again = Identity(c)")
    growing = loop_model(fixed, "yes", f"next = Identity(a) new = Concat<axis = 0>(b, b) {low}")
    with pytest.raises(ConversionError, match="the shape of the result depends on the condition"):
        convert(growing, [])
    scanned = loop_model(fixed, "yes", f"next = Identity(a) new = Neg(b) {low}", "y, all", "float[n,3] all", "new")
    with pytest.raises(ConversionError, match="a part for each round, and their number is computed"):
        convert(scanned, [])


@pytest.mark.parametrize(
    "attributes",
    [
        "num_scan_inputs = 1",
        "num_scan_inputs = 1, scan_input_directions = [1]",
        "num_scan_inputs = 1, scan_output_directions = [1]",
        "num_scan_inputs = 1, scan_input_axes = [1], scan_output_axes = [-1]",
    ],
)
def test_scan(random: Random, attributes: str) -> None:
    width = 4 if "scan_input_axes" in attributes else 3
    text = f"""{HEADER}
    g (float[{width}] start, float[4,3] x) => (float[{width}] last, float[n,m] all) {{
        last, all = Scan <{attributes}, body = body (VECTOR s, VECTOR e) => (VECTOR t, VECTOR o) {{
            t = Add(s, e) o = Neg(t)
        }}> (start, x)
    }}"""
    check(text_model(text.replace("VECTOR", f"float[{width}]")), [random(width), random(4, 3)])


def scan_8(batch: int, lengths: str = "", attributes: str = "") -> Any:
    """Version 8: all inputs and results have a batch in front."""
    given, declared = ("n", f"<int64[{batch}] n = {{{lengths}}}>") if lengths else ("", "")
    return text_model(f"""<ir_version: 8, opset_import: ["" : 8]>
    g (float[{batch},3] start, float[{batch},4,3] x, float[{batch},4,3] w)
        => (float[{batch},3] last, float[{batch},4,3] all) {declared}
    {{
        last, all = Scan <num_scan_inputs = 2{attributes}, body = body (float[3] s, float[3] e, float[3] f)
            => (float[3] t, float[3] o) {{ u = Mul(e, f) t = Add(s, u) o = Neg(t) }}> ({given}, start, x, w)
    }}""")


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("attributes", ["", ", directions = [1, 0]", ", directions = [0, 1]"])
def test_scan_of_a_batch(random: Random, batch: int, attributes: str) -> None:
    inputs = [random(batch, 3), random(batch, 4, 3), random(batch, 4, 3)]
    check(scan_8(batch, attributes=attributes), inputs)
    check(scan_8(batch, ", ".join(["4"] * batch), attributes), inputs)


def test_scan_of_a_batch_of_shorter_sequences_is_refused(random: Random) -> None:
    with pytest.raises(ConversionError) as caught:
        convert(scan_8(2, "4, 3"), [random(2, 3), random(2, 4, 3), random(2, 4, 3)])
    assert "sequence_lens = [4, 3]" in str(caught.value)


def test_model_local_functions(random: Random) -> None:
    text = f"""{HEADER}
    g (float[2] x) => (float[2] y) {{ t = local.Twice<by = 3.0>(x) y = local.Twice(t) }}
    <opset_import: ["" : 17], domain: "local">
    Twice <by: float = 2.0> (a) => (b) {{ k = Constant<value_float: float = @by>() b = Mul(a, k) }}
    """
    check(text_model(text), [random(2)], ops=["mul", "mul"])


def test_function_bodies_of_operators(random: Random) -> None:
    """Operators without a rule are converted by what onnx defines them to be."""
    from .checks import check_node

    check_node("MeanVarianceNormalization", [random(2, 3, 4, 5)], opset=13, rtol=1e-4, atol=1e-5)
    result = check_node("SoftmaxCrossEntropyLoss", [random(3, 5), np.array([1, 0, 4])], opset=13, rtol=1e-4, atol=1e-5)
    assert len(result.ops) > 3
