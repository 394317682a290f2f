"""Plugins: Python modules that a user names, and the tables in them.

A plugin module may define any of these tables; where one is missing, the module adds nothing.

* `CUSTOM_TRANSFORMS`: dict source operator type (or tuple of types) -> Transform; beside it, every public Python
  function of the module can be called in the expressions of transforms
* `CUSTOM_SHAPES`: dict NNEF operation -> shape function
* `CUSTOM_FRAGMENTS`: dict NNEF operation -> NNEF text
* `CUSTOM_OPTIMIZERS`: dict chain of operator types -> function
* `CUSTOM_OPERATORS`: dict NNEF operation -> function that computes it

Modules are loaded in the order in which they are named; of two entries with the same key, the later one counts.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from .errors import ParseError, PluginError, UsageError
from .language.parser import parse_fragments
from .language.typecheck import Signatures, check_fragment
from .language.types import Fragment
from .model.plugin_code import PluginTable, origin, own_lines, reason
from .ops.library import Library

Modules = Iterable["str | ModuleType"]
"""Plugin modules: dotted names, paths of .py files, or modules that are loaded already."""


def load_transforms(modules: Modules) -> tuple[dict[Any, Any], dict[str, Callable[..., Any]]]:
    """The merged CUSTOM_TRANSFORMS tables, and the public Python functions of the modules by name.

    The transforms themselves are checked by the converter, which knows what they may hold. PluginError.
    """
    transforms = PluginTable()
    functions: dict[str, Callable[..., Any]] = {}
    for name, module in _load_all(modules):
        _merge(transforms, name, module, "CUSTOM_TRANSFORMS", _check_type_key, _check_nothing)
        functions.update(
            (key, value) for key, value in vars(module).items() if inspect.isfunction(value) and not key.startswith("_")
        )
    return transforms, functions


def load_shapes(modules: Modules) -> dict[str, Callable[..., Any]]:
    """The merged CUSTOM_SHAPES tables. PluginError."""
    return _load_tables(modules, "CUSTOM_SHAPES", _check_name_key, _check_callable)


def load_fragments(modules: Modules) -> dict[str, str]:
    """The merged CUSTOM_FRAGMENTS tables. PluginError, also for texts that are not NNEF."""
    table = _load_tables(modules, "CUSTOM_FRAGMENTS", _check_name_key, _check_text)
    for key, text in table.items():
        with _as_plugin_errors():
            declared = parse_fragments(text, _place(table, key))
        if key not in declared:
            names = ", ".join(f"'{name}'" for name in declared) or "nothing"
            raise PluginError(f"the text declares {names}, not '{key}'", where=_place(table, key))
    return table


def check_fragments(fragments: Mapping[str, str], others: Mapping[str, Fragment]) -> None:
    """Raises PluginError for a wrong body, such as a call of an undeclared name. others: those of the model."""
    texts = {key: parse_fragments(text, _place(fragments, key)) for key, text in fragments.items()}
    own = {name: fragment for declared in texts.values() for name, fragment in declared.items()}
    signatures = Signatures(Library(others, own).fragments)
    for declared in texts.values():
        for fragment in declared.values():
            if fragment.is_compound:
                with _as_plugin_errors():
                    check_fragment(fragment, signatures)


def _place(fragments: Mapping[str, str], key: str) -> str:
    return origin(fragments, key) or f"CUSTOM_FRAGMENTS[{key!r}]"


@contextmanager
def _as_plugin_errors() -> Iterator[None]:
    try:
        yield
    except ParseError as error:
        raise PluginError(error.message, error.details, where=error.where, hint=error.hint) from error


def missing_tables(modules: Modules, table: str) -> list[str]:
    """A warning for each module that lacks the table that it is named for."""
    return [f"plugin '{name}' has no {table}" for name, module in _load_all(modules) if not hasattr(module, table)]


def load_optimizers(modules: Modules) -> dict[tuple[Any, ...], Callable[..., Any]]:
    """The merged CUSTOM_OPTIMIZERS tables. PluginError."""
    return _load_tables(modules, "CUSTOM_OPTIMIZERS", _check_chain_key, _check_callable)


def load_operators(modules: Modules) -> dict[str, Callable[..., Any]]:
    """The merged CUSTOM_OPERATORS tables. PluginError."""
    return _load_tables(modules, "CUSTOM_OPERATORS", _check_name_key, _check_callable)


def load_module(name: str) -> ModuleType:
    """Imports a module by its dotted name or the path of its .py file; the current folder is searched too.

    PluginError if that fails, whatever the module raised.
    """
    try:
        return _load_file(Path(name)) if name.endswith(".py") else _load_name(name)
    except (KeyboardInterrupt, PluginError):
        raise
    except BaseException as error:  # a plugin is foreign code: it may raise anything, even SystemExit
        raise PluginError(
            f"cannot load plugin module '{name}'", [reason(error), *own_lines(error)], hint=_load_hint(name, error)
        ) from error


def _load_name(name: str) -> ModuleType:
    folder = str(Path.cwd())
    if folder not in sys.path and "" not in sys.path:
        sys.path.append(folder)  # as `python -m` does; last, so that it cannot hide an installed package
    return importlib.import_module(name)


def _load_file(path: Path) -> ModuleType:
    path = path.resolve()
    if path.exists() and not path.is_file():  # reading a pipe or device may never end
        raise PluginError("not a file", where=str(path))
    key = f"nnef_tools plugin {path}"
    if key in sys.modules:
        return sys.modules[key]
    spec = importlib.util.spec_from_file_location(key, path)
    assert spec is not None and spec.loader is not None, "a .py file always has a loader"
    module = importlib.util.module_from_spec(spec)
    sys.modules[key] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[key]
        raise
    return module


def _load_hint(name: str, error: BaseException) -> str | None:
    if isinstance(error, ModuleNotFoundError) and error.name == name.partition(".")[0]:
        return "modules are looked for in the current folder and on PYTHONPATH; the path of a .py file works too"
    if isinstance(error, TypeError) and "unhashable type: 'set'" in str(error):
        return "a key cannot hold a set; use a frozenset or a tuple for alternatives"
    return None


def _load_all(modules: Modules) -> Iterable[tuple[str, ModuleType]]:
    if isinstance(modules, (str, ModuleType)):
        raise UsageError("plugin modules are given as a list")
    for module in modules:
        if isinstance(module, ModuleType):
            yield module.__name__, module
        else:
            yield module, load_module(module)


_Check = Callable[[Any], "str | None"]
"""A function that says what is wrong with a key or a value; None if it is right."""


def _load_tables(modules: Modules, attribute: str, check_key: _Check, check_value: _Check) -> PluginTable:
    merged = PluginTable()
    for name, module in _load_all(modules):
        _merge(merged, name, module, attribute, check_key, check_value)
    return merged


def _merge(
    merged: PluginTable, name: str, module: ModuleType, attribute: str, check_key: _Check, check_value: _Check
) -> None:
    table = getattr(module, attribute, {})
    if not isinstance(table, Mapping):
        raise PluginError(f"must be a dict, not {_kind(table)}", where=f"{name}.{attribute}")
    for key, value in table.items():
        problem = check_key(key) or check_value(value)
        if problem:
            raise PluginError(problem, where=f"{name}.{attribute}[{key!r}]")
        merged[key] = value
        merged.origins[key] = f"{name}.{attribute}[{key!r}]"


def _check_nothing(value: Any) -> str | None:
    return None


def _check_callable(value: Any) -> str | None:
    return None if callable(value) else f"the value must be a function, not {_kind(value)}"


def _check_text(value: Any) -> str | None:
    return None if isinstance(value, str) else f"the value must be NNEF text (a str), not {_kind(value)}"


def _check_name_key(key: Any) -> str | None:
    return None if isinstance(key, str) else f"the key must be the name of an NNEF operation (a str), not {_kind(key)}"


def _check_type_key(key: Any) -> str | None:
    if isinstance(key, str) or (isinstance(key, tuple) and key and all(isinstance(item, str) for item in key)):
        return None
    return "the key must be an operator type (a str) or a tuple of them"


def _check_chain_key(key: Any) -> str | None:
    if isinstance(key, str):
        return f"the key must be a tuple of operator types: write ({key!r},)"
    if isinstance(key, tuple) and key and all(_is_chain_item(item) for item in key):
        return None
    return "the key must be a tuple whose items are operator types or groups (tuple, frozenset) of them"


def _is_chain_item(item: Any) -> bool:
    if isinstance(item, (tuple, list, frozenset)):
        return bool(item) and all(isinstance(type, str) for type in item)
    return isinstance(item, str)


def _kind(value: Any) -> str:
    return type(value).__name__


@dataclass(frozen=True)
class Plugins:
    """The merged tables of plugin modules. warnings: modules without the table that they are named for."""

    transforms: Mapping[Any, Any] = field(default_factory=dict)
    functions: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    shapes: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    fragments: Mapping[str, str] = field(default_factory=dict)
    optimizers: Mapping[tuple[Any, ...], Callable[..., Any]] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    _modules: tuple[str | ModuleType, ...] = ()

    @classmethod
    def load(
        cls,
        converters: Modules = (),
        shapes: Modules = (),
        fragments: Modules = (),
        optimizers: Modules = (),
    ) -> Plugins:
        """The tables of all modules. PluginError, UsageError."""
        transforms, functions = load_transforms(converters)
        return cls(
            transforms,
            functions,
            load_shapes(shapes),
            load_fragments(fragments),
            load_optimizers(optimizers),
            (
                *missing_tables(converters, "CUSTOM_TRANSFORMS"),
                *missing_tables(shapes, "CUSTOM_SHAPES"),
                *missing_tables(fragments, "CUSTOM_FRAGMENTS"),
                *missing_tables(optimizers, "CUSTOM_OPTIMIZERS"),
            ),
            (*converters, *shapes, *fragments),
        )

    def operators(self) -> dict[str, Callable[..., Any]]:
        """The functions that compute custom operations, as far as the modules have them. PluginError."""
        return load_operators(self._modules)
