"""Ranges and enumerations of the attributes of standard operations, as far as they need no shapes (S8, S9, S11)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from math import prod
from typing import Any

Attributes = Mapping[str, Any]
Rule = Callable[[Attributes], "tuple[str, str] | None"]

_MIRRORS = ("constant", "replicate", "reflect", "reflect-even")
_METHODS = ("symmetric", "asymmetric", "aligned")
MAX_BITS = 64
"""The widest code of a quantization."""
_LABEL = re.compile(r"[A-Za-z0-9_\-./\\]+")


def check_attributes(operation: str, attributes: Attributes) -> tuple[str, str] | None:
    """The name of the first attribute of a standard operation that has no legal value, and what is wrong with it."""
    for rule in _RULES.get(operation, ()):
        problem = rule(attributes)
        if problem is not None:
            return problem
    return None


def _one_of(name: str, *choices: str) -> Rule:
    def rule(attributes: Attributes) -> tuple[str, str] | None:
        if attributes[name] in choices:
            return None
        return name, f"'{attributes[name]}' is none of {', '.join(choices)}"

    return rule


def _at_least(name: str, least: int) -> Rule:
    """A check that an integer, or each item of an array of integers, is at least that."""

    def rule(attributes: Attributes) -> tuple[str, str] | None:
        value = attributes[name]
        if isinstance(value, list):
            value = min(value) if value else least
        return (name, f"{value} is less than {least}") if value < least else None

    return rule


def _between(name: str, least: int, most: int) -> Rule:
    def rule(attributes: Attributes) -> tuple[str, str] | None:
        value = attributes[name]
        return None if least <= value <= most else (name, f"{value} does not lie in [{least}, {most}]")

    return rule


def _not_empty(name: str) -> Rule:
    def rule(attributes: Attributes) -> tuple[str, str] | None:
        return None if attributes[name] else (name, "it is empty")

    return rule


def _axes(name: str) -> Rule:
    def rule(attributes: Attributes) -> tuple[str, str] | None:
        axes = attributes[name]
        if min(axes, default=0) < 0:
            return name, f"axis {min(axes)} is negative"
        return (name, "an axis occurs twice") if len(set(axes)) != len(axes) else None

    return rule


def _permutation(attributes: Attributes) -> tuple[str, str] | None:
    axes = attributes["axes"]
    if sorted(axes) == list(range(len(axes))):
        return None
    return "axes", f"{axes} is not a permutation of 0 ... {len(axes) - 1}"


def _same_length(*names: str) -> Rule:
    """A check that the arrays which are not empty have the same length."""

    def rule(attributes: Attributes) -> tuple[str, str] | None:
        first = ""
        for name in names:
            if not attributes[name]:
                continue
            if first and len(attributes[name]) != len(attributes[first]):
                return name, f"{len(attributes[name])} items, but '{first}' has {len(attributes[first])}"
            first = first or name
        return None

    return rule


def _label(attributes: Attributes) -> tuple[str, str] | None:
    if _LABEL.fullmatch(attributes["label"]):
        return None
    return "label", f"'{attributes['label']}' is not made of letters, digits and _ - . / \\"


def _value_count(attributes: Attributes) -> tuple[str, str] | None:
    volume, count = prod(attributes["shape"]), len(attributes["value"])
    if count in (1, volume):
        return None
    return "value", f"{count} items for a volume of {volume}; that many or one are needed"


def _reshape(attributes: Attributes) -> tuple[str, str] | None:
    shape = attributes["shape"]
    if min(shape, default=0) < -1:
        return "shape", f"{min(shape)} is less than -1"
    return ("shape", "more than one item is -1") if shape.count(-1) > 1 else None


def _slice(attributes: Attributes) -> tuple[str, str] | None:
    count = len(attributes["axes"])
    for name in ("begin", "end"):
        if len(attributes[name]) != count:
            return name, f"{len(attributes[name])} items for {count} axes"
    stride = attributes["stride"]
    if stride and len(stride) != count:
        return "stride", f"{len(stride)} items for {count} axes"
    return ("stride", "a stride is 0") if 0 in stride else None


def _window(borders: tuple[str, ...], *lists: str) -> list[Rule]:
    arrays = [name for name in ("size", "stride", "dilation", "output_shape") if name in lists]
    return [
        _one_of("border", *borders),
        *(_at_least(name, 1) for name in arrays),
        _same_length(*(name for name in lists if name != "output_shape"), "padding"),
    ]


def _all(names: tuple[str, ...], rules: list[Rule]) -> dict[str, list[Rule]]:
    return dict.fromkeys(names, rules)


_FILTER = ("stride", "dilation")
_POOL = ("size", *_FILTER)
_POOL_BORDERS = (*_MIRRORS, "ignore")
_SHAPE = [_at_least("shape", 1)]
_CONV = [*_window(_MIRRORS, *_FILTER), _at_least("groups", 0)]
_DECONV = [*_window(_MIRRORS, *_FILTER, "output_shape"), _at_least("groups", 0)]
_ROI = [_at_least("output_size", 1), _not_empty("output_size")]
_ALIGN = [*_ROI, _at_least("sampling_rate", 1), _same_length("output_size", "sampling_rate")]

_RULES: dict[str, list[Rule]] = {
    "external": _SHAPE,
    "variable": [*_SHAPE, _label],
    "constant": [*_SHAPE, _value_count],
    "conv": _CONV,
    "separable_conv": _CONV,
    "deconv": _DECONV,
    "separable_deconv": _DECONV,
    "box": _window(_POOL_BORDERS, *_POOL),
    "debox": _window(_POOL_BORDERS, *_POOL, "output_shape"),
    **_all(("argmax_pool", "max_pool_with_index", "max_pool", "avg_pool", "rms_pool"), _window(_POOL_BORDERS, *_POOL)),
    "sample": _window(_MIRRORS, *_POOL),
    "desample": _window(("constant",), *_POOL, "output_shape"),
    **_all(("nearest_downsample", "area_downsample", "nearest_upsample"), [_at_least("factor", 1)]),
    "multilinear_upsample": [_at_least("factor", 1), _one_of("method", *_METHODS), _one_of("border", *_MIRRORS)],
    **_all(
        (
            *("sum_reduce", "max_reduce", "min_reduce", "mean_reduce", "argmax_reduce", "argmin_reduce"),
            *("any_reduce", "all_reduce", "moments", "softmax", "l1_normalization", "l2_normalization"),
            *("squeeze", "unsqueeze"),
        ),
        [_axes("axes")],
    ),
    **_all(("concat", "stack", "unstack", "gather"), [_at_least("axis", 0)]),
    "split": [_at_least("axis", 0), _at_least("ratios", 1), _not_empty("ratios")],
    "reshape": [_reshape, _at_least("axis_start", 0), _at_least("axis_count", -1)],
    "transpose": [_permutation],
    "slice": [_axes("axes"), _slice],
    "pad": [_one_of("border", *_MIRRORS)],
    "tile": [_at_least("repeats", 1)],
    **_all(
        (
            *("local_response_normalization", "local_mean_normalization"),
            *("local_variance_normalization", "local_contrast_normalization"),
        ),
        [_at_least("size", 1)],
    ),
    "avg_roi_pool": _ROI,
    "max_roi_pool": _ROI,
    "roi_resample": [*_ROI, _one_of("method", *_METHODS)],
    "avg_roi_align": [*_ALIGN, _one_of("resize_method", *_METHODS)],
    "max_roi_align": [*_ALIGN, _one_of("resize_method", *_METHODS)],
    **_all(
        (
            *("min_max_linear_quantize", "zero_point_linear_quantize"),
            *("linear_quantize", "logarithmic_quantize"),
        ),
        [_between("bits", 1, MAX_BITS)],
    ),
    "copy_n": [_at_least("times", 1)],
}
