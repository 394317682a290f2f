"""TensorFlow Lite to NNEF: the converter, with the helper methods that plugin expressions may call.

It is a bridge: most builtin operators are converted by the rules of TensorFlow's operators (dialects.tflite.bridges),
others by rules of their own. Activations that are fused into an operator follow it, and results get the quantization
of the source.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from importlib import import_module
from math import prod
from typing import Any

import numpy as np

from ....dialects.tflite.bridges import CUSTOM, INPUTS, bridges
from ....errors import ConversionError
from ....model import Graph, Operation, Tensor
from ....model.facts import OPEN_EXTENTS, TENSORS, Ties, without
from ...building import shapes
from ...building.lists import TensorList
from ...building.quantized import QuantizedArray
from ...engine.rules import Call, Rule, all_rules, find_rule
from ...tf.to_nnef.converter import Converter as TensorFlowConverter
from ...tf.to_nnef.refused import FOREIGN
from ..common import FUSING, activated
from . import FAMILIES
from .quantization import as_reals, first_value, hybrid_kind
from .refused import REASONS
from .state import CARRYING, WITH_RESOURCES, Resource, Resources

for _family in FAMILIES:
    import_module(f"{__package__}.{_family}")

_FUSED = "fused_activation_function"
_SHAPED = ("STABLEHLO_BROADCAST_IN_DIM", "STABLEHLO_IOTA", "STABLEHLO_RESHAPE")
_TYPED = ("CAST", "BITCAST", "STABLEHLO_CONVERT", "STABLEHLO_IOTA")
"""Operators whose rules need the shape or the type of the result, which options do not tell, or tell in numbers."""


class Converter(TensorFlowConverter):
    """Converts a graph of io.tf.lite to NNEF."""

    dialect = "tflite"
    _ties = Ties.AWAY
    _globals: Mapping[str, Any] = {"_lite_": True}

    @classmethod
    def rules(cls) -> list[tuple[str, Rule]]:
        """See `ConverterToNNEF`; with the rules of the operators of TensorFlow that builtin ones are."""
        bridged = {name: find_rule(TensorFlowConverter.dialect, bridge.type, 1) for name, bridge in bridges().items()}
        own = [(rule.type, rule) for rule in all_rules(cls.dialect)]
        known = {name for name, _ in own}
        return own + [(name, rule) for name, rule in bridged.items() if rule is not None and name not in known]

    @classmethod
    def reasons(cls) -> dict[str, str]:
        """See `ConverterToNNEF`."""
        return dict(REASONS)

    def __call__(self, graph: Graph) -> Graph:
        """See `ConverterToNNEF`."""
        reals, self._originals = as_reals(graph)
        self._resources = Resources(reals)
        return super().__call__(reals)

    # operations

    def _resolve(self, op: Operation, opset: Mapping[str, int]) -> Call | None:
        if op.custom:  # also one with the name of a builtin operator
            return self._resolve_custom(op)
        type, attribs = str(op.type), dict(op.attribs)
        function = attribs.pop(_FUSED, "NONE") if type in FUSING else "NONE"
        after = None if function == "NONE" else partial(activated, self._builder, function=function)
        rule = find_rule(self.dialect, type, 1)
        if type in WITH_RESOURCES:
            attribs["resources"] = self._resources
        if type in _TYPED:
            attribs["result_type"] = op.outputs[0].dtype
        if type in _SHAPED:
            attribs["result_shape"] = op.outputs[0].shape
        if rule is not None:
            return Call(rule, list(op.inputs), attribs, after)
        bridge = bridges().get(type)
        rule = None if bridge is None else find_rule(TensorFlowConverter.dialect, bridge.type, 1)
        if bridge is None or rule is None:
            return None
        inputs = [op.inputs[k] for k in INPUTS[type] if k < len(op.inputs)] if type in INPUTS else list(op.inputs)
        called = dict(bridge.defaults)
        for option, value in attribs.items():
            attribute = bridge.attributes.get(option, option)
            if attribute is not None:
                called[attribute] = value
        return Call(rule, inputs, called, after)

    def _resolve_custom(self, op: Operation) -> Call | None:
        """The rule for a custom operator for which LiteRT itself has a kernel."""
        rule = find_rule(TensorFlowConverter.dialect, str(op.type), 1) if op.type in CUSTOM else None
        return None if rule is None else Call(rule, list(op.inputs), op.attribs)

    def _reason_against(self, op: Operation) -> str | None:
        return REASONS.get(str(op.type)) or (FOREIGN if op.custom else None)

    def _mapped(self, source: Tensor) -> Tensor:
        if source not in self._tensors and isinstance(source.data, QuantizedArray):
            self._tensors[source] = Tensor(self._target, source.name, source.data.shape, np.float32, source.data)
        if source not in self._tensors and self._is_variable(source):
            self._tensors[source] = self._builder.state(first_value(source), str(source.name))
        return super()._mapped(source)

    def _is_variable(self, source: Tensor) -> bool:
        """Is it a tensor that its operator changes, and that keeps its value from run to run?"""
        computed = source.data is not None or source.producer is not None or source.graph is not self._source
        return not computed and source.name in self._source.metadata.get("variables", ())

    def _convert_by_rule(self, op: Operation, opset: Mapping[str, int]) -> bool:
        converted = super()._convert_by_rule(op, opset)
        for source in filter(self._is_variable, op.inputs):  # what reads it from here on gets the new value
            updates = [reader for reader in self._mapped(source).consumers if reader.type == "update"]
            if updates:
                self._tensors[source] = updates[0].output
        return converted

    def _check_types(self, op: Operation) -> None:
        if str(op.type) not in CARRYING:
            super()._check_types(op)

    def _check(self, source: Tensor, target: Tensor) -> None:
        """Shapes in subgraphs are those of one step, or of none where they change, and need not hold."""
        if isinstance(target, Resource):
            return
        if source.graph is not self._source and not isinstance(target, TensorList):
            source = Tensor(Graph(), source.name, None, source.dtype)
        super()._check(source, target)

    def _mirrored(self, attribs: Mapping[str, Any]) -> dict[str, Any]:
        """Options of custom operators that have no form in NNEF, and bytes, are hexadecimal numbers."""
        shown = {key: value for key, value in attribs.items() if not key.startswith("_")}
        raw = attribs.get("_custom_options")
        if raw is not None and not all(map(_is_plain, shown.values())):
            shown = {key: shown[key] for key in ("custom_version",) if key in shown} | {"custom_options": raw}
        return {key: value.hex() if isinstance(value, bytes) else value for key, value in shown.items()}

    def _bind_results(self, op: Operation, results: Sequence[Tensor | None]) -> None:
        super()._bind_results(op, [self._rounded(*pair) for pair in zip(op.outputs, results, strict=False)])

    def _copy(self, tensor: Tensor) -> Tensor:
        """A copy has the same codes."""
        result = super()._copy(tensor)
        result.quant = dict(tensor.quant or {})
        return result

    def _rounded(self, source: Tensor, target: Tensor | None) -> Tensor | None:
        """The result with the quantization of its source: itself if nothing else uses it, or a copy."""
        if target is None or not source.quant or source.quant == target.quant:
            return target
        is_new = target.producer is not None and not target.has_consumer and target not in self._tensors.values()
        if not is_new or target.quant or target in self._target.inputs:
            target = self._copy(target)
        target.quant = dict(source.quant)
        return target

    def tensor_mapping(self) -> dict[str, str]:
        """Source tensor name -> target tensor name, for the tensors that are still in the target graph."""
        # What the source computes, but is a constant here (such as dequantized weights), may have another layout.
        hidden = {t.name for t, target in self._tensors.items() if t.has_producer and target.data is not None}
        return {name: target for name, target in super().tensor_mapping().items() if name not in hidden}

    # facts

    def _facts(self) -> dict[str, Any]:
        """Weights beside real inputs are known by a fact: with DEQUANTIZE, the model would compute something else."""
        facts = without(super()._facts(), (OPEN_EXTENTS,))  # shapes in NNEF are numbers
        for source, target in self._origins():
            original = self._originals.get(source)
            fact = facts.get(TENSORS, {}).get(target.name)
            kind = None if original is None else hybrid_kind(original)
            if fact is not None and original is not None and kind and fact.get("source") == original.name:
                fact["hybrid"] = kind
        count = sum("hybrid" in fact for fact in facts.get(TENSORS, {}).values())
        if count:
            text = f"{count} tensor(s) are weights in codes beside real inputs, which LiteRT quantizes when it runs"
            self.warnings.append(f"{text} (litert-real-weights does not): its results differ by that")
        return facts

    # helpers

    def activation(self, output: Tensor, function: str | None) -> Tensor:
        """A fresh tensor that an activation function turns into the given one; that itself for None and 'NONE'."""
        if function in (None, "NONE"):
            return output
        operations = {"RELU": "relu", "RELU6": "relu6", "TANH": "tanh", "ELU": "elu", "LOGISTIC": "sigmoid"}
        if function not in operations:
            raise ConversionError(f"activation function '{function}' is not supported")
        fresh = Tensor(self._target, shape=output.shape, dtype=output.dtype)
        Operation(self._target, type=operations[function], inputs=fresh, outputs=output)
        return fresh

    def flat_list(self, value: Any) -> list[Any]:
        """`[[1, 2], [3]]` -> `[1, 2, 3]`."""
        if not isinstance(value, (list, tuple)):
            return [value]
        return [item for part in value for item in self.flat_list(part)]

    def flatten(self, tensor: Tensor) -> Tensor:
        """The tensor as a matrix: a reshape that keeps the first extent."""
        first, *rest = shapes.shape(tensor)
        return shapes.reshape(self._builder, tensor, [first, prod(rest)])

    def same_shape(self, first: Tensor, second: Tensor) -> bool:
        """Have both the same shape?"""
        return first.shape == second.shape


def _is_plain(value: Any) -> bool:
    """Has a value a form in the text of NNEF?"""
    items = value if isinstance(value, list) else [value]
    return all(isinstance(item, (bool, int, float, str)) for item in items)
