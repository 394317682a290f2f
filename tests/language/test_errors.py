"""Every check of the language (S1 to S11 of the standard's checklist) and every text that crashes other parsers."""

from __future__ import annotations

import pytest

from nnef_tools.errors import ParseError
from nnef_tools.language.elaborate import build_graph
from nnef_tools.language.parser import parse, parse_fragments
from nnef_tools.model.graph import Graph

FLAT = "version 1.0; "
EXT = FLAT + "extension KHR_enable_fragment_definitions, KHR_enable_operator_expressions; "
X = "x = external(shape = [1, 4]); "


def read(text: str, decomposed: tuple[str, ...] = ()) -> Graph:
    graph = build_graph(parse(text, "model.nnef"), decomposed=decomposed)
    graph.assert_consistent()
    return graph


def graph(body: str, *, inputs: str = "x", outputs: str = "y", head: str = FLAT) -> str:
    return f"{head}graph net({inputs}) -> ({outputs}) {{ {X if inputs == 'x' else ''}{body} }}"


def ext(body: str, fragments: str = "", outputs: str = "y") -> str:
    return graph(body, outputs=outputs, head=EXT + fragments)


def fragment(text: str) -> str:
    return ext("y = relu(x);", text + " ")


def decl(text: str) -> str:
    return fragment("fragment f" + text)


REJECTED: dict[str, list[tuple[str, str]]] = {
    "S1": [
        ("", "begins with its version"),
        ("graph net(x) -> (y) { }", "begins with its version"),
        ("version 2.0; graph g(x) -> (y) { y = relu(x); }", "version '2.0' is not supported"),
        ("version 1; graph g(x) -> (y) { y = relu(x); }", "version '1' is not supported"),
        ("version 1.0.5; graph g(x) -> (y) { y = relu(x); }", "expected ';'"),
        ("version 1.0 graph", "expected ';'"),
        ("version 1.0; extension VENDOR_thing; graph g(x) -> (y) { }", "unknown extension 'VENDOR_thing'"),
        (FLAT, "expected 'graph', found the end"),
        (FLAT + "graph g() -> (y) { y = relu(y); }", "at least one input"),
        (FLAT + "graph g(x) -> () { y = relu(y); }", "at least one output"),
        (FLAT + "graph g(x) -> (y) { }", "at least one assignment"),
        (FLAT + "graph g(x,) -> (y) { }", "expected a name"),
        (FLAT + "graph g(x) -> (y) { " + X, "expected an assignment or '}'"),
        (graph("y = relu(x)"), "expected ';'"),
        (graph("y = relu(x;"), "expected ',' or ')'"),
        (graph("y = relu(x,);"), "expected a value"),
        (graph("y = relu(x); } extra"), "after the graph"),
        (graph("graph = relu(x);"), "expected a name"),
        (graph("y = transpose(x, axes = [0, 1);"), "expected ',' or ']'"),
        (graph("y = pad(x, padding = [(1), (1)]);"), "parenthesized expression is not enabled"),
        (graph("y = pad(x, padding = [()]);"), "expected a value"),
        (graph("y = copy(@);"), "character '@'"),
        (graph("y = copy(\x00);"), "U+0000"),
        (graph("y = \u00e9(x);"), "not allowed"),
        (graph("y = elu(x, alpha = .5);"), "character '.'"),
        (graph("y = elu(x, alpha = 1e);"), "expected ',' or ')'"),
        (graph("y = elu(x, alpha = 0x1);"), "expected ',' or ')'"),
        (graph("y = elu(x, alpha = 1e999);"), "out of the range of double"),
        (graph("y = copy(x) y = copy(x);"), "expected ';'"),
        (graph("y = pad(x, padding = [], border = 'constant);"), "string that does not end"),
        (graph("y = pad(x, padding = [], border = 'con\nstant');"), "string that does not end"),
        (graph("y = squeeze(x, axes = [9223372036854775808]);"), "64 bits"),
        (graph("y = squeeze(x, axes = [-9223372036854775809]);"), "64 bits"),
        (graph("y = x;"), "must be an operation"),
        (graph("y = 1.0;"), "must be an operation"),
        (graph("y = relu(relu(x));"), "a nested operation is not enabled"),
        (graph("y = add(x, x + x);"), "operator '+' is not enabled"),
        (graph("y = neg(-x);"), "unary '-' is not enabled"),
        (graph("y = concat([for i in [1] yield x], axis = 0);"), "array comprehension is not enabled"),
        (graph("y = relu(x[0]);"), "a subscript is not enabled"),
        (graph("y = relu(x if true else x);"), "if-else is not enabled"),
        (graph("y = squeeze(x, axes = range_of([1]));"), "'range_of' is not enabled"),
        (FLAT + "fragment f(x: tensor<scalar>) -> (y: tensor<scalar>); graph", "fragment declarations are not enabled"),
    ],
    "S2": [
        (graph("y = relu(x);", outputs="y, y"), "already an output"),
        (FLAT + "graph g(x, x) -> (y) { y = relu(x); }", "already an input"),
        (FLAT + "graph g(x) -> (x) { x = external(shape = [1]); }", "already an input"),
        (decl("(x: tensor<scalar>, x: integer) -> (y: tensor<scalar>);"), "another parameter"),
        (decl("(x: tensor<scalar>) -> (x: tensor<scalar>);"), "another parameter"),
        (fragment("fragment f(x: tensor<scalar>) -> (y: tensor<scalar>);" * 2), "declared twice"),
        (fragment("fragment relu(x: tensor<scalar>) -> (y: tensor<scalar>);"), "name of a standard operation"),
    ],
    "S3": [
        (decl("(a: integer, x: tensor<scalar>) -> (y: tensor<scalar>);"), "comes after attribute 'a'"),
        (decl("(x: tensor<scalar>) -> (y: scalar);"), "is not a tensor"),
        (decl("(x: tensor<scalar>) -> (y: (tensor<scalar>, scalar));"), "either tensors only"),
        (decl("(x: tensor<>) -> (y: tensor<>);"), "unbound"),
        (decl("(x: tensor<?>) -> (y: tensor<?>);"), "outside a generic fragment"),
        (decl("<?>(x: tensor<scalar>) -> (y: tensor<scalar>);"), "uses the type '?'"),
        (decl("(x: tensor<scalar>, a: scalar = 1) -> (y: tensor<scalar>);"), "default value of type integer"),
        (decl("(x: tensor<scalar>, a: integer = x) -> (y: tensor<scalar>);"), "default value is a literal"),
        (decl("(x: tensor<scalar>, a: (integer)) -> (y: tensor<scalar>);"), "two items or more"),
        (decl("(x: tensor<float>) -> (y: tensor<scalar>);"), "expected a type, found 'float'"),
        (decl("() -> (y: tensor<scalar>);"), "at least one parameter"),
        (decl("(x: tensor<scalar>) -> ();"), "expected a name"),
        (decl("(x: tensor<scalar>) -> (y: tensor<scalar>) { z = x; }"), "'y' of fragment 'f' is not assigned"),
        (decl("(x: tensor<scalar>) -> (y: tensor<scalar>) { x = x; y = x; }"), "parameter and cannot"),
        (decl("(x: tensor<scalar>) -> (y: tensor<logical>) { y = x; }"), "result 'y' of type"),
        (decl("(x: tensor<scalar>) -> (y: tensor<scalar>) { y = nosuch(x); }"), "'nosuch' is not defined"),
    ],
    "S4": [
        (graph("y = rleu(x);"), "operation 'rleu' is not defined"),
        (ext("y = late(x);", "fragment a(x: tensor<scalar>) -> (y: tensor<scalar>) { y = late(x); } "
             "fragment late(x: tensor<scalar>) -> (y: tensor<scalar>) { y = x; } "), "'late' is not defined"),
        (graph("y = relu(x, foo = 1);"), "no parameter 'foo'"),
        (graph("y = elu(x, alpha = 1.0, alpha = 2.0);"), "given twice"),
        (graph("y = elu(x, x = x);"), "given twice"),
        (graph("y = relu(x, x);"), "no more than 1 positional"),
        (graph("y = elu(x, 1.0);"), "must be named"),
        (graph("y = leaky_relu(x);"), "argument 'alpha' of 'leaky_relu' is missing"),
        (graph("y = add(x);"), "argument 'y' of 'add' is missing"),
        (graph("y = add(x = x, x);"), "positional argument cannot follow"),
        (graph("y = relu();"), "is missing"),
    ],
    "S5": [
        (graph("y = elu(x, alpha = 1);"), "cannot be integer"),
        (graph("y = softmax(x, axes = [1.0]);"), "cannot be scalar[]"),
        (graph("y = softmax(x, axes = 1);"), "cannot be integer"),
        (graph("y = softmax(x, axes = [1, 'a']);"), "different types"),
        (graph("y = softmax(x, axes = x);"), "cannot be tensor<scalar>"),
        (graph("y = add(x, 1);"), "cannot be integer"),
        (graph("y = add(x, [1.0]);"), "cannot be scalar[]"),
        (graph("y = not(x);"), "cannot be tensor<scalar>"),
        (graph("y = constant(shape = [1], value = [1]);"), "cannot be integer[]"),
        (graph("y = select(lt(x, x), x, 1);", head=EXT), "ambiguous: integer or scalar"),
        (graph("y = cast(x);"), "does not follow"),
        (graph("y = concat([], axis = 0);"), "does not follow"),
        (graph("y = relu<scalar>(x);"), "not generic"),
        (graph("y = copy<integer>(x);"), "cannot be tensor<scalar>"),
        (graph("c = lt(x, x); y = eq(c, c);"), "cannot be tensor<logical>"),
        (graph("y = transpose(x, axes = [[0]]);"), "cannot be integer[][]"),
        (graph("y = pad(x, padding = [(1, 1, 1)]);"), "cannot be"),
        (ext("y = x if 1 else x;"), "condition is integer"),
        (ext("y = x if x > 0.0 else x;"), "condition is tensor<logical>"),
        (ext("y = x if true else [x];"), "if-else between"),
        (ext("y = x + 1;"), "cannot be applied to tensor<scalar> and integer"),
        (ext("y = elu(x, alpha = 1.0 + 1);"), "cannot be applied to scalar and integer"),
        (ext("y = (!x);"), "unary '!'"),
        (ext("y = relu(moments(x, axes = [0]));"), "more than one result"),
        (ext("y = concat(split(x, axis = 0, ratios = [1, 1]), axis = 0);"), "more than one result"),
        (ext("y = squeeze(x, axes = length_of(x));"), "takes an array or a string"),
        (ext("y = reshape(x, shape = shape_of(x));"), "deprecated"),
        (ext("y = squeeze(x, axes = [for x in [1] yield x]);"), "already defined"),
        (ext("y = squeeze(x, axes = [for i in 3 yield i]);"), "runs over an array"),
        (ext("y = squeeze(x, axes = [for i in [1] if i yield i]);"), "condition is integer"),
        (ext("y = squeeze(x, axes = [for (i, j) in [1] yield i]);"), "2 names for items"),
        (ext("y = squeeze(x, axes = [for i in [1], j in [1, 2] yield i]);"), "different lengths: 1, 2"),
        (ext("y = f(x);", "fragment f<?>(x: tensor<?>) -> (y: tensor<?>) { y = relu(x); } "), "cannot be tensor<?>"),
    ],
    "S6": [
        (graph("y = moments(x, axes = [0]);"), "must be a single tensor"),
        (graph("a, b, c = moments(x, axes = [0]); y = copy(a);"), "3 names on the left side for 2"),
        (graph("[a, b] = moments(x, axes = [0]); y = copy(a);"), "cannot take (tensor<scalar>, tensor<scalar>)"),
        (graph("y, b = split(x, axis = 0, ratios = [1, 1]);"), "cannot take tensor<scalar>[]"),
        (graph("y = split(x, axis = 0, ratios = [1, 1]);"), "must be a single tensor"),
        (graph("y, z = relu(x);"), "cannot take tensor<scalar>"),
        (graph("y = relu(x); y = relu(x);"), "assigned twice"),
        (graph("x = relu(x); y = relu(x);"), "assigned twice"),
        (graph("y = relu(z); z = relu(x);"), "'z' is not defined"),
        (graph("y = relu(y);"), "'y' is not defined"),
        (ext("[y, y] = [relu(x), x];"), "assigned twice"),
        (ext("y = [x, x];"), "must be a single tensor"),
    ],
    "S7": [
        (graph("y = relu(x); z = external(shape = [1]);"), "no input of the graph"),
        (graph("y = external(shape = [1]);"), "no input of the graph"),
        (FLAT + "graph g(x) -> (y) { x = variable(shape = [1], label = 'x'); y = relu(x); }", "come from external"),
        (FLAT + "graph g(x, z) -> (y) { x = external(shape = [1]); y = relu(x); }", "input 'z' of the graph"),
        (graph("z = relu(x);"), "output 'y' of the graph is not assigned"),
        (ext("y = relu(external(shape = [1]));"), "cannot be used inside an expression"),
        (decl("(x: tensor<scalar>) -> (y: tensor<scalar>) { y = external(shape = [1]); }"), "inside a fragment"),
        (decl("(x: tensor<scalar>) -> (y: tensor<scalar>) { y = variable(shape = [], label = 'a'); }"), "inside a"),
        (decl("(x: tensor<scalar>) -> (y: tensor<scalar>) { y = update(x, x); }"), "inside a fragment"),
        (graph("y = update(x, x);"), "must be the result of 'variable'"),
        (graph("v = variable(shape = [1, 4], label = 'v'); y = update(v, x); z = update(v, y);"), "updated twice"),
    ],
    "S8": [
        (graph("v = variable(shape = [1], label = ''); y = add(x, v);"), "attribute 'label'"),
        (graph("v = variable(shape = [1], label = 'a b'); y = add(x, v);"), "attribute 'label'"),
        (graph("v = variable(shape = [1], label = 'A'); w = variable(shape = [2], label = 'a'); y = add(v, w);"),
         "label 'a' has shape"),
    ],
    "S9": [
        (graph("y = conv(x, x, border = 'foo');"), "'foo' is none of"),
        (graph("y = conv(x, x, border = 'ignore');"), "'ignore' is none of"),
        (graph("y = conv(x, x, stride = [0]);"), "0 is less than 1"),
        (graph("y = conv(x, x, stride = [1], dilation = [1, 1]);"), "2 items"),
        (graph("y = conv(x, x, groups = -1);"), "-1 is less than 0"),
        (graph("y = box(x, size = [0, 1]);"), "0 is less than 1"),
        (graph("y = box(x, size = [1, 1], padding = [(1, 1)]);"), "'padding'"),
        (graph("y = sum_reduce(x, axes = [1, 1]);"), "occurs twice"),
        (graph("y = sum_reduce(x, axes = [-1]);"), "negative"),
        (graph("y = transpose(x, axes = [1, 2]);"), "not a permutation"),
        (graph("y = reshape(x, shape = [-1, -1]);"), "more than one item is -1"),
        (graph("y = reshape(x, shape = [-2]);"), "less than -1"),
        (graph("y = slice(x, axes = [0], begin = [0], end = [1], stride = [0]);"), "stride is 0"),
        (graph("y = slice(x, axes = [0], begin = [0, 1], end = [1]);"), "2 items for 1 axes"),
        (graph("y = tile(x, repeats = [0, 1]);"), "less than 1"),
        (graph("[y] = split(x, axis = 0, ratios = []);"), "it is empty"),
        (graph("[y] = split(x, axis = 0, ratios = [0]);"), "less than 1"),
        (graph("y = nearest_upsample(x, factor = [0]);"), "less than 1"),
        (graph("y = multilinear_upsample(x, factor = [2], method = 'cubic');"), "'cubic' is none of"),
        (graph("y = pad(x, padding = [(0, 0), (0, 0)], border = 'ignore');"), "'ignore' is none of"),
        (graph("[y] = copy_n(x, times = 0);"), "less than 1"),
        (graph("y = linear_quantize(x, 0.0, 1.0, bits = 65);"), "65 does not lie in [1, 64]"),
        (FLAT + "graph g(x) -> (y) { x = external(shape = [0]); y = relu(x); }", "less than 1"),
    ],
    "S11": [
        (graph("y = constant(shape = [2, 2], value = [1.0, 2.0]);"), "2 items for a volume of 4"),
        (graph("y = constant(shape = [2, 2], value = []);"), "0 items"),
        (graph("y = constant(shape = [0], value = [1.0]);"), "less than 1"),
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("check", "text", "message"), [(check, *case) for check, cases in REJECTED.items() for case in cases]
)
def test_rejected(check: str, text: str, message: str) -> None:
    with pytest.raises(ParseError) as caught:
        read(text)
    assert message in str(caught.value)
    assert caught.value.filename == "model.nnef"
    assert caught.value.line >= 1
    assert caught.value.column >= 1
    assert str(caught.value).splitlines()[2].strip() == "^"


def test_position_of_a_repeated_literal() -> None:
    with pytest.raises(ParseError) as caught:
        read(graph("a = softmax(x, axes = [1]); b = elu(a, alpha = 1.5); y = squeeze(b, axes = 1.5);"))
    source, caret = caught.value.details
    assert caret.index("^") == source.index("axes = 1.5") + 7


def test_position_and_caret() -> None:
    with pytest.raises(ParseError) as caught:
        read("version 1.0;\r\n# c\rgraph g(x) -> (y)\n{\n\tx = external(shape = [1]);\n\ty = rleu(x);\n}\n")
    error = caught.value
    assert (error.line, error.column) == (6, 6)
    assert str(error).splitlines() == [
        "model.nnef:6:6: operation 'rleu' is not defined",
        " y = rleu(x);",
        "     ^",
        "hint: did you mean 'relu'?",
    ]


@pytest.mark.parametrize(
    ("body", "hint"),
    [
        ("y = rleu(x);", "'relu'"),
        ("y = conv(x, x, strid = [1]);", "'stride'"),
        ("input1 = relu(x); y = relu(imput1);", "'input1'"),
        ("y = elu(x, alpha = 2);", "write 2.0"),
        ("y = elu(x, 2.0);", "alpha = ..."),
        ("y = add(x, [1.0]);", "constant(...)"),
        ("y = select(x, x, x);", "cast<logical>"),
        ("y = relu(relu);", "relu(...)"),
        ("y = relu(relu(x));", "extension KHR_enable_operator_expressions;"),
    ],
)
def test_hints(body: str, hint: str) -> None:
    with pytest.raises(ParseError) as caught:
        read(graph(body))
    assert caught.value.hint is not None
    assert hint in caught.value.hint


NEST = 100_000
CRASHES: dict[str, str] = {
    "1 call on the left": ext("relu(y) = relu(x);"),
    "1 minus on the left": ext("-y = relu(x);"),
    "1 minus in a left array": ext("[y, -z] = [x, x];"),
    "1 comprehension on the left": ext("[for i in [1] yield y] = [x];"),
    "2 external<?>": FLAT + "graph g(x) -> (y) { x = external<?>(shape = [1]); y = relu(x); }",
    "2 copy<?>": graph("y = copy<?>(x);"),
    "2 cast<?>": graph("y = cast<?>(x);"),
    "3 subscript of a call": ext("y = moments(x, axes = [0])[5];"),
    "3 subscript of a tuple": ext("y = elu(x, alpha = (1.0, 2.0)[7]);"),
    "4 left array longer": ext("[y, z] = [relu(x)];"),
    "4 left array shorter": ext("[y] = [relu(x), x];"),
    "5 nested [": graph("y = concat(" + "[" * NEST + "x" + "]" * NEST + ", axis = 0);"),
    "5 nested (": ext("y = " + "(" * NEST + "x" + ")" * NEST + ";"),
    "5 nested -": ext("y = " + "-" * NEST + "x;"),
    "5 nested - after ^": ext("y = x ^ " + "-" * NEST + "x;"),
    "5 nested calls": ext("y = " + "relu(" * NEST + "x" + ")" * NEST + ";"),
    "5 nested if": ext("y = " + "x if true else " * NEST + "x;"),
    "5 nested types": decl("(x: " + "(" * NEST + "integer) -> (y: tensor<scalar>);"),
    "5 nested array types": decl("(x: integer" + "[]" * NEST + ") -> (y: tensor<scalar>);"),
    "5 nested left": ext("[" * NEST + "y = x;"),
    "8 division by zero": ext("y = squeeze(x, axes = [1 / 0]);"),
    "8 overflow": ext("y = squeeze(x, axes = [9223372036854775807 + 1]);"),
    "8 power": ext("y = squeeze(x, axes = [10 ^ 10 ^ 10]);"),
    "8 scalar power": ext("y = elu(x, alpha = (-1.0) ^ 0.5);"),
    "10 negative repeat": ext("y = squeeze(x, axes = [1] * -1);"),
    "10 huge repeat": ext("y = squeeze(x, axes = [1] * 1000000000);"),
    "10 huge string": ext("y = pad(x, padding = [], border = 'a' * 1000000000);"),
    "10 huge loop": ext("y = concat([for i in [1] * 100000 yield x] + [for i in [1] * 999999 yield x]"
                        " + [for i in [1] * 999999 yield x], axis = 0);"),
    "10 many operations": ext("y = add_n([for i in [1] * 500000 yield relu(x)]);"),
    "10 much searching": ext("y = squeeze(x, axes = [for i in [1] * 100000 if i in [2] * 100000 yield i]);"),
    "13 string == string": ext("y = x if 'a' == 1 else x;"),
    "13 1 < 2.0": ext("y = x if 1 < 2.0 else x;"),
    "13 string range out of range": ext("y = pad(x, padding = [], border = string(12)[9:]);"),
    "14 string * string": ext("y = pad(x, padding = [], border = 'a' * 'b');"),
    "14 integer * array": ext("y = squeeze(x, axes = 2 * [1]);"),
    "index out of range": ext("y = squeeze(x, axes = [[1][3]]);"),
    "negative index": ext("y = squeeze(x, axes = [[1][-1]]);"),
    "cast of junk": ext("y = squeeze(x, axes = [integer('12x')]);"),
    "literal out of single precision": graph("y = add(x, 1e300);"),
}  # fmt: skip


@pytest.mark.parametrize("name", list(CRASHES))
def test_texts_that_crash_others_give_one_clean_error(name: str) -> None:
    with pytest.raises(ParseError) as caught:
        read(CRASHES[name])
    assert caught.value.message
    assert len(str(caught.value)) < 1000


def test_crash_4_fitting_arrays() -> None:
    assert [op.type for op in read(ext("[y, z] = [relu(x), x];")).operations] == ["external", "relu", "copy"]


def test_crash_6_a_sum_of_20000_terms() -> None:
    result = read(ext("y = " + " + ".join(["x"] * 20_000) + ";"))
    assert len(result.operations) == 20_000
    assert result.outputs[0].name == "y"
    assert (
        read(ext("y = elu(x, alpha = " + " + ".join(["1.0"] * 20_000) + ");")).operations[1].attribs["alpha"]
        == 20_000.0
    )


def test_crash_7_endless_recursion() -> None:
    text = ext("y = f(x);", "fragment f(x: tensor<scalar>) -> (y: tensor<scalar>) { y = f(x); } ")
    assert [op.type for op in read(text).operations] == ["external", "f"]
    with pytest.raises(ParseError, match="expands deeper than 64 levels"):
        read(text, ("f",))


@pytest.mark.parametrize("leaf", ["relu(x)", "x"])
def test_crash_9_exponential_expansion(leaf: str) -> None:
    text = f"fragment f0(x: tensor<scalar>) -> (y: tensor<scalar>) {{ y = {leaf}; }} "
    for k in range(1, 31):
        text += f"fragment f{k}(x: tensor<scalar>) -> (y: tensor<scalar>) {{ y = f{k - 1}(f{k - 1}(x)); }} "
    with pytest.raises(ParseError, match=r"more than \d+"):
        read(ext("y = f30(x);", text), tuple(f"f{k}" for k in range(31)))


def test_crash_10_negative_times() -> None:
    with pytest.raises(ParseError, match="cannot repeat"):
        read(ext("[y] = f(x, n = -1);", "fragment f(x: tensor<scalar>, n: integer) -> (y: tensor<scalar>[])"
                 " { y = copy_n(x, times = n); } "), ("f", "copy_n"))  # fmt: skip


def test_crash_13_comparisons_of_one_type() -> None:
    body = "y = x if 'a' == 'b' || true == false || [1] != [1] else relu(x);"
    assert [op.type for op in read(ext(body)).operations] == ["external", "relu"]


def test_crash_2_generic_marker_inside_generic_fragments() -> None:
    text = ext("y = f(x);", "fragment f<?>(x: tensor<?>) -> (y: tensor<?>) { y = copy<?>(x); } ")
    assert [op.type for op in read(text, ("f",)).operations] == ["external", "copy"]


def test_unknown_number_of_results_inside_a_fragment() -> None:
    fragments = (
        "fragment f(x: tensor<scalar>) -> (y: tensor<scalar>) { a = split(x, axis = 0, ratios = [1, 1]); y = a[0]; } "
    )
    with pytest.raises(ParseError, match="number of results of 'split' is not known"):
        read(ext("y = f(x);", fragments), ("f",))


def test_errors_inside_expansions_name_the_call() -> None:
    fragments = "fragment f(x: tensor<scalar>, n: integer) -> (y: tensor<scalar>) { y = squeeze(x, axes = [1 / n]); } "
    with pytest.raises(ParseError) as caught:
        read(ext("y = f(x, n = 0);", fragments), ("f",))
    assert "division by zero" in str(caught.value)
    assert "in the expansion of 'f' at model.nnef:1:" in str(caught.value)


def test_fragments_only() -> None:
    with pytest.raises(ParseError, match="expected 'fragment'"):
        parse_fragments("version 1.0;")
    with pytest.raises(ParseError, match=r"expected '\{'"):
        parse_fragments("fragment f(x: tensor<scalar>) -> (y: tensor<scalar>)")
