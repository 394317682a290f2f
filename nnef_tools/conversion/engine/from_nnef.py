"""The converter base for the direction from NNEF to other dialects."""

from __future__ import annotations

import math
from collections.abc import Mapping
from keyword import iskeyword
from typing import Any

import numpy as np

from ...budget import ask_constant
from ...errors import Unsupported
from ...language.elaborate import decompose
from ...language.names import FreshNames
from ...language.stdlib import standard_fragments
from ...language.types import item_name
from ...model import Graph, Operation, Tensor
from ...model.copying import copy_graph
from ...model.dtypes import ITEM_CLASSES, canonical_dtype, integer_range, is_float, is_integer, numpy_dtype
from ...model.facts import TensorFact, Ties, tensor_facts, ties_rule, without_nnef_facts
from ...model.state import effects
from ...model.utils import remove_unreachable
from ...model.widths import has_doubles, is_double, is_marked, mark_doubles
from ...ops.bind import group_arguments
from ...ops.inference import infer_graph
from ...ops.integers import as_signed
from ...ops.library import Library
from ...ops.registry import find
from ...optimization.nnef.idioms import IDIOMS, with_idioms
from ..building.quantized import LINEAR, QuantizedArray
from ..building.target import TargetBuilder
from .base import Converter
from .refusal import is_known, unknown_shape
from .rules import Call, find_from_nnef

_TIES = {Ties.UP: "upwards", Ties.EVEN: "to even", Ties.AWAY: "away from zero"}
_RULE_OF = {Ties.UP: "NNEF upwards", Ties.EVEN: "ONNX to even", Ties.AWAY: "TensorFlow Lite away from zero"}

KEEP_TYPE_ITEMS = 4096
"""Constants of more items keep the item type that they are stored in."""


class ConverterFromNNEF(Converter):
    """Converts an NNEF graph, with the shapes of all tensors, to the dialect.

    Compound operations without a rule are expanded by their definition. Everything is computed in float32 (float64
    where the original model was), int64 and bool. Inputs, outputs and weights get the data types, and all tensors the
    names, of the model that the NNEF graph was made from, as far as its facts (`graph.metadata`) tell.
    """

    _builder: TargetBuilder
    _single_precision: frozenset[str] = frozenset()
    """Compound operations that runtimes implement for float32 only."""

    def __call__(self, graph: Graph) -> Graph:
        """Converts an NNEF graph. ConversionError lists every operation that cannot be converted (`refused`)."""
        self.outputs = graph.outputs
        self._facts = tensor_facts(graph.metadata)
        self._coded = self._find_codes(graph)
        self._source = self._expanded(graph)
        self._target = Graph(graph.name)
        self._tensors = {}
        self._stored: dict[Tensor, Tensor] = {}
        self._literals: dict[tuple[Any, bytes], Tensor] = {}
        self._refused = []
        self._unknown = set()
        self.warnings = []
        self._has_doubles = has_doubles(self._source)
        self._builder = self._make_builder(self._target)
        self._convert_inputs()
        for op in self._source.operations:
            if op.type != "external":
                self._convert_or_refuse(op, {})
        if self._refused:
            raise self._refusal_error()
        self._convert_outputs()
        remove_unreachable(self._target, keep=effects(self._target))
        self._finish_constants()
        self._name()
        self._warn_of_unmatched()
        self.warnings.extend(self._builder.warnings)
        self._target.metadata = self._target_facts(graph.metadata)
        return self._target

    def _make_builder(self, graph: Graph) -> TargetBuilder:
        raise NotImplementedError

    def _target_facts(self, metadata: Mapping[str, Any]) -> dict[str, Any]:
        """The metadata of the target graph."""
        return without_nnef_facts(metadata)

    # preparation

    def _expanded(self, graph: Graph) -> Graph:
        """The graph, or a copy in which compound operations without a rule are expanded and idioms are recognized."""
        library = Library.of(graph)

        def is_expanded(name: str) -> bool:
            has_rule = name in self._transforms or find_from_nnef(self.dialect, name) is not None
            return not has_rule and name in library.compounds

        result = self._prepared(graph)
        if not is_marked(result):  # the mark was not there when the graph was read
            result = copy_graph(result) if result is graph else result
            mark_doubles(result)
            infer_graph(result, custom_shapes=self._custom_shapes, library=library, allow_unknown=True)
        if any(map(is_expanded, {str(op.type) for op in result.operations})):
            result = copy_graph(result) if result is graph else result
            decompose(result, filter(is_expanded, library.compounds), library.fragments)
        if has_doubles(result) and any(map(self._is_too_narrow, result.operations)):
            result = copy_graph(result) if result is graph else result
            decompose(result, library.compounds, library.fragments, only=self._is_too_narrow)
        if result is not graph:
            infer_graph(result, custom_shapes=self._custom_shapes, library=library, allow_unknown=True)
        return with_idioms(result, self._idioms(), kept=self._transforms)

    def _idioms(self) -> frozenset[str]:
        """The idioms that the dialect has operators for."""
        return frozenset(name for name in IDIOMS if find_from_nnef(self.dialect, name) is not None)

    def _is_too_narrow(self, op: Operation) -> bool:
        """Would an operation in float64 become float32 in the dialect, itself or in an attribute?"""
        return is_double(op) and (op.type in self._single_precision or _has_wide_attributes(op))

    def _prepared(self, graph: Graph) -> Graph:
        """The graph, or a copy that is easier to convert."""
        return graph

    # inputs and outputs

    def _source_name(self, tensor: Tensor) -> str | None:
        return self._facts.get(tensor.name or "", {}).get("source")

    def _source_dtype(self, tensor: Tensor) -> Any:
        """The data type that the tensor had in the model that the NNEF graph was made from, or its own."""
        return original_dtype(tensor, self._facts)

    def _class(self, dtype: Any) -> type:
        """The class that a data type is computed in: float32, float64, int64 or bool."""
        return np.float64 if self._has_doubles and np.dtype(dtype) == np.float64 else canonical_dtype(dtype)

    def _find_codes(self, graph: Graph) -> dict[str, Mapping[str, Any]]:
        """Name of an input or output -> its quantization, of those that were codes in the original model."""
        return {
            str(t.name): dict(t.quant or {})
            for t in (*graph.inputs, *graph.outputs)
            if (t.quant or {}).get("op-name") == LINEAR and is_float(t.dtype) and is_integer(self._source_dtype(t))
        }

    def _is_rounded(self, tensor: Tensor) -> bool:
        """Is the tensor computed, and then rounded to codes? Inputs that are codes are not."""
        is_input = tensor.name in self._coded and getattr(tensor.producer, "type", "external") == "external"
        return bool(tensor.quant) and tensor.data is None and not is_input

    def _decoded(self, quant: Mapping[str, Any], codes: Tensor) -> Tensor:
        """The real values of an input that is codes: by arithmetic, unless the dialect has an operator."""
        b, (zero_point, scale) = self._builder, self._code_parameters(quant)
        return b.nnef.mul(b.nnef.sub(b.cast_at_run_time(codes, np.float32), zero_point), scale)

    def _encoded(self, quant: Mapping[str, Any], values: Tensor, dtype: Any) -> Tensor:
        """The codes of an output that has been rounded to their values."""
        b, (zero_point, scale) = self._builder, self._code_parameters(quant)
        low, high = integer_range(dtype)
        codes = b.nnef.add(b.nnef.round(b.nnef.div(values, scale)), zero_point)
        return b.cast_at_run_time(b.nnef.clamp(codes, float(low), float(high)), dtype)

    def _code_parameters(self, quant: Mapping[str, Any]) -> list[Tensor]:
        return [self._builder.constant(quant[key], np.float32) for key in ("zero_point", "scale")]

    def _convert_inputs(self) -> None:
        self._check_transposed()
        inputs = []
        for source in self._source.inputs:
            if not is_known(source.shape):
                raise unknown_shape(source)
            dtype = self._source_dtype(source)
            outer = Tensor(self._target, source.name, source.shape, dtype)
            inputs.append(outer)
            if source.name in self._coded:
                self._tensors[source] = self._decoded(self._coded[source.name], outer)
                continue
            computed = self._class(dtype)
            inner = outer if dtype is computed else self._builder.cast_at_run_time(outer, computed)
            self._tensors[source] = self._quantized(source, inner) if source.quant else inner
        self._target.inputs = inputs

    def _convert_outputs(self) -> None:
        outputs: list[Tensor] = []
        for source in self._source.outputs:
            target = self._mapped(source)
            dtype = self._source_dtype(source)
            if source.name in self._coded and target.dtype is not dtype:
                target = self._encoded(self._coded[source.name], target, dtype)
            if dtype is not target.dtype:
                target = self._builder.cast_at_run_time(target, dtype)
            elif target.data is not None or target in outputs or target in self._target.inputs:
                target = self._builder.identity(target)
            self._tensors[source] = target
            outputs.append(target)
        self._target.outputs = outputs

    def _finish_constants(self) -> None:
        """Gives constants the form that they have in the dialect."""

    # operations

    def _convert_by_rule(self, op: Operation, opset: Mapping[str, int]) -> bool:
        if op.type in ("variable", "constant"):
            self._convert_constant(op)
            return True
        return super()._convert_by_rule(op, opset)

    def _resolve(self, op: Operation, opset: Mapping[str, int]) -> Call | None:
        rule = find_from_nnef(self.dialect, str(op.type))
        if rule is None:
            return None
        for tensor in (*op.inputs, *op.outputs):
            if not is_known(tensor.shape):
                raise unknown_shape(tensor)
        definition = find(op.type)
        if definition is None:
            attribs = dict(op.attribs)
        else:
            attribs = definition.complete(op.attribs)
            surplus = [key for key in op.attribs if key not in attribs and key != "dtype"]
            if surplus:
                raise Unsupported(f"the model declares it with '{min(surplus)}', which the operation known here lacks")
        for key in [key for key in attribs if iskeyword(key)]:
            attribs[f"{key}_"] = attribs.pop(key)
        if "dtype" in rule.attributes:
            attribs["dtype"] = self._generic_dtype(op)
        else:
            attribs.pop("dtype", None)
        return Call(rule, group_arguments(op.inputs, None if definition is None else definition.fragment), attribs)

    def _generic_dtype(self, op: Operation) -> Any:
        """The type that the `?` in the operation's signature stands for."""
        dtype = op.outputs[0].dtype or np.float32
        if op.type == "cast":
            return self._class(op.attribs.get("dtype", dtype))
        return self._computed(canonical_dtype(op.attribs.get("dtype") or dtype))

    def _computed(self, dtype: type) -> type:
        """The class in which the present operation computes values of an NNEF class."""
        return self._builder.real if dtype is np.float32 else dtype

    def _arguments(self, call: Call, op: Operation) -> list[Any]:
        """The arguments in the data types of the signature, since a literal may be written in another type."""
        arguments = super()._arguments(call, op)
        definition = find(op.type)
        if definition is None or op.type == "cast":
            return arguments
        items = definition.fragment.tensor_items
        for k, (argument, item) in enumerate(zip(arguments, items, strict=False)):
            arguments[k] = self._typed(argument, item, op)
        return arguments

    def _typed(self, argument: Any, item: str, op: Operation) -> Any:
        if isinstance(argument, list):
            return [self._typed(part, item, op) for part in argument]
        if not isinstance(argument, Tensor):
            return argument
        dtype = self._generic_dtype(op) if item == "?" else self._computed(numpy_dtype(item))
        if argument.dtype is dtype:
            return argument
        if argument.data is not None and not isinstance(argument.data, QuantizedArray):
            return self._builder.constant(np.asarray(argument.data).astype(dtype), base=argument)
        return self._builder.cast_at_run_time(argument, dtype)

    def _mapped(self, source: Tensor) -> Tensor:
        target = self._tensors.get(source)
        if target is None and source.data is not None:
            data = self._data(source)
            target = self._constant(source, data) if source.name or data.ndim else self._literal(source, data)
        return super()._mapped(source) if target is None else target

    def _data(self, source: Tensor) -> np.ndarray[Any, Any]:
        data = np.asarray(source.data)
        return data if source.quant else as_signed(data, source.consumers)

    def _literal(self, source: Tensor, data: np.ndarray[Any, Any]) -> Tensor:
        """A constant for a number, the same for equal numbers, which makes models load faster."""
        key = (data.dtype, data.tobytes())
        if key not in self._literals:
            self._literals[key] = self._constant(source, data)
        self._tensors[source] = self._literals[key]
        return self._literals[key]

    def _constant(self, source: Tensor, data: np.ndarray[Any, Any]) -> Tensor:
        """A constant in the data type to compute with; a large one keeps its own and is cast when the model runs."""
        dtype = self._class(data.dtype)
        if data.dtype.type is dtype or data.size <= KEEP_TYPE_ITEMS:
            target = Tensor(self._target, source.name, data.shape, dtype, data.astype(dtype, copy=False))
        else:
            stored = Tensor(self._target, source.name, data.shape, data.dtype.type, data)
            target = self._builder.cast_at_run_time(stored, dtype)
            self._builder.derived_from[target] = stored
            self._stored[stored] = source
        self._tensors[source] = target
        return target

    def _convert(self, op: Operation, opset: Mapping[str, int]) -> None:
        self._builder.real = np.float64 if self._has_doubles and is_double(op) else np.float32
        super()._convert(op, opset)
        for source in op.outputs if op.type not in ("variable", "constant") else ():
            if source.quant and source in self._tensors:
                self._tensors[source] = self._quantized(source, self._tensors[source])

    def _quantized(self, source: Tensor, target: Tensor) -> Tensor:
        """The tensor, followed by the rounding that the quantization of its source describes."""
        raise Unsupported(f"'{source.name}' is quantized by '{(source.quant or {}).get('op-name')}'")

    def _warn_of_ties(self, operator: str, own: Ties) -> None:
        """Warns if the operator that rounds to codes has another rule for the middle of two than the model."""
        rule = ties_rule(self._source.metadata)
        if rule is not own:
            text = f"{operator} rounds ties {_TIES[own]}, {_RULE_OF[rule]}: a code in the middle of two may differ"
            self._builder.warnings[text] = None

    def _fresh_output(self, source: Tensor) -> Tensor:
        target = Tensor(self._target, source.name, source.shape, self._class(source.dtype or np.float32))
        self._tensors[source] = target
        return target

    def _convert_constant(self, op: Operation) -> None:
        source = op.output
        if op.type == "variable":
            if source.data is None:
                raise Unsupported(f"variable '{source.name}' has no data")
            data = self._data(source)
        else:
            values = np.asarray(op.attribs["value"], dtype=op.attribs.get("dtype", source.dtype))
            shape = op.attribs["shape"]
            ask_constant(math.prod(shape), given=values.size)
            data = np.broadcast_to(values.reshape(()), shape) if values.size == 1 else values.reshape(shape)
        self._constant(source, data)

    def _check(self, source: Tensor, target: Tensor) -> None:
        """Sets shape and data type to those of the source where the builder does not know them."""
        if target.shape is None:
            target.shape = source.shape
        if target.data is None:
            target.dtype = self._class(source.dtype)

    # names

    def tensor_mapping(self) -> dict[str, str]:
        """Source tensor name -> target tensor name; the first other form for a constant that is not there itself."""
        mapping = super().tensor_mapping()
        sources = {target: source for source, target in self._tensors.items() if source.graph is self._source}
        for tensor, base in self._builder.derived_from.items():
            while base not in sources and base in self._builder.derived_from:
                base = self._builder.derived_from[base]
            source = sources.get(base)
            if source is not None and source.name and tensor.name and tensor.graph is not None:
                mapping.setdefault(source.name, tensor.name)
        return mapping

    def _wanted_names(self) -> dict[Tensor, str]:
        """Target tensor -> its name in the original model where that is known, in the NNEF graph otherwise."""
        wanted: dict[Tensor, str] = {}
        for source, target in (*((s, t) for t, s in self._stored.items()), *self._tensors.items()):
            fact = self._source_name(source)
            folded = target.data is not None and target in self._builder.derived_from  # takes the name of its origin
            if source.name and target not in wanted and (fact or not folded):
                wanted[target] = fact or source.name
        for sources, targets in (
            (self._source.outputs, self._target.outputs),
            (self._source.inputs, self._target.inputs),
        ):
            for source, target in zip(sources, targets, strict=False):  # states follow
                wanted[target] = self._source_name(source) or source.name or "tensor"
        for tensor in self._target.tensors:
            base: Tensor | None = tensor
            while base is not None and tensor not in wanted:
                base = self._builder.derived_from.get(base)
                if base in wanted:
                    wanted[tensor] = wanted[base]
        return wanted

    def _name(self) -> None:
        """Gives all tensors unique names, the wanted ones where possible."""
        wanted = self._wanted_names()
        bound = [*self._target.outputs, *self._target.inputs]
        constants = [t for t in self._target.tensors if t.data is not None]
        names = FreshNames(())
        for tensor in dict.fromkeys((*bound, *constants, *self._target.tensors)):
            if tensor.name == "" and not tensor.has_producer:
                continue  # a placeholder for an omitted input
            tensor.name = names.distinct(wanted.get(tensor) or _generated(tensor))
        for op in self._target.operations:
            if op.name is None and op.outputs:
                op.name = op.outputs[0].name


def _has_wide_attributes(op: Operation) -> bool:
    """Are there attributes that float32, their type in other formats, cannot hold? A border is a tensor there."""
    values = [value for key, value in op.attribs.items() if type(value) is float and (op.type, key) != ("pad", "value")]
    with np.errstate(over="ignore"):
        return any(float(np.float32(value)) != value for value in values)


def compounds_without_rule(dialect: str) -> list[str]:
    """The standard compound operations that are converted by their definitions, since the dialect lacks a rule."""
    standard = standard_fragments()
    return [name for name, item in standard.items() if item.is_compound and find_from_nnef(dialect, name) is None]


def original_dtype(tensor: Tensor, facts: Mapping[str, TensorFact]) -> Any:
    """The data type of a tensor according to the facts of its graph (`tensor_facts`), or its own.

    Facts without a type mean the default for the NNEF type; the data of constants has its own type.
    """
    known = facts.get(tensor.name or "", {})
    if "dtype" in known:
        return ITEM_CLASSES.get(known["dtype"], tensor.dtype)
    return canonical_dtype(tensor.dtype) if known and tensor.data is None and tensor.dtype else tensor.dtype


def insert_quantization(graph: Graph, tensor: Tensor) -> None:
    """Replaces the quantization of a result or graph input by the operation that computes it. Unsupported."""
    quant = dict(tensor.quant or {})
    name = str(quant.pop("op-name", None))
    definition = find(name)
    if definition is None or not name.endswith("_quantize"):
        raise Unsupported(f"'{tensor.name}' has the unknown quantization '{name}'")
    tensor.quant = {}
    other = Tensor(graph, shape=tensor.shape, dtype=tensor.dtype)
    if tensor in graph.inputs:
        for op in tensor.consumers:
            inputs = [other if t is tensor else t for t in op.inputs]
            op.inputs = tuple(inputs) if isinstance(op.inputs, tuple) else inputs
        graph.outputs = [other if t is tensor else t for t in graph.outputs]
        other.name = f"{tensor.name}_quantized"
        before, after = tensor, other
    else:
        for op in tensor.producers:
            outputs = [other if t is tensor else t for t in op.outputs]
            op.outputs = tuple(outputs) if isinstance(op.outputs, tuple) else outputs
        before, after = other, tensor
    parameters = []
    for parameter in definition.fragment.tensors[1:]:
        data: Any = np.asarray(quant[parameter.name], numpy_dtype(item_name(parameter.type)))
        parameters.append(Tensor(graph, shape=data.shape, dtype=data.dtype.type, data=data))
    attribs = {key: quant[key] for key in definition.fragment.attributes}
    Operation(graph, name, attribs=attribs, inputs=(before, *parameters), outputs=(after,))
    graph.sort()


def _generated(tensor: Tensor) -> str:
    return f"{tensor.producer.type if tensor.producer is not None else 'constant'}_result"
