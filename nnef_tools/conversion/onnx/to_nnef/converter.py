"""ONNX to NNEF: the converter, with the helper methods that plugin expressions may call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

from ....errors import ConversionError, Unsupported
from ....model import Graph, Operation, Tensor
from ....model.dtypes import is_float, nnef_dtype
from ....model.facts import Ties, opset_versions
from ....ops.window import Window
from ...building import shapes
from ...engine.base import is_missing
from ...engine.rules import Call, find_rule
from ...engine.to_nnef import ConverterToNNEF
from ...maths import padding
from . import FAMILIES
from .interface import with_real_interface
from .masks import COMBINING
from .qdq import QUANTIZERS, absorb_copies, find_pairs, quantized_real
from .quant_reals import with_real_operators
from .refused import BLOCKED, BLOCKED_DOMAIN, DYNAMIC, REASONS
from .variable import connected, update_state, without_states

for _family in FAMILIES:
    import_module(f"{__package__}.{_family}")


class Converter(ConverterToNNEF):
    """Converts a graph of io.onnx to NNEF."""

    dialect = "onnx"
    combining = COMBINING
    _ties = Ties.EVEN

    @classmethod
    def reasons(cls) -> dict[str, str]:
        """See `ConverterToNNEF`."""
        return {f"{domain}.{type}".lstrip("."): reason for (domain, type), reason in REASONS.items()}

    def _resolve(self, op: Operation, opset: Mapping[str, int]) -> Call | None:
        """Ignores `consumed_inputs` of old operators, which tells which buffers may be overwritten."""
        call = super()._resolve(op, opset)
        if call is None or "consumed_inputs" not in call.attribs:
            return call
        return call._replace(attribs={k: v for k, v in call.attribs.items() if k != "consumed_inputs"})

    def __call__(self, graph: Graph) -> Graph:
        """See `ConverterToNNEF`."""
        custom = QUANTIZERS & set(self._transforms)
        if not custom:
            graph, self._originals = self._with_reals(graph)
        self._pairs = {} if custom else find_pairs(graph)
        self._has_inferred = False
        self._quantizers: dict[Operation, Tensor | None] = dict.fromkeys(self._pairs.values())
        self._undeclared: dict[Tensor, tuple[Any, Any]] = {}
        try:
            return super().__call__(graph)
        finally:  # another conversion may find others
            for tensor, (dtype, shape) in self._undeclared.items():
                tensor.dtype, tensor.shape = dtype, shape

    def _with_reals(self, graph: Graph) -> tuple[Graph, dict[Tensor, Tensor]]:
        """The graph, or a copy in which what can be real is no codes; and tensor of the copy -> its original."""
        graph, operators = with_real_operators(graph, kept=self._transforms)
        graph, interface = with_real_interface(graph)
        return graph, {copy: operators.get(t, t) for copy, t in interface.items()} or operators

    def _bound(self, graph: Graph) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
        """Without what passes from run to run."""
        self._states = connected(graph)
        hidden = {tensor for state in self._states for tensor in (state.input, state.output)}
        return [t for t in graph.inputs if t not in hidden], [t for t in graph.outputs if t not in hidden]

    def _convert_inputs(self) -> None:
        untyped = [str(source.name) for source in self._given if source.dtype is None]
        if untyped:
            raise ConversionError(
                f"input '{untyped[0]}' is a sequence, a map or an optional value; inputs of NNEF are tensors",
                hint="let the model take the tensors one by one, or joined",
            )
        super()._convert_inputs()
        for state in self._states:
            self._tensors[state.input] = self._builder.state(state.initial, state.label)

    def _convert_outputs(self) -> None:
        super()._convert_outputs()
        for state in self._states:
            update_state(self._builder, self._mapped(state.input), self._mapped(state.output), state.label)

    def _facts(self) -> dict[str, Any]:
        return without_states(super()._facts())

    def _convert_by_rule(self, op: Operation, opset: Mapping[str, int]) -> bool:
        if op in self._quantizers and self._is_quantizable(op):
            self._quantizers[op] = quantized_real(self._builder, self._mapped(op.inputs[0]), op)
            return True
        quantized = self._quantizers[self._pairs[op]] if op in self._pairs else None
        if quantized is not None:
            self._bind_results(op, [quantized])
            return True
        return super()._convert_by_rule(op, opset)

    def _is_quantizable(self, op: Operation) -> bool:
        """Can the values that an operator quantizes be quantized in NNEF?"""
        x = self._mapped(op.inputs[0])
        if op.type == "DynamicQuantizeLinear" and (self._standard_only or not x.shape):
            return False
        return is_float(x.dtype)

    def _finish(self) -> None:
        replaced = absorb_copies(self._target)
        states = self._builder.states
        self._builder.states = {replaced.get(tensor, tensor): initial for tensor, initial in states.items()}
        self._interface = [(source, replaced.get(target, target)) for source, target in self._interface]
        self._tensors.update(reversed(self._interface))
        self._drop_annotations()
        super()._finish()

    def _drop_annotations(self) -> None:
        """ONNX's notes on the quantization of a tensor do not change what a model computes; NNEF's entries would."""
        for tensor in self._target.tensors:
            if tensor.quant and "op-name" not in tensor.quant:
                tensor.quant = {}
                self._builder.warnings["quantization annotations are left out; operators tell what is rounded"] = None

    def _function_body(self, op: Operation, opset: Mapping[str, int]) -> Graph | None:
        try:
            from ....io.onnx.functions import expand  # imports onnx
        except ModuleNotFoundError as error:
            if op.domain and not op.domain.startswith("ai.onnx"):
                return None  # the package knows the operators of the standard
            reason = "there is no rule, and the package 'onnx', which may have its definition, is not installed"
            raise Unsupported(reason, hint="pip install 'nnef-tools[onnx]'") from error
        known = [(t, t if is_missing(t) else self._mapped(t)) for t in op.inputs]
        return expand(op, opset, [(source.dtype or target.dtype, target.shape) for source, target in known])

    def _bind_results(self, op: Operation, results: Sequence[Tensor | None]) -> None:
        """Completes the source too, since files need not declare results. In loops, shapes may differ between steps."""
        super()._bind_results(op, results)
        for source in op.outputs:
            target = self._tensors.get(source)
            if isinstance(target, Tensor) and (source.dtype is None or _is_open(source)):
                if source not in self._source.outputs:
                    self._undeclared.setdefault(source, (source.dtype, source.shape))
                source.dtype = source.dtype or target.dtype
                if op.graph is self._source and _is_open(source) and target not in self._builder.masks:
                    source.shape = target.shape

    def _complete_results(self, op: Operation) -> None:
        """Asks onnx, once for the whole model."""
        if not self._has_inferred and any(_is_open(t) or t.dtype is None for t in op.outputs):
            from ....io.onnx.inference import infer_shapes

            self._has_inferred = True
            infer_shapes(self._source)

    def _reason_against(self, op: Operation) -> str | None:
        return BLOCKED if op.domain == BLOCKED_DOMAIN else REASONS.get((op.domain, str(op.type)))

    def _is_irreplaceable(self, op: Operation) -> bool:
        """Does a standard operator make a result whose shape depends on the data, from inputs of known shape?"""
        if op.domain == BLOCKED_DOMAIN:
            return True
        is_new = any(map(_is_open, op.outputs)) and not any(map(_is_open, op.inputs))
        type, latest = str(op.type), opset_versions(self._source.metadata).get("", 1)
        is_standard = type in DYNAMIC or find_rule(self.dialect, type, latest) is not None
        return is_new and op.domain == "" and is_standard

    def convert_padding(
        self,
        pads: Sequence[int] | None,
        auto_pad: str,
        output_padding: Sequence[int] | None,
        rank: int,
        ceil_stride: Sequence[int] | None = None,
    ) -> list[tuple[int, int]]:
        """`([1, 2, 3, 4], 'NOTSET', None, 4)` -> `[(0, 0), (0, 0), (1, 3), (2, 4)]`; SAME_UPPER gives `[]`."""
        if auto_pad == "SAME_UPPER":
            return []
        if auto_pad == "VALID":
            return [(0, 0)] * rank
        pairs = padding.pairs_from_onnx(pads or [])
        if output_padding is not None:
            pairs = [(p, q - extra) for (p, q), extra in zip(pairs, output_padding, strict=True)]
        if ceil_stride is not None:
            pairs = [(p, q + stride - 1) for (p, q), stride in zip(pairs, ceil_stride, strict=True)]
        return [(0, 0)] * (rank - len(pairs)) + pairs

    def convert_pads(self, pads: Sequence[int]) -> list[tuple[int, int]]:
        """`[0, 1, 2, 3]` -> `[(0, 2), (1, 3)]`."""
        return padding.pairs_from_onnx(pads)

    def lower_pads(
        self,
        input_size: Sequence[int],
        filter_size: Sequence[int],
        output_size: Sequence[int],
        stride: Sequence[int],
        dilation: Sequence[int],
    ) -> list[int]:
        """Pads in ONNX order for SAME_LOWER: `([8, 8], [3, 3], [4, 4], [2, 2], [1, 1])` -> `[1, 1, 0, 0]`."""
        window = Window(filter_size, stride=stride, dilation=dilation)
        return padding.pairs_to_onnx(padding.same_padding(window, input_size, lower=True))

    def ceil_pads(self, pads: Sequence[tuple[int, int]], stride: Sequence[int]) -> list[tuple[int, int]]:
        """`(p, q + stride - 1)` for each."""
        return [(p, q + s - 1) for (p, q), s in zip(pads, stride, strict=True)]

    def broadcast(self, tensor: Tensor, rank: int) -> Tensor:
        """Adds leading axes up to the rank, as ONNX aligns operands on the right; scalars stay."""
        own = shapes.rank(tensor)
        return tensor if own == 0 else self.unsqueeze_input(tensor, list(range(rank - own)))

    def bias_add(self, output: Tensor, bias: Tensor) -> Tensor:
        """The tensor that the main operation must produce so that adding the bias gives `output`."""
        if self.is_zero(bias):
            return output
        fresh = Tensor(self._target, shape=output.shape, dtype=output.dtype)
        Operation(self._target, type="add", inputs=(fresh, bias), outputs=output)
        return fresh

    def ensure_list(self, value: Any) -> list[Any]:
        """Anything that is not a list becomes the only item of one."""
        return value if isinstance(value, list) else [value]

    def ensure_scalar(self, value: Any) -> Any:
        """The item of a list of one."""
        if isinstance(value, list):
            if len(value) != 1:
                raise ConversionError(f"expected a single value, got {value}")
            return value[0]
        return value

    def limit_range(self, value: int) -> int:
        """Clamps to 32 bits."""
        limit = 2**31 - 1
        return max(-limit, min(limit, value))

    def is_unused(self, tensor: Tensor) -> bool:
        """Is the input left out, or the output left out or read by nothing?"""
        return tensor.name == "" or tensor in self._unused

    def nnef_dtype(self, dtype: Any) -> str:
        """`scalar`, `integer` or `logical`."""
        return nnef_dtype(dtype)


def _is_open(tensor: Tensor) -> bool:
    return tensor.shape is None or None in tensor.shape
