"""The converter base for the direction from other dialects to NNEF."""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ...errors import (
    ConversionError,
    InvalidOperator,
    PluginError,
    ShapeError,
    Unsupported,
    UsageError,
    shape_hint,
    shape_text,
)
from ...io.nnef.labels import FreshLabels
from ...language.names import sanitize_identifier
from ...language.parser import parse_fragments
from ...language.types import REQUIRED, Fragment
from ...model import Graph, Operation, Tensor
from ...model.channels import is_moved
from ...model.dtypes import as_class, dtype_name, integer_of, is_carried, nnef_dtype
from ...model.facts import FORMAT, TIES, TensorFact, Ties, opset_versions, with_tensor_facts
from ...model.utils import cut_tensors, generate_tensor_names_from_op_type, remove_unreachable
from ...model.widths import has_literal
from ...ops.inference import infer_shapes, output_shapes, result_dtypes, spread
from ...ops.library import Library
from ...ops.plugin_fragments import PLUGIN_SHAPES, plugin_fragments
from ...ops.registry import find
from ..building.lists import TensorList
from ..building.nnef import Builder
from ..building.quantized import QuantizedArray
from ..building.shapes import unsqueeze
from ..maths import axis_orders
from ..maths.quantization import codes_of
from .base import Converter, is_missing
from .masks import Room, check_masks, drop_held, has_counts, leading_to, name_counts, open_ends
from .refusal import DependsOnRefused, is_known, unknown_shape
from .rules import Call, Rule, all_rules, find_counting, find_rule
from .source_names import keep_source_names
from .transform import CompiledTransform, Scope, Transform

DEFAULT_DTYPES = {"scalar": np.float32, "integer": np.int64, "logical": np.bool_}


class ConverterToNNEF(Converter):
    """Converts a graph of the dialect to NNEF.

    keep_io_names: graph inputs and outputs keep their names (as identifiers). keep_names: all tensors keep them, and
    labels of variables are the names of weights. infer_shapes: accept source tensors of unknown shape after plugin
    operators; custom_shapes then give the shapes. io_transpose: the inputs and outputs of rank > 2 (all, or the named
    ones) have channels last, and get them second. fold_constants: evaluate all operations on constants. standard_only:
    refuse what needs a custom fragment. custom_fragments: operation -> its declaration, which gives the data types of
    its results. static_only: leave out operations whose shape depends on the data, and those that depend on them.
    fixed_nms: outputs whose number of rows depends on the data, as that of the boxes which non-maximum suppression
    chooses, have room for the most there can be; a further output tells the number.
    """

    honors = Converter.honors | {
        *("keep_io_names", "infer_shapes", "io_transpose", "fold_constants", "standard_only", "static_only"),
        *("custom_fragments", "keep_names", "fixed_nms"),
    }
    _ties: Ties = Ties.UP
    """The rule of the source format for values in the middle of two codes."""
    combining: Collection[str] = ()
    """The operators that may combine rows: their rules make no use of their number; see `building/masked.py`."""
    _builder: Builder
    _counted: list[tuple[str, Tensor]]  # the outputs with numbers of rows, and their names
    _made: dict[Operation, Sequence[Operation]]  # operation of the source -> those that it became
    _interface: list[tuple[Tensor, Tensor]]  # (source, target) tensors: inputs, then outputs
    _given: Sequence[Tensor]
    _results: Sequence[Tensor]
    _rules: dict[tuple[str | None, int, str], Rule | None]  # those that were looked up

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
        static_only: bool = False,
        custom_fragments: Mapping[str, str] | None = None,
        keep_names: bool = False,
        fixed_nms: bool = False,
    ) -> None:
        super().__init__(custom_transforms, custom_functions, mirror_unsupported, custom_shapes)
        self._io_transpose = io_transpose
        self._keep_io_names = keep_io_names
        self._infer_shapes = infer_shapes
        self._fold_constants = fold_constants
        self._standard_only = standard_only
        self._static_only = static_only
        self._custom_fragments = custom_fragments or {}
        self._keep_names = keep_names
        self._fixed_nms = fixed_nms
        self._originals: Mapping[Tensor, Tensor] = {}  # what copies in which codes are real are copies of

    @classmethod
    def rules(cls) -> list[tuple[str, Rule]]:
        """The operators that have a rule, with their domain if they have one, and the rule; one item for each rule."""
        return [(f"{rule.domain}.{rule.type}".lstrip("."), rule) for rule in all_rules(cls.dialect)]

    @classmethod
    def reasons(cls) -> dict[str, str]:
        """Operators, with their domain if they have one, for which there cannot be a rule -> why."""
        return {}

    def __call__(self, graph: Graph) -> Graph:
        """Converts a graph to NNEF. ConversionError lists every operator that cannot be converted (`refused`)."""
        self._source = graph
        self._given, self._results = self._bound(graph)
        self._target = Graph(graph.name)
        self._tensors = {}
        self._captured = {}
        self._refused = []
        self._made = {}
        self._unknown = set()
        self._rules = {}
        self.warnings = []
        self._builder = Builder(
            self._target,
            fold_all=self._fold_constants,
            custom_shapes=self._custom_shapes,
            standard_only=self._standard_only,
            inline=self._inline,
        )
        self._convert_inputs()
        opset = opset_versions(graph.metadata)
        for op in graph.operations:
            first = len(self._target.operations)
            self._convert_or_refuse(op, opset)
            self._made[op] = self._target.operations[first:]
        self._judge_counts()
        if self._refused:
            raise self._refusal_error()
        self._convert_outputs()
        self._finish()
        self.outputs = [self._originals.get(tensor, tensor) for tensor in self.outputs]
        return self._target

    # inputs and outputs

    def _bound(self, graph: Graph) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
        """The inputs and outputs of the source that are inputs and outputs of the target."""
        return graph.inputs, graph.outputs

    def _convert_inputs(self) -> None:
        dynamic = [t for t in self._given if t.shape is None or None in t.shape]
        if dynamic:
            names = ", ".join(f"'{t.name}'" for t in dynamic)
            raise ConversionError(
                f"Input graph contains tensors with dynamic shape: {names}",
                hint=shape_hint({str(t.name): t.shape for t in dynamic}),
            )
        for source in self._given:
            if source.volume == 0:
                shape = tuple(source.shape or ())
                self.warnings.append(f"input '{source.name}' is left out, since it is empty (shape {list(shape)})")
                self._tensors[source] = self._builder.constant(np.empty(shape, source.dtype))
        self._check_transposed()
        filled = [source for source in self._given if source.volume != 0]
        self._interface = [(source, self._convert_input(source)) for source in filled]
        self._target.inputs = [target for _, target in self._interface]
        if not self._target.inputs:
            raise ConversionError("there is nothing to compute: the model has no inputs, and an NNEF graph needs one")

    def _convert_input(self, source: Tensor) -> Tensor:
        """The graph input for an input of the source."""
        if not is_carried(source.dtype):
            reasons = {str(op.type): self._reason_against(op) for op in source.consumers}
            raise ConversionError(
                f"input '{source.name}' has a data type that NNEF cannot carry: {dtype_name(source.dtype)}",
                [f"{type} takes it: {reason}" for type, reason in reasons.items() if reason],
                hint="convert what follows it: --input-names with the tensors where numbers begin",
            )
        kind = nnef_dtype(source.dtype)
        shape = tuple(source.shape or ())
        transposed = is_moved(source.name, len(shape), self._io_transpose)
        outer = axis_orders.permute(shape, axis_orders.nxc_to_ncx_perm(len(shape))) if transposed else shape
        target = Tensor(self._target, source.name, outer, source.dtype, quant=copy.deepcopy(source.quant))
        Operation(
            self._target,
            type="external",
            attribs={"shape": list(outer), "dtype": DEFAULT_DTYPES[kind]},
            outputs=target,
        )
        inner = self._builder.transpose(target, axes=axis_orders.ncx_to_nxc_perm(len(shape))) if transposed else target
        self._tensors[source] = inner
        return target

    def _convert_outputs(self) -> None:
        outputs: list[Tensor] = []
        room = Room(self._builder)
        self.outputs = self._final_tensors()
        for source in self.outputs:
            target = self._mapped(source)
            if isinstance(target, TensorList):
                raise ConversionError(
                    f"output '{source.name}' is a list of {len(target.items)} tensors, which NNEF does not have",
                    hint="let the model return the items one by one, or joined",
                )
            target = room.packed(source, target)
            shape = target.shape or ()
            if 0 in shape:
                raise ConversionError(f"output '{source.name}' is empty (shape {list(shape)})")
            if is_moved(source.name, len(shape), self._io_transpose):
                target = self._builder.transpose(target, axes=axis_orders.nxc_to_ncx_perm(len(shape)))
            if target.data is not None or target in outputs or target in self._target.inputs:
                target = self._copy(target)
            self._interface.append((source, target))
            outputs.append(target)
        self._tensors.update(reversed(self._interface))  # the first place counts for a tensor with several
        self._counted = [(name, self._copy(count)) for count, name in room.names.items()]
        self.counted_rows = room.rows
        self.warnings += room.warnings
        self._target.outputs = [*outputs, *(count for _, count in self._counted)]

    def _final_tensors(self) -> list[Tensor]:
        """The source tensors that become outputs: those of the model or, with static_only, those that are left of them.

        Where operators of unknown shape are left out, their computed inputs become outputs too.
        """
        left_out = {op: None for op in self._source.operations if any(t in self._unknown for t in op.outputs)}
        if not left_out:
            return list(self._results)
        kept = [t for t in dict.fromkeys(self._results) if t not in self._unknown]
        targets = {self._mapped(source) for source in kept} | set(self._target.inputs)
        for source in cut_tensors(self._source, left_out):
            target = self._tensors.get(source)
            if isinstance(target, Tensor) and target.data is None and target.volume and target not in targets:
                targets.add(target)
                kept.append(source)
        types = ", ".join(sorted({str(op.type) for op in left_out}))
        self.warnings.append(f"{len(left_out)} operator(s) without static shape are left out: {types}")
        if not kept:
            raise ConversionError("nothing is left without the operators of unknown shape")
        return kept

    def _can_leave_out(self) -> bool:
        try:
            return not self._static_only and bool(self._final_tensors())
        except ConversionError:
            return False

    def _copy(self, tensor: Tensor) -> Tensor:
        """A copy operation that is never folded, so that a graph output has a name of its own."""
        result = Tensor(self._target, shape=tensor.shape, dtype=tensor.dtype)
        Operation(self._target, type="copy", inputs=tensor, outputs=result)
        return result

    # operations

    def _convert_by_rule(self, op: Operation, opset: Mapping[str, int]) -> bool:
        self._check_types(op)
        if super()._convert_by_rule(op, opset):
            return True
        body = self._function_body(op, opset)
        if body is None:
            return False
        arguments = [None if is_missing(t) else self._mapped(t) for t in op.inputs]
        self._bind_results(op, self._inline(body, arguments))
        return True

    def _resolve(self, op: Operation, opset: Mapping[str, int]) -> Call | None:
        version = opset.get(op.domain, 1)
        key = (op.type, version, op.domain)
        if key not in self._rules:
            self._rules[key] = find_rule(self.dialect, str(op.type), version, op.domain)
        rule = self._rules[key]
        if rule is None:
            return None
        self._builder.version = version
        return Call(rule, op.inputs, op.attribs)

    def _apply(self, call: Call, op: Operation) -> list[Tensor | None]:
        rule, type = call.rule, "" if call.rule.domain else call.rule.type
        counting = find_counting(rule.dialect, type)
        given = [None if is_missing(t) else self._mapped(t) for t in call.inputs if isinstance(t, Tensor)]
        masks = self._builder.masks
        masks.mixing = type in self.combining
        if counting is not None and has_counts(self._builder, given):
            results = counting(self._builder, *given, **call.attribs)
            if results is not None:
                results = results if call.after is None else call.after(results)
                return list(results) if isinstance(results, (tuple, list)) else [results]
        results = super()._apply(call, op)
        if masks and type not in self.combining:
            check_masks(self._builder, op, given, results)
        return results

    def _judge_counts(self) -> None:
        """Refuses, or leaves out, what the extents of outputs depend on that are not known."""
        if self._fixed_nms:
            return
        ends = open_ends(self._source, self._results, self._unknown if self._static_only else ())
        shown = leading_to(self._builder, self._tensors, ends)
        made_of_rows = [t for op in shown for t in op.outputs]
        if self._static_only:
            self._unknown.update(made_of_rows)
            return
        for tensor in made_of_rows:
            self._tensors.pop(tensor, None)
        for op, what in shown.items():
            if not any(t.producer in shown for t in (*op.inputs, *op.captures)):
                reason = f"the shape of the result depends on the data, which shows in {what}"
                self._refuse(op, Unsupported(f"{reason}; --fixed-nms gives room for the most rows there can be"))

    def _check_types(self, op: Operation) -> None:
        used = [tensor for tensor in op.outputs if self._is_used(tensor)]
        for tensor in (*op.inputs, *used):
            if tensor.dtype is not None and not is_carried(tensor.dtype):
                alone = tensor in op.inputs or len(used) == 1
                raise Unsupported(
                    f"tensor '{tensor.name}' has a type that NNEF cannot carry: {dtype_name(tensor.dtype)}",
                    hint=None if alone else "--output-names with the other results converts these",
                )

    def _function_body(self, op: Operation, opset: Mapping[str, int]) -> Graph | None:
        """The body that the source format defines for the operator, or None."""
        return None

    def _inline(self, body: Graph, arguments: Sequence[Tensor | None]) -> list[Tensor | None]:
        """Converts the operations of a nested graph in place, and returns the targets of its outputs."""
        for source, target in zip(body.inputs, arguments, strict=False):
            if target is not None:
                self._tensors[source] = target
        opset = opset_versions(body.metadata) or opset_versions(self._source.metadata)
        version, wanted = self._builder.version, self._builder.wanted
        try:
            for op in body.operations:
                self._convert_inner(op, opset)
        finally:
            self._builder.version, self._builder.wanted = version, wanted
        return [self._mapped(t) for t in body.outputs]

    def _convert_inner(self, op: Operation, opset: Mapping[str, int]) -> None:
        """Converts an operation of a nested graph; a refusal becomes the reason against the outer operation."""
        try:
            self._convert(op, opset)
        except (DependsOnRefused, PluginError):
            raise
        except (ConversionError, ShapeError, UsageError) as error:
            kind = InvalidOperator if isinstance(error, InvalidOperator) else Unsupported
            raise kind(f"{self._qualified(op)} in its body: {error.message}", error.details) from error

    def _bind_results(self, op: Operation, results: Sequence[Tensor | None]) -> None:
        super()._bind_results(op, results)
        for source in op.outputs:
            target = self._tensors.get(source)
            if target is not None and target.name is None:
                target.name = source.name  # a preliminary name, for plugins and messages

    def _check(self, source: Tensor, target: Tensor) -> None:
        """Checks the inferred shape and type of a result against the declaration in the source."""
        if isinstance(target, TensorList):
            return
        same_type = source.dtype is None or source.dtype is target.dtype
        if not same_type and nnef_dtype(source.dtype) != nnef_dtype(target.dtype):
            raise Unsupported(f"gives {nnef_dtype(target.dtype)} where the model says {source.dtype.__name__}")
        if source.shape is None or source.shape == target.shape or target in self._builder.masks:
            return
        same_rank = len(source.shape) == len(target.shape or ())
        if not same_rank or any(a not in (None, b) for a, b in zip(source.shape, target.shape or (), strict=True)):
            declared, found = shape_text(source.shape), shape_text(target.shape)
            self.warnings.append(f"tensor '{source.name}' is declared with shape {declared} but has {found}")

    def _build_transformed(self, transform: CompiledTransform, scope: Scope, type: Any) -> list[Operation]:
        made = super()._build_transformed(transform, scope, type)
        fragment = self._fragment(str(type))
        attribs = next(op for op in made if op.type == type).attribs
        if "dtype" in attribs and (fragment is None or "dtype" not in fragment.attributes):
            attribs["dtype"] = as_class(attribs["dtype"])
        if fragment is not None:
            surplus = [name for name in attribs if name not in fragment.attributes and name != "dtype"]
            absent = [n for n, p in fragment.attributes.items() if p.default is REQUIRED and n not in attribs]
            if surplus:
                raise scope.failure(f"operation '{type}' has no attribute '{surplus[0]}'", surplus[0])
            if absent:
                raise scope.failure(f"operation '{type}' needs the attribute '{absent[0]}'")
        return made

    def _infer_custom(self, operations: Sequence[Operation]) -> None:
        for op in operations:
            unknown = [t for t in op.outputs if not is_known(t.shape)]
            if unknown or self._infer_shapes:
                self._infer_shapes_of(op, unknown)
            if any(t.dtype is None for t in op.outputs):
                self._infer_types_of(op)

    def _infer_shapes_of(self, op: Operation, unknown: Sequence[Tensor]) -> None:
        """Sets shapes by the shape function of a plugin's or mirrored operation; without one, those of the source."""
        functions = self._custom_shapes
        if op.type not in functions and op.type not in self._custom_fragments:
            functions = PLUGIN_SHAPES
        if op.type not in functions and find(op.type) is None:
            if unknown:
                raise unknown_shape(unknown[0])
            return
        shapes = [list(t.shape or ()) for t in op.inputs]
        arguments: list[Any] = shapes if isinstance(op.inputs, tuple) else [shapes]
        results = output_shapes(op, infer_shapes(str(op.type), arguments, op.attribs, functions), functions)
        for tensor, shape in zip(op.outputs, results, strict=True):
            tensor.shape = shape

    def _infer_types_of(self, op: Operation) -> None:
        """Sets data types by the signature; without one, that of the first input, which is a guess."""
        fragment = self._fragment(str(op.type))
        classes = [t.dtype for t in op.inputs]
        if fragment is not None:
            arguments: list[Any] = classes if isinstance(op.inputs, tuple) else [classes]
            known = spread(fragment, result_dtypes(fragment, arguments, op.attribs.get("dtype")), len(op.outputs))
        else:
            known = (classes[:1] or [np.float32]) * len(op.outputs)
            self.warnings.append(f"types of the results of '{op.type}' are not known, taken as {known[0].__name__}")
        for tensor, dtype in zip(op.outputs, known, strict=True):
            if tensor.dtype is None:
                tensor.dtype = dtype

    def _fragment(self, type: str) -> Fragment | None:
        """The signature of an operation; None if it is not declared."""
        if type in self._custom_fragments:
            return parse_fragments(self._custom_fragments[type], f"custom fragment '{type}'").get(type)
        return Library(plugin_fragments()).fragments.get(type)

    # helpers

    def unsqueeze_vector(self, tensor: Tensor) -> Tensor:
        """`[C]` -> `[1, C]`, the shape of parameters per channel in NNEF."""
        if tensor.data is not None:
            return unsqueeze(self._builder, tensor, [0])
        return self.unsqueeze_input(tensor, [0])

    def tensor_mapping(self) -> dict[str, str]:
        """Source tensor name -> target tensor name, for the tensors that are still in the target graph."""
        mapping = super().tensor_mapping()
        for source, target in self._derived():  # constants that only other forms are left of
            if target.quant:
                continue  # codes in the source, real values in the target
            if source.graph is self._source and source.name and target.name and target.graph is not None:
                mapping.setdefault(source.name, target.name)
        return mapping

    # the finished graph

    def _finish(self) -> None:
        drop_held(self._builder)
        kept = ("external", "update")
        remove_unreachable(self._target, keep=[op for op in self._target.operations if op.type in kept])
        self._make_variables()
        self._target.sort()
        taken = set(Library().fragments)
        self._target.name = sanitize_identifier(self._target.name or "G", taken)
        self._name()
        self._warn()
        self._target.metadata = self._facts()

    def _name(self) -> None:
        if self._keep_names:
            types = (str(op.type) for op in self._target.operations)
            reserved = {*Library().fragments, *self._custom_fragments, *types}
            keep_source_names(self._target, self._origins(), reserved)
            name_counts(self._target, self._counted, reserved)
            return
        if self._keep_io_names:
            self._name_io()
        generate_tensor_names_from_op_type(self._target, keep_io_names=self._keep_io_names)
        name_counts(self._target, self._counted)
        labels = FreshLabels()
        for op in self._target.operations:
            if op.type == "variable":
                op.attribs["label"] = labels(op.name or op.output.name)

    def _name_io(self) -> None:
        taken: set[str] = set()
        for source, target in self._interface:
            target.name = sanitize_identifier(source.name or "io", taken)
            taken.add(target.name)
        name_counts(self._target, self._counted, taken)

    def _make_variables(self) -> None:
        """Makes variables of constants, apart from numbers of rank 0 that have a literal and are not quantized."""
        for tensor, initial in self._builder.states.items():
            if tensor.graph is not None:
                self._set_initial(tensor, initial)
        for tensor in list(self._target.tensors):
            if tensor.data is None or tensor.has_producer:
                continue
            if not is_carried(tensor.dtype):
                raise ConversionError(
                    f"constant '{tensor.name}' has a data type that NNEF cannot carry: {dtype_name(tensor.dtype)}"
                )
            dtype = DEFAULT_DTYPES[nnef_dtype(tensor.dtype)]
            if isinstance(tensor.data, QuantizedArray):
                tensor.quant = tensor.data.quant()
                tensor.data = tensor.data.codes
                tensor.dtype = tensor.data.dtype
            else:
                if not tensor.rank and has_literal(tensor.data):
                    continue
            attribs = {"shape": list(tensor.shape or ()), "label": "", "dtype": dtype}
            Operation(self._target, type="variable", attribs=attribs, outputs=tensor)

    def _set_initial(self, state: Tensor, initial: Any) -> None:
        """Gives a variable that is updated its first value; codes, if it is quantized."""
        if isinstance(initial, QuantizedArray):
            initial = initial.codes
        elif state.quant:
            codes, quant = codes_of(np.asarray(initial), state.quant), state.quant
            initial = codes.astype(integer_of(int(quant["bits"]), signed=bool(quant["signed"])))
        state.data = np.asarray(initial)
        state.dtype = state.data.dtype.type

    def _warn(self) -> None:
        self._warn_of_unmatched()
        self.warnings.extend(self._builder.warnings)
        if self._builder.rounded:
            names = ", ".join(sorted(self._builder.rounded))
            self.warnings.append(
                f"NNEF has no integer arithmetic: {names} on integers is computed in scalars, exact up to 2**24"
            )

    def _facts(self) -> dict[str, Any]:
        """The facts that NNEF text cannot carry, for the sidecar file."""
        tensors: dict[str, TensorFact] = {}
        for source, target in self._origins():
            if target.graph is None or not target.name or not source.name or target.name in tensors:
                continue
            tensors[target.name] = {"source": source.name}
            dtype = self._originals.get(source, source).dtype
            is_coded = dtype is not source.dtype
            if dtype is not None and (is_coded or dtype is not DEFAULT_DTYPES.get(nnef_dtype(dtype))):
                tensors[target.name]["dtype"] = dtype.__name__
        facts = {**with_tensor_facts(self._source.metadata, tensors), FORMAT: self.dialect}
        if any(tensor.quant and tensor.data is None for tensor in self._target.tensors):
            facts[TIES] = self._ties.value
        return facts

    def _origins(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Pairs of source and target tensor; a tensor of the target takes the name of the first source that has one."""
        derived = list(self._derived())
        stored = [(source, target) for source, target in derived if target.quant]  # codes come before their real values
        yield from (*self._interface, *stored, *self._weights(), *self._tensors.items(), *derived)

    def _derived(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Pairs of source constant and a variable with another form of it, or its codes."""
        sources = self._sources_of_constants()
        for tensor in self._builder.derived_from:
            line = _ancestors(tensor, self._builder.derived_from)[1:]
            for ancestor in reversed(line) if tensor.quant else line:
                for source in sources.get(ancestor, ()):
                    yield source, tensor

    def _weights(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Pairs of source constant and the variable that takes its name: its own, or the first one derived from it.

        Among derived variables, those come first that correspond to no tensor of the source, such as the result of a
        reshape.
        """
        sources = self._sources_of_constants()
        parents = self._builder.named_after | self._builder.derived_from
        variables = [op.output for op in self._target.operations if op.type == "variable"]
        lines = {t: _ancestors(t, parents) for t in sorted(variables, key=lambda t: t in sources)}
        taken: set[Tensor] = set()
        for generation in range(max(map(len, lines.values()), default=0)):
            for variable, line in list(lines.items()):
                ancestors = sources.get(line[generation], ()) if generation < len(line) else ()
                source = next((s for s in ancestors if s.data is not None and s not in taken), None)
                if source is not None:
                    del lines[variable]
                    taken.add(source)
                    yield source, variable

    def _sources_of_constants(self) -> dict[Tensor, list[Tensor]]:
        """Constant of the target -> the tensors of the source with its value."""
        sources: dict[Tensor, list[Tensor]] = {}
        for source, target in self._tensors.items():
            if target.data is not None:
                sources.setdefault(target, []).append(source)
        return sources


def _ancestors(constant: Tensor, parents: Mapping[Tensor, Tensor]) -> list[Tensor]:
    """The constant, followed by its parent, the parent of that, and so on."""
    line = [constant]
    while line[-1] in parents:
        line.append(parents[line[-1]])
    return line
