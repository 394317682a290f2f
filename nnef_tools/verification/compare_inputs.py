"""The inputs on which two models are compared: the same values, each in the terms of its model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..errors import UsageError
from ..execution.executor import Array, TensorInfo, known_name
from ..execution.feeds.input_ranges import InputRange, input_ranges, ranges_by_name
from ..execution.feeds.sources import InputSource
from ..execution.session import Inputs, named_inputs
from ..formats import InputShapes
from ..model import Tensor
from ..model.channels import TO_LAST, TO_SECOND
from ..model.dtypes import is_integer
from .compared_model import ComparedModel
from .layout import Move, fitting, moved

Shape = Sequence[int]


@dataclass(frozen=True)
class Given:
    """The inputs of both models, by name in the order of each."""

    a: Mapping[str, Array]
    b: Mapping[str, Array]


def infos_of(a: ComparedModel, b: ComparedModel) -> list[TensorInfo]:
    """The inputs of the first model, with open extents from those of the second. UsageError for different numbers."""
    ours, others = a.inputs, b.inputs
    if len(ours) != len(others):
        raise UsageError(f"the models have {len(ours)} and {len(others)} inputs")
    return [with_shape(x, y) for x, y in zip(ours, others, strict=True)]


def with_shape(info: TensorInfo, other: TensorInfo) -> TensorInfo:
    """The input, with open extents taken from the other model's input if the ranks agree."""
    if info.shape is None:
        return replace(info, shape=other.shape)
    if other.shape is None or len(info.shape) != len(other.shape):
        return info
    return replace(info, shape=tuple(y if x is None else x for x, y in zip(info.shape, other.shape, strict=True)))


def with_input_shapes(a: ComparedModel, b: ComparedModel, shapes: InputShapes) -> tuple[ComparedModel, ComparedModel]:
    """Both models with other shapes of inputs.

    shapes: by names in either model, the first one if both have it. The input in the same place of the other model has
    that shape, too, with the channels where it has them. UsageError for a name that neither has.
    """
    models = a, b
    ends = [{str(tensor.name): tensor for tensor in model.interface[0]} for model in models]
    found: tuple[dict[str, Shape], dict[str, Shape]] = {}, {}
    carried: tuple[dict[str, Shape], dict[str, Shape]] = {}, {}
    for name, shape in shapes.items():
        names = [known_name(name, [str(tensor.name) for tensor in model.graph.inputs]) for model in models]
        side = 0 if names[0] is not None else 1
        own = names[side]
        if own is None:
            known = ", ".join(dict.fromkeys(str(tensor.name) for model in models for tensor in model.graph.inputs))
            raise UsageError(
                f"input shape given for '{name}', which is not an input of either model",
                hint=f"the inputs are: {known}",
            )
        found[side][own] = shape
        other = list(ends[1 - side].values())
        place = list(ends[side]).index(own) if own in ends[side] else len(other)
        if place < len(other):
            carried[1 - side][str(other[place].name)] = _carried(shape, other[place].shape)
        elif names[1 - side] is not None:  # a state, which has no place
            carried[1 - side][str(names[1 - side])] = shape
    return a.with_shapes({**carried[0], **found[0]}), b.with_shapes({**carried[1], **found[1]})


def _carried(shape: Shape, other: Sequence[int | None] | None) -> Shape:
    """The shape with its channels where the other model has them, by the extents that it knows."""
    if other is None or len(other) != len(shape):
        return shape
    forms = [shape, *([n or 0 for n in move.shape(shape)] for move in (TO_LAST, TO_SECOND))]
    return max(forms, key=lambda form: sum(x == y for x, y in zip(form, other, strict=True)))


def ranges_of(a: ComparedModel, b: ComparedModel) -> dict[str, InputRange]:
    """Input name -> range of the integers that make sense there, as far as an NNEF graph of either model shows it."""
    infos = a.inputs
    if not any(info.dtype is not None and np.dtype(info.dtype).kind in "iu" for info in infos):
        return {}
    known = next((model for model in (a, b) if model.is_nnef), a).as_nnef
    found = [None] * len(infos) if known is None else input_ranges(known[0])
    return ranges_by_name([(info.name, info.dtype, info.name in a.codes) for info in infos], found)


def other_layout(a: ComparedModel, b: ComparedModel, given: Given) -> Given | None:
    """The inputs with the channels of B's moved where equal extents leave it open; None if they leave nothing open."""
    if a.format.dialect.channels_last == b.format.dialect.channels_last:
        return None
    found = {}
    for name, value, of_a in zip(given.b, given.b.values(), given.a.values(), strict=True):
        moves = [move for move in fitting(value.shape, value.shape, is_same_layout=False) if move is not None]
        is_own = value.shape != of_a.shape or not np.array_equal(value, of_a)  # moved already, or of another kind
        found[name] = value if is_own or not moves else np.ascontiguousarray(moved(value, _towards(b, moves)))
    return None if all(found[name] is given.b[name] for name in found) else Given(given.a, found)


def _towards(b: ComparedModel, moves: Sequence[Move]) -> Move:
    """The move to where the model has its channels."""
    wanted = TO_LAST if b.format.dialect.channels_last else TO_SECOND
    return wanted if wanted in moves else moves[0]


def draw(a: ComparedModel, b: ComparedModel, source: InputSource, infos: list[TensorInfo] | None = None) -> Given:
    """The inputs that a source gives. infos: of the first model, if shapes are given. Errors: see `InputSource`."""
    wanted = infos_of(a, b) if infos is None else infos
    return given_inputs(a, b, {info.name: source.load(info) for info in wanted})


def given_inputs(a: ComparedModel, b: ComparedModel, inputs: Inputs) -> Given:
    """Inputs of the first model, and the same ones in the terms of the second. UsageError if they do not fit."""
    ours, others = a.interface[0], b.interface[0]
    named = named_inputs(inputs, infos_of(a, b))
    missing = [str(s.name) for s in ours if s.name not in named]
    if missing:
        raise UsageError(f"there is no value for input '{missing[0]}'")
    found_a: dict[str, Array] = {}
    found_b: dict[str, Array] = {}
    for s, t in zip(ours, others, strict=True):
        x, y = str(s.name), str(t.name)
        found_a[x], found_b[y] = _both(a, s, b, t, np.asarray(named[x]))
    return Given(found_a, found_b)


def _both(a: ComparedModel, s: Tensor, b: ComparedModel, t: Tensor, value: Array) -> tuple[Array, Array]:
    """The value of an input in both models: on the axes of each, and as codes where it has those."""
    shape = tuple(n if m is None else m for m, n in zip(t.shape or (), value.shape, strict=False))
    moves = fitting(value.shape, shape, is_same_layout=False) if t.shape is not None else [None]
    if not moves or (t.shape is not None and len(t.shape) != value.ndim):
        wanted = ["?" if n is None else n for n in t.shape or ()]
        raise UsageError(f"input '{t.name}' of {b.where} has shape {wanted}, not {list(value.shape)}")
    codes = b.codes.get(str(t.name)) or a.codes.get(str(s.name))
    of_a, of_b = (_is_code(tensor.dtype) for tensor in (s, t))
    other = value
    if of_a != of_b and codes is not None:
        if of_b:
            other = codes.codes(value).astype(_class(t))
            value = codes.real_values(other).astype(value.dtype)
        else:
            other = codes.real_values(value)
    return value, np.array(moved(other, moves[0]), _class(t), order="C")


def _is_code(dtype: Any) -> bool:
    return dtype is not None and is_integer(dtype)


def _class(tensor: Tensor) -> Any:
    return np.float32 if tensor.dtype is None else tensor.dtype
