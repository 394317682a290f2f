"""Shapes and data types of a graph in the NNEF dialect, and the evaluation of single operations."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from math import prod
from operator import index
from typing import Any, TypeVar

import numpy as np

from ..budget import ask_constant, ask_rank
from ..errors import ExecutionError, LimitError, NnefToolsError, PluginCodeError, PluginError, ShapeError, UsageError
from ..language.signatures import regroup
from ..language.types import REQUIRED, Fragment
from ..model.dtypes import as_class, nnef_dtype, numpy_dtype
from ..model.graph import Graph, Operation, Tensor
from ..model.plugin_code import origin, own_lines, reason
from ..model.widths import is_literal, width_of
from .bind import group_arguments
from .definition import OpDef
from .library import Library
from .precision import common_float, common_integer
from .registry import find

T = TypeVar("T")
_INT = {int}
_MAX_ITEMS = 2**60 - 1  # of at most eight bytes
ShapeFunctions = Mapping[str, Callable[..., Any]]

# operations whose kernel has the data type of the result as a parameter
_DTYPE_KERNELS = ("cast", "constant", "external")


# Single operations


def infer_shapes(
    name: str, input_shapes: Sequence[Any], attribs: Mapping[str, Any], custom_shapes: ShapeFunctions | None = None
) -> Any:
    """The shapes of the results of an operation: a list, a tuple of lists, or a list of lists for an array result.

    input_shapes: an item per argument, a list of shapes for an array argument. attribs: those of the signature that
    have defaults may be missing; `dtype` is ignored. custom_shapes: shape functions of plugins, which come first.
    ShapeError if the arguments do not fit or the operation is not known; PluginError if a shape function is faulty.
    """
    shapes = [_as_lists(shape) for shape in input_shapes]
    if custom_shapes and name in custom_shapes:
        return _custom_result(name, custom_shapes, shapes, attribs)
    definition = find(name)
    if definition is None:
        raise ShapeError(
            f"the shape of the result of operation '{name}' is not known",
            where=name,
            hint="give its shape function with --custom-shapes",
        )
    return result_shapes(definition, shapes, attribs)


def result_shapes(definition: OpDef, shapes: Sequence[list[Any]], attribs: Mapping[str, Any]) -> Any:
    """What `infer_shapes` gives for a known operation, from lists of int."""
    attribs = definition.complete(attribs)
    _check_count(definition.fragment, shapes)
    try:
        result = definition.shape(*shapes, **attribs)
        for shape in [result] if _INT.issuperset(map(type, result)) else flat_shapes(result):
            ask_rank(len(shape))
            if prod(shape) > _MAX_ITEMS:
                raise ShapeError(f"the shape {shape} of its result has more items than can be addressed")
        return result
    except NnefToolsError as error:
        error.where = error.where or definition.name
        raise


def output_shapes(op: Operation, found: Any, custom_shapes: ShapeFunctions) -> list[list[int]]:
    """A shape for each result of an operation, from those of infer_shapes. PluginError, ShapeError if counts differ."""
    results = [found] if type(found) is list and _INT.issuperset(map(type, found)) else list(flat_shapes(found))
    if len(results) == len(op.outputs):
        return results
    if op.type in custom_shapes:
        message = f"operation '{op.type}' has {len(op.outputs)} results, its shape function gives {len(results)}"
        raise PluginCodeError(
            message, own_lines(None, custom_shapes[str(op.type)]), where=origin(custom_shapes, op.type)
        )
    raise ShapeError(f"gives {len(results)} results, but {len(op.outputs)} are named")


def _as_lists(shape: Any) -> list[Any]:
    if _INT.issuperset(map(type, shape)):
        return list(shape)
    return [_as_lists(item) if isinstance(item, (list, tuple)) else index(item) for item in shape]


def _check_count(fragment: Fragment, arguments: Sequence[Any]) -> None:
    most = len(fragment.tensors)
    if len(arguments) == most:
        return
    required = sum(p.default is REQUIRED for p in fragment.tensors)
    if not required <= len(arguments) < most:
        names = ", ".join(parameter.name for parameter in fragment.tensors)
        raise ShapeError(f"takes {most} tensor arguments ({names}), got {len(arguments)}", where=fragment.name)


def _custom_result(name: str, functions: ShapeFunctions, shapes: list[Any], attribs: Mapping[str, Any]) -> Any:
    function, where = functions[name], origin(functions, name) or name
    attribs = {key: value for key, value in attribs.items() if key != "dtype"}
    try:
        result = function(*shapes, **attribs)
    except AssertionError as error:
        raise ShapeError(str(error) or "its shape function refuses the arguments", where=name) from error
    except NnefToolsError as error:
        error.where = error.where or name
        raise
    except Exception as error:  # the code of a plugin may raise anything
        raise PluginCodeError(
            f"shape function failed: {reason(error)}", own_lines(error, function), where=where
        ) from error
    try:
        found = tuple(_as_lists(shape) for shape in result) if isinstance(result, tuple) else _as_lists(result)
        if any(extent < 0 for shape in flat_shapes(found) for extent in shape):
            raise ValueError
        return found
    except (TypeError, ValueError):
        raise PluginCodeError(
            f"shape function gave {result!r}",
            own_lines(None, function),
            where=where,
            hint="give a list of int, a tuple of such for several results, or a list of such for an array",
        ) from None


def result_dtypes(fragment: Fragment, input_dtypes: Sequence[Any], dtype: Any = None) -> list[type]:
    """The data types (numpy classes) of the results, in the order of the signature; one item for an array result.

    input_dtypes: a class per argument (or a list of them for an array argument; None for a literal, which decides
    nothing). dtype: what the generic type `?` stands for; its class gives way to that of the generic inputs if they
    are of the same NNEF type, so that float16 or int32 pass through.
    """
    return [_result_class(item, fragment, input_dtypes, dtype) for item in fragment.result_items]


def spread(fragment: Fragment, items: Sequence[T], count: int) -> list[T]:
    """An item for each tensor, from one for each result of the signature: that of an array is for all its tensors.

    count: of the tensors, which may be fewer than results. ShapeError if they cannot be divided among the results.
    """
    if len(items) == 1:
        return [items[0]] * count
    groups = regroup([result.type for result in fragment.results], range(count), fragment.name)
    sizes = [len(group) if isinstance(group, list) else 1 for group in groups]
    return [item for item, size in zip(items, sizes, strict=False) for _ in range(size)]


def _result_class(item: str, fragment: Fragment, input_dtypes: Sequence[Any], dtype: Any) -> Any:
    if item in ("logical", "string"):
        return np.bool_ if item == "logical" else np.str_
    classes = _classes(fragment, input_dtypes, item)
    if item == "scalar":
        return common_float(classes) or np.float32
    if item == "?":
        return _generic_class(classes, dtype)
    return classes[0] if len(set(classes)) == 1 else np.int64  # operations on bits keep the type


def _classes(fragment: Fragment, input_dtypes: Sequence[Any], item: str) -> list[Any]:
    """The classes of the inputs whose parameters have that item type."""
    groups = [
        dtypes if isinstance(dtypes, (list, tuple)) else [dtypes]
        for own, dtypes in zip(fragment.tensor_items, input_dtypes, strict=False)
        if own == item
    ]
    return [dtype for group in groups for dtype in group if dtype is not None]


def _generic_class(classes: Sequence[Any], dtype: Any) -> Any:
    kind = nnef_dtype(dtype) if dtype is not None else nnef_dtype(classes[0]) if classes else "scalar"
    same = [item for item in classes if nnef_dtype(item) == kind]
    if not same:
        return numpy_dtype(kind) if dtype is None else np.dtype(as_class(dtype)).type
    return common_float(same) if kind == "scalar" else common_integer(same)


def evaluate(name: str, inputs: Sequence[Any], attribs: Mapping[str, Any]) -> Any:
    """Runs the kernel of an operation: an array, a tuple of arrays, or a list of them for an array result.

    inputs: an item per argument, a list of arrays for an array argument. attribs: as for infer_shapes, and `dtype`
    for `cast`, `constant` and `external`. ShapeError if the arguments do not fit; ExecutionError if the operation
    has no kernel, or values (such as indices) are out of range.
    """
    definition = find(name)
    if definition is None:
        raise ExecutionError(f"operation '{name}' cannot be evaluated: it has no kernel", where=name)
    shapes = [[np.shape(a) for a in item] if isinstance(item, list) else np.shape(item) for item in inputs]
    expected = infer_shapes(name, shapes, attribs)
    _ask_value(name, expected, inputs)
    arguments = definition.complete(attribs)
    if name in _DTYPE_KERNELS:
        arguments["dtype"] = as_class(attribs.get("dtype", np.float32))
    try:
        results = definition.run(*inputs, **arguments)
    except NnefToolsError as error:
        error.where = error.where or name
        raise
    if __debug__:
        actual = [list(array.shape) for array in flat_results(results)]
        assert actual == list(flat_shapes(expected)), f"{name}: kernel gives {actual}, shape rule {expected}"
    return results


def _ask_value(name: str, shapes: Any, inputs: Sequence[Any]) -> None:
    """Asks the budget for results of an operation on constants, which may have as many items as the operands."""
    given = sum(np.size(array) for array in flat_results(list(inputs)))
    try:
        ask_constant(sum(map(prod, flat_shapes(shapes))), given=given)
    except LimitError as error:
        error.where = name
        raise


def flat_shapes(shapes: Any) -> Iterator[list[int]]:
    """The shapes, one by one, that a shape rule returned."""
    if isinstance(shapes, tuple):
        for item in shapes:
            yield from flat_shapes(item)
    elif shapes and isinstance(shapes[0], (list, tuple)):
        yield from (list(item) for item in shapes)
    else:
        yield list(shapes)


def flat_results(results: Any) -> Iterator[Any]:
    """The arrays, one by one, that a kernel returned."""
    if isinstance(results, (tuple, list)):
        for item in results:
            yield from flat_results(item)
    else:
        yield results


# Graphs


def infer_graph(
    graph: Graph,
    *,
    external_shapes: Mapping[str, Sequence[int]] | None = None,
    custom_shapes: ShapeFunctions | None = None,
    library: Library | None = None,
    allow_unknown: bool = False,
) -> None:
    """Sets the shape and data type of every tensor of an NNEF graph, whose operations must be in order.

    external_shapes: shapes, by tensor name, that replace those of `external` operations. custom_shapes: shape functions
    of plugins. library: the operations that are known, by default with what the graph declares; results of foreign ones
    may have any shape. allow_unknown: results of unknown operations (and of those that depend on them) get shape None,
    instead of a ShapeError. ShapeError names the operation, its inputs and its attributes. UsageError if an external
    shape has the name of no input, or another rank.
    """
    if external_shapes:
        _set_external_shapes(graph, external_shapes)
    inference = _Inference(custom_shapes or {}, library or Library.of(graph), allow_unknown)
    for op in graph.operations:
        try:
            inference.infer(op)
        except PluginError as error:
            error.details = (*error.details, f"at {_describe(op)}", *_context(op))
            raise
        except NnefToolsError as error:
            error.where = _describe(op)
            error.details = (*error.details, *_context(op))
            raise


def _set_external_shapes(graph: Graph, shapes: Mapping[str, Sequence[int]]) -> None:
    externals = {op.output.name: op for op in graph.operations if op.type == "external"}
    for name, shape in shapes.items():
        if name not in externals:
            names = ", ".join(str(external) for external in externals)
            raise UsageError(f"there is no graph input '{name}' to give a shape", hint=f"the inputs are: {names}")
        op = externals[name]
        if len(shape) != len(op.attribs["shape"]):
            raise UsageError(
                f"shape {list(shape)} for graph input '{name}' has another rank than {list(op.attribs['shape'])}"
            )
        if any(extent <= 0 for extent in shape):
            raise UsageError(f"extents of shape {list(shape)} for graph input '{name}' must be positive")
        op.attribs["shape"] = [int(extent) for extent in shape]


def infer_dtypes(graph: Graph, library: Library) -> None:
    """Sets the data type of every tensor of an NNEF graph; see `infer_graph`."""
    inference = _Inference({}, library, True)
    for op in graph.operations:
        try:
            inference.infer_dtypes(op)
        except NnefToolsError as error:
            error.where = _describe(op)
            raise


class _Inference:
    """The inference over the operations of one graph; see infer_graph."""

    def __init__(
        self,
        custom_shapes: ShapeFunctions,
        library: Library,
        allow_unknown: bool,
    ) -> None:
        self._custom_shapes = custom_shapes
        self._library = library
        self._allow_unknown = allow_unknown
        self._classes: dict[tuple[Any, ...], list[type]] = {}  # known data types of results

    def infer(self, op: Operation) -> None:
        """Sets the shapes and data types of the results of an operation."""
        definition = self._library.find(op.type)
        arguments = self.infer_dtypes(op)
        unknown = _first_unknown(op.inputs)
        if self._allow_unknown and (unknown is not None or (definition is None and op.type not in self._custom_shapes)):
            for output in op.outputs:
                output.shape = None
            return
        if unknown is not None:
            raise ShapeError(f"the shape of input '{unknown.name}' is not known")
        shapes = [list(map(_extents, item)) if isinstance(item, list) else _extents(item) for item in arguments]
        if definition is None or op.type in self._custom_shapes:
            found = infer_shapes(str(op.type), shapes, op.attribs, self._custom_shapes)
        else:
            found = result_shapes(definition, shapes, op.attribs)
        for output, shape in zip(op.outputs, output_shapes(op, found, self._custom_shapes), strict=True):
            output.shape = shape

    def infer_dtypes(self, op: Operation) -> list[Tensor | list[Tensor]]:
        """Sets the data types of the results of an operation; its arguments."""
        own = op.type in self._library.foreign
        fragment = self._library.declared.get(str(op.type)) if own else self._library.signature(op.type)
        arguments = group_arguments(op.inputs, fragment)
        if fragment is not None:
            self._set_dtypes(op, fragment, arguments)
        return arguments

    def _set_dtypes(self, op: Operation, fragment: Fragment, arguments: Sequence[Tensor | list[Tensor]]) -> None:
        """Sets types of results. Data of variables keeps its own type; without a signature, known types stay."""
        class_of = width_of(op.inputs) if any(t.dtype is np.float64 for t in op.inputs) else _dtype
        dtypes = tuple([tuple(map(class_of, x)) if isinstance(x, list) else class_of(x) for x in arguments])
        given = op.attribs.get("dtype")
        classes = self._classes.get((op.type, dtypes, given))
        if classes is None:
            if dtypes and not any(flat_results(dtypes)):
                # if there are only literals, they decide
                literals = [[t.dtype for t in item] if isinstance(item, list) else item.dtype for item in arguments]
                classes = result_dtypes(fragment, literals, given)
            else:
                classes = self._classes[op.type, dtypes, given] = result_dtypes(fragment, dtypes, given)
        for output, dtype in zip(op.outputs, spread(fragment, classes, len(op.outputs)), strict=True):
            if isinstance(output.data, np.ndarray):
                dtype = output.data.dtype.type
            elif not op.inputs and output.dtype is not None and nnef_dtype(output.dtype) == nnef_dtype(dtype):
                dtype = output.dtype
            output.dtype = dtype


def _extents(tensor: Tensor) -> list[Any]:
    return list(tensor.shape or ())


def _first_unknown(tensors: Iterable[Tensor]) -> Tensor | None:
    for tensor in tensors:
        shape = tensor.shape
        if shape is None or None in shape:
            return tensor
    return None


def _dtype(tensor: Tensor) -> Any:
    return None if is_literal(tensor) else tensor.dtype


def _describe(op: Operation) -> str:
    names = ", ".join(str(tensor.name) for tensor in op.outputs)
    return f"{op.type} '{names}'"


def _context(op: Operation) -> list[str]:
    """The inputs with their shapes, and the attributes, for an error message."""
    inputs = [f"{tensor.name or 'literal'}: {_shown(tensor)}" for tensor in op.inputs]
    attribs = [f"{key} = {value!r}" for key, value in op.attribs.items() if key not in ("dtype", "value")]
    lines = ["inputs: " + ", ".join(inputs)] if inputs else []
    return lines + ["attributes: " + ", ".join(attribs)] if attribs else lines


def _shown(tensor: Tensor) -> str:
    return "unknown shape" if tensor.shape is None else str(list(tensor.shape))
