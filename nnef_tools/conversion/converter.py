"""The conversion engine: walks a source graph in order and builds the target graph rule by rule.

For each operator the first of these applies: a plugin's Transform, a built-in rule (rules.py), the operator's function
body where its format defines one, a mirrored copy on request. What cannot be converted is collected over the whole
model and raised as one ConversionError, before anything is written.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import FunctionType
from typing import Any

import numpy as np

from ..errors import ConversionError, NnefToolsError, ShapeError, Unsupported, UsageError
from ..language.names import sanitize_identifier
from ..language.stdlib import standard_fragments
from ..model import Graph, Operation, Tensor
from ..model.dtypes import nnef_dtype
from ..model.utils import generate_tensor_names_from_op_type, remove_unreachable
from ..ops.extensions import extension_fragments
from ..ops.inference import infer_shapes
from ..ops.registry import find
from . import layout
from .builder import Builder
from .helpers import Helpers
from .rules import Rule, find_rule
from .transform import CompiledTransform, Scope, Transform, merge_transforms, unpack_transforms

DEFAULT_DTYPES = {"scalar": np.float32, "integer": np.int64, "logical": np.bool_}


@dataclass(frozen=True)
class Refusal:
    """An operator that cannot be converted. type: with its domain if it is not the default one."""

    type: str
    name: str
    reason: str
    implemented: bool
    attributes: Mapping[str, Any]
    input_shapes: tuple[Any, ...]
    output_shapes: tuple[Any, ...]

    def lines(self) -> list[str]:
        """The refusal as text, the first line says what, the indented ones show the operator."""
        named = f"'{self.type}'" + (f" (node '{self.name}')" if self.name else "")
        if not self.implemented:
            head = f"Conversion of operator {named} is not implemented: {self.reason}"
        else:
            head = f"Conversion of operator {named} is not possible: {self.reason}"
        attributes = {k: _brief(v) for k, v in self.attributes.items() if not k.startswith("_")}
        return [
            head,
            f"    attributes: {attributes}",
            f"    input-shapes: {list(self.input_shapes)}",
            f"    output-shapes: {list(self.output_shapes)}",
        ]


def _brief(value: Any) -> Any:
    if isinstance(value, np.ndarray) and value.size > 16:
        return f"array of shape {list(value.shape)}"
    if isinstance(value, Graph):
        return f"graph of {len(value.operations)} operators"
    return value


class ConverterBase:
    """Statics that plugin authors call on a converter class."""

    unpack_transforms = staticmethod(unpack_transforms)
    merge_transforms = staticmethod(merge_transforms)

    @staticmethod
    def find_public_methods(obj: object) -> dict[str, Callable[..., Any]]:
        """The bound public methods of an object by name."""
        return {name: member for name, member in inspect.getmembers(obj, inspect.ismethod) if not name.startswith("_")}

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
        """NNEF operations that the reader must expand for this converter."""
        return []

    @staticmethod
    def defined_operations() -> dict[str, str]:
        """Our custom fragments: name -> declaration."""
        return {name: fragment.text for name, fragment in extension_fragments().items()}

    @staticmethod
    def defined_operation_dependencies() -> dict[str, list[str]]:
        """Custom fragments that the bodies of others call: none do."""
        return {}

    @staticmethod
    def defined_shapes() -> dict[str, Callable[..., Any]]:
        """Shape functions of our custom fragments."""
        known = {name: find(name) for name in extension_fragments()}
        return {name: definition.shape for name, definition in known.items() if definition is not None}


class Converter(ConverterBase, Helpers):
    """Converts a graph of one dialect to another. See `ConverterToNNEF`.

    custom_transforms: operator type -> Transform; wins over built-in rules. custom_functions: name -> function that
    gets the converter as first argument. mirror_unsupported: operators without rule are copied as they are.
    """

    dialect = ""
    _source: Graph

    def __init__(
        self,
        custom_transforms: Mapping[Any, Transform] | None = None,
        custom_functions: Mapping[str, Callable[..., Any]] | None = None,
        mirror_unsupported: bool = False,
        keep_io_names: bool = False,
        infer_shapes: bool = False,
        custom_shapes: Mapping[str, Callable[..., Any]] | None = None,
        io_transpose: bool | Sequence[str] = False,
        fold_constants: bool = False,
        standard_only: bool = False,
    ) -> None:
        transforms = unpack_transforms(custom_transforms or {})
        self._transforms = {name: CompiledTransform(name, transform) for name, transform in transforms.items()}
        functions = {name: _bound(function, self) for name, function in (custom_functions or {}).items()}
        self._functions = {**self.find_public_methods(self), **functions}
        self._mirror_unsupported = mirror_unsupported
        self._keep_io_names = keep_io_names
        self._infer_shapes = infer_shapes
        self._custom_shapes = dict(custom_shapes or {})
        self._io_transpose = io_transpose
        self._fold_constants = fold_constants
        self._standard_only = standard_only
        self._tensors: dict[Tensor, Tensor] = {}
        self.warnings: list[str] = []

    def tensor_mapping(self) -> dict[str, str]:
        """Source tensor name -> target tensor name, for the tensors that are still in the target graph."""
        return {
            source.name: target.name
            for source, target in self._tensors.items()
            if source.graph is self._source and source.name and target.name and target.graph is not None
        }

    def transposing(self, tensor: Tensor) -> bool:
        """Is the layout of the tensor in the target different from the source's?"""
        return False


class ConverterToNNEF(Converter):
    """Converts a graph of the dialect to NNEF.

    keep_io_names: graph inputs and outputs keep their names (as identifiers). infer_shapes: accept source tensors of
    unknown shape behind plugin operators; custom_shapes then give the shapes. io_transpose: take the inputs and outputs
    of rank > 2 (all, or those named) as channels-last and make them channels-first. fold_constants: evaluate all
    operations on constants. standard_only: refuse our custom fragments.
    """

    def __call__(self, graph: Graph) -> Graph:
        """The NNEF graph. ConversionError lists every operator that cannot be converted (`refused`)."""
        self._source = graph
        self._target = Graph(graph.name)
        self._tensors = {}
        self._refused: list[Refusal] = []
        self._unknown: set[Tensor] = set()
        self.warnings = []
        self._builder = Builder(
            self._target,
            fold_all=self._fold_constants,
            custom_shapes=self._custom_shapes,
            standard_only=self._standard_only,
            inline=self._inline,
        )
        self._convert_inputs()
        opset = graph.metadata.get("opset", {})
        for op in graph.operations:
            self._convert_or_refuse(op, opset)
        if self._refused:
            raise self._refusal_error()
        self._convert_outputs()
        self._finish()
        return self._target

    # inputs and outputs

    def _convert_inputs(self) -> None:
        dynamic = [t for t in self._source.inputs if t.shape is None or None in t.shape]
        if dynamic:
            names = ", ".join(f"'{t.name}'" for t in dynamic)
            example = ", ".join(f"'{t.name}': ({', '.join(map(_dim_text, t.shape or ()))})" for t in dynamic)
            raise ConversionError(
                f"Input graph contains tensors with dynamic shape: {names}",
                hint=f'give them extents with --input-shapes "{{{example}}}" (numbers in place of ?)',
            )
        for source in self._source.inputs:
            if 0 in (source.shape or ()):
                raise ConversionError(f"input '{source.name}' is empty (shape {list(source.shape or ())})")
            self._tensors[source] = self._convert_input(source)
        self._target.inputs = [self._external(t) for t in self._source.inputs]

    def _external(self, source: Tensor) -> Tensor:
        """The graph input behind a converted source input: itself, or what a transpose of it reads."""
        target = self._tensors[source]
        producer = target.producer
        return producer.input if producer is not None and producer.type == "transpose" else target

    def _convert_input(self, source: Tensor) -> Tensor:
        try:
            kind = nnef_dtype(source.dtype)
        except UsageError:
            kind = "string"
        if kind == "string":
            raise ConversionError(f"input '{source.name}' has a data type that NNEF cannot carry: {source.dtype}")
        shape = tuple(source.shape or ())
        transposed = self._transposes(source)
        outer = layout.permute(shape, layout.nxc_to_ncx_perm(len(shape))) if transposed else shape
        target = Tensor(self._target, source.name, outer, source.dtype, quant=copy.deepcopy(source.quant))
        Operation(
            self._target,
            type="external",
            attribs={"shape": list(outer), "dtype": DEFAULT_DTYPES[kind]},
            outputs=target,
        )
        if transposed:
            return self._builder.transpose(target, axes=layout.ncx_to_nxc_perm(len(shape)))
        return target

    def _transposes(self, source: Tensor) -> bool:
        if (source.rank or 0) <= 2:
            return False
        return self._io_transpose if isinstance(self._io_transpose, bool) else source.name in self._io_transpose

    def _convert_outputs(self) -> None:
        outputs: list[Tensor] = []
        for source in self._source.outputs:
            target = self._mapped(source)
            if 0 in (target.shape or ()):
                raise ConversionError(f"output '{source.name}' is empty (shape {list(target.shape or ())})")
            if self._transposes(source):
                target = self._builder.transpose(target, axes=layout.nxc_to_ncx_perm(target.rank or 0))
            if target.data is not None or target in outputs or target in self._target.inputs:
                target = self._copy(target)
            self._tensors[source] = target
            outputs.append(target)
        self._target.outputs = outputs

    def _copy(self, tensor: Tensor) -> Tensor:
        """A copy operation, never folded: what a graph output needs to have a name of its own."""
        result = Tensor(self._target, shape=tensor.shape, dtype=tensor.dtype)
        Operation(self._target, type="copy", inputs=tensor, outputs=result)
        return result

    # operations

    def _convert_or_refuse(self, op: Operation, opset: Mapping[str, int]) -> None:
        if any(t in self._unknown for t in op.inputs):
            self._unknown.update(op.outputs)
            return
        try:
            self._convert(op, opset)
        except (ConversionError, ShapeError) as error:
            self._refuse(op, error)

    def _convert(self, op: Operation, opset: Mapping[str, int]) -> None:
        """Converts an operation. ConversionError or ShapeError with the reason if that is not possible."""
        transform = self._transforms.get(str(op.type))
        if transform is not None:
            self._apply_transform(transform, op)
            return
        if op.outputs and all(t.data is not None for t in op.outputs):
            return  # the reader knows the values already
        self._check_types(op)
        version = opset.get(op.domain, 1)
        rule = find_rule(self.dialect, str(op.type), version, op.domain)
        if rule is not None:
            self._bind_results(op, self._apply_rule(rule, op, version))
            return
        body = self._function_body(op, opset)
        if body is not None:
            arguments = [None if _is_missing(t) else self._mapped(t) for t in op.inputs]
            self._bind_results(op, self._inline(body, arguments))
        elif self._mirror_unsupported:
            self._mirror(op)
        else:
            raise _NotImplemented(f"there is no rule for {self._qualified(op)}-{version}")

    def _check_types(self, op: Operation) -> None:
        for tensor in (*op.inputs, *op.outputs):
            if tensor.dtype is None:
                continue
            try:
                carried = nnef_dtype(tensor.dtype) != "string"
            except UsageError:
                carried = False
            if not carried:
                raise Unsupported(f"tensor '{tensor.name}' has a type that NNEF cannot carry: {tensor.dtype.__name__}")

    def _function_body(self, op: Operation, opset: Mapping[str, int]) -> Graph | None:
        """The body that the source format defines for the operator, or None."""
        return None

    def _inline(self, body: Graph, arguments: Sequence[Tensor | None]) -> list[Tensor | None]:
        """Converts the operations of a nested graph in place; the targets of its outputs."""
        for source, target in zip(body.inputs, arguments, strict=False):
            if target is not None:
                self._tensors[source] = target
        opset = body.metadata.get("opset", self._source.metadata.get("opset", {}))
        version, wanted = self._builder.version, self._builder.wanted
        for op in body.operations:
            try:
                self._convert(op, opset)
            except (ConversionError, ShapeError) as error:
                raise Unsupported(f"{self._qualified(op)} in its body: {error.message}", error.details) from error
        self._builder.version, self._builder.wanted = version, wanted
        return [self._mapped(t) for t in body.outputs]

    def _apply_rule(self, rule: Rule, op: Operation, version: int) -> list[Tensor | None]:
        unknown = [key for key in op.attribs if key not in rule.attributes and not key.startswith("_")]
        if unknown:
            raise Unsupported(f"attribute {', '.join(map(repr, unknown))} is not supported")
        absent = [key for key, required in rule.attributes.items() if required and key not in op.attribs]
        if absent:
            raise Unsupported(f"attribute {', '.join(map(repr, absent))} is missing")
        arguments = self._arguments(rule, op)
        attribs = {key: value for key, value in op.attribs.items() if not key.startswith("_")}
        self._builder.version = version
        self._builder.wanted = tuple(not _is_omitted(t) for t in op.outputs)
        try:
            results = rule.function(self._builder, *arguments, **attribs)
        except NnefToolsError:
            raise
        except (ValueError, TypeError, IndexError, KeyError, ArithmeticError, AttributeError) as error:
            # Attributes or inputs of a kind that the operator's specification does not allow end up here.
            raise Unsupported(f"malformed operator: {type(error).__name__}: {error}") from error
        return list(results) if isinstance(results, (tuple, list)) else [results]

    def _arguments(self, rule: Rule, op: Operation) -> list[Any]:
        if len(op.inputs) > len(rule.inputs) and not rule.variadic:
            extra = [t for t in op.inputs[len(rule.inputs) :] if not _is_missing(t)]
            if extra:
                raise Unsupported(f"has {len(op.inputs)} inputs, at most {len(rule.inputs)} are supported")
        arguments: list[Any] = []
        for k, spec in enumerate(rule.inputs):
            if k >= len(op.inputs) or _is_missing(op.inputs[k]):
                if not spec.optional:
                    raise Unsupported(f"input {k} ('{spec.name}') is missing")
                arguments.append(None)
                continue
            tensor = self._mapped(op.inputs[k])
            if spec.const is None:
                arguments.append(tensor)
                continue
            value = self._builder.value(tensor)
            if value is None:
                raise Unsupported(f"input {k} ('{spec.name}') must be a constant, but it is computed from the inputs")
            arguments.append(spec.const.read(value))
        if rule.variadic:
            rest = op.inputs[len(rule.inputs) :]
            arguments.extend(None if _is_missing(t) else self._mapped(t) for t in rest)
        return arguments

    def _bind_results(self, op: Operation, results: Sequence[Tensor | None]) -> None:
        for k, source in enumerate(op.outputs):
            target = results[k] if k < len(results) else None
            if target is None:
                if _is_omitted(source):
                    continue
                raise Unsupported(f"output {k} ('{source.name}') is not supported")
            self._check(source, target)
            self._tensors[source] = target

    def _check(self, source: Tensor, target: Tensor) -> None:
        """Compares what the source format says of a result with what was inferred."""
        if source.dtype is not None and nnef_dtype(source.dtype) != nnef_dtype(target.dtype):
            raise Unsupported(f"gives {nnef_dtype(target.dtype)} where the model says {source.dtype.__name__}")
        if source.shape is None:
            return
        same_rank = len(source.shape) == len(target.shape or ())
        if not same_rank or any(a not in (None, b) for a, b in zip(source.shape, target.shape or (), strict=True)):
            self.warnings.append(
                f"tensor '{source.name}' is declared with shape {list(source.shape)} but has {list(target.shape or ())}"
            )

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
        outputs = [self._fresh_output(t) for t in op.outputs]
        inputs = [self._mapped(t) for t in op.inputs]
        Operation(
            self._target,
            type=op.type,
            name=op.name,
            attribs=dict(op.attribs),
            inputs=tuple(inputs) if isinstance(op.inputs, tuple) else inputs,
            outputs=tuple(outputs) if isinstance(op.outputs, tuple) else outputs,
            custom=True,
        )
        self._infer_custom(outputs)

    def _fresh_output(self, source: Tensor) -> Tensor:
        target = Tensor(self._target, source.name, source.shape, source.dtype, quant=copy.deepcopy(source.quant))
        self._tensors[source] = target
        return target

    # transforms

    def _apply_transform(self, transform: CompiledTransform, op: Operation) -> None:
        inputs = [self._missing() if _is_missing(t) else self._mapped(t) for t in op.inputs]
        outputs = [self._fresh_output(t) for t in op.outputs]
        scope = Scope(
            str(op.type), inputs, outputs, op.attribs, {"_type_": op.type, "_name_": op.name}, self._functions
        )
        scope.add_defaults(transform.defaults)
        scope.add_using(transform.using)
        failed = [m for test, m in transform.conditions if not scope.evaluate(test, "field", "cond")]
        if failed:
            raise Unsupported(", ".join(failed))
        type = scope.evaluate(transform.type, "field", "type")
        if type is None:
            return
        name = scope.evaluate(transform.name, "field", "name")
        attribs = {k: scope.evaluate(v, "attribute", k) for k, v in transform.attribs.items()}
        new_inputs = _evaluate_arguments(scope, transform.inputs, "input")
        start = len(self._target.operations)
        new_outputs = _evaluate_arguments(scope, transform.outputs, "output")
        Operation(
            self._target,
            type=type,
            name=name,
            attribs={k: v for k, v in attribs.items() if v is not None},
            inputs=new_inputs,
            outputs=new_outputs,
            custom=transform.custom,
        )
        self._target.reverse(start)  # the main operation first, then what the outputs asked for, innermost first
        self._infer_custom(outputs)

    def _missing(self) -> Tensor:
        return Tensor(self._target, name="", shape=(), dtype=np.float32, data=np.zeros((), np.float32))

    def _infer_custom(self, outputs: Sequence[Tensor]) -> None:
        """Shapes of a plugin's or mirrored operation where the source did not give them, from its shape function."""
        for output in outputs:
            op = output.producer
            if op is None or (output.shape is not None and None not in output.shape and not self._infer_shapes):
                continue
            if op.type not in self._custom_shapes and find(op.type) is None:
                if output.shape is None or None in output.shape:
                    raise ConversionError(
                        f"shape of tensor '{output.name}' is not known", hint=f"--custom-shapes with '{op.type}'"
                    )
                continue
            shapes = [list(t.shape or ()) for t in op.inputs]
            arguments: list[Any] = shapes if isinstance(op.inputs, tuple) else [shapes]
            result = infer_shapes(str(op.type), arguments, op.attribs, self._custom_shapes)
            if isinstance(op.outputs, tuple) and not isinstance(result, tuple):
                result = (result,)
            for tensor, shape in zip(op.outputs, result, strict=False):
                tensor.shape = shape

    # refusals

    def _qualified(self, op: Operation) -> str:
        return f"{op.domain}.{op.type}" if op.domain else str(op.type)

    def _refuse(self, op: Operation, error: NnefToolsError) -> None:
        reason = "; ".join([error.message, *error.details])
        self._refused.append(
            Refusal(
                self._qualified(op),
                op.name or "",
                reason,
                not isinstance(error, _NotImplemented),
                op.attribs,
                tuple(None if t.shape is None else list(t.shape) for t in op.inputs),
                tuple(None if t.shape is None else list(t.shape) for t in op.outputs),
            )
        )
        for source in op.outputs:
            if source.shape is None or None in source.shape or source.dtype is None:
                self._unknown.add(source)  # what depends on it cannot be judged
            else:
                self._fresh_output(source)

    def _refusal_error(self) -> ConversionError:
        lines = [line for refusal in self._refused for line in refusal.lines()]
        error = ConversionError(
            f"Found {len(self._refused)} operator(s) that cannot be converted",
            lines,
            hint="a plugin can convert them (--custom-converters), or --mirror-unsupported copies them as they are",
        )
        error.refused = list(self._refused)
        return error

    # the finished graph

    def _finish(self) -> None:
        remove_unreachable(self._target, keep=[op for op in self._target.operations if op.type == "external"])
        self._make_variables()
        self._target.sort()
        if self._keep_io_names:
            self._name_io()
        generate_tensor_names_from_op_type(self._target, keep_io_names=self._keep_io_names)
        taken = {*standard_fragments(), *extension_fragments()}
        self._target.name = sanitize_identifier(self._target.name or "G", taken)
        for op in self._target.operations:
            if op.type == "variable":
                op.attribs["label"] = op.name or op.output.name
        self._warn()
        self._target.metadata = self._facts()

    def _name_io(self) -> None:
        taken: set[str] = set()
        for source in (*self._source.inputs, *self._source.outputs):
            target = self._external(source) if source in self._source.inputs else self._tensors[source]
            target.name = sanitize_identifier(source.name or "io", taken)
            taken.add(target.name)

    def _make_variables(self) -> None:
        """Constants become variables; finite ones of rank 0 stay literals."""
        for tensor in list(self._target.tensors):
            if tensor.data is None or tensor.has_producer:
                continue
            data = np.asarray(tensor.data)
            if data.ndim == 0 and bool(np.isfinite(data.astype(np.float64))):
                continue
            Operation(
                self._target,
                type="variable",
                attribs={
                    "shape": list(data.shape),
                    "label": "",
                    "dtype": DEFAULT_DTYPES[nnef_dtype(tensor.dtype)],
                },
                outputs=tensor,
            )

    def _warn(self) -> None:
        self.warnings.extend(self._builder.warnings)
        if self._builder.rounded:
            names = ", ".join(sorted(self._builder.rounded))
            self.warnings.append(
                f"NNEF has no integer arithmetic: {names} on integers is computed in scalars, exact up to 2**24"
            )

    def _facts(self) -> dict[str, Any]:
        """What NNEF text cannot carry, for the sidecar file."""
        tensors: dict[str, dict[str, Any]] = {}
        for source, target in self._tensors.items():
            if target.graph is None or not target.name or not source.name or target.name in tensors:
                continue
            tensors[target.name] = {"source": source.name}
            if source.dtype is not None and source.dtype is not DEFAULT_DTYPES.get(nnef_dtype(source.dtype)):
                tensors[target.name]["dtype"] = source.dtype.__name__
        return {**self._source.metadata, "format": self.dialect, "tensors": tensors}


class _NotImplemented(Unsupported):
    """There is no rule at all, as opposed to a rule that refuses."""


def _bound(function: Callable[..., Any], converter: Converter) -> Callable[..., Any]:
    return lambda *args, **kwargs: function(converter, *args, **kwargs)


def _is_missing(tensor: Tensor) -> bool:
    """Is the input left out? Readers put a tensor without a name there."""
    return tensor.name == "" and not tensor.has_producer


def _is_omitted(tensor: Tensor) -> bool:
    return not tensor.name and not tensor.has_consumer


def _dim_text(dim: int | None) -> str:
    return "?" if dim is None else str(dim)


def _evaluate_arguments(scope: Scope, value: Any, kind: str) -> Any:
    """Tuple: separate arguments, None left out. List: one array argument, lists spliced. Else a single tensor."""
    if isinstance(value, tuple):
        items = [scope.evaluate(item, kind, k) for k, item in enumerate(value)]
        return tuple(_tensor(item, kind, k) for k, item in enumerate(items) if item is not None)
    if isinstance(value, list):
        flat: list[Tensor] = []
        for k, item in enumerate(value):
            result = scope.evaluate(item, kind, k)
            parts: Iterable[Any] = result if isinstance(result, (tuple, list)) else [result]
            flat.extend(_tensor(part, kind, k) for part in parts)
        return flat
    return _tensor(scope.evaluate(value, kind, 0), kind, 0)


def _tensor(value: Any, kind: str, key: int) -> Tensor:
    if not isinstance(value, Tensor):
        raise ConversionError(f"{kind} {key} of the transform must give a tensor, got {value!r}")
    return value
