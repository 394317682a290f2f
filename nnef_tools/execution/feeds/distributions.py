"""Random distributions, written as `uniform(min=0, max=1)`; texts are parsed, not evaluated as code."""

from __future__ import annotations

import ast
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...errors import UsageError
from ...model.dtypes import nnef_dtype
from ..executor import Array

_PARAMETERS: dict[str, dict[str, float | None]] = {
    "uniform": {"min": 0.0, "max": 1.0},
    "normal": {"mean": 0.0, "std": 1.0},
    "bernoulli": {"prob": 0.5},
    "integers": {"min": None, "max": None},
}
INTEGRAL = ("bernoulli", "integers")
"""The names of distributions that yield integers."""
LARGEST = sys.float_info.max

_FORMS = "uniform(min=0, max=1), normal(mean=0, std=1), bernoulli(prob=0.5), integers(min, max)"


@dataclass(frozen=True)
class Distribution:
    """A named distribution and its parameters; see `parse_distribution`."""

    name: str
    parameters: dict[str, float]

    def sample(self, generator: np.random.Generator, shape: Sequence[int], dtype: Any) -> Array:
        """An array with independent samples, cast to the item type.

        'bernoulli' yields 1 with probability prob, otherwise 0; 'integers' lie in [min, max]. UsageError if values
        exceed the range of a floating-point type.
        """
        with np.errstate(all="ignore"):
            result = self._draw(generator, tuple(shape)).astype(dtype)
            if self.name in ("uniform", "normal") and not np.isfinite(result).all():
                raise UsageError(f"values of {self} exceed what {np.dtype(dtype).name} can hold")
        return result

    def _draw(self, generator: np.random.Generator, shape: tuple[int, ...]) -> Array:
        p = self.parameters
        draws: dict[str, Callable[[], Any]] = {
            "uniform": lambda: generator.uniform(p["min"], p["max"], shape),
            "normal": lambda: generator.normal(p["mean"], p["std"], shape),
            "bernoulli": lambda: generator.random(shape) < p["prob"],
            "integers": lambda: generator.integers(int(p["min"]), int(p["max"]), shape, np.int64, endpoint=True),
        }
        return np.asarray(draws[self.name]())

    def __str__(self) -> str:
        return f"{self.name}({', '.join(f'{key}={value:g}' for key, value in self.parameters.items())})"


DEFAULTS: dict[str, Distribution] = {
    "scalar": Distribution("uniform", {"min": 0.0, "max": 1.0}),
    "integer": Distribution("integers", {"min": 0, "max": 100}),
    "logical": Distribution("bernoulli", {"prob": 0.5}),
}
"""NNEF data type -> default distribution."""


def default_distribution(dtype: Any) -> Distribution:
    """The default distribution for a numpy class. UsageError for strings and other types without one."""
    try:
        return DEFAULTS[nnef_dtype(dtype)]
    except (KeyError, UsageError):
        raise UsageError(f"there are no random values of type {getattr(dtype, '__name__', dtype)}") from None


_DATA_TYPES = {"uniform": "scalar", "normal": "scalar", "integers": "integer", "bernoulli": "logical"}
"""Name of a distribution -> the NNEF data type that it is for."""


def parse_distribution(text: str) -> Distribution:
    """Parses a distribution: its name, or the name with positional or named numbers in parentheses.

    UsageError, with the possible forms, for anything else, such as a Python lambda: code is not run.
    """
    return _distribution(text, _parsed(text))


def parse_distributions(text: str) -> dict[str, Distribution]:
    """Parses a distribution by NNEF data type: `{'scalar': uniform(-1, 1), 'integer': ..}`, or a single one.

    A single one is for the data type that it yields: uniform and normal for 'scalar', integers for 'integer', bernoulli
    for 'logical'. UsageError.
    """
    tree = _parsed(text)
    if not isinstance(tree, ast.Dict):
        single = _distribution(text, tree)
        return {_DATA_TYPES[single.name]: single}
    found = {}
    for key, value in zip(tree.keys, tree.values, strict=True):
        name = key.value if isinstance(key, ast.Constant) else None
        if not isinstance(name, str) or name not in DEFAULTS:
            raise UsageError(f"'{text}' is not for data types", hint=f"data types are {', '.join(DEFAULTS)}")
        quoted = value.value if isinstance(value, ast.Constant) else None
        found[name] = parse_distribution(quoted) if isinstance(quoted, str) else _distribution(text, value)
    return found


def _parsed(text: str) -> ast.expr:
    try:
        return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise UsageError(f"'{text}' is not a distribution", hint=f"write {_FORMS}") from error


def _distribution(text: str, tree: ast.expr) -> Distribution:
    if isinstance(tree, ast.Lambda):
        raise UsageError(
            "a lambda is not accepted as a distribution, since code from the command line is not run",
            hint=f"write {_FORMS}; for other values, write them to files and give their folder as input",
        )
    call = ast.Call(tree, [], []) if isinstance(tree, ast.Name) else tree
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name) or call.func.id not in _PARAMETERS:
        raise UsageError(f"'{text}' is not a distribution", hint=f"write {_FORMS}")
    name = call.func.id
    values = _bind(text, name, call)
    _check(text, name, values)
    return Distribution(name, values)


def _bind(text: str, name: str, call: ast.Call) -> dict[str, float]:
    names = list(_PARAMETERS[name])
    given: list[tuple[str | None, ast.expr]] = list(zip(names, call.args, strict=False))
    given += [(keyword.arg, keyword.value) for keyword in call.keywords]
    keys = [key for key, _ in given]
    if len(call.args) > len(names) or len(set(keys)) < len(keys) or not set(keys) <= set(names):
        raise UsageError(f"wrong arguments in '{text}'", hint=f"{name} takes {', '.join(names)}")
    values = {key: _number(text, node) for key, node in given if key is not None}
    missing = [key for key, default in _PARAMETERS[name].items() if default is None and key not in values]
    if missing:
        raise UsageError(f"'{text}' lacks {', '.join(missing)}", hint=f"{name} takes {', '.join(names)}")
    return {key: values[key] if key in values else float(default or 0.0) for key, default in _PARAMETERS[name].items()}


def _number(text: str, node: ast.expr) -> float:
    try:
        value = ast.literal_eval(node)
    except (ValueError, TypeError, RecursionError, MemoryError, SyntaxError):
        value = None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) <= LARGEST:
        raise UsageError(f"the arguments in '{text}' must be numbers", hint=f"write {_FORMS}")
    return value


def _check(text: str, name: str, values: dict[str, float]) -> None:
    if "min" in values and values["min"] > values["max"]:
        raise UsageError(f"min is larger than max in '{text}'")
    if name == "uniform" and not math.isfinite(values["max"] - values["min"]):
        raise UsageError(f"max - min exceeds the largest floating-point number in '{text}'")
    if name == "normal" and values["std"] < 0:
        raise UsageError(f"std is negative in '{text}'")
    if name == "bernoulli" and not 0 <= values["prob"] <= 1:
        raise UsageError(f"prob does not lie in [0, 1] in '{text}'")
    if name == "integers" and not all(
        float(value).is_integer() and -(2**63) <= value < 2**63 for value in values.values()
    ):
        raise UsageError(f"min and max must be integers of 64 bits in '{text}'")
