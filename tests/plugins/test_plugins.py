"""The plugin loader: what is collected from modules, and what a faulty one is told."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from nnef_tools import plugins
from nnef_tools.errors import PluginError, UsageError

MakeModule = Callable[..., ModuleType]


@pytest.fixture
def make_module() -> MakeModule:
    def make(name: str = "plugin", **attributes: object) -> ModuleType:
        module = ModuleType(name)
        vars(module).update(attributes)
        return module

    return make


def shape_of_foo(shape: list[int]) -> list[int]:
    return shape


def other(shape: list[int]) -> list[int]:
    return shape[::-1]


def test_nothing_to_load() -> None:
    assert plugins.load_transforms([]) == ({}, {})
    assert plugins.load_shapes([]) == {}


def test_missing_table_is_no_error(make_module: MakeModule) -> None:
    module = make_module()
    assert plugins.load_shapes([module]) == {}
    assert plugins.load_fragments([module]) == {}
    assert plugins.load_optimizers([module]) == {}
    assert plugins.load_operators([module]) == {}


def test_transforms_keys_and_functions(make_module: MakeModule) -> None:
    class Helper:
        pass

    module = make_module(
        CUSTOM_TRANSFORMS={"Foo": "t1", ("Bar", "Baz"): "t2"},
        helper=shape_of_foo,
        short=lambda converter, x: x,
        _private=shape_of_foo,
        Helper=Helper,
        builtin=len,
    )
    transforms, functions = plugins.load_transforms([module])
    assert transforms == {"Foo": "t1", ("Bar", "Baz"): "t2"}
    assert sorted(functions) == ["helper", "short"]
    assert functions["helper"] is shape_of_foo


def test_later_module_overrides(make_module: MakeModule) -> None:
    first = make_module("first", CUSTOM_SHAPES={"foo": shape_of_foo, "bar": shape_of_foo}, f=shape_of_foo)
    second = make_module("second", CUSTOM_SHAPES={"foo": other}, f=other)
    assert plugins.load_shapes([first, second]) == {"foo": other, "bar": shape_of_foo}
    assert plugins.load_transforms([first, second])[1] == {"f": other}
    assert plugins.load_transforms([second, first])[1] == {"f": shape_of_foo}


def test_one_module_holds_several_tables(make_module: MakeModule) -> None:
    module = make_module(
        CUSTOM_SHAPES={"foo": shape_of_foo},
        CUSTOM_FRAGMENTS={"foo": "fragment foo( x: tensor<scalar> ) -> ( y: tensor<scalar> );\n"},
        CUSTOM_OPTIMIZERS={("a", ("b", "c"), frozenset({"d"})): other},
        CUSTOM_OPERATORS={"foo": other},
    )
    assert set(plugins.load_shapes([module])) == {"foo"}
    assert plugins.load_fragments([module])["foo"].startswith("fragment foo")
    assert plugins.load_optimizers([module]) == {("a", ("b", "c"), frozenset({"d"})): other}
    assert plugins.load_operators([module]) == {"foo": other}


@pytest.mark.parametrize(
    ("table", "value", "load", "expected"),
    [
        ("CUSTOM_SHAPES", [1], plugins.load_shapes, "plugin.CUSTOM_SHAPES: must be a dict, not list"),
        ("CUSTOM_SHAPES", {3: other}, plugins.load_shapes, "plugin.CUSTOM_SHAPES[3]: the key must be the name"),
        ("CUSTOM_SHAPES", {"foo": 3}, plugins.load_shapes, "plugin.CUSTOM_SHAPES['foo']: the value must be a function"),
        ("CUSTOM_FRAGMENTS", {"foo": other}, plugins.load_fragments, "CUSTOM_FRAGMENTS['foo']: the value must be NNEF"),
        (
            "CUSTOM_OPERATORS",
            {"foo": "bar"},
            plugins.load_operators,
            "CUSTOM_OPERATORS['foo']: the value must be a fun",
        ),
        ("CUSTOM_TRANSFORMS", {(): 1}, plugins.load_transforms, "CUSTOM_TRANSFORMS[()]: the key must be an operator"),
        ("CUSTOM_TRANSFORMS", {("a", 1): 1}, plugins.load_transforms, "CUSTOM_TRANSFORMS[('a', 1)]: the key must be"),
        ("CUSTOM_OPTIMIZERS", {"relu": other}, plugins.load_optimizers, "write ('relu',)"),
        ("CUSTOM_OPTIMIZERS", {(): other}, plugins.load_optimizers, "CUSTOM_OPTIMIZERS[()]: the key must be a tuple"),
        ("CUSTOM_OPTIMIZERS", {("a", 1): other}, plugins.load_optimizers, "CUSTOM_OPTIMIZERS[('a', 1)]: the key must"),
        ("CUSTOM_OPTIMIZERS", {("a",): None}, plugins.load_optimizers, "CUSTOM_OPTIMIZERS[('a',)]: the value must be"),
    ],
)
def test_faulty_tables(
    make_module: MakeModule, table: str, value: object, load: Callable[[list[ModuleType]], object], expected: str
) -> None:
    with pytest.raises(PluginError) as caught:
        load([make_module(**{table: value})])
    assert expected in str(caught.value)
    assert caught.value.exit_code == 5


def test_module_by_name_from_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "plugin_in_cwd.py").write_text("CUSTOM_OPERATORS = {'foo': lambda x: x}\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    try:
        assert set(plugins.load_operators(["plugin_in_cwd"])) == {"foo"}
    finally:
        sys.modules.pop("plugin_in_cwd", None)


def test_module_by_path_is_loaded_once(tmp_path: Path) -> None:
    path = tmp_path / "my-plugin.py"
    path.write_text(
        "from __future__ import annotations\n"
        "from dataclasses import dataclass\n"
        "@dataclass\nclass Facts:\n    x: int = 0\n"
        "CUSTOM_SHAPES = {'foo': lambda s: s}\nCUSTOM_OPERATORS = {'foo': lambda x: x}\n"
    )
    assert plugins.load_module(str(path)) is plugins.load_module(str(path))
    assert set(plugins.load_shapes([str(path)])) == {"foo"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("def broken(:\n", "SyntaxError"),
        ("raise RuntimeError('no luck')\n", "RuntimeError: no luck"),
        ("import sys\nsys.exit(3)\n", "SystemExit"),
        ("import surely_not_installed\n", "No module named 'surely_not_installed'"),
        ("CUSTOM_OPTIMIZERS = {({'a', 'b'},): None}\n", "use a frozenset"),
    ],
)
def test_module_that_does_not_load(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "plugin.py"
    path.write_text(text)
    for _ in range(2):  # a failed module must not count as loaded
        with pytest.raises(PluginError) as caught:
            plugins.load_module(str(path))
        assert f"cannot load plugin module '{path}'" in str(caught.value)
        assert expected in str(caught.value)


def test_module_that_is_not_there() -> None:
    with pytest.raises(PluginError, match="cannot load plugin module 'no_such_plugin'") as caught:
        plugins.load_module("no_such_plugin")
    assert "PYTHONPATH" in (caught.value.hint or "")
    with pytest.raises(PluginError, match="FileNotFoundError"):
        plugins.load_module("no/such/plugin.py")


def test_a_single_module_is_no_list() -> None:
    with pytest.raises(UsageError, match="as a list"):
        plugins.load_shapes("plugin")
