"""The builder of NNEF graphs, which infers shapes and data types while it builds.

`b.<op>(*tensors, **attribs)` adds the operation `<op>` and returns its result: a tensor, a tuple of tensors for several
results, a list for an array result. Shapes and data types are known at once from `ops/`. Where NNEF's types ask for it,
casts are put around integer operands. Operations on constants are evaluated (see `fold_limit`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from ...budget import Steps, ask_repeated
from ...errors import Unsupported
from ...model import Graph, Operation, Tensor
from ...model.dtypes import is_integer, nnef_dtype
from ...ops.inference import evaluate, infer_shapes, result_shapes
from ...ops.integers import keeps_bits
from .operations import Operand, Operations
from .quantized import QuantizedArray
from .typing import Signature, Types, kinds_of, signature_of, types_of

ndarray = np.ndarray[Any, Any]

ALWAYS_FOLD_ITEMS = 1024
"""Constant results of up to this many items are always folded: shape arithmetic and scalar factors."""

EXACT_INTEGERS = (np.int8, np.uint8, np.int16, np.uint16)
"""Integer types whose values float32 holds exactly."""

WRAPPING = ("abs", "add", "box", "conv", "deconv", "linear", "matmul", "mul", "neg", "pow", "product_reduce", "sqr",
            "sub", "sum_reduce")  # fmt: skip
"""Operations whose result on integers can leave the range of their type."""

KEEPING = ("cast", "copy", "reshape", "squeeze", "tile", "transpose", "unsqueeze")
"""Operations whose result has the values of their operand, in another type, shape or order, or repeated."""

LITERAL_TYPES = {"scalar": np.float32, "integer": np.int64, "logical": np.bool_}
_TENSORS = {Tensor}
PYTHON_TYPES = {float: np.float32, int: np.int64, bool: np.bool_}


class Builder(Operations):
    """Builds operations at the end of `graph`.

    fold_all: evaluate every operation on constants, whatever its size. custom_shapes: shape functions of operations
    that are not in `ops/`. standard_only: refuse custom fragments. inline: converts the operations of a nested
    source graph here, given targets for its inputs, and returns the targets of its outputs.

    version: of the operator that is being converted, in its domain. wanted: which of its outputs are used. rounded:
    names of operations that compute wide integers in scalars, exact up to 2**24. warnings: in order, once each.
    derived_from: constant -> the one that it is another form of. named_after: constant -> the one that it was mainly
    computed from, whose name it takes if nothing else has it. views: the other forms that were made of constants.
    steps: of the loops that are unrolled.
    states: variable that keeps its value from run to run -> its first value, an array or a QuantizedArray.
    facts: condition -> what it is wherever the results of the operators count that are being converted.
    """

    def __init__(
        self,
        graph: Graph,
        *,
        fold_all: bool = False,
        custom_shapes: Mapping[str, Callable[..., Any]] | None = None,
        standard_only: bool = False,
        inline: Callable[[Graph, Sequence[Tensor | None]], list[Tensor | None]] | None = None,
    ) -> None:
        self.graph = graph
        self.fold_all = fold_all
        self.custom_shapes = custom_shapes or {}
        self.standard_only = standard_only
        self.inline = inline
        self.version = 1
        self.wanted: tuple[bool, ...] = ()
        self.rounded: set[str] = set()
        self.warnings: dict[str, None] = {}
        self.derived_from: dict[Tensor, Tensor] = {}
        self.named_after: dict[Tensor, Tensor] = {}
        self.views: dict[tuple[Any, ...], Tensor] = {}
        self.steps = Steps()
        self.states: dict[Tensor, Any] = {}
        self.facts: dict[Tensor, bool] = {}
        self._computed: dict[Tensor, ndarray | None] = {}
        self._folded: dict[tuple[Any, ...], list[Tensor]] = {}

    def constant(self, value: Any, dtype: Any = None, base: Tensor | None = None) -> Tensor:
        """A constant tensor; the array is shared, not copied. base: the constant that it is derived from."""
        array = np.asarray(value, dtype=dtype)
        ask_repeated(array.shape, array.strides)
        tensor = Tensor(self.graph, shape=array.shape, dtype=array.dtype.type, data=array)
        if base is not None:
            self.derived_from[tensor] = base
        return tensor

    def state(self, initial: ndarray | QuantizedArray, label: str) -> Tensor:
        """A variable that keeps its value from run to run, with the value before the first one."""
        tensor = Tensor(self.graph, shape=initial.shape, dtype=initial.dtype.type)
        if isinstance(initial, QuantizedArray):
            tensor.quant = initial.quant()
        attribs = {"shape": list(initial.shape), "label": "", "dtype": LITERAL_TYPES[nnef_dtype(tensor.dtype)]}
        Operation(self.graph, type="variable", name=label, attribs=attribs, outputs=tensor)
        self.states[tensor] = initial
        return tensor

    def update(self, state: Tensor, value: Tensor) -> Operation:
        """Gives a variable its value for the next run, in place of what it may have been given before."""
        earlier = [op for op in state.consumers if op.type == "update"]
        self.graph.remove_operations(earlier, unlink=True)
        result: Tensor = self.op("update", state, value)
        result.quant = dict(state.quant or {})
        assert result.producer is not None
        return result.producer

    def value(self, tensor: Tensor) -> ndarray | None:
        """The array of a constant, or of a tensor that is computed from constants only; None for any other."""
        if tensor.data is not None:
            return np.asarray(tensor.data)
        if tensor not in self._computed:
            return None
        pending = [tensor]
        while pending:
            producer = pending[-1].producer
            assert producer is not None
            needed = [t for t in producer.inputs if t.data is None and self._computed[t] is None]
            if needed:
                pending.extend(needed)
                continue
            if self._computed[pending.pop()] is None:
                self._evaluate(producer)
        return self._computed[tensor]

    def _evaluate(self, op: Operation) -> None:
        arrays = [np.asarray(t.data) if t.data is not None else self._computed[t] for t in op.inputs]
        arguments = arrays if isinstance(op.inputs, tuple) else [arrays]
        results = evaluate(str(op.type), arguments, op.attribs)
        for output, array in zip(op.outputs, _flat(results), strict=True):
            self._computed[output] = np.asarray(array).astype(output.dtype, copy=False)

    def op(self, name: str, *inputs: Operand | Sequence[Operand], **attribs: Any) -> Any:
        """Adds an operation. Unsupported if NNEF has no such operation or a result would be empty; ShapeError."""
        signature = signature_of(name)
        definition, items = signature.definition, signature.items
        assert len(inputs) <= len(items), f"'{name}' takes {len(items)} tensors, got {len(inputs)}"
        plain = _TENSORS.issuperset(map(type, inputs))
        arguments: list[Any] = list(inputs) if plain else _operands(self, signature, inputs)
        tensors: list[Any] = _flat_arguments(arguments) if signature.has_array else arguments
        given = [_shapes(argument) for argument in arguments]
        if name in self.custom_shapes:
            inferred = infer_shapes(name, given, definition.complete(attribs), self.custom_shapes)
        else:
            inferred = result_shapes(definition, given, attribs)
        shapes = list(inferred) if isinstance(inferred, tuple) else _as_list(inferred)
        types = types_of(name, kinds_of(arguments), attribs.get("dtype"), len(shapes))
        constant = self._is_constant(tensors)
        if constant and self._is_folded(tensors, shapes):
            return self._fold(signature, arguments, attribs, types)
        if all(0 in shape for shape in shapes):  # without items the value is known
            empty = zip(shapes, types.results, strict=True)
            return _as_results(signature, [self.constant(np.zeros(shape, dtype)) for shape, dtype in empty])
        if self.standard_only and not definition.standard:
            raise Unsupported(f"needs the custom fragment '{name}', which --standard-only excludes")
        return self._create(signature, arguments, attribs, shapes, types, constant)

    def _is_constant(self, tensors: Sequence[Tensor]) -> bool:
        """Are the operands known, or computed from constants only?"""
        for tensor in tensors:
            if tensor.data is None and tensor not in self._computed:
                return False
        return bool(tensors)

    def _is_folded(self, operands: Sequence[Tensor], shapes: Sequence[Sequence[int]]) -> bool:
        """Is an operation evaluated: are its operands known, and its results small enough?"""
        is_small = self.fold_all or sum(map(prod, shapes)) <= ALWAYS_FOLD_ITEMS
        return is_small and all(t.data is not None for t in operands)

    def _fold(self, signature: Signature, arguments: list[Any], attribs: dict[str, Any], types: Types) -> Any:
        """The results as constants; the same tensors if an unrolled loop asks again."""
        name = signature.fragment.name
        key = (name, *map(_identity, _flat_arguments(arguments)), repr(attribs))
        tensors = self._folded.get(key)
        if tensors is None:
            tensors = self._evaluated(name, arguments, attribs, types.results)
            self._inherit(name, tensors, _flat_arguments(arguments))
            if all((t.volume or 0) <= ALWAYS_FOLD_ITEMS for t in tensors):
                self._folded[key] = tensors
        return _as_results(signature, tensors)

    def _inherit(self, operation: str, results: list[Tensor], operands: list[Tensor]) -> None:
        """Notes that a folded result goes back to the largest operand, if that has as many items."""
        main = max(operands, key=_volume)
        if len(results) == 1 and main.rank and operation in KEEPING:
            self.derived_from[results[0]] = main
        elif len(results) == 1 and main.rank and _volume(results[0]) == _volume(main):
            self.named_after[results[0]] = main

    def _evaluated(
        self, name: str, arguments: list[Any], attribs: dict[str, Any], dtypes: Sequence[type]
    ) -> list[Tensor]:
        arrays = [[np.asarray(t.data) for t in a] if isinstance(a, list) else np.asarray(a.data) for a in arguments]
        results = evaluate(name, arrays, attribs)
        return [
            self.constant(np.asarray(array).astype(dtype, copy=False))
            for array, dtype in zip(_flat(results), dtypes, strict=True)
        ]

    def _create(
        self,
        signature: Signature,
        arguments: list[Any],
        attribs: dict[str, Any],
        shapes: list[list[int]],
        types: Types,
        constant: bool,
    ) -> Any:
        fragment = signature.fragment
        if not types.plain:
            arguments = self._fitting(signature, arguments, attribs)
        # A scalar operation on integers gives a scalar that is cast back; everything else has its final type already.
        outputs = [
            Tensor(self.graph, shape=shape, dtype=np.float32 if back else dtype)
            for shape, dtype, back in zip(shapes, types.results, types.cast_back, strict=True)
        ]
        array_argument = signature.has_array and len(arguments) == 1 and isinstance(arguments[0], list)
        inputs: Any = arguments[0] if array_argument else tuple(_flat_arguments(arguments))
        Operation(
            self.graph,
            type=fragment.name,
            attribs=attribs,
            inputs=inputs,
            outputs=outputs if signature.array_result else tuple(outputs),
            custom=False,
        )
        if constant:
            self._computed.update(dict.fromkeys(outputs))
        restore = types.restore
        if restore is not None:
            if restore in EXACT_INTEGERS and fragment.name in WRAPPING:
                text = f"NNEF's integers have no width: {fragment.name} on {restore.__name__} does not wrap"
                self.warnings[text] = None
            outputs = [self.cast(t, restore) if back else t for t, back in zip(outputs, types.cast_back, strict=True)]
        return _as_results(signature, outputs)

    def _fitting(self, signature: Signature, arguments: list[Any], attribs: Mapping[str, Any]) -> list[Any]:
        """The arguments in the types that the parameters ask for."""
        name, tensors = signature.fragment.name, _flat_arguments(arguments)
        real = np.float64 if any(t.dtype is np.float64 for t in tensors) else np.float32
        self._warn_of_signs(name, tensors, attribs)
        return [
            [self._coerced(t, item, name, real) for t in a]
            if isinstance(a, list)
            else self._coerced(a, item, name, real)
            for a, item in zip(arguments, signature.items, strict=False)
        ]

    def cast(self, tensor: Tensor, dtype: Any) -> Tensor:
        """The tensor in another numpy scalar class; itself if nothing changes. Real to integer truncates."""
        if tensor.dtype is dtype:
            return tensor
        if tensor.data is not None and (self.fold_all or (tensor.volume or 0) <= ALWAYS_FOLD_ITEMS):
            return self.constant(_cast_array(np.asarray(tensor.data), dtype), base=tensor)
        result: Tensor = self.op("cast", tensor, dtype=dtype)
        return result

    def _warn_of_signs(self, operation: str, tensors: Sequence[Tensor], attribs: Mapping[str, Any]) -> None:
        """Warns about operations that would give another result if uint64 values were not held in int64."""
        unsigned = any(t.dtype is np.uint64 and t.data is None for t in tensors)
        if unsigned and not keeps_bits(operation, attribs):
            text = f"{operation} on uint64: values from 2**63 on are taken as negative where integers have 64 bits"
            self.warnings[text] = None

    def _coerced(self, tensor: Tensor, item: str | None, operation: str, real: Any) -> Tensor:
        """The tensor in the data type that a parameter of an operation asks for. real: the class of scalars."""
        if item in (None, "?") or item == nnef_dtype(tensor.dtype):
            return tensor
        if is_integer(tensor.dtype) and tensor.dtype not in EXACT_INTEGERS and not _is_exact(tensor.data):
            self.rounded.add(operation)
        return self.cast(tensor, real if item == "scalar" else LITERAL_TYPES[str(item)])


def _holds(dtype: Any, value: Any) -> bool:
    """Does a number beside tensors of the class take that class instead of float32?"""
    return dtype is np.float64 or (is_integer(dtype) and isinstance(value, int))


def _volume(tensor: Tensor) -> int:
    return tensor.volume or 0


def _identity(tensor: Tensor) -> Any:
    """The key of a constant in caches; numbers that rules write down have equal keys if they are equal."""
    return tensor if tensor.rank else (tensor.dtype, np.asarray(tensor.data).tobytes())


def _operands(builder: Builder, signature: Signature, inputs: Sequence[Any]) -> list[Any]:
    """Tensors, and lists of them for arrays, for the arguments, which may be numbers."""
    kin = {item: _first_dtype(inputs, signature.items, item) for item in signature.items}
    return [
        [_operand(builder, part, item, kin[item]) for part in value]
        if isinstance(value, (list, tuple)) and is_array
        else _operand(builder, value, item, kin[item])
        for value, item, is_array in zip(inputs, signature.items, signature.fragment.arrays, strict=False)
    ]


def _operand(builder: Builder, value: Any, item: str | None, kin: Any) -> Tensor:
    """A tensor for an argument; a Python number gets the type of the parameter or of other arguments (kin)."""
    if isinstance(value, Tensor):
        return value
    if isinstance(value, (np.ndarray, np.generic)):
        return builder.constant(value)
    dtype: Any = LITERAL_TYPES.get(item or "")
    if kin is not None and (dtype is None or (item == "scalar" and _holds(kin, value))):
        dtype = kin
    return builder.constant(value, dtype or PYTHON_TYPES[value.__class__])


def _first_dtype(inputs: Sequence[Any], items: Sequence[str | None], item: str | None) -> Any:
    """The data type of the first tensor that is given to a parameter with that item type, or None."""
    for value, own in zip(inputs, items, strict=False):
        if own == item:
            for tensor in value if isinstance(value, (list, tuple)) else [value]:
                if isinstance(tensor, Tensor):
                    return tensor.dtype
    return None


def _as_results(signature: Signature, tensors: list[Tensor]) -> Any:
    if signature.array_result:
        return tensors
    return tensors[0] if len(tensors) == 1 else tuple(tensors)


def _shapes(argument: Any) -> Any:
    return [list(t.shape) for t in argument] if isinstance(argument, list) else list(argument.shape)


def _as_list(shape: Any) -> list[Any]:
    """`[2, 3]` -> `[[2, 3]]`; a list of shapes stays."""
    return list(shape) if shape and isinstance(shape[0], (list, tuple)) else [shape]


def _flat(results: Any) -> list[Any]:
    return list(results) if isinstance(results, (tuple, list)) else [results]


def _flat_arguments(arguments: Sequence[Any]) -> list[Any]:
    return [t for a in arguments for t in (a if isinstance(a, (list, tuple)) else [a])]


def _is_exact(data: Any) -> bool:
    """Are these known integers that float32 holds exactly?"""
    return data is not None and bool(np.all(np.abs(np.asarray(data, np.float64)) <= 2.0**24))


def _cast_array(array: ndarray, dtype: Any) -> ndarray:
    with np.errstate(all="ignore"):
        return array.astype(dtype)
