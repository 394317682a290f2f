"""Random valid NNEF models over all operations, with inputs on which different engines have to agree.

A model grows by one operation at a time. Every candidate is run at once, on its values and on slightly shaken ones:
those whose results are not numbers, too large, or hang on the last digits (a `floor` next to a whole number, an
`argmax` of nearly equal items) are dropped, so that what remains is comparable. Values that are exact in every engine,
such as inputs and what only moves, are not shaken: exact ties stay in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from nnef_tools.errors import ShapeError
from nnef_tools.language.tensor_file import write_tensor
from nnef_tools.model.dtypes import nnef_dtype
from nnef_tools.ops.fragments import called_fragments, extension_fragments
from nnef_tools.ops.inference import evaluate, flat_results
from nnef_tools.ops.registry import find

Array = np.ndarray[Any, Any]

LARGEST_VOLUME = 3000
LARGEST_VALUE = 1e5
DTYPES = {"scalar": np.float32, "integer": np.int64, "logical": np.bool_}

# fmt: off
EXACT = {
    "copy", "neg", "abs", "sign", "floor", "ceil", "round", "not", "lt", "gt", "le", "ge", "eq", "ne", "and",
    "or", "select", "min", "max", "clamp", "relu", "argmax_pool", "sample", "max_pool_with_index", "max_pool",
    "nearest_downsample", "nearest_upsample", "max_reduce", "min_reduce", "argmax_reduce", "argmin_reduce",
    "any_reduce", "all_reduce", "reshape", "transpose", "squeeze", "unsqueeze", "concat", "stack", "split",
    "unstack", "slice", "pad", "tile", "gather", "cast", "copy_n", "top_k", "bitwise_and", "bitwise_or",
    "bitwise_xor", "bitwise_not", "shift_left", "shift_right", "gather_elements", "gather_nd",
}
# fmt: on
"""Operations that give the same bits in every engine."""

SATURATING = {"sigmoid", "tanh", "erf", "softmax", "gelu", "silu", "lstm_layer", "gru_layer", "rnn_layer"}
"""Operations whose engines approximate curves between 0 and 1 with an error that does not shrink with the value."""

ROUNDING = {
    "min_max_linear_quantize",
    "linear_quantize",
    "zero_point_linear_quantize",
    "logarithmic_quantize",
    "dynamic_quantize",
    "fmod",
}
"""Operations that round a quotient, which engines compute in different ways: no value may hang on its last digit."""

# fmt: off
WEIGHTED = {
    "conv", "deconv", "separable_conv", "separable_deconv", "box", "debox", "avg_pool", "rms_pool", "desample",
    "area_downsample", "multilinear_upsample", "resize", "grid_sample", "avg_roi_pool", "roi_resample",
    "avg_roi_align", "max_roi_align", "matmul", "linear", "det", "inverse", "batch_normalization",
    "local_response_normalization", "local_mean_normalization", "local_variance_normalization",
    "local_contrast_normalization", "l1_normalization", "l2_normalization", "max_pool", "max_pool_with_index",
    "argmax_pool", "max_roi_pool", "lstm_layer", "gru_layer", "rnn_layer", "logarithmic_quantize",
    "dynamic_quantize",
}
# fmt: on
"""Operations that engines compute with factors of 0, or from the lowest number on: for infinities results are open."""


@dataclass(frozen=True)
class Operand:
    """A tensor of the model, or a literal, with its value.

    shaken: the value that another engine may have, within rounding. declaration: the statement that introduces it,
    if that is not part of the model yet.
    """

    text: str
    value: Array
    shaken: Array
    declaration: str = ""

    @property
    def shape(self) -> tuple[int, ...]:
        return self.value.shape

    @property
    def rank(self) -> int:
        return self.value.ndim

    @property
    def kind(self) -> str:
        return nnef_dtype(self.value.dtype.type)


Argument = Operand | list[Operand]


class Drawing:
    """What samplers draw from: random numbers, and the tensors of the model so far."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.tensors: list[Operand] = []
        self.labels: dict[str, Array] = {}
        self._names = 0

    # plain choices

    def chance(self, probability: float) -> bool:
        return bool(self.random.random() < probability)

    def pick(self, items: Sequence[Any]) -> Any:
        return items[int(self.random.integers(len(items)))]

    def whole(self, low: int, high: int) -> int:
        """low <= result <= high."""
        return int(self.random.integers(low, high + 1))

    def number(self, low: float, high: float) -> float:
        return round(float(self.random.uniform(low, high)), 3)

    def extent(self) -> int:
        return int(self.pick([1, 1, 2, 3, 3, 4, 5, 7, 8]))

    def shape(self, low: int = 0, high: int = 5) -> tuple[int, ...]:
        return tuple(self.extent() for _ in range(self.whole(low, high)))

    def axes(self, rank: int, least: int = 0) -> list[int]:
        """Different axes, mostly in order."""
        chosen = [int(axis) for axis in self.random.permutation(rank)[: self.whole(min(least, rank), rank)]]
        return chosen if self.chance(0.2) else sorted(chosen)

    # operands

    def name(self) -> str:
        self._names += 1
        return f"t{self._names}"

    def fresh(self, shape: Sequence[int], kind: str = "scalar", values: Array | None = None) -> Operand:
        """A new input or variable."""
        value = self.values(tuple(shape), kind) if values is None else np.asarray(values, DTYPES[kind])
        name, extents = self.name(), list(value.shape)
        has_input = any(" = external" in tensor.declaration for tensor in self.tensors)
        if has_input and self.chance(0.5) and kind == "scalar":
            text = f"{name} = variable<{kind}>(shape = {extents}, label = '{name}');"
        else:
            text = f"{name} = external<{kind}>(shape = {extents});"
        return Operand(name, value, value, text)

    def values(self, shape: tuple[int, ...], kind: str) -> Array:
        if kind == "logical":
            return np.asarray(self.random.random(shape) < self.pick([0.5, 0.5, 0.0, 1.0]))
        if kind == "integer":
            return np.asarray(self.random.integers(-3, 9, shape))
        style = self.pick(["normal", "normal", "normal", "halves", "wide", "special"])
        if style == "halves":
            value = self.random.integers(-6, 7, shape) / 2
        elif style == "wide":
            value = self.random.standard_normal(shape) * 10.0 ** self.random.uniform(-4, 3, shape)
        elif style == "special":
            value = self.random.choice([0.0, -0.0, 1.0, -1.0, 0.5, 1e-30, 300.0, np.inf, -np.inf], shape)
        else:
            value = self.random.standard_normal(shape)
        return np.asarray(value, np.float32)

    def some(
        self, kind: str = "scalar", low: int = 0, high: int = 5, fits: Callable[[Operand], bool] | None = None
    ) -> Operand:
        """A tensor of the model of that kind and of a rank in that range, rather the last ones, or a new one."""
        known = [t for t in self.tensors if t.kind == kind and low <= t.rank <= high and (fits is None or fits(t))]
        if known and self.chance(0.85):
            return known[-1 - min(int(self.random.geometric(0.3)) - 1, len(known) - 1)]
        for _ in range(20):
            new = self.fresh(self.shape(low, high), kind)
            if fits is None or fits(new):
                return new
        raise ImpossibleError

    def like(self, shape: Sequence[int], kind: str = "scalar", positive: bool = False) -> Operand:
        """A tensor of that shape: of the model, or a new one."""
        known = [t for t in self.tensors if t.kind == kind and t.shape == tuple(shape)]
        if known and not positive and self.chance(0.4):
            return self.pick(known)
        new = self.values(tuple(shape), kind)
        return self.fresh(shape, kind, np.abs(new) + np.float32(0.1) if positive else new)

    def fitting(self, shape: Sequence[int], kind: str = "scalar", positive: bool = False) -> Operand:
        """An operand that is broadcast to the shape: a literal, or a tensor with some extents of 1 or less of them."""
        if self.chance(0.25):
            return self.literal(kind, positive)
        extents = [extent if self.chance(0.7) else 1 for extent in shape[: self.whole(0, len(shape))]]
        return self.like(shape if self.chance(0.3) else extents, kind, positive)

    def literal(self, kind: str = "scalar", positive: bool = False) -> Operand:
        if kind == "logical":
            value: Any = self.chance(0.5)
        elif kind == "integer":
            value = self.whole(0, 5)
        else:
            value = self.pick([0.0, 1.0, 0.5, -1.0, 2.0, self.number(-3, 3)])
            value = abs(value) + 0.5 if positive else value
        array = np.asarray(value, DTYPES[kind])
        return Operand(text_of(value), array, array)

    def index(self, shape: Sequence[int], extent: int, negative: bool = False) -> Operand:
        """A new input of positions on an axis of that extent."""
        if extent < 1:
            raise ImpossibleError
        return self.fresh(shape, "integer", self.random.integers(-extent if negative else 0, extent, tuple(shape)))


class ImpossibleError(Exception):
    """A sampler found nothing that its operation could be called with."""


@dataclass
class Model:
    """NNEF text, the labels' data, inputs, and the values of the outputs. slack: what rounding may change, each."""

    text: str
    labels: dict[str, Array]
    inputs: dict[str, Array]
    outputs: dict[str, Array]
    slack: dict[str, float]
    operations: list[str] = field(default_factory=list)

    def save(self, folder: Path) -> Path:
        folder.mkdir(parents=True)
        (folder / "graph.nnef").write_text(self.text, encoding="utf-8")
        for label, value in self.labels.items():
            write_tensor(folder / f"{label}.dat", value)
        return folder


def text_of(value: Any) -> str:
    """A value as NNEF writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f"'{value}'"
    if isinstance(value, tuple):
        return f"({', '.join(map(text_of, value))})"
    if isinstance(value, list):
        return f"[{', '.join(map(text_of, value))}]"
    return repr(value)


def random_model(seed: int, operations: int = 12, only: Sequence[str] = ()) -> Model:
    """The model of that seed. only: names of operations to draw from, by default all."""
    from .samplers import SAMPLERS

    growth = _Growth(seed)
    names = list(only) or list(SAMPLERS)
    for _ in range(operations * 20):
        if len(growth.operations) == operations:
            break
        name = growth.drawing.pick(names)
        try:
            arguments, attribs = SAMPLERS[name](growth.drawing)
            growth.add(name, arguments, attribs)
        except (ImpossibleError, ShapeError):  # what a sampler draws need not be valid: the shape rules know
            continue
    return growth.finish()


class _Growth:
    """A model in the making."""

    def __init__(self, seed: int) -> None:
        self.drawing = Drawing(seed)
        self.operations: list[str] = []
        self._statements: list[str] = []
        self._results: list[str] = []
        self._used: set[str] = set()

    def add(self, name: str, arguments: Sequence[Argument], attribs: dict[str, Any]) -> None:
        """Adds an operation if its results can be compared; otherwise nothing changes."""
        definition = find(name)
        assert definition is not None
        operands = [x for item in arguments for x in (item if isinstance(item, list) else [item])]
        if name in WEIGHTED and not all(np.isfinite(x.value).all() for x in operands):
            return
        dtype = {"dtype": attribs.pop("dtype")} if "dtype" in attribs else {}
        value = _run(name, arguments, attribs | dtype, "value")
        unsure = [self._nudged(x) if name in ROUNDING and isinstance(x, Operand) else x for x in arguments]
        shaken = _run(name, unsure, attribs | dtype, "shaken")
        if value is None or shaken is None:
            return
        results = []
        for one, other in zip(flat_results(value), flat_results(shaken), strict=True):
            moved = self._comparable(name, one, other)
            if moved is None:
                return
            results.append(Operand(self.drawing.name(), one, moved))
        self._declare(operands)
        called = ", ".join(
            [
                *(
                    f"[{', '.join(x.text for x in item)}]" if isinstance(item, list) else item.text
                    for item in arguments
                ),
                *(f"{key} = {text_of(item)}" for key, item in attribs.items()),
            ]
        )
        names = ", ".join(result.text for result in results)
        left = f"[{names}]" if isinstance(value, list) else names
        kind = f"<{nnef_dtype(dtype['dtype'])}>" if dtype else ""
        self._statements.append(f"{left} = {name}{kind}({called});")
        self.drawing.tensors += results
        self.operations.append(name)
        self._results += [result.text for result in results]
        self._used.update(operand.text for operand in operands)

    def _nudged(self, operand: Operand) -> Operand:
        """The operand with a shaken value that is off by some roundings in any case."""
        if operand.value.dtype.kind != "f":
            return operand
        nudge = 1 + 3e-6 * self.drawing.random.choice([-1, 1], operand.shape)
        return replace(operand, shaken=np.asarray(operand.shaken * nudge, operand.value.dtype))

    def _comparable(self, name: str, value: Array, shaken: Array) -> Array | None:
        """What the value may be in another engine; None if that is too uncertain, or too large to go on with."""
        if value.size > LARGEST_VOLUME or value.size == 0:
            return None
        if value.dtype.kind != "f":
            return shaken if np.array_equal(value, shaken) else None
        finite = np.isfinite(value)
        if np.isnan(value).any() or not np.array_equal(finite, np.isfinite(shaken)):
            return None
        if not np.array_equal(value[~finite], shaken[~finite]):
            return None
        scale = float(np.abs(value[finite]).max(initial=0))
        if scale > LARGEST_VALUE or np.abs(value[finite] - shaken[finite]).max(initial=0) > 1e-4 * scale:
            return None
        if name in EXACT:
            return shaken
        noise = self.drawing.random.uniform(-1, 1, value.shape)
        least = 1e-7 if name in SATURATING else 0.0
        with np.errstate(invalid="ignore"):
            return np.asarray(shaken + (1e-6 * np.abs(shaken) + 3e-7 * scale + least) * noise, value.dtype)

    def _declare(self, operands: Sequence[Operand]) -> None:
        for operand in operands:
            if operand.declaration and operand.declaration not in self._statements:
                self._statements.append(operand.declaration)
                self.drawing.tensors.append(Operand(operand.text, operand.value, operand.shaken, operand.declaration))
                if " = variable" in operand.declaration:
                    self.drawing.labels[operand.text] = operand.value

    def finish(self) -> Model:
        known = {tensor.text: tensor for tensor in self.drawing.tensors}
        leaves = [name for name in self._results if name not in self._used]
        inner = [name for name in self._results if name in self._used and self.drawing.chance(0.1)]
        outputs = {name: known[name].value for name in (*leaves, *inner)}
        inputs = {name: tensor.value for name, tensor in known.items() if f"{name} = external" in tensor.declaration}
        slack = {
            name: 40 * float(np.abs(difference[np.isfinite(difference)]).max(initial=0))
            for name in outputs
            if outputs[name].dtype.kind == "f"
            for difference in [_difference(known[name])]
        }
        text = _document(self._statements, list(inputs), list(outputs), self.operations)
        return Model(text, self.drawing.labels, inputs, outputs, slack, self.operations)


def _difference(tensor: Operand) -> Array:
    with np.errstate(invalid="ignore"):
        return np.asarray(tensor.value.astype(np.float64) - tensor.shaken)


def _run(name: str, arguments: Sequence[Argument], attribs: dict[str, Any], which: str) -> Any:
    values = [[getattr(x, which) for x in a] if isinstance(a, list) else getattr(a, which) for a in arguments]
    with np.errstate(all="ignore"):
        return evaluate(name, values, attribs)


def _document(statements: Sequence[str], inputs: Sequence[str], outputs: Sequence[str], called: Sequence[str]) -> str:
    fragments = extension_fragments()
    needed = {name for name in called if name in fragments}
    needed |= {helper for name in needed for helper in called_fragments().get(name, ())}
    header = [text.text for name, text in fragments.items() if name in needed]
    extensions = ["extension KHR_enable_fragment_definitions, KHR_enable_operator_expressions;"] if header else []
    body = "\n".join(f"    {statement}" for statement in statements)
    graph = f"graph random({', '.join(inputs)}) -> ({', '.join(outputs)})\n{{\n{body}\n}}\n"
    return "\n".join(["version 1.0;", *extensions, *header, graph])
