"""The conversion engine: walks a source graph in order and builds the target graph rule by rule.

For each operator the first of these applies: a plugin's Transform, a built-in rule (rules.py), the operator's function
body where its format defines one, a mirrored copy on request. Operators that cannot be converted are collected over the
whole model and reported in one ConversionError, before anything is written.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from types import FunctionType, NoneType
from typing import Any, ClassVar

import numpy as np

from ...budget import out_of_memory
from ...errors import ConversionError, InvalidOperator, NnefToolsError, PluginError, ShapeError, Unsupported, UsageError
from ...model import Graph, Operation, Tensor
from ...model.plugin_code import origin
from ...model.rows import CountedRows
from ...ops.fragments import called_fragments, extension_fragments
from ...ops.plugin_fragments import PLUGIN_SHAPES, plugin_fragments
from ...ops.registry import find
from .helpers import Helpers
from .refusal import DATA, DependsOnRefused, NotImplementedRule, Refusal, WithoutRule, first_result, remedies
from .rules import Call, Const, Input
from .transform import CompiledTransform, Scope, Transform, merge_transforms, unpack_transforms


class ConverterBase:
    """Static methods that plugin authors call on a converter class."""

    unpack_transforms = staticmethod(unpack_transforms)
    merge_transforms = staticmethod(merge_transforms)

    @staticmethod
    def find_public_methods(obj: object) -> dict[str, Callable[..., Any]]:
        """The public methods of an object by name; not those of its class, which tell of all objects."""
        methods = inspect.getmembers(obj, inspect.ismethod)
        return {name: method for name, method in methods if not name.startswith("_") and method.__self__ is obj}

    @staticmethod
    def find_public_functions(obj: object) -> dict[str, Callable[..., Any]]:
        """The public Python functions of a module by name."""
        return {
            name: member
            for name, member in vars(obj).items()
            if isinstance(member, FunctionType) and not name.startswith("_")
        }

    @staticmethod
    def decomposed_operations() -> list[str]:
        """The NNEF operations that the reader must expand for this converter."""
        return []

    @staticmethod
    def defined_operations() -> dict[str, str]:
        """The custom fragments of this package and those that plugins may use: name -> declaration."""
        return {name: fragment.text for name, fragment in {**extension_fragments(), **plugin_fragments()}.items()}

    @staticmethod
    def defined_operation_dependencies() -> dict[str, list[str]]:
        """The custom fragments that the bodies of others call."""
        return {name: list(called) for name, called in called_fragments().items() if called}

    @staticmethod
    def defined_shapes() -> dict[str, Callable[..., Any]]:
        """The shape functions of these fragments."""
        known = {name: find(name) for name in extension_fragments()}
        own = {name: definition.shape for name, definition in known.items() if definition is not None}
        return {**own, **PLUGIN_SHAPES}


class Converter(ConverterBase, Helpers):
    """Base of the converters from one dialect to another, `ConverterToNNEF` and `ConverterFromNNEF`.

    custom_transforms: operator type -> Transform; wins over built-in rules. custom_functions: name -> function that
    gets the converter as first argument. mirror_unsupported: operators without rule are copied as they are.
    custom_shapes: NNEF operation -> its shape function.
    """

    dialect = ""
    honors: ClassVar[frozenset[str]] = frozenset(
        ("custom_transforms", "custom_functions", "mirror_unsupported", "custom_shapes")
    )
    """The options of a conversion that this converter follows: parameters of its constructor."""
    opsets: ClassVar[Collection[int]] = ()
    """The versions of the target's operator set that can be chosen."""
    _globals: Mapping[str, Any] = {}
    """Further names, beside `_type_` and `_name_`, that expressions of transforms see."""
    outputs: Sequence[Tensor] = ()  # tensors of the source that are outputs of the target, in order
    counted_rows: Sequence[CountedRows] = ()  # the axes of outputs with room for more rows than there may be
    _static_only = False
    _io_transpose: bool | Sequence[str] = False  # inputs and outputs to change the layout of: all of rank > 2, or these
    _source: Graph
    _refused: list[Refusal]
    _unknown: set[Tensor]
    _unused: set[Tensor]

    def __init__(
        self,
        custom_transforms: Mapping[Any, Transform] | None = None,
        custom_functions: Mapping[str, Callable[..., Any]] | None = None,
        mirror_unsupported: bool = False,
        custom_shapes: Mapping[str, Callable[..., Any]] | None = None,
    ) -> None:
        transforms = unpack_transforms(custom_transforms or {})
        keys = {name: key for key in custom_transforms or () for name in (key if isinstance(key, tuple) else (key,))}
        places = {name: origin(custom_transforms, keys[name]) for name in transforms}
        self._transforms = {name: CompiledTransform(name, item, places[name]) for name, item in transforms.items()}
        self._unmatched = {keys[name]: place or f"CUSTOM_TRANSFORMS[{keys[name]!r}]" for name, place in places.items()}
        self._keys = keys
        functions = {name: _bound(function, self) for name, function in (custom_functions or {}).items()}
        methods = self.find_public_methods(self) if transforms else {}
        self._functions = {**methods, **functions}  # visible in the expressions of transforms
        self._mirror_unsupported = mirror_unsupported
        self._custom_shapes = custom_shapes or {}
        self._tensors: dict[Tensor, Tensor] = {}
        self._captured: dict[Graph, set[Tensor]] = {}
        self.warnings: list[str] = []

    def tensor_mapping(self) -> dict[str, str]:
        """Source tensor name -> target tensor name, for the tensors that are still in the target graph."""
        return {
            source.name: target.name
            for source, target in self._tensors.items()
            if source.graph is self._source and source.name and target.name and target.graph is self._target
        }

    def transposing(self, tensor: Tensor) -> bool:
        """Is the layout of the tensor in the target different from the source's?"""
        return False

    def _check_transposed(self) -> None:
        bound = {t.name for t in (*self._source.inputs, *self._source.outputs)}
        for name in () if isinstance(self._io_transpose, bool) else self._io_transpose:
            if name not in bound:
                raise UsageError(f"'{name}' is to be transposed, but it is neither an input nor an output of the model")

    # operations

    def _convert_or_refuse(self, op: Operation, opset: Mapping[str, int]) -> None:
        if self._unknown and any(t in self._unknown for t in (*op.inputs, *op.captures)):
            self._unknown.update(op.outputs)
            return
        try:
            self._convert(op, opset)
        except PluginError:
            raise
        except DependsOnRefused:
            self._unknown.update(op.outputs)
        except (ConversionError, ShapeError, UsageError) as error:  # UsageError for types that NNEF lacks
            self._complete_results(op)
            if self._static_only and any(t.shape is None or None in t.shape for t in op.outputs):
                self._unknown.update(op.outputs)
            else:
                self._refuse(op, error)

    def _convert(self, op: Operation, opset: Mapping[str, int]) -> None:
        """Converts an operation. ConversionError or ShapeError, with the reason, if that is not possible."""
        transform = self._transform_for(op) if self._transforms else None
        if transform is not None:
            self._unmatched.pop(self._keys[transform.op_type], None)
            self._apply_transform(transform, op)
            return
        computed = [t for t in op.outputs if t.data is None]
        if op.outputs and not computed:
            return  # the reader has the values
        if not self._convert_by_rule(op, opset):
            if not self._mirror_unsupported:
                reason = self._reason_against(op)
                if reason is not None:
                    raise WithoutRule(reason)
                version = f"-{opset[op.domain]}" if op.domain in opset else ""
                raise NotImplementedRule(f"there is no rule for {self._qualified(op)}{version}")
            self._mirror(op)

    def _transform_for(self, op: Operation) -> CompiledTransform | None:
        """The transform for an operator with its domain (`com.example.Swish`), or else for its type in any domain."""
        return self._transforms.get(self._qualified(op)) or self._transforms.get(str(op.type))

    @property
    def unmatched(self) -> Collection[str]:
        """The places of the transforms for which the model had no operators."""
        return self._unmatched.values()

    def _warn_of_unmatched(self) -> None:
        """Warns once about the transforms for which the model has no operators."""
        self.warnings += unmatched_warning(self.unmatched)

    def _convert_by_rule(self, op: Operation, opset: Mapping[str, int]) -> bool:
        """Converts an operation by a rule or function body; returns False if there is neither."""
        call = self._resolve(op, opset)
        if call is None:
            return False
        self._bind_results(op, self._apply(call, op))
        return True

    def _resolve(self, op: Operation, opset: Mapping[str, int]) -> Call | None:
        """The rule for an operation, with inputs and attributes in the form of its parameters; None without a rule."""
        raise NotImplementedError

    def _reason_against(self, op: Operation) -> str | None:
        """Why there cannot be a rule for an operator; None if there could be."""
        return None

    def _is_irreplaceable(self, op: Operation) -> bool:
        """Is there no possible replacement in the target, because the shape of the result is open?"""
        return False

    def _check(self, source: Tensor, target: Tensor) -> None:
        """Checks the inferred shape and type of a result against the declaration in the source."""

    def _complete_results(self, op: Operation) -> None:
        """Finds what the source does not declare of the shapes and types of results for which no rule tells them."""

    def _infer_custom(self, operations: Sequence[Operation]) -> None:
        """Sets shapes and data types of the results of operations that were not made by a rule."""

    def _apply(self, call: Call, op: Operation) -> list[Tensor | None]:
        attribs = {key: value for key, value in call.attribs.items() if not key.startswith("_")}
        call.rule.check(attribs)
        self._builder.wanted = tuple([self._is_used(t) for t in op.outputs])
        try:
            arguments = self._arguments(call, op)
            results = call.rule.function(self._builder, *arguments, **attribs)
            if call.after is not None:
                results = call.after(results)
        except NnefToolsError:
            raise
        except (ValueError, TypeError, IndexError, KeyError, ArithmeticError, AttributeError) as error:
            # Attributes or inputs that the operator's specification does not allow raise these.
            raise Unsupported(f"malformed operator: {error}") from error
        except MemoryError as error:
            raise out_of_memory(error) from error
        return list(results) if isinstance(results, (tuple, list)) else [results]

    def _is_used(self, tensor: Tensor) -> bool:
        """Is the result of an operation used: by an operation, as an output of a nested graph or of the model?"""
        if tensor.has_consumer:
            return True
        graph = tensor.graph
        assert graph is not None
        if graph not in self._captured:
            self._captured[graph] = {captured for op in graph.operations for captured in op.captures}
        return tensor in graph.outputs or tensor in self._captured[graph]

    def _arguments(self, call: Call, op: Operation) -> list[Any]:
        rule, given = call.rule, call.inputs
        if len(given) > len(rule.inputs) and not rule.variadic and not all(map(is_missing, given[len(rule.inputs) :])):
            raise Unsupported(f"has {len(given)} inputs, at most {len(rule.inputs)} are supported")
        arguments: list[Any] = []
        for k, spec in enumerate(rule.inputs):
            item = given[k] if k < len(given) else None
            if item is None or is_missing(item):
                if not spec.optional:
                    raise Unsupported(f"input {k} ('{spec.name}') is missing")
                arguments.append(None)
            elif isinstance(item, list):
                arguments.append([self._mapped(tensor) for tensor in item])
            else:
                tensor = self._mapped(item)
                arguments.append(tensor if spec.const is None else self._constant_value(spec.const, spec, k, tensor))
        if rule.variadic:
            arguments.extend(None if is_missing(t) else self._mapped(t) for t in given[len(rule.inputs) :])
        return arguments

    def _constant_value(self, const: Const, spec: Input, position: int, tensor: Tensor) -> Any:
        """The value that a rule gets for an input that must be constant."""
        value = self._builder.value(tensor)
        if value is None:
            error = DependsOnRefused if self._depends_on_refused(tensor) else Unsupported
            raise error(f"input {position} ('{spec.name}') must be a constant, but it is computed from the inputs")
        return const.read(value)

    def _depends_on_refused(self, tensor: Tensor) -> bool:
        """Does the tensor depend on a result of a refused operation, which nothing produces?"""
        reached, pending = {tensor}, [tensor]
        while pending:
            target = pending.pop()
            if target.producer is None and target.data is None and target not in self._target.inputs:
                return True
            needed = [t for op in target.producers for t in op.inputs if t not in reached]
            reached.update(needed)
            pending.extend(needed)
        return False

    def _bind_results(self, op: Operation, results: Sequence[Tensor | None]) -> None:
        for k, source in enumerate(op.outputs):
            target = results[k] if k < len(results) else None
            if target is None:
                if not self._is_used(source):
                    continue
                raise Unsupported(f"output {k} ('{source.name}') is not supported")
            self._check(source, target)
            self._tensors[source] = target

    def _mapped(self, source: Tensor) -> Tensor:
        """The target tensor of a source tensor; constants are converted when they are first used."""
        target = self._tensors.get(source)
        if target is None:
            if source.data is None:
                raise Unsupported(f"tensor '{source.name}' has no value")
            data = np.asarray(source.data)
            target = Tensor(
                self._target, source.name, data.shape, source.dtype, data, quant=copy.deepcopy(source.quant)
            )
            self._tensors[source] = target
        return target

    def _mirror(self, op: Operation) -> None:
        self._complete_results(op)
        outputs = [self._fresh_output(t) for t in op.outputs]
        inputs = [self._mapped(t) for t in op.inputs]
        copied = Operation(
            self._target,
            type=op.type,
            name=op.name,
            attribs=self._mirrored(op.attribs),
            inputs=tuple(inputs) if isinstance(op.inputs, tuple) else inputs,
            outputs=tuple(outputs) if isinstance(op.outputs, tuple) else outputs,
            custom=True,
        )
        self._infer_custom([copied])

    def _mirrored(self, attribs: Mapping[str, Any]) -> dict[str, Any]:
        """The attributes of an operation that is copied as it is."""
        return dict(attribs)

    def _fresh_output(self, source: Tensor) -> Tensor:
        target = Tensor(self._target, source.name, source.shape, source.dtype, quant=copy.deepcopy(source.quant))
        self._tensors[source] = target
        return target

    # transforms

    def _apply_transform(self, transform: CompiledTransform, op: Operation) -> None:
        self._complete_results(op)
        inputs = [self._missing() if is_missing(t) else self._mapped(t) for t in op.inputs]
        outputs = [self._fresh_output(t) for t in op.outputs]
        self._unused = {target for source, target in zip(op.outputs, outputs, strict=True) if not self._is_used(source)}
        special = {"_type_": op.type, "_name_": op.name, **self._globals}
        scope = Scope(transform, inputs, outputs, op.attribs, special, self._functions)
        scope.add_defaults(transform.defaults)
        scope.add_using(transform.using)
        self._warn_of_hidden(transform, scope)
        failed = [m for test, m in transform.conditions if not scope.evaluate(test, "field", "cond")]
        if failed:
            raise Unsupported(", ".join(failed))
        type = scope.evaluate(transform.type, "field", "type")
        made = self._build_transformed(transform, scope, type) if type is not None else []
        for source, target in zip(op.outputs, outputs, strict=True):
            if not target.has_producer:
                del self._tensors[source]  # there is no such result; the value in the source counts, if there is one
        self._infer_custom(made)

    def _warn_of_hidden(self, transform: CompiledTransform, scope: Scope) -> None:
        for name in sorted(scope.hidden & transform.names()):
            warning = (
                f"Transform of '{transform.op_type}': '{name}' is the helper, not the attribute or the 'using' name"
            )
            if warning not in self.warnings:
                self.warnings.append(warning)

    def _build_transformed(self, transform: CompiledTransform, scope: Scope, type: Any) -> list[Operation]:
        """Adds the operation, followed by those that output helpers asked for."""
        name = scope.evaluate(transform.name, "field", "name")
        attribs = {k: scope.evaluate(v, "attribute", k) for k, v in transform.attribs.items()}
        inputs = self._evaluate_arguments(scope, transform.inputs, "input")
        start = len(self._target.operations)
        outputs = self._evaluate_arguments(scope, transform.outputs, "output")
        _check_fields(scope, type, name, attribs, outputs)
        Operation(
            self._target,
            type=type,
            name=name,
            attribs={k: v for k, v in attribs.items() if v is not None},
            inputs=inputs,
            outputs=outputs,
            custom=transform.custom,
        )
        if len(self._target.operations) > start + 1:
            self._target.reverse(start)  # the main operation first, then those of output helpers, innermost first
        return self._target.operations[start:]  # type: ignore[return-value]

    def _evaluate_arguments(self, scope: Scope, value: Any, kind: str) -> Any:
        """Tuple: separate arguments, None left out. List: one array argument, lists spliced. Else a single tensor."""
        if isinstance(value, tuple):
            items = [scope.evaluate(item, kind, k) for k, item in enumerate(value)]
            return tuple(self._argument(scope, item, kind, k) for k, item in enumerate(items) if item is not None)
        if isinstance(value, list):
            flat: list[Tensor] = []
            for k, item in enumerate(value):
                result = scope.evaluate(item, kind, k)
                parts: Iterable[Any] = result if isinstance(result, (tuple, list)) else [result]
                flat.extend(self._argument(scope, part, kind, k) for part in parts)
            return flat
        return self._argument(scope, scope.evaluate(value, kind, 0), kind, 0)

    def _argument(self, scope: Scope, value: Any, kind: str, key: int) -> Tensor:
        if not isinstance(value, Tensor):
            raise scope.failure(f"{kind} {key} of the transform must give a tensor, got {value!r}")
        if value.graph is not self._target:
            raise scope.failure(f"{kind} {key} of the transform gives a tensor that is not of the target graph")
        return value

    def _missing(self) -> Tensor:
        return Tensor(self._target, name="", shape=(), dtype=np.float32, data=np.zeros((), np.float32))

    # refusals

    def _qualified(self, op: Operation) -> str:
        return f"{op.domain}.{op.type}" if op.domain else str(op.type)

    def _refuse(self, op: Operation, error: NnefToolsError) -> None:
        reason = "; ".join([error.message, *error.details]) + (f" ({error.hint})" if error.hint else "")
        replaceable = not isinstance(error, InvalidOperator) and not self._is_irreplaceable(op)
        self._refused.append(
            Refusal(
                self._qualified(op),
                op.name or "",
                reason,
                not isinstance(error, NotImplementedRule),
                op.attribs,
                tuple(None if t.shape is None else list(t.shape) for t in op.inputs),
                tuple(None if t.shape is None else list(t.shape) for t in op.outputs),
                replaceable=replaceable and DATA not in error.message,
                copyable=isinstance(error, WithoutRule),
                advised=error.hint is not None,
                output=first_result(op),
                removable=any(t.shape is None or None in t.shape for t in op.outputs),
            )
        )
        for source in op.outputs:
            if source.shape is None or None in source.shape or source.dtype is None:
                self._unknown.add(source)  # operations that depend on it cannot be judged
            else:
                self._fresh_output(source)

    def _refusal_error(self) -> ConversionError:
        lines = [line for refusal in self._refused for line in refusal.lines()]
        error = ConversionError(
            f"Found {len(self._refused)} operator(s) that cannot be converted",
            lines,
            hint=remedies(
                self._refused, static_only=self._can_leave_out(), outputs=list(islice(self._computed_ends(), 3))
            ),
        )
        error.refused = list(self._refused)
        return error

    def _can_leave_out(self) -> bool:
        """Would `static_only` leave a part of the model that can be converted?"""
        return False

    def _computed_ends(self) -> Iterator[str]:
        """The names of tensors that can be computed in spite of the refusals, the outputs of the model first."""
        stopped = [op for op in self._source.operations if any(self._is_open(t) for t in op.outputs)]
        for tensor in dict.fromkeys((*self._source.outputs, *(t for op in stopped for t in op.inputs))):
            target = self._tensors.get(tensor)
            if not isinstance(target, Tensor) or target.data is not None:
                continue  # TensorFlow's lists are not tensors
            if tensor.name and tensor.has_producer and not self._depends_on_refused(target):
                yield tensor.name

    def _is_open(self, source: Tensor) -> bool:
        """Is the tensor not converted, or only a placeholder for the result of a refused operator?"""
        target = self._tensors.get(source)
        return target is None or (isinstance(target, Tensor) and target.data is None and not target.has_producer)


def unmatched_warning(places: Collection[str]) -> list[str]:
    """A warning about transforms for which a model has no operators; empty if there are none."""
    return [f"the model has no operators for {', '.join(places)}"] if places else []


def _bound(function: Callable[..., Any], converter: Converter) -> Callable[..., Any]:
    return lambda *args, **kwargs: function(converter, *args, **kwargs)


def is_missing(argument: Tensor | list[Tensor]) -> bool:
    """Is the input left out? Readers represent it by a tensor without a name."""
    return isinstance(argument, Tensor) and not argument.has_producer and argument.name == ""


def _is_plain(value: Any) -> bool:
    """Is the value of a type that attributes have in some format?"""
    if isinstance(value, (list, tuple)):
        return all(map(_is_plain, value))
    return isinstance(value, (bool, int, float, str, bytes, type, np.generic, np.ndarray, np.dtype, Graph, NoneType))


def _check_fields(scope: Scope, type: Any, name: Any, attribs: Mapping[str, Any], outputs: Any) -> None:
    """Refuses values that no operation can have, before the operation is added."""
    if not isinstance(type, str):
        raise scope.failure(f"field 'type' of the transform must give a string or None, got {type!r}")
    if not isinstance(name, (str, NoneType)):
        raise scope.failure(f"field 'name' of the transform must give a string or None, got {name!r}")
    for key, value in attribs.items():
        if isinstance(value, Tensor):
            raise scope.failure(f"attribute '{key}' of the transform gives a tensor, which belongs into inputs")
        if not key.isidentifier():
            raise scope.failure(f"attribute '{key}' of the transform has a name that no model can carry", key)
        if not _is_plain(value):
            raise scope.failure(f"attribute '{key}' of the transform gives what no model can carry: {value!r}", key)
    results = [outputs] if isinstance(outputs, Tensor) else outputs
    if len(set(results)) < len(results) or any(t.has_producer or t.data is not None for t in results):
        raise scope.failure("an output of the transform must be a tensor of O, or what an output helper gives")
