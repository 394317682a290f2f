"""NNEF to TensorFlow Lite: the converter.

It is that to TensorFlow, with a builder that makes builtin operators of TensorFlow's. Every tensor has the layout of
the NNEF graph, with transposes around what expects channels last; optimization.tflite.layout removes these and fuses.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from importlib import import_module
from typing import Any

import numpy as np

from ....errors import Unsupported, shape_text
from ....language.elaborate import decompose
from ....model import Graph, Operation, Tensor
from ....model.copying import copy_graph
from ....model.dtypes import is_float
from ....model.facts import FORMAT, Ties, without
from ....model.state import VARIABLES, updates
from ....model.utils import place_operations
from ....model.widths import is_double
from ....ops.library import Library
from ....optimization.tflite.halves import HALVES
from ....optimization.tflite.integers import HYBRID
from ...building.quantized import QuantizedArray
from ...engine.from_nnef import ConverterFromNNEF, compounds_without_rule, insert_quantization
from ...engine.rules import share_rules
from ...engine.transform import Transform
from ...maths.quantization import codes_of
from ...tf.from_nnef.converter import Converter as TensorFlowConverter
from ..building import TfliteBuilder
from . import FAMILIES
from .helpers import TfliteHelpers
from .narrowing import narrow_integers
from .quantization import activation_form, constant_form, dequantize, lite_quant, quantize
from .recurrent import LAYERS, with_sequences
from .variable import State, assign, initialize_states, read_state

_WEIGHTED = ("conv", "deconv", "linear", "matmul")

_NARROW = 4  # bytes of the integers that most kernels compute with

share_rules(TfliteBuilder.dialect, of=TensorFlowConverter.dialect)
for _family in FAMILIES:
    import_module(f"{__package__}.{_family}")


class Converter(TfliteHelpers, TensorFlowConverter):
    """Converts an NNEF graph to a graph of io.tf.lite.

    io_transpose: inputs and outputs of rank 3 and up (or the named ones) have their channels last.
    """

    dialect = "tflite"
    _builder: TfliteBuilder
    _globals: Mapping[str, Any] = {"_lite_": True}

    def __init__(
        self,
        io_transpose: bool | Sequence[str] = False,
        custom_transforms: Mapping[Any, Transform] | None = None,
        custom_functions: Mapping[str, Callable[..., Any]] | None = None,
        mirror_unsupported: bool = False,
        *,
        custom_shapes: Mapping[str, Callable[..., Any]] | None = None,
    ) -> None:
        super().__init__(
            "NXC", io_transpose, custom_transforms, custom_functions, mirror_unsupported, custom_shapes=custom_shapes
        )

    @staticmethod
    def decomposed_operations() -> list[str]:
        """Standard operations that are expanded by their definition; a reader may do that as well."""
        return compounds_without_rule("tflite")

    def _make_builder(self, graph: Graph) -> TfliteBuilder:
        self._halves: set[Tensor] = set()
        self._hybrid: dict[Tensor, str] = {}
        types = {self._source_dtype(t) for t in self._source.tensors if t.dtype is np.int64 and t.name in self._facts}
        builder = TfliteBuilder(graph)
        builder.tells_depthwise = not self._signed
        builder.has_narrow_integers = bool(types) and all(np.dtype(type).itemsize <= _NARROW for type in types)
        return builder

    # quantization

    def __call__(self, graph: Graph) -> Graph:
        """See `ConverterFromNNEF`."""
        self._signed = graph.metadata.get(FORMAT) != self.dialect  # kernels for new models have signed codes
        return super().__call__(graph)

    def _prepared(self, graph: Graph) -> Graph:
        """Prepares recurrent layers, and results whose quantization TensorFlow Lite does not have.

        An NNEF operation quantizes these.
        """
        graph = self._with_sequences(graph)

        def computed(tensor: Tensor) -> bool:
            return self._is_rounded(tensor) and self._form(tensor.quant or {}) is None

        if not any(map(computed, graph.tensors)):
            return graph
        result = copy_graph(graph)
        for tensor in list(filter(computed, result.tensors)):
            insert_quantization(result, tensor)
        return result

    def _with_sequences(self, graph: Graph) -> Graph:
        """The graph, or a copy in which recurrent layers are expanded, unless there are operators for them."""
        if self._transforms.keys() & set(LAYERS):
            return graph
        result, others = with_sequences(graph)
        if others:
            library = Library.of(graph)
            decompose(result, library.compounds, library.fragments, only=others.__contains__)
        return result

    def _form(self, quant: Mapping[str, Any]) -> QuantizedArray | None:
        return activation_form(quant, signed=self._signed)

    def _quantized(self, source: Tensor, target: Tensor) -> Tensor:
        form = self._form(source.quant or {})
        assert form is not None, "what does not map was prepared"
        self._warn_of_ties("QUANTIZE", Ties.AWAY)
        return dequantize(self._builder, quantize(self._builder, target, form))

    def _decoded(self, quant: Mapping[str, Any], codes: Tensor) -> Tensor:
        outer, inner = activation_form(quant, signed=False), self._form(quant)
        if outer is None or inner is None or outer.codes.dtype != codes.dtype:
            return super()._decoded(quant, codes)
        codes.quant = lite_quant(outer)
        same = outer.codes.dtype == inner.codes.dtype
        return dequantize(self._builder, codes if same else quantize(self._builder, codes, inner))

    def _encoded(self, quant: Mapping[str, Any], values: Tensor, dtype: Any) -> Tensor:
        form = activation_form(quant, signed=False)
        if form is None or form.codes.dtype != dtype:
            return super()._encoded(quant, values, dtype)
        return quantize(self._builder, values, form)

    def _quantized_constant(self, source: Tensor, data: np.ndarray[Any, Any]) -> Tensor:
        codes = codes_of(data, source.quant or {})
        form = constant_form(codes, source.quant or {}, signed=self._signed)
        if form is None:
            return super()._constant(source, data)
        is_filter = any(op.type in _WEIGHTED and op.inputs[1] is source for op in source.consumers)
        if is_filter and form.codes.dtype == np.int8 and form.zero_point.any():
            text = (
                f"'{source.name}' has zero points, for which TensorFlow Lite has no kernels with codes: it is computed"
            )
            self._builder.warnings[f"{text} with in real numbers"] = None
        self._tensors[source] = Tensor(self._target, source.name, codes.shape, np.float32, form)
        if kind := self._facts.get(source.name or "", {}).get("hybrid"):
            self._hybrid[self._tensors[source]] = kind
        return self._tensors[source]

    # state

    def _convert_inputs(self) -> None:
        self._updates = updates(self._source)
        self._states: dict[Operation, State] = {}
        self._initial = {update: self._first_value(variable) for variable, update in self._updates.items()}
        super()._convert_inputs()

    def _mapped(self, source: Tensor) -> Tensor:
        if source in self._updates and source not in self._tensors:
            self._read(source)
        return super()._mapped(source)

    def _first_value(self, variable: Tensor) -> np.ndarray[Any, Any] | QuantizedArray:
        """What a variable holds before the first run. Unsupported if TensorFlow Lite has no such variable."""
        if variable.data is None:
            raise Unsupported(f"variable '{variable.name}' has no data")
        if not variable.volume:
            raise Unsupported(
                f"variable '{variable.name}' is updated, and empty, of shape {shape_text(variable.shape)}"
            )
        data = self._data(variable)
        if not variable.quant:
            return data.astype(self._class(data.dtype), copy=False)
        if self._form(variable.quant) is None:
            raise Unsupported(f"variable '{variable.name}' is updated, and quantized as TensorFlow Lite cannot")
        form = constant_form(codes_of(data, variable.quant), variable.quant, signed=self._signed)
        assert form is not None, "constants can have what activations have"
        return form

    def _read(self, variable: Tensor) -> None:
        """Reads a variable, before it is assigned, for all that have its label."""
        assert variable.producer is not None
        update = self._updates[variable]
        state = read_state(self._target, str(variable.producer.attribs["label"]), self._initial[update])
        self._states[update] = state
        value = dequantize(self._builder, state.stored) if variable.quant else state.stored
        self._tensors.update((other, value) for other, op in self._updates.items() if op is update)

    def _assign(self, update: Operation) -> None:
        """Assigns a variable its next value, as codes if it is quantized."""
        variable, value = update.inputs[0], self._mapped(update.inputs[1])
        self._mapped(variable)
        state = self._states[update]
        if variable.quant:
            codes = self._quantized(variable, value).producer
            assert codes is not None
            value = codes.inputs[0]
        elif value.dtype is not state.stored.dtype:
            value = self._builder.cast_at_run_time(value, state.stored.dtype)
        assign(self._target, state.handle, value)

    def _convert_by_rule(self, op: Operation, opset: Mapping[str, int]) -> bool:
        if op.type == "variable" and op.output in self._updates:
            return True
        converted = super()._convert_by_rule(op, opset)
        if op in self._updates.values():
            self._assign(op)
        return converted

    def _finish_constants(self) -> None:
        """Replaces quantized constants by codes and DEQUANTIZE, and integers of 64 bits where those of 32 will do."""
        if self._builder.has_narrow_integers:
            narrow_integers(self._target)
        for tensor in list(self._target.tensors):
            form = tensor.data
            if isinstance(form, QuantizedArray):
                codes = self._builder.constant(form.codes, base=tensor)
                codes.quant = lite_quant(form)
                tensor.data = None
                Operation(self._target, type="DEQUANTIZE", inputs=(codes,), outputs=(tensor,))
        initialize_states(self._target, list(self._states.values()))
        place_operations(self._target)

    def _convert(self, op: Operation, opset: Mapping[str, int]) -> None:
        if is_double(op):
            raise Unsupported("it computes in float64, for which TensorFlow Lite has no kernels")
        super()._convert(op, opset)

    def _constant(self, source: Tensor, data: np.ndarray[Any, Any]) -> Tensor:
        """Real numbers are computed with in float32, and halves remembered."""
        if source.quant:
            return self._quantized_constant(source, data)
        if not is_float(data.dtype):
            return super()._constant(source, data)
        target = super()._constant(source, data.astype(np.float32, copy=False))
        if np.float16 in (data.dtype.type, self._source_dtype(source)):
            self._halves.add(target)
        return target

    def _mirror(self, op: Operation) -> None:
        """Options that NNEF carries in hexadecimal digits, since they are no FlexBuffer, are bytes again."""
        super()._mirror(op)
        copied, digits = self._target.operations[-1], op.attribs.get("custom_options")
        if isinstance(digits, str):
            copied.attribs = {**copied.attribs, "custom_options": bytes.fromhex(digits)}

    def _target_facts(self, metadata: Mapping[str, Any]) -> dict[str, Any]:
        facts = super()._target_facts(metadata)
        halves = [tensor.name for tensor in self._target.tensors if self._origin(tensor, self._halves)]
        found = {tensor.name: self._origin(tensor, self._hybrid) for tensor in self._target.tensors}
        hybrid = {name: self._hybrid[origin] for name, origin in found.items() if origin is not None}
        is_quantized = any(op.type in ("QUANTIZE", "DEQUANTIZE") for op in self._target.operations)
        variables = [tensor.name for tensor in self._builder.variables]
        facts = {**without(facts, (VARIABLES,)), **({VARIABLES: variables} if variables else {})}
        return {**facts, **({HALVES: halves} if halves else {}), **({HYBRID: hybrid} if is_quantized else {})}

    def _origin(self, tensor: Tensor, origins: Collection[Tensor]) -> Tensor | None:
        """That one of these constants that it is, or is derived from."""
        base: Tensor | None = tensor
        while base is not None and base not in origins:
            base = self._builder.derived_from.get(base)
        return base

    def _name(self) -> None:
        ConverterFromNNEF._name(self)
