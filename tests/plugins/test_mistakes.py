"""Every kind of mistake in a plugin ends with exit status 5, and names module, table, key and the plugin's own line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

import nnef_tools
from nnef_tools import plugins
from nnef_tools.cli.main import main
from nnef_tools.errors import ConversionError, ExecutionError, PluginError

from ..support.onnx_models import Typed, onnx_model

HEAD = """import numpy as np
from nnef_tools import Transform
def helper(converter, x):
    return x.no_such_thing
def numeric(converter, x):
    return np.take(np.zeros(2), 7)
def endless(converter, x):
    return endless(converter, x)
"""
TRANSFORM = '"swish", inputs="!I[0]", outputs="!O[0]"'
TABLES = {
    "CUSTOM_TRANSFORMS": f'{{"Swish": Transform({TRANSFORM}, attribs={{"beta": "!beta"}}, custom=True)}}',
    "CUSTOM_SHAPES": '{"swish": lambda x, beta: x}',
    "CUSTOM_FRAGMENTS": '{"swish": "fragment swish(x: tensor<scalar>, beta: scalar) -> (y: tensor<scalar>);"}',
    "CUSTOM_OPTIMIZERS": '{("swish", "relu"): lambda swish, relu: False}',
    "CUSTOM_OPERATORS": '{"swish": lambda x, beta: x}',
}
OPTIONS = {
    "CUSTOM_TRANSFORMS": "--custom-converters",
    "CUSTOM_SHAPES": "--custom-shapes",
    "CUSTOM_FRAGMENTS": "--custom-fragments",
    "CUSTOM_OPTIMIZERS": "--custom-optimizers",
}


def swish(fields: str) -> str:
    return f'{{"Swish": Transform({fields})}}'


def declared(text: str) -> str:
    return f'{{"swish": "fragment {text}"}}'


MISTAKES = [
    ("CUSTOM_TRANSFORMS", swish(f'{TRANSFORM}, attribs={{"beta": "!betta"}}'), "NameError: name 'betta'"),
    ("CUSTOM_TRANSFORMS", swish(f'{TRANSFORM}, attribs={{"beta": "!helper(I[0])"}}'), "4: return x.no_such_thing"),
    ("CUSTOM_TRANSFORMS", swish(f'{TRANSFORM}, attribs={{"beta": "!numeric(I[0])"}}'), "6: return np.take("),
    ("CUSTOM_TRANSFORMS", swish(f'{TRANSFORM}, attribs={{"beta": "!endless(I[0])"}}'), "8: return endless("),
    ("CUSTOM_TRANSFORMS", swish(f'{TRANSFORM}, attribs={{"beta": "!beta +"}}'), "not a Python expression: 'beta +'"),
    ("CUSTOM_TRANSFORMS", swish(f'{TRANSFORM}, attribs={{"beta": "!object()"}}'), "gives what no model can carry"),
    ("CUSTOM_TRANSFORMS", swish(f'{TRANSFORM}, attribs={{"beta": helper}}'), "gives what no model can carry"),
    ("CUSTOM_TRANSFORMS", swish(f'{TRANSFORM}, attribs={{"beta": [1j]}}'), "gives what no model can carry"),
    ("CUSTOM_TRANSFORMS", swish(f'{TRANSFORM}, attribs={{"be ta": 1.0}}'), "a name that no model can carry"),
    ("CUSTOM_TRANSFORMS", swish(f'{TRANSFORM}, attribs={{"gamma": 1.0}}'), "'swish' has no attribute 'gamma'"),
    ("CUSTOM_TRANSFORMS", swish(TRANSFORM), "'swish' needs the attribute 'beta'"),
    ("CUSTOM_TRANSFORMS", swish(f'{TRANSFORM}, attribs=["beta"]'), "'attribs' must be a dict"),
    ("CUSTOM_TRANSFORMS", swish(f'{TRANSFORM}, cond={{"!gamma": "x"}}'), "NameError: name 'gamma'"),
    ("CUSTOM_TRANSFORMS", swish('"swish", inputs=3, outputs="!O[0]"'), "must give a tensor, got 3"),
    ("CUSTOM_TRANSFORMS", swish('"swish", inputs="!I[1]", outputs="!O[0]"'), "IndexError"),
    ("CUSTOM_TRANSFORMS", swish('"swish", inputs="!I[0]", outputs="!I[0]"'), "must be a tensor of O"),
    ("CUSTOM_TRANSFORMS", swish('"!3", inputs="!I[0]", outputs="!O[0]"'), "must give a string or None, got 3"),
    ("CUSTOM_TRANSFORMS", '{"Swish": "swish"}', "expected a Transform"),
    ("CUSTOM_SHAPES", '{"swish": lambda x, beta: x[9]}', "IndexError"),
    ("CUSTOM_SHAPES", '{"swish": lambda x, gamma: x}', "TypeError"),
    ("CUSTOM_SHAPES", '{"swish": lambda x, beta: None}', "shape function gave None"),
    ("CUSTOM_SHAPES", '{"swish": lambda x, beta: [1.5, 2]}', "shape function gave [1.5, 2]"),
    ("CUSTOM_SHAPES", '{"swish": lambda x, beta: "12"}', "shape function gave '12'"),
    ("CUSTOM_SHAPES", '{"swish": lambda x, beta: [-1, 3]}', "shape function gave [-1, 3]"),
    ("CUSTOM_SHAPES", '{"swish": lambda x, beta: (x, x)}', "has 1 results, its shape function gives 2"),
    ("CUSTOM_FRAGMENTS", declared("swish(x: tensor<scalar>) -> (y: tensor<scalar>) { y = ; }"), "expected a value"),
    ("CUSTOM_FRAGMENTS", declared("swash(x: tensor<scalar>) -> (y: tensor<scalar>);"), "declares 'swash', not 'swish'"),
    ("CUSTOM_FRAGMENTS", declared("swish(x: tensor<scalar>) -> (y: tensor<scalar>) { y = no(x); }"), "'no' is not def"),
    ("CUSTOM_OPTIMIZERS", '{("swish", "relu"): lambda swish, relu: relu.nothing}', "AttributeError"),
    ("CUSTOM_OPTIMIZERS", '{("swish", "relu"): lambda swish, relu: None}', "gives no replacement"),
]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """x [2, 8] -> com.example.Swish -> Relu -> y."""
    nodes = [
        helper.make_node("Swish", ["x"], ["a"], domain="com.example", beta=1.5),
        helper.make_node("Relu", ["a"], ["y"]),
    ]
    model = onnx_model(nodes, {"x": [2, 8]}, {"y": Typed(np.float32)}, domains=["com.example"])
    onnx.save(model, tmp_path / "model.onnx")
    return tmp_path / "model.onnx"


def write(folder: Path, **changes: str | None) -> Path:
    """A plugin of all tables, with other ones or without some."""
    lines = [f"{name} = {text}" for name, text in {**TABLES, **changes}.items() if text is not None]
    path = folder / "plugin.py"
    path.write_text(HEAD + "\n".join(lines) + "\n")
    return path


def convert(model: Path, plugin: Path, capfd: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """The exit status, and what is printed on standard error, where lines of the plugin are `plugin.py:line: code`."""
    options = [text for option in OPTIONS.values() for text in (option, str(plugin))]
    status = main(["convert", str(model), str(model.with_name("out.nnef")), "--optimize", *options])
    return status, capfd.readouterr().err.replace(str(plugin), "plugin.py")


@pytest.mark.parametrize(("table", "text", "message"), MISTAKES)
def test_mistakes(
    table: str, text: str, message: str, model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    plugin = write(tmp_path, **{table: text})
    status, err = convert(model, plugin, capfd)
    assert status == 5, err
    key = "('swish', 'relu')" if table == "CUSTOM_OPTIMIZERS" else "'Swish'" if "TRANS" in table else "'swish'"
    assert err.startswith(f"error: plugin.py.{table}[{key}]")
    assert message in err
    line = plugin.read_text().splitlines().index(f"{table} = {text}") + 1
    if table != "CUSTOM_FRAGMENTS" and "expected a Transform" not in message:
        assert f"plugin.py:{line}: {table} = " in err
    assert not model.with_name("out.nnef").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def broken(:", "SyntaxError: invalid syntax"),
        ("X = undefined", "NameError: name 'undefined' is not defined"),
        ("X = Transform(typ='relu')", "TypeError"),
        ("X = np.take(np.zeros(2), 7)", "IndexError"),
    ],
)
def test_modules_that_do_not_load(
    text: str, message: str, model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    plugin = tmp_path / "plugin.py"
    plugin.write_text(HEAD + text + "\n")
    status, err = convert(model, plugin, capfd)
    assert status == 5
    assert message in err and f"plugin.py:9: {text}" in err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"swish": lambda x, beta: x.nothing}', "AttributeError"),
        ('{"swish": lambda x: x}', "TypeError"),
        ('{"swish": lambda x, beta: ()}', "it returned 0 results where 1 are needed"),
    ],
)
@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_operators(
    text: str, message: str, backend: str, model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    plugin = write(tmp_path, CUSTOM_OPERATORS=text)
    assert convert(model, plugin, capfd)[0] == 0
    target = str(model.with_name("out.nnef"))
    options = ["--backend", backend, "--random", "uniform(0, 1)", "--output-path", str(tmp_path)]
    status = main(["execute", target, *options, "--custom-operators", str(plugin)])
    err = capfd.readouterr().err.replace(str(plugin), "plugin.py")
    assert status == 5, err
    assert err.startswith("error: plugin.py.CUSTOM_OPERATORS['swish']") and message in err
    assert f"plugin.py:13: CUSTOM_OPERATORS = {text}" in err


def test_errors_are_those_of_the_stage_too(model: Path, tmp_path: Path) -> None:
    plugin = write(tmp_path, CUSTOM_TRANSFORMS=swish(f'{TRANSFORM}, attribs={{"beta": "!betta"}}'))
    with pytest.raises(ConversionError, match="Could not evaluate attribute 'beta' while converting operator 'Swish'"):
        nnef_tools.convert_model(model, tmp_path / "out.nnef", custom_converters=[str(plugin)])
    text = "version 1.0; graph net(x) -> (y) { x = external(shape = [2]); y = relu(x); }"
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "graph.nnef").write_text(text)
    with pytest.raises(ExecutionError) as caught:
        x = np.zeros(2, np.float32)
        nnef_tools.run_model(tmp_path / "net", [x], custom_operators={"relu": lambda: x})
    assert isinstance(caught.value, PluginError)


def test_tables_that_are_missing(model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    plugin = write(tmp_path, CUSTOM_OPTIMIZERS=None)
    status, err = convert(model, plugin, capfd)
    assert status == 0
    lines = [line for line in err.splitlines() if "warning" in line]
    assert lines == ["warning: plugin 'plugin.py' has no CUSTOM_OPTIMIZERS"]
    plugin = tmp_path / "other.py"
    plugin.write_text("")
    assert plugins.missing_tables([str(plugin)], "CUSTOM_SHAPES") == [f"plugin '{plugin}' has no CUSTOM_SHAPES"]


def test_a_refusal_names_tables_that_are_missing(
    model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    status, err = convert(model, write(tmp_path, CUSTOM_SHAPES=None), capfd)
    assert status == 3
    assert "plugin 'plugin.py' has no CUSTOM_SHAPES" in err


def test_what_never_matched(model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """One warning for all transforms, one for all optimizers."""
    fields = f'{TRANSFORM}, attribs={{"beta": "!beta"}}'
    plugin = write(
        tmp_path,
        CUSTOM_TRANSFORMS=f'{{k: Transform({fields}) for k in ("Foo", ("Bar", "Baz"), ("Qux", "Swish"))}}',
        CUSTOM_OPTIMIZERS='{("conv",): None.__class__, ("relu", "conv"): None.__class__}',
    )
    status, err = convert(model, plugin, capfd)
    assert status == 0
    table = "plugin.py.CUSTOM_OPTIMIZERS"
    assert [line for line in err.splitlines() if "warning" in line] == [
        "warning: the model has no operators for"
        " plugin.py.CUSTOM_TRANSFORMS['Foo'], plugin.py.CUSTOM_TRANSFORMS[('Bar', 'Baz')]",
        f"warning: no chain of the model was replaced by {table}[('conv',)], {table}[('relu', 'conv')]",
    ]


@pytest.mark.parametrize("first", ["com.example.Swish", "Swish"])
def test_keys_with_a_domain_win(first: str, model: Path, tmp_path: Path) -> None:
    fields = 'inputs="!I[0]", outputs="!O[0]"'
    entries = {"com.example.Swish": f'Transform("sigmoid", {fields})', "Swish": f'Transform("tanh", {fields})'}
    entries |= {"org.example.Swish": f'Transform("relu", {fields})'}
    texts = [f'"{key}": {entries[key]}' for key in sorted(entries, key=lambda key: key != first)]
    plugin = write(tmp_path, CUSTOM_TRANSFORMS=f"{{{', '.join(texts)}}}")
    nnef_tools.convert_model(model, tmp_path / "out.nnef", custom_converters=[str(plugin)])
    types = [op.type for op in nnef_tools.load_model(tmp_path / "out.nnef").operations]
    assert types == ["external", "sigmoid", "relu"]
