"""The operators that a model needs and conversions lack, and the text of a plugin module to be completed for them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..conversion.engine.refusal import Refusal
from ..errors import ConversionError, shape_text
from ..formats import NNEF, find_format
from ..language.names import sanitize_identifier
from ..model import Graph, Operation
from ..model.dtypes import nnef_dtype
from ..ops.library import Library
from ..pipeline import convert_model
from ..report import RefusedOperators, group_refusals
from .opening import SizedModel

_CAPITAL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


@dataclass(frozen=True)
class Missing:
    """What a conversion of a model lacks. groups: for the table; refusals: one for each operator."""

    source: str
    target: str
    refusals: tuple[Refusal, ...]
    operators: dict[str, Operation] = field(default_factory=dict)

    @property
    def groups(self) -> tuple[RefusedOperators, ...]:
        """The refused operators by type and reason, the most frequent first."""
        return group_refusals(self.refusals)


def find_missing(model: SizedModel, target: str | None = None) -> Missing:
    """The operators of a model that do not convert to a format, by default NNEF; there may be none.

    ConversionError if the conversion fails for other reasons, such as inputs of open shape; PluginError, UsageError.
    """
    format = NNEF if target is None else find_format(target)
    refused: Sequence[Refusal] = ()
    try:
        convert_model(
            model.path,
            Path(f"model{format.suffixes[0]}"),
            input_format=model.model.format.name,
            output_format=format.name,
            input_shapes=model.shapes,
            dry_run=True,
        )
    except ConversionError as error:
        if not error.refused:
            raise
        refused = error.refused
    return Missing(model.model.format.name, format.name, tuple(refused), _by_result(model.graph))


def _by_result(graph: Graph) -> dict[str, Operation]:
    return {str(tensor.name): op for op in graph.operations for tensor in op.outputs if tensor.name}


@dataclass(frozen=True)
class Stub:
    """The entries of a plugin for the operators of one type. name: of the operation that they become."""

    key: str
    name: str
    refusals: tuple[Refusal, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]

    @property
    def first(self) -> Refusal:
        return self.refusals[0]


def plugin_text(missing: Missing) -> str:
    """A Python module with an entry for each type of operator that a plugin can convert, which says what to complete.

    As it is, it converts each operator to a custom operation with its inputs, outputs and attributes.
    """
    stubs = list(_stubs(missing))
    is_nnef = missing.target == NNEF.name
    options = ("converters", "shapes", "fragments") if is_nnef else ("converters",)
    parts = [_head(missing, options), _transforms(stubs)]
    if is_nnef:
        parts += [_shapes(stubs), _fragments(stubs), _operators(stubs)]
    return "\n\n".join(parts) + "\n"


def _stubs(missing: Missing) -> Iterator[Stub]:
    by_type: dict[str, list[Refusal]] = {}
    for refusal in missing.refusals:
        if refusal.replaceable:
            by_type.setdefault(refusal.type, []).append(refusal)
    taken = set(Library().fragments)
    for type, refusals in by_type.items():
        plain = _CAPITAL.sub("_", type.rpartition(".")[2]).lower()
        name = sanitize_identifier(plain if plain not in taken else f"custom_{plain}", taken)
        taken.add(name)
        op = missing.operators.get(refusals[0].output)
        count = len(refusals[0].input_shapes), len(refusals[0].output_shapes)
        inputs = _data_types(op.inputs if op is not None else (), count[0])
        outputs = _data_types(op.outputs if op is not None else (), count[1])
        yield Stub(type, name, tuple(refusals), inputs, outputs, _attributes(refusals))


def _data_types(tensors: Sequence[Any], count: int) -> tuple[str, ...]:
    known = [nnef_dtype(t.dtype) if t.dtype is not None else "scalar" for t in tensors]
    return tuple(known[k] if k < len(known) else "scalar" for k in range(count))


def _attributes(refusals: Sequence[Refusal]) -> dict[str, Any]:
    """The attributes that NNEF can carry, with the first value of each."""
    found: dict[str, Any] = {}
    for refusal in refusals:
        for key, value in refusal.attributes.items():
            if key.isidentifier() and key.isascii() and not key.startswith("_") and _data_type(value) is not None:
                found.setdefault(key, value)
    return found


def _data_type(value: Any) -> str | None:
    """The NNEF type of an attribute; None if it has none."""
    if isinstance(value, (list, tuple)):
        types = {_data_type(item) for item in value}
        if types <= {"integer", "scalar"} and len(types) == 2:
            return "scalar[]"
        only = next(iter(types)) if len(types) == 1 else None
        return None if only is None or only.endswith("[]") else f"{only}[]"
    if isinstance(value, bool):
        return "logical"
    if isinstance(value, str) and (not value.isprintable() or ("'" in value and '"' in value)):
        return None  # NNEF has no escapes
    kinds = {int: "integer", float: "scalar", str: "string"}
    return next((name for kind, name in kinds.items() if isinstance(value, kind)), None)


def _head(missing: Missing, options: Sequence[str]) -> str:
    types = len({refusal.type for refusal in missing.refusals})
    replaceable = {refusal.type for refusal in missing.refusals if refusal.replaceable}
    left = [group for group in missing.groups if group.type not in replaceable]
    cannot = "".join(_comment(f"{group.type} cannot be replaced by a plugin: {group.reason}") for group in left)
    given = " ".join(f"--custom-{option} THIS_FILE" for option in options)
    return f'''"""Conversions of {types} operator type(s) from {missing.source} to {missing.target}, to be completed.

Each operator becomes one custom operation with the same inputs, outputs and attributes. Where the target has operations
that compute it, let 'type', 'inputs' and 'attribs' say how, and drop its other entries. Use it so:

    nnef-tools convert MODEL TARGET {given}

docs/how-to/write-a-plugin.md explains the tables.
"""

from nnef_tools import Transform
{cannot}'''


def _transforms(stubs: Sequence[Stub]) -> str:
    lines = ["CUSTOM_TRANSFORMS = {"]
    for stub in stubs:
        first = stub.first
        lines.append(_comment(f"{len(stub.refusals)} operator(s), for example {first.example}: {first.reason}", 4))
        shapes = " ".join(map(shape_text, first.input_shapes)), " ".join(map(shape_text, first.output_shapes))
        lines.append(_comment(f"its inputs have the shapes {shapes[0]}, its results {shapes[1]}", 4))
        lines += [
            f"    {stub.key!r}: Transform(",
            f"        type={stub.name!r},",
            f"        inputs={_listed([f'!I[{k}]' for k in range(len(stub.inputs))])},",
            f"        outputs={_listed([f'!O[{k}]' for k in range(len(stub.outputs))])},",
        ]
        if stub.attributes:
            attribs = ", ".join(f"{name!r}: {'!' + name!r}" for name in stub.attributes)
            defaults = ", ".join(f"{name!r}: {_value(value)}" for name, value in stub.attributes.items())
            lines.append(f"        attribs={{{attribs}}},")
            lines.append(f"        defaults={{{defaults}}},  # where an operator leaves them out")
        lines += ["        custom=True,", "    ),"]
    return "\n".join([*lines, "}"])


def _shapes(stubs: Sequence[Stub]) -> str:
    """Shape functions: that of the first input where the results have it, else those that the model declares."""
    lines, names = [], []
    for stub in stubs:
        first = stub.first
        outputs = [None if shape is None or None in shape else list(shape) for shape in first.output_shapes]
        like_input = bool(first.input_shapes) and all(shape == first.input_shapes[0] for shape in outputs)
        result = "shapes[0]" if like_input else outputs[0] if len(outputs) == 1 else tuple(outputs)
        if like_input and len(outputs) > 1:
            result = f"({', '.join(['shapes[0]'] * len(outputs))})"
        lines += [f"def {stub.name}_shape(*shapes, **attribs):", f'    """The shapes of the results of {stub.name}."""']
        if None in outputs:
            text = f"complete {stub.name}_shape in the plugin: it gives the shapes of the results"
            lines.append(f"    raise NotImplementedError({text!r})")
        else:
            lines.append(f"    return {result}" + ("" if like_input else "  # those of one operator; compute them"))
        lines += ["", ""]
        names.append(f"{stub.name!r}: {stub.name}_shape")
    return "\n".join([*lines, f"CUSTOM_SHAPES = {{{', '.join(names)}}}"])


def _fragments(stubs: Sequence[Stub]) -> str:
    """Declarations; a body would let every runtime compute the operation."""
    lines = ["CUSTOM_FRAGMENTS = {"]
    for stub in stubs:
        names = _parameter_names(stub)
        inputs = [f"{name}: tensor<{type}>" for name, type in zip(names, stub.inputs, strict=False)]
        attributes = [f"{name}: {_data_type(value)}" for name, value in stub.attributes.items()]
        results = [f"{name}: tensor<{t}>" for name, t in zip(names[len(stub.inputs) :], stub.outputs, strict=True)]
        text = f"fragment {stub.name}( {', '.join(inputs + attributes)} ) -> ( {', '.join(results)} );"
        lines += [f'    {stub.name!r}: """', text, '""",']
    return "\n".join([*lines, "}"])


def _operators(stubs: Sequence[Stub]) -> str:
    """Functions that tell what is missing, for `execute --custom-operators`."""
    lines, names = [], []
    for stub in stubs:
        text = f"complete {stub.name} in the plugin: it computes the results from arrays and attributes"
        lines += [f"def {stub.name}(*arrays, **attribs):", f'    """Computes {stub.name}."""']
        lines += [f"    raise NotImplementedError({text!r})", "", ""]
        names.append(f"{stub.name!r}: {stub.name}")
    return "\n".join([*lines, f"CUSTOM_OPERATORS = {{{', '.join(names)}}}"])


def _parameter_names(stub: Stub) -> list[str]:
    """Names of inputs, then of outputs, that no attribute has."""
    taken = set(stub.attributes)
    names = [f"x{k + 1}" for k in range(len(stub.inputs))] + [f"y{k + 1}" for k in range(len(stub.outputs))]
    found = []
    for name in names:
        found.append(sanitize_identifier(name, taken))
        taken.add(found[-1])
    return found


def _listed(expressions: Sequence[str]) -> str:
    return f"({''.join(f'{item!r}, ' for item in expressions).rstrip()})"


def _value(value: Any) -> str:
    """A Python expression."""
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, float) and not math.isfinite(value):
        return f"float({str(value)!r})"
    plain = next(kind for kind in (bool, int, float, str) if isinstance(value, kind))
    return repr(plain(value))


def _comment(text: str, indent: int = 0) -> str:
    """A line of a comment; what comes from the model cannot end it."""
    shown = "".join(c if c.isprintable() else " " for c in text)
    return f"{' ' * indent}# {shown[:300]}" + ("\n" if not indent else "")
