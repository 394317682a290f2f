"""NNEF to ONNX: the converter, with the helper methods that plugin expressions may call."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

import numpy as np

from ....dialects.onnx.types import ELEMENT_TYPES, find_data_type
from ....errors import ConversionError, Unsupported, UsageError
from ....model import Graph, Operation, Tensor
from ....model.copying import copy_graph
from ....model.facts import OPSET, Ties, tensor_facts
from ....model.state import updates
from ....model.utils import place_operations
from ....ops.inference import infer_shapes
from ....optimization.nnef import idioms
from ....optimization.onnx.branches import restore_branches
from ....optimization.onnx.quant_products import restore_integer_products
from ... import shared
from ...building.quantized import QuantizedArray
from ...building.shapes import shape as shape_of
from ...engine.from_nnef import ConverterFromNNEF, compounds_without_rule, insert_quantization, original_dtype
from ...engine.transform import Transform
from ...maths import padding
from ...maths.quantization import codes_of, real_values
from ..building import OnnxBuilder
from . import FAMILIES
from .attributes_to_inputs import attributes_to_inputs
from .quant import dequantize_into, dequantized, linear, narrowed, quantized, rounded
from .variable import StateTensors, first_value, state_names, with_states

OPSETS = range(13, 29)
DEFAULT_OPSET = 21

for _package, _families in ((shared.__name__, shared.FAMILIES), (__package__, FAMILIES)):
    for _family in _families:
        import_module(f"{_package}.{_family}")


def _opset_of(dtype: type) -> int:
    """The first operator set with the type; 0 if ONNX does not have it."""
    code = find_data_type(dtype)
    return 0 if code is None else ELEMENT_TYPES[code].opset


def _default_opset(graph: Graph) -> int:
    """The default version: 20 where results have signed codes of 8 bits, unless other codes need 21.

    From 21 on, onnxruntime stores the type of codes, does not update it where it makes signed codes unsigned, and then
    refuses its own operators.
    """
    quantized = [(dict(tensor.quant), tensor.data is not None) for tensor in graph.tensors if tensor.quant]
    forms = [
        [linear(quant, version, constant=constant) for version in (DEFAULT_OPSET, DEFAULT_OPSET - 1)]
        for quant, constant in quantized
    ]
    types = [[None if form is None else form.dtype for form in pair] for pair in forms]
    signed = any(new is np.int8 and not constant for (new, _), (_, constant) in zip(types, quantized, strict=True))
    return DEFAULT_OPSET - 1 if signed and all(new is old for new, old in types) else DEFAULT_OPSET


class Converter(ConverterFromNNEF):
    """Converts an NNEF graph to a graph of io.onnx.

    opset: the version of ONNX's operator set; by default 21, 20 with signed results of 8
    bits, or what the item types of the model need.
    """

    dialect = "onnx"
    _builder: OnnxBuilder
    honors = ConverterFromNNEF.honors | {"opset"}
    opsets = OPSETS
    _single_precision = frozenset(("lstm_layer", "gru_layer", "rnn_layer", "dynamic_quantize"))

    def __init__(
        self,
        custom_transforms: Mapping[Any, Transform] | None = None,
        custom_functions: Mapping[str, Callable[..., Any]] | None = None,
        mirror_unsupported: bool = False,
        *,
        custom_shapes: Mapping[str, Callable[..., Any]] | None = None,
        opset: int | None = None,
    ) -> None:
        super().__init__(custom_transforms, custom_functions, mirror_unsupported, custom_shapes)
        if opset is not None and opset not in OPSETS:
            raise UsageError(f"opset {opset} is not supported", hint=f"{OPSETS[0]} to {OPSETS[-1]} are")
        self._wanted_opset = opset
        self._opset = opset or DEFAULT_OPSET
        self._states: list[StateTensors] = []

    def __call__(self, graph: Graph) -> Graph:
        """See `ConverterFromNNEF`."""
        facts = tensor_facts(graph.metadata)
        types = {original_dtype(tensor, facts) for tensor in (*graph.inputs, *graph.outputs)}
        types |= {np.asarray(t.data).dtype.type for t in graph.tensors if t.data is not None}
        since, dtype = max(((_opset_of(dtype), dtype.__name__) for dtype in types if dtype), default=(0, ""))
        codes = {original_dtype(tensor, facts) for tensor in graph.tensors if tensor.quant and tensor.data is not None}
        wished = max((_opset_of(dtype) for dtype in codes if dtype), default=0)  # wider codes would work as well
        self._opset = self._wanted_opset or max(_default_opset(graph), since, wished)
        if since > self._opset:
            raise ConversionError(f"{dtype} needs operator set version {since} (--opset {since})")
        result = super().__call__(graph)
        restore_branches(result)
        return result

    @staticmethod
    def decomposed_operations() -> list[str]:
        """Standard operations that are expanded by their definition; a reader may do that as well."""
        return compounds_without_rule("onnx")

    def _idioms(self) -> frozenset[str]:
        known = super()._idioms()
        return known if self._opset >= 17 else known - {idioms.LAYER_NORMALIZATION}

    def _make_builder(self, graph: Graph) -> OnnxBuilder:
        return OnnxBuilder(graph, self._opset)

    def _target_facts(self, metadata: Mapping[str, Any]) -> dict[str, Any]:
        domains = {op.domain for op in self._target.operations} - {""}
        facts = with_states(super()._target_facts(metadata), self._states)
        return {**facts, OPSET: {"": self._opset, **dict.fromkeys(sorted(domains), 1)}}

    def _prepared(self, graph: Graph) -> Graph:
        """Makes an NNEF operation quantize the results whose quantization ONNX has no operators for."""

        def computed(tensor: Tensor) -> bool:
            return self._is_rounded(tensor) and linear(tensor.quant or {}, self._opset) is None

        if not any(map(computed, graph.tensors)):
            return graph
        result = copy_graph(graph)
        for tensor in [t for t in result.tensors if computed(t)]:
            insert_quantization(result, tensor)
        return result

    def _quantized(self, source: Tensor, target: Tensor) -> Tensor:
        form = linear(source.quant or {}, self._opset)
        assert form is not None, "what does not map was prepared"
        self._warn_of_ties("QuantizeLinear", Ties.EVEN)
        return rounded(self._builder, target, form)

    def _decoded(self, quant: Mapping[str, Any], codes: Tensor) -> Tensor:
        form = linear(quant, self._opset)
        if form is None or form.dtype is not codes.dtype:
            return super()._decoded(quant, codes)
        return dequantized(self._builder, codes, form)

    def _encoded(self, quant: Mapping[str, Any], values: Tensor, dtype: Any) -> Tensor:
        form = linear(quant, self._opset)
        if form is None or form.dtype is not dtype:
            return super()._encoded(quant, values, dtype)
        producer = values.producer
        if producer is not None and producer.type == "DequantizeLinear" and producer.inputs[0].dtype is dtype:
            return producer.inputs[0]  # values that have just been rounded
        return quantized(self._builder, values, form)

    def _constant(self, source: Tensor, data: np.ndarray[Any, Any]) -> Tensor:
        if not source.quant:
            return super()._constant(source, data)
        wide = int(source.quant.get("bits") or 0) > 32
        quant = narrowed(source.quant, codes_of(data, source.quant)) if wide else source.quant
        form = linear(quant, self._opset, constant=True)
        if form is None:
            self._builder.warnings[f"'{source.name}' is not quantized any more: ONNX has no such quantization"] = None
            return super()._constant(source, real_values(data, source.quant))
        codes = codes_of(data, source.quant).astype(form.dtype, copy=False)
        array = QuantizedArray(codes, form.scale, form.zero, form.axis)
        self._tensors[source] = Tensor(self._target, source.name, codes.shape, np.float32, array)
        return self._tensors[source]

    def _finish_constants(self) -> None:
        """Replaces quantized constants by codes and DequantizeLinear, and products of them by those of integers."""
        for tensor in list(self._target.tensors):
            if isinstance(tensor.data, QuantizedArray):
                dequantize_into(self._builder, tensor.data, tensor)
        restore_integer_products(self._target)
        place_operations(self._target)

    def _convert_inputs(self) -> None:
        super()._convert_inputs()
        self._states = []
        for variable, update in updates(self._source).items():
            known = next((state for state in self._states if state.update is update), None)
            state = known or self._state(variable, update)
            self._tensors[variable] = state.quantized

    def _state(self, variable: Tensor, update: Operation) -> StateTensors:
        """A variable that is updated as a further input. Its next value becomes a further output."""
        if variable.quant and linear(variable.quant, self._opset) is None:
            raise Unsupported(f"variable '{variable.name}' is updated, and quantized as ONNX cannot")
        initial = first_value(variable, self._class)
        tensor = Tensor(self._target, shape=initial.shape, dtype=initial.dtype.type)
        self._target.inputs = [*self._target.inputs, tensor]
        quantized = self._quantized(variable, tensor) if variable.quant else tensor
        self._states.append(StateTensors(variable, update, tensor, quantized, initial))
        return self._states[-1]

    def _convert_by_rule(self, op: Operation, opset: Mapping[str, int]) -> bool:
        if op.type == "variable" and op.output in self._tensors:
            return True
        return super()._convert_by_rule(op, opset)

    def _wanted_names(self) -> dict[Tensor, str]:
        return super()._wanted_names() | state_names(self._states)

    def _convert_outputs(self) -> None:
        for source in self._source.outputs:
            shape_of(source)  # outputs of ONNX models must have a rank
        super()._convert_outputs()
        for state in self._states:
            value = self._mapped(state.update.output)
            if state.variable.quant and state.update.output.quant != state.variable.quant:
                value = self._quantized(state.variable, value)
            bound = (*self._target.inputs, *self._target.outputs)
            if value.data is not None or value in bound:
                value = self._builder.identity(value)
            state.output = value
            self._target.outputs = [*self._target.outputs, value]
        if self._transforms:
            for op in self._target.operations:
                attributes_to_inputs(self._builder, op)

    # helpers

    def is_const(self, tensor: Tensor, value: Any = None) -> bool:
        """Is the tensor constant (and equal to that value)?"""
        found = self._builder.value(tensor)
        return found is not None and (value is None or bool(np.array_equal(found, value)))

    def _output_of(self, type: str, output: Tensor, shape: Sequence[int] | None, attribs: dict[str, Any]) -> Tensor:
        fresh = Tensor(self._target, shape=shape, dtype=output.dtype)
        axes = self._builder.ints(attribs["axes"])
        Operation(self._target, type=type.capitalize(), inputs=(fresh, axes), outputs=(output,))
        return fresh

    def squeeze_vector(self, tensor: Tensor) -> Tensor:
        """`[1, C]` -> `[C]`, the shape of parameters per channel in ONNX; other shapes stay."""
        extents = shape_of(tensor)
        return self.squeeze_input(tensor, [0]) if len(extents) == 2 and extents[0] == 1 else tensor

    def broadcast(self, tensor: Tensor, rank: int) -> Tensor:
        """Adds axes at the end up to the rank, as NNEF aligns operands on the left; scalars stay."""
        return self._builder.right_extended(tensor, rank)

    def convert_output_padding(
        self,
        input_shape: Sequence[int],
        filter_shape: Sequence[int],
        output_shape: Sequence[int],
        padding: Sequence[tuple[int, int]],
        stride: Sequence[int],
        dilation: Sequence[int],
        groups: int,
    ) -> list[int] | None:
        """The extents that the result of a deconvolution lacks in spatial dimensions; None without a wanted shape."""
        if not output_shape:
            return None
        attribs = {"padding": padding, "stride": stride, "dilation": dilation, "groups": groups}
        computed = infer_shapes("deconv", [input_shape, filter_shape], attribs)
        return [wanted - extent for wanted, extent in zip(output_shape[2:], computed[2:], strict=True)]

    def convert_pads(self, pads: Sequence[tuple[int, int]], truncate: bool = False) -> list[int] | None:
        """Pairs to ONNX's order, without the first two dimensions with truncate; `[]` -> None."""
        pairs = pads[2:] if truncate else pads
        return padding.pairs_to_onnx(pairs) if pads else None

    def convert_auto_pad(self, pads: Sequence[tuple[int, int]]) -> str:
        """`[]` -> SAME_UPPER, anything else NOTSET."""
        return "NOTSET" if pads else "SAME_UPPER"
