"""Graph to text: the exact inverse of parsing a flat document.

The text depends on nothing but the graph: no hash order, no locale. Numbers are the shortest text that reads back to
the same single-precision value, or double-precision value where an operation is computed in float64.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np

from ..errors import FormatError, ShapeError
from ..model.dtypes import as_class
from ..model.graph import Graph, Operation, Tensor
from ..model.widths import is_double
from .constants import INTEGER_MAX, INTEGER_MIN
from .lexer import is_identifier
from .signatures import Overlay, regroup
from .stdlib import standard_fragments
from .types import REQUIRED, ArrayType, Fragment, TupleType
from .values import item_of_dtype

INDENT = "    "
_INTEGERS, _TUPLES = {int}, {tuple}
_SINGLE, _DOUBLE, _OWN = "single", "double", "own"
_FLOAT32_MAX = float(np.finfo(np.float32).max)
_FLOAT32_TINY = float(np.finfo(np.float32).tiny)
_SHORT = 7  # characters: six digits and a point


def format_graph(
    graph: Graph,
    *,
    extensions: Iterable[str] = (),
    fragments: str = "",
    annotate_shapes: bool = False,
    signatures: Mapping[str, Fragment] | None = None,
) -> str:
    """The document of a sorted graph whose tensors, except for literals, have names.

    extensions: what stands between `extension` and `;`, one string for each statement. fragments: text of fragment
    declarations. annotate_shapes: append `# scalar(1, 8, 4, 4)` to each line. signatures: fragments of custom
    operations, needed only for those that mix arrays of tensors with single ones. FormatError for names and values
    without a form in NNEF.
    """
    fragments_of = Overlay(standard_fragments(), signatures or {})
    known = {name: fragments_of.get(name) for name in {operation.type or "" for operation in graph.operations}}
    inputs = ", ".join(_name(tensor) for tensor in graph.inputs)
    outputs = ", ".join(_name(tensor) for tensor in graph.outputs)
    name = graph.name if graph.name is not None else "G"
    lines = ["version 1.0;", ""]
    declared = [f"extension {extension};" for extension in extensions]
    lines += [*declared, ""] if declared else []
    lines += [fragments.strip("\n"), ""] if fragments.strip() else []
    lines += [f"graph {_identifier(name, 'graph')}({inputs}) -> ({outputs})", "{"]
    for operation in graph.operations:
        line = INDENT + format_operation(operation, known[operation.type or ""])
        if annotate_shapes:
            line += INDENT + "# " + ", ".join(map(_annotation, operation.outputs))
        lines.append(line)
    return "\n".join([*lines, "}", ""])


def format_operation(operation: Operation, fragment: Fragment | None = None) -> str:
    """`y = conv<...>(x, w, stride = [1, 1]);`. fragment: the signature, if it is known, to group the tensors by."""
    name = _identifier(operation.type or "", "operation")
    attributes = operation.attribs
    type_argument = ""
    dtype = attributes.get("dtype")
    if isinstance(dtype, str) and (fragment is None or "dtype" not in fragment.attributes):
        dtype = as_class(dtype)
    if isinstance(dtype, (type, np.dtype)):
        attributes = {key: value for key, value in attributes.items() if key != "dtype"}
        item = item_of_dtype(np.dtype(dtype).type)
        # The signature of a known operation that is not generic says the type already.
        type_argument = f"<{item}>" if fragment is None or fragment.generic else ""
    # The precision of a custom operation is not known, so numbers of double precision keep theirs.
    literals = _DOUBLE if is_double(operation) else _SINGLE
    precision = _OWN if literals == _SINGLE and (fragment is None or operation.custom) else literals
    try:
        arguments = [_operand(item, literals) for item in _grouped(operation.inputs, fragment, is_input=True)]
        arguments += [
            f"{_identifier(key, 'attribute')} = {format_value(value, precision)}"
            for key, value in attributes.items()
            if value is not None
        ]
        results = [_result(item) for item in _grouped(operation.outputs, fragment, is_input=False)]
    except FormatError as error:
        raise FormatError(error.message, error.details, where=_where(operation), hint=error.hint) from None
    return f"{', '.join(results)} = {name}{type_argument}({', '.join(arguments)});"


def format_value(value: Any, precision: str = _SINGLE) -> str:
    """The literal for an attribute value.

    precision: what numbers have to read back to, the same value in 'single' or 'double' precision; 'own': in that which
    holds the value exactly. value: plain ones, numpy scalars and arrays; a class or dtype becomes its name in quotes; a
    string of a class named `Identifier` is printed as it is. FormatError for anything else, also for infinity, NaN and
    integers of more than 64 bits, which have no literal.
    """
    if type(value) is list and _holds_integers(value):
        return repr(value)
    if isinstance(value, (bool, np.bool_)):
        return "true" if value else "false"
    if isinstance(value, str):
        return str(value) if type(value).__name__ == "Identifier" else _string(value)
    if isinstance(value, (int, np.integer)):
        return _integer(int(value))
    if isinstance(value, (float, np.floating)):
        return _number(float(value), precision)
    if isinstance(value, list):
        return f"[{', '.join([format_value(item, precision) for item in value])}]"
    if isinstance(value, tuple):
        if len(value) < 2:
            raise FormatError(f"a tuple of {len(value)} items has no form in NNEF", hint="use a list")
        return f"({', '.join([format_value(item, precision) for item in value])})"
    if isinstance(value, (np.ndarray, np.generic)):
        return format_value(value.tolist(), precision)
    if isinstance(value, type):
        return f"'{value.__name__}'"
    if isinstance(value, np.dtype):
        return f"'{value.name}'"
    raise FormatError(f"a value of type {type(value).__name__} has no form in NNEF")


def format_declaration(fragment: Fragment) -> str:
    """`fragment name(x: tensor<scalar>, k: integer = 1) -> (y: tensor<scalar>);`, without body."""
    default = f" = {fragment.default_type}" if fragment.default_type else ""
    generic = f"<?{default}>" if fragment.generic else ""
    parameters = ", ".join(
        f"{p.name}: {p.type}" + ("" if p.default is REQUIRED else f" = {format_value(p.default)}")
        for p in fragment.parameters
    )
    results = ", ".join(f"{result.name}: {result.type}" for result in fragment.results)
    return f"fragment {fragment.name}{generic}({parameters}) -> ({results});"


def _where(operation: Operation) -> str:
    outputs = ", ".join(repr(tensor) for tensor in operation.outputs)
    return f"operation '{operation.type}' of {outputs}" if outputs else f"operation '{operation.type}'"


def _identifier(name: str, what: str) -> str:
    if not is_identifier(name):
        raise FormatError(f"{what} name '{name}' is not an identifier that can be written")
    return name


def _name(tensor: Tensor) -> str:
    if tensor.name is None:
        raise FormatError("a tensor that is not a literal has no name")
    return _identifier(tensor.name, "tensor")


def _operand(item: Any, precision: str) -> str:
    if isinstance(item, Tensor):
        return _name(item) if item.data is None or item.has_producer else format_literal(item, precision)
    return f"[{', '.join([_operand(part, precision) for part in item])}]"


def format_literal(tensor: Tensor, precision: str = _SINGLE) -> str:
    """The literal of a constant tensor of rank 0; see `format_value`. FormatError for other ranks."""
    data = np.asarray(tensor.data)
    if data.ndim:
        raise FormatError(
            f"a constant of shape {list(data.shape)} cannot be written as a literal",
            hint="give it a 'variable' or 'constant' operation",
        )
    value = data.item()
    if item_of_dtype(data.dtype.type) == "scalar" and not isinstance(value, float):
        value = float(value)
    if precision != _DOUBLE and isinstance(value, float) and _FLOAT32_MAX < abs(value) < math.inf:
        raise FormatError(f"{value} is out of the range of single precision, in which this operation is computed")
    return format_value(value, precision)


def _result(item: Any) -> str:
    return _name(item) if isinstance(item, Tensor) else f"[{', '.join(map(_result, item))}]"


def _grouped(tensors: Sequence[Tensor], fragment: Fragment | None, *, is_input: bool) -> list[Any]:
    """Tensors in the structure in which they are written."""
    if isinstance(tensors, tuple):
        return list(tensors)
    if fragment is not None:
        types = [p.type for p in (fragment.tensors if is_input else fragment.results)]
        if len(types) > 1 and any(isinstance(type_, (ArrayType, TupleType)) for type_ in types):
            try:
                return regroup(types, list(tensors), fragment.name)
            except ShapeError as error:
                raise FormatError(error.message) from None
    return [list(tensors)]


def _annotation(tensor: Tensor) -> str:
    item = item_of_dtype(tensor.dtype)
    dims = "?" if tensor.shape is None else ", ".join("?" if dim is None else str(dim) for dim in tensor.shape)
    return f"{item}({dims})"


def _string(text: str) -> str:
    if not text.isprintable():
        raise FormatError(f"the string {text!r} holds characters that NNEF cannot write")
    quoted = text.replace("\\", "\\\\").replace("'", "\\'") if "'" in text or "\\" in text else text
    return f"'{quoted}'"


def _holds_integers(values: list[Any]) -> bool:
    """Does a list hold integers, or tuples of them, that can be written? Python writes these as NNEF does."""
    kinds = set(map(type, values))
    if kinds == _TUPLES and min(map(len, values)) >= 2:
        values = list(chain.from_iterable(values))
        kinds = set(map(type, values))
    return kinds == _INTEGERS and min(values) >= INTEGER_MIN and max(values) <= INTEGER_MAX


def _integer(value: int) -> str:
    if not INTEGER_MIN <= value <= INTEGER_MAX:
        raise FormatError(f"{value} has no literal in NNEF, whose integers have 64 bits", hint="keep it in a variable")
    return str(value)


def _number(value: float, precision: str) -> str:
    """The shortest text with `.` or `e` that reads back to the same value in that precision.

    A double outside the range of single precision keeps its own text.
    """
    if not math.isfinite(value):
        raise FormatError(f"{value} has no literal in NNEF", hint="keep it in a variable")
    text = repr(value)
    if len(text) <= _SHORT and (abs(value) >= _FLOAT32_TINY or value == 0.0):
        return text  # six digits or less are never longer than needed in single precision
    if precision != _DOUBLE and abs(value) <= _FLOAT32_MAX:
        single = np.float32(value)
        if (single != 0.0 or value == 0.0) and (precision == _SINGLE or float(single) == value):
            value = float(str(single))
    return repr(value)
