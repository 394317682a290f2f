"""Operators that cannot be converted, with the reasons, as data."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeGuard

import numpy as np

from ...errors import Unsupported, shape_text
from ...model import Graph, Operation, Tensor
from ...model.dtypes import dtype_name

DATA = "depends on the data"
"""Part of the reason against an operator whose shape NNEF cannot express: a copy or a plugin would not help."""


def first_result(op: Operation) -> str:
    """The name of the first result that has one: optional results, which a model may leave out, have none."""
    return next((tensor.name for tensor in op.outputs if tensor.name), "")


class WithoutRule(Unsupported):
    """Raised if there is no rule at all, as opposed to a rule that refuses; the operator can be copied as it is."""


class NotImplementedRule(WithoutRule):
    """Raised if there is no rule, but could be one."""


class DependsOnRefused(Unsupported):
    """Raised if an operator cannot be judged before another one is converted."""


def is_known(shape: Sequence[int | None] | None) -> TypeGuard[Sequence[int]]:
    """Are the rank and all extents known?"""
    return shape is not None and None not in shape


def unknown_shape(tensor: Tensor) -> Unsupported:
    """The error for an unknown shape that is needed; it names the operation that lacks a shape function."""
    op = tensor.producer
    while op is not None:
        unknown = next((t for t in op.inputs if not is_known(t.shape) and t.has_producer), None)
        if unknown is None:
            break
        op = unknown.producer
    hint = None if op is None else f"give the shape function of '{op.type}' with --custom-shapes"
    return Unsupported(f"shape of tensor '{tensor.name}' is not known", hint=hint)


class Refusal(NamedTuple):
    """An operator that cannot be converted.

    type: with the domain, unless that is the default one. replaceable: could a plugin supply another operator?
    copyable: could it be copied as it is? removable: could it be left out, since its shape is not known? advised: does
    the reason say what to do? output: `first_result`.
    """

    type: str
    name: str
    reason: str
    implemented: bool
    attributes: Mapping[str, Any]
    input_shapes: tuple[Any, ...]
    output_shapes: tuple[Any, ...]
    replaceable: bool = True
    copyable: bool = False
    removable: bool = False
    advised: bool = False
    output: str = ""

    @property
    def example(self) -> str:
        """The name by which the operator can be found in the model."""
        return self.name or self.output

    def lines(self) -> list[str]:
        """The refusal as text: a line with the reason, and indented ones that show the operator."""
        named = f"'{self.type}'" + (f" (node '{self.name}')" if self.name else "")
        if not self.implemented:
            head = f"Conversion of operator {named} is not implemented: {self.reason}"
        else:
            head = f"Conversion of operator {named} is not possible: {self.reason}"
        attributes = ", ".join(f"{k!r}: {_brief(v)}" for k, v in self.attributes.items() if not k.startswith("_"))
        return [
            head,
            f"    attributes: {{{attributes}}}",
            f"    input-shapes: [{', '.join(map(shape_text, self.input_shapes))}]",
            f"    output-shapes: [{', '.join(map(shape_text, self.output_shapes))}]",
        ]


def remedies(refused: Sequence[Refusal], *, static_only: bool, outputs: Sequence[str]) -> str | None:
    """A hint that tells what can be done about all refused operators; None if there is nothing.

    static_only: would a part of the model be left without those of unknown shape? outputs: tensors that can be
    computed.
    """
    found = []
    if all(refusal.advised for refusal in refused):
        return None
    if all(refusal.replaceable for refusal in refused):
        found.append("a plugin can convert them (--custom-converters)")
        if all(refusal.copyable for refusal in refused):
            found.append("--mirror-unsupported copies them as they are")
    else:
        if static_only and all(refusal.removable for refusal in refused):
            found.append("--static-only leaves out what has no static shape")
        if outputs:
            found.append(f"--output-names {' '.join(map(shlex.quote, outputs))} converts only what leads there")
    return ", or ".join(found) or None


def _brief(value: Any) -> str:
    """The value of an attribute as text, without the classes that hold it."""
    if isinstance(value, np.ndarray):
        return repr(f"array of shape {list(value.shape)}") if value.size > 16 else repr(value.tolist())
    if isinstance(value, Graph):
        return repr(f"graph of {len(value.operations)} operators")
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_brief, value))}]"
    if isinstance(value, (type, np.dtype)):
        return repr(dtype_name(value))
    return repr(value.item() if isinstance(value, np.generic) else value)
