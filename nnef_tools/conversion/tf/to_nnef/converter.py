"""TensorFlow to NNEF: the converter, with the helper methods that plugin expressions may call.

Tensors of the target have the layout of the source; docs/decisions tells what follows for the helpers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any

import numpy as np

from ....errors import ConversionError, NnefToolsError, Unsupported
from ....model import Graph, Operation, Tensor
from ....model.channels import MIN_RANK, is_selected
from ....model.dtypes import nnef_dtype
from ...building import shapes
from ...building.complex_pairs import ComplexPair, constant_pair, is_complex
from ...engine.refusal import DependsOnRefused, WithoutRule
from ...engine.rules import Call, find_rule
from ...engine.to_nnef import ConverterToNNEF
from ...engine.transform import CompiledTransform
from ...maths import axis_orders
from . import FAMILIES
from .complex_values import COMPLEX, PARTWISE
from .dilation import find_dilated
from .dropout import find_idle, fits
from .masks import COMBINING
from .refused import NO_VALUE, RANDOM, REASONS

for _family in FAMILIES:
    import_module(f"{__package__}.{_family}")

INT_MAX = 2**31 - 1
_INPUTS = ("Placeholder", "PlaceholderV2")
_CARRY_LISTS = ("TensorList", "TensorArray", "EmptyTensorList", "While", "StatelessWhile", "If", "StatelessIf", "Case",
                "StatelessCase", "Identity", "IdentityN")  # fmt: skip
_FILTER_PERMS = {
    "XCN": axis_orders.xcn_to_ncx_perm,
    "NXC": axis_orders.nxc_to_ncx_perm,
    "CXN": axis_orders.cxn_to_ncx_perm,
}


class Converter(ConverterToNNEF):
    """Converts a graph of io.tf.graphdef to NNEF."""

    dialect = "tf"
    combining = COMBINING
    _globals: Mapping[str, Any] = {"_lite_": False}  # transforms that also serve TensorFlow Lite ask for it

    _replaced: dict[Operation, Mapping[str, Any]]  # operations that are converted with other attributes
    _forwarding: dict[Operation, int]  # operations that pass on an input -> which one
    _needless: set[Operation]  # operations that led to what is not used
    _masks: Mapping[Operation, Sequence[int]]  # of those that pass on an input, extents that have to fit into it
    _undeclared_shapes: set[Tensor]  # tensors whose declared shapes do not hold in the target
    _known: dict[Tensor, Tensor]  # results of the operation that a transform converts -> what the rule makes of them
    _part: str | None = None  # the part of complex numbers that a rule for real numbers is applied to

    @classmethod
    def reasons(cls) -> dict[str, str]:
        """See `ConverterToNNEF`."""
        return dict(REASONS)

    def __call__(self, graph: Graph) -> Graph:
        """The NNEF graph. ConversionError lists every operator that cannot be converted (`refused`)."""
        dilated = [item for item in find_dilated(graph) if item.types.isdisjoint(self._transforms)]
        self._replaced = {item.conv: item.attribs for item in dilated}
        idle = find_idle(graph)
        self._forwarding = {**idle.forwarded, **{op: 0 for item in dilated for op in (item.enter, item.leave)}}
        self._needless, self._masks = idle.needless, idle.masks
        self._undeclared_shapes = {tensor for item in dilated for tensor in item.inside}
        self._known = {}
        return super().__call__(graph)

    def _convert(self, op: Operation, opset: Mapping[str, int]) -> None:
        if op in self._needless or (op.type in _INPUTS and op.outputs[0] in self._tensors):
            return
        super()._convert(op, opset)

    def _convert_by_rule(self, op: Operation, opset: Mapping[str, int]) -> bool:
        if op in self._forwarding:
            passed = self._mapped(op.inputs[self._forwarding[op]])
            if not fits(self._masks.get(op, ()), shapes.shape(passed)):
                raise Unsupported(RANDOM)
            self._bind_results(op, [passed])
            return True
        if self._is_complex(op):
            self._bind_results(op, self._complex_results(op, opset))
            return True
        if super()._convert_by_rule(op, opset):
            return True
        reason = self._reason_against(op)
        if reason not in NO_VALUE and not self._mirror_unsupported and self._is_folded_by_reader(op):
            hint = "its inputs are constants: --fold-constants lets TensorFlow, if it is installed, evaluate it"
            raise WithoutRule(reason or f"there is no rule for {op.type}", hint=hint)
        return False

    def _is_folded_by_reader(self, op: Operation) -> bool:
        """Can the reader be asked to evaluate an operation: are its inputs, at least one, constants?"""
        if self.dialect != Converter.dialect:
            return False
        targets = [self._tensors.get(t) for t in op.inputs if t.data is None]
        return bool(op.inputs) and all(t is not None and self._builder.value(t) is not None for t in targets)

    # complex numbers

    def _is_complex(self, op: Operation) -> bool:
        """Has the operation to do with complex numbers? Operators that pass on what they are given do not care."""
        if str(op.type).startswith(_CARRY_LISTS):
            return False
        return any(
            is_complex(t.dtype) or isinstance(self._tensors.get(t), ComplexPair) for t in (*op.inputs, *op.outputs)
        )

    def _complex_results(self, op: Operation, opset: Mapping[str, int]) -> list[Any]:
        if any(is_complex(t.dtype) and not isinstance(self._mapped(t), ComplexPair) for t in op.inputs):
            raise DependsOnRefused(f"an input of {op.type} is the result of a refused operator")
        call = self._resolve(op, opset)
        if call is None:
            raise Unsupported(self._reason_against(op) or f"there is no rule for {op.type} of complex numbers")
        rule = find_rule(COMPLEX, call.rule.type, 1)
        if rule is not None:
            return self._apply(call._replace(rule=rule), op)
        if call.rule.type not in PARTWISE:
            raise Unsupported(f"there is no rule for {op.type} of complex numbers")
        results = []
        for self._part in ("re", "im"):
            try:
                results.append(self._apply(call, op))
            finally:
                self._part = None
        return [
            ComplexPair(re, im) if is_complex(source.dtype) and re is not None and im is not None else re
            for source, re, im in zip(op.outputs, *results, strict=False)
        ]

    def _is_irreplaceable(self, op: Operation) -> bool:
        return super()._is_irreplaceable(op) or self._is_complex(op)  # no plugin gets or gives complex numbers

    def _convert_input(self, source: Tensor) -> Tensor:
        if is_complex(source.dtype):
            hint = "let the model take its real part and its imaginary part (tf.complex)"
            raise ConversionError(f"input '{source.name}' is complex, which NNEF tensors are not", hint=hint)
        return super()._convert_input(source)

    def _mapped(self, source: Tensor) -> Tensor:
        if source.data is not None and is_complex(source.dtype) and source not in self._tensors:
            self._tensors[source] = constant_pair(self._builder, np.asarray(source.data))  # type: ignore[assignment]
        target = super()._mapped(source)
        return getattr(target, self._part) if self._part and isinstance(target, ComplexPair) else target

    def _resolve(self, op: Operation, opset: Mapping[str, int]) -> Call | None:
        call = super()._resolve(op, opset)
        if call is None:
            return None
        attribs, names = self._replaced.get(op, call.attribs), call.rule.attributes
        return call._replace(
            attribs={k: v for k, v in attribs.items() if v is not None and (k in names or not _repeats(k, v))}
        )

    def _apply_transform(self, transform: CompiledTransform, op: Operation) -> None:
        """Expressions may use the shapes of results, which files of TensorFlow seldom tell: the rule is asked first."""
        if any(t.shape is None or None in t.shape for t in op.outputs):
            self._known = self._predicted_results(op)
        super()._apply_transform(transform, op)

    def _predicted_results(self, op: Operation) -> dict[Tensor, Tensor]:
        """What the built-in rule would give, without the operations that it makes; nothing if it does not apply."""
        call = self._resolve(op, {})
        if call is None:
            return {}
        start, warnings, rounded = (
            len(self._target.operations),
            dict(self._builder.warnings),
            set(self._builder.rounded),
        )
        try:
            results = self._apply(call, op)
        except NnefToolsError:
            results = []
        self._target.remove_operations(self._target.operations[start:], unlink=True)
        self._builder.warnings, self._builder.rounded = warnings, rounded
        return {source: target for source, target in zip(op.outputs, results, strict=False) if target is not None}

    def _fresh_output(self, source: Tensor) -> Tensor:
        target = super()._fresh_output(source)
        known = self._known.get(source)
        if known is not None:
            target.shape, target.dtype = known.shape, known.dtype
        return target

    def _reason_against(self, op: Operation) -> str | None:
        return REASONS.get(str(op.type))

    def _check_types(self, op: Operation) -> None:
        if str(op.type).startswith(_CARRY_LISTS) or op.type == "Dequantize":  # of constants, which hold the codes
            return
        try:
            super()._check_types(op)
        except Unsupported as error:
            raise Unsupported(self._reason_against(op) or error.message) from error

    def _check(self, source: Tensor, target: Tensor) -> None:
        if not isinstance(target, ComplexPair) and source not in self._undeclared_shapes:
            super()._check(source, target)

    def _convert_outputs(self) -> None:
        pairs = [t.name for t in self._source.outputs if isinstance(self._tensors.get(t), ComplexPair)]
        if pairs:
            hint = "let the model give its real part and its imaginary part (tf.math.real, tf.math.imag)"
            raise ConversionError(f"output '{pairs[0]}' is complex, which NNEF tensors are not", hint=hint)
        super()._convert_outputs()

    def tensor_mapping(self) -> dict[str, str]:
        """Source tensor name -> target tensor name, for the tensors that are still in the target graph."""
        hidden = {tensor.name for tensor in self._undeclared_shapes}
        return {name: target for name, target in super().tensor_mapping().items() if name not in hidden}

    # formats

    def is_nxc(self, format: str) -> bool:
        """Is that channels-last data: 'NHWC', 'NXC'? 'NC' is not."""
        return len(format) > 2 and format[0] == "N" and format[-1] == "C"

    def is_cxn(self, format: str) -> bool:
        """`CHWN`."""
        return len(format) > 2 and format[0] == "C" and format[-1] == "N"

    def is_xcn(self, format: str) -> bool:
        """`HWCN`."""
        return len(format) > 2 and format.endswith("CN")

    def convert_size(self, value: Sequence[int], format: str) -> Sequence[int]:
        """The spatial items: `([1, 2, 3, 1], 'NHWC')` -> `[2, 3]`."""
        return value[1:-1] if self.is_nxc(format) else value[2:]

    def convert_padding(
        self, padding: str, rank: int, explicit_paddings: Sequence[int] | None = None, format: str | None = None
    ) -> list[tuple[int, int]]:
        """'SAME' -> `[]`; 'VALID' -> zeros; 'EXPLICIT', `[0, 0, 1, 2, 3, 4, 0, 0]`, 'NHWC' -> `[(1, 2), (3, 4)]`."""
        kind = padding.upper()
        if kind == "SAME":
            return []
        if kind == "VALID":
            return [(0, 0)] * rank
        if kind != "EXPLICIT" or explicit_paddings is None or format is None:
            raise ConversionError(f"padding '{padding}' with {explicit_paddings} and format '{format}'")
        pairs = list(zip(explicit_paddings[0::2], explicit_paddings[1::2], strict=True))
        return list(self.convert_size(pairs, format))  # type: ignore[arg-type]

    # layout

    def transpose_input(self, tensor: Tensor, format: str = "NXC") -> Tensor:
        """The tensor with channels in second place: a transpose of channels-last data of rank 3 and up."""
        if not self.is_nxc(format):
            return tensor
        rank = shapes.rank(tensor)
        if rank <= 2:
            return tensor
        return shapes.transpose(self._builder, tensor, axis_orders.nxc_to_ncx_perm(rank))

    def transpose_output(self, tensor: Tensor, format: str = "NXC") -> Tensor:
        """A fresh tensor with channels in second place that a transpose turns into the given one."""
        if not self.is_nxc(format):
            return tensor
        if tensor.rank is None and "X" in format:
            hint = "give the format by all its letters, such as 'NHWC'"
            raise ConversionError(f"the rank of tensor '{tensor.name}' is not known", hint=hint)
        rank = len(format) if tensor.rank is None else tensor.rank
        if rank <= 2:
            return tensor
        known = tensor.shape is not None and None not in tensor.shape
        shape = axis_orders.permute(shapes.shape(tensor), axis_orders.nxc_to_ncx_perm(rank)) if known else None
        return self._output_of("transpose", tensor, shape, {"axes": axis_orders.ncx_to_nxc_perm(rank)})

    def transpose_filter(self, tensor: Tensor, format: str = "XCN") -> Tensor:
        """A filter as NNEF wants it, output channels first: `[H, W, I, O]` -> `[O, I, H, W]`."""
        if format not in _FILTER_PERMS:
            raise ConversionError(f"filter format '{format}' is not one of {', '.join(_FILTER_PERMS)}")
        return shapes.transpose(self._builder, tensor, _FILTER_PERMS[format](shapes.rank(tensor)))

    def transpose_depthwise_filter(self, tensor: Tensor, format: str = "XCN") -> Tensor:
        """`[H, W, C, M]` -> `[C * M, 1, H, W]`."""
        *spatial, depth, multiplier = shapes.shape(tensor)
        flat = shapes.reshape(self._builder, tensor, [*spatial, 1, depth * multiplier])
        return self.transpose_filter(flat, format)

    def transpose_like(self, tensor: Tensor, reference: Tensor | None) -> Tensor:
        """The tensor itself, as every tensor has the layout of the source."""
        return tensor

    def undo_transpose(self, tensor: Tensor) -> Tensor:
        """The tensor itself, as every tensor has the layout of the source."""
        return tensor

    def transpose_list_like(self, items: Sequence[Any], reference: Tensor | None) -> Sequence[Any]:
        """The items as they are."""
        return items

    def transpose_axis_like(
        self, axis: int | Sequence[int], reference: Tensor, rank: int | None = None
    ) -> int | Sequence[int]:
        """The axis counted from the start; lists and tuples item by item. rank: if not that of the reference."""
        return axis_orders.ensure_positive(axis, rank or shapes.rank(reference))

    def needs_io_transpose(self, tensor: Tensor) -> bool:
        """Does the option for transposing inputs and outputs select the tensor? None of rank 2 and less."""
        return is_selected(tensor.name, self._io_transpose) and shapes.rank(tensor) >= MIN_RANK

    def convert_binarg(self, tensor: Tensor, other: Tensor) -> Tensor:
        """An operand of a binary operation with leading axes up to the rank of the other one; scalars stay."""
        own, rank = shapes.rank(tensor), shapes.rank(other)
        return tensor if own == 0 else self.unsqueeze_input(tensor, list(range(rank - own)))

    # values

    def ensure_list(self, value: Any) -> Any:
        """A tuple becomes a list."""
        return list(value) if isinstance(value, tuple) else value

    def nnef_dtype(self, dtype: Any) -> str:
        """`scalar`, `integer` or `logical`."""
        return nnef_dtype(dtype)

    def is_bit_set(self, mask: int, index: int) -> bool:
        """Bit `index`, counted from the lowest."""
        return mask >> index & 1 == 1

    def bit_count(self, mask: int) -> int:
        """The number of bits that are set."""
        return bin(mask).count("1")

    def replace_item_with(self, items: Sequence[Any], index: int, count: int, value: Any) -> list[Any]:
        """`([1, 2, 3], 1, 2, 0)` -> `[1, 0, 0, 3]`."""
        return [*items[:index], *[value] * count, *items[index + 1 :]]

    def replace_bit_with(self, mask: int, index: int, count: int, bit: int) -> int:
        """`(0b101, 1, 2, 1)` -> `0b1111`: one bit becomes several, the higher ones move."""
        low = mask & ((1 << index) - 1)
        inserted = ((1 << count) - 1) << index if bit else 0
        return low | inserted | mask >> (index + 1) << (index + count)

    def beg_index(self, stride: int) -> int:
        """The start of a range that takes all: 0, or INT_MAX for a negative stride."""
        return 0 if stride > 0 else INT_MAX

    def end_index(self, stride: int) -> int:
        """The end of a range that takes all: INT_MAX, or -INT_MAX for a negative stride."""
        return INT_MAX if stride > 0 else -INT_MAX


def fill_shapes(graph: Graph, **options: Any) -> None:
    """Gives the tensors of a TensorFlow graph the shapes that a conversion finds, as far as it succeeds.

    Files seldom tell them, and a part of a graph with inputs of its own has to know. options: of the converter.
    """
    converter = Converter(**options)
    with suppress(NnefToolsError):
        converter(graph)
    for source, target in converter._tensors.items():
        if source.graph is graph and isinstance(target, Tensor) and source not in converter._undeclared_shapes:
            source.shape = target.shape if source.shape is None or None in source.shape else source.shape


def _repeats(name: str, value: Any) -> bool:
    """Does an attribute only say what the tensors say: their types, or how many there are?"""
    if isinstance(value, list):
        return all(isinstance(item, type) for item in value) if value else name.startswith("T")
    return isinstance(value, type) or name == "N"
