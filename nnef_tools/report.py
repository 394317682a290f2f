"""The report of a conversion: plain facts, as text for people and as JSON for machines."""

from __future__ import annotations

import math
import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from .errors import NnefToolsError

if TYPE_CHECKING:
    from .model import Graph, Operation, Tensor

SCHEMA = "nnef-tools.report/1"
"""The name and version of the JSON form; the number grows with every change that could break a reader of it."""

Row = Sequence[str]
Rows = Sequence[Row]


@dataclass(frozen=True)
class TensorFacts:
    """An input or output of a model. shape: None for an unknown rank, with None for an unknown extent."""

    name: str | None
    dtype: str | None
    shape: tuple[int | None, ...] | None

    @classmethod
    def of(cls, tensor: Tensor) -> TensorFacts:
        """The facts of a tensor."""
        return cls(tensor.name, None if tensor.dtype is None else tensor.dtype.__name__, tensor.shape)


@dataclass(frozen=True)
class ModelFacts:
    """A model at one end of a conversion.

    operations: type -> number of operations that compute something. parameters: number of items in constants of rank 1
    and up. size: bytes of its files, None if it is not written.
    """

    path: str
    format: str
    operations: Mapping[str, int]
    parameters: int
    inputs: tuple[TensorFacts, ...]
    outputs: tuple[TensorFacts, ...]
    size: int | None = None

    @classmethod
    def of(cls, graph: Graph, path: Path, format: str, size: int | None = None) -> ModelFacts:
        """The facts of a graph that was read from a path, or is written to it."""
        constants = (tensor for tensor in graph.tensors if tensor.is_constant and tensor.rank != 0)
        return cls(
            path=str(path),
            format=format,
            operations=dict(sorted(Counter(operation.type or "?" for operation in _computing(graph)).items())),
            parameters=sum(tensor.volume or 0 for tensor in constants),
            inputs=tuple(map(TensorFacts.of, graph.inputs)),
            outputs=tuple(map(TensorFacts.of, graph.outputs)),
            size=size,
        )

    def summary(self) -> str:
        """One line for people."""
        size = "" if self.size is None else f", {format_size(self.size)}"
        count = sum(self.operations.values())
        parameters = f"{self.parameters:,} parameter{'' if self.parameters == 1 else 's'}"
        return f"{self.path}: {self.format}, {plural(count, 'operation')}, {parameters}{size}"


class Refusal(Protocol):
    """The interface of an operation that cannot be converted, as the converter reports it."""

    @property
    def type(self) -> str: ...
    @property
    def example(self) -> str | None: ...
    @property
    def reason(self) -> str: ...


@dataclass(frozen=True)
class RefusedOperators:
    """The operations of one type that cannot be converted for one reason.

    examples: the names of the first few operations, or of their results where they have no name.
    """

    type: str
    reason: str
    count: int
    examples: tuple[str, ...]


@dataclass(frozen=True)
class PassFacts:
    """The effect of an optimization pass. count: rewritten places. difference: operation type -> change in number."""

    name: str
    count: int
    difference: Mapping[str, int]


@dataclass(frozen=True)
class OutputCheck:
    """The comparison of an output of the written model with the source model's, in the worst of all samples.

    max_error: largest absolute difference; scale: largest magnitude of the reference; error: their ratio. verdict:
    'equal', 'nearer to float64' (than the source runtime is) or 'differs', by the criterion. variation: range of the
    values of one item over the inputs, None if not known. weakness: why the output proves little about the model, None
    if it proves enough. target_to_float64, source_to_float64: distance from a computation in float64. rounding: change
    of that computation if each result is rounded to float32 once. None where that was not computed.
    """

    name: str
    source: str
    max_error: float
    scale: float
    error: float
    passed: bool
    verdict: str = ""
    criterion: str = ""
    variation: float | None = None
    weakness: str | None = None
    target_to_float64: float | None = None
    source_to_float64: float | None = None
    rounding: float | None = None

    def float64_text(self) -> str:
        """The distance of both models from float64, for people; empty if it was not computed."""
        if self.target_to_float64 is None or self.source_to_float64 is None:
            return ""
        scale = self.scale or 1.0
        target, source = self.target_to_float64 / scale, self.source_to_float64 / scale
        return f"float64 is {target:.2g} of it away from the written model, {source:.2g} from the source runtime"


@dataclass(frozen=True)
class FirstDifference:
    """The first tensor, in the order of execution, whose values differ, with the operators that produce it.

    max_error, scale, error: as in OutputCheck.
    """

    source: str
    target: str
    source_operator: str
    target_operator: str
    max_error: float
    scale: float
    error: float

    def text(self) -> str:
        """One line for people."""
        return (
            f"the first tensor that differs is '{self.source}' of {self.source_operator}, which became "
            f"'{self.target}' of {self.target_operator}: by {self.max_error:.3g}, {self.error:.3g} of its scale"
        )


@dataclass(frozen=True)
class Verification:
    """The comparison of the written model with the source model.

    tolerance: the largest `error` that passes; absolute_tolerance: the `max_error` that passes in any case. steps: the
    additional tolerance in steps of the codes; None if the model has no quantized activations. idle_inputs: inputs of
    the source that changed no output. first_difference: where the difference begins, after a failure. note: why that,
    or a judgment in float64, is missing. comment: what ran the source, if that is not its own runtime.
    are_given: were the inputs given, rather than random?
    """

    samples: int
    seed: int
    tolerance: float
    absolute_tolerance: float
    outputs: tuple[OutputCheck, ...]
    steps: float | None = None
    idle_inputs: tuple[str, ...] = ()
    first_difference: FirstDifference | None = None
    note: str = ""
    comment: str = ""
    are_given: bool = False

    @property
    def passed(self) -> bool:
        """Did all outputs pass?"""
        return all(output.passed for output in self.outputs)

    @property
    def weaknesses(self) -> tuple[str, ...]:
        """What the inputs could not show, in a sentence each; empty if the comparison covers the whole model."""
        found = [f"output '{output.name}' {output.weakness}" for output in self.outputs if output.weakness]
        idle = [f"input '{name}' changes no output" for name in self.idle_inputs]
        return (*found, *idle) if self.outputs else ("the model has no outputs",)

    def summary(self) -> str:
        """One line for people."""
        by = f" ({self.comment})" if self.comment else ""
        kind = "given input" if self.are_given else "random input"
        text = f"verified on {plural(self.samples, kind)}{by}: {self._verdict()}"
        worst = max(self.outputs, key=_rank, default=None)
        if worst is None:
            return text
        judged = worst.float64_text()
        return (
            f"{text} the largest error is {worst.error:.2g} of the output scale{f'; {judged}' if judged else ''} "
            f"(criterion: {self._criteria()})"
        )

    def _verdict(self) -> str:
        if not self.passed:
            return "NOT equal,"
        nearer = any(output.verdict == "nearer to float64" for output in self.outputs)
        verdict = "nearer to the exact result (float64) than the source runtime" if nearer else "equal"
        if not self.weaknesses:
            return f"{verdict},"
        weaknesses = _some(self.weaknesses)
        return f"{verdict} on these inputs, but this check is weak: {weaknesses}{';' if self.outputs else ''}"

    def _criteria(self) -> str:
        """The criteria of the verdicts and, if there are several, the outputs that each was applied to."""
        names: dict[str, list[str]] = {}
        for output in self.outputs:
            names.setdefault(output.criterion, []).append(f"'{output.name}'")
        if len(names) == 1:
            return next(iter(names))
        return ", ".join(f"{criterion} ({_some(found)})" for criterion, found in names.items())

    def table(self) -> Rows:
        """The outputs, below a header."""
        return [("output", "source", "max error", "scale", "error / scale", "verdict", "criterion")] + [
            (
                output.name,
                output.source,
                f"{output.max_error:.3g}",
                f"{output.scale:.3g}",
                f"{output.error:.3g}",
                output.verdict + (" (weak)" if output.passed and output.weakness else ""),
                output.criterion,
            )
            for output in self.outputs
        ]

    def to_json(self) -> dict[str, Any]:
        """Plain values for `json.dumps`."""
        return {**asdict(self), "passed": self.passed, "weaknesses": list(self.weaknesses)}


@dataclass(frozen=True)
class Report:
    """Everything that `convert_model` did.

    way: the dialects that the model went through. written: the paths of what was written, empty after a dry run.
    unused_options: parameters of the call that had no effect -> the circumstances, such as `without verification`.
    tensor_mapping: source tensor name -> target tensor name. transposes: the places where some are left, None unless
    the layout changed. timings: seconds by stage. verification: None if none was asked for.
    """

    source: ModelFacts
    target: ModelFacts
    way: tuple[str, ...] = ()
    written: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    unused_options: Mapping[str, str] = field(default_factory=dict)
    tensor_mapping: Mapping[str, str] = field(default_factory=dict)
    passes: tuple[PassFacts, ...] = ()
    transposes: tuple[str, ...] | None = None
    timings: Mapping[str, float] = field(default_factory=dict)
    verification: Verification | None = None

    def __repr__(self) -> str:
        """One line: both models, and the most important facts."""
        ends = [
            f"{m.path} ({m.format}, {plural(sum(m.operations.values()), 'operation')})"
            for m in (self.source, self.target)
        ]
        facts = [plural(len(self.warnings), "warning")] if self.warnings else []
        facts += [] if self.written else ["nothing written"]
        facts += ["verified"] if self.verification is not None else []
        return f"<Report: {', '.join([' -> '.join(ends), *facts])}>"

    def to_json(self) -> dict[str, Any]:
        """Plain values for `json.dumps`, marked with the version of this form."""
        result = {"schema": SCHEMA, "status": "ok", **asdict(self)}
        if self.verification is not None:
            result["verification"] = self.verification.to_json()
        plain: dict[str, Any] = _finite(result)
        return plain

    def operations_table(self) -> Rows:
        """The operation types of both models with their counts, below a header."""
        left, right = (_counts(model.operations) for model in (self.source, self.target))
        header = (self.source.format, "count", self.target.format, "count")
        return [header] + [(*a, *b) for a, b in zip_longest(left, right, fillvalue=("", ""))]

    def passes_table(self) -> Rows:
        """The optimization passes that changed something, below a header."""
        return [("pass", "rewrites", "operations")] + [
            (item.name, str(item.count), ", ".join(f"{n:+d} {type}" for type, n in item.difference.items()))
            for item in self.passes
        ]

    def timings_table(self) -> Rows:
        """The time that each stage took, below a header."""
        return [("stage", "seconds")] + [(stage, f"{seconds:.3f}") for stage, seconds in self.timings.items()]

    def renamed(self) -> dict[str, str]:
        """The tensors whose name changed."""
        return {source: target for source, target in self.tensor_mapping.items() if source != target}


def group_refusals(refusals: Iterable[Refusal], *, examples: int = 3) -> tuple[RefusedOperators, ...]:
    """Puts refusals with the same type and reason together; the most frequent come first."""
    names: dict[tuple[str, str], list[str | None]] = {}
    for refusal in refusals:
        names.setdefault((refusal.type, refusal.reason), []).append(refusal.example)
    groups = (
        RefusedOperators(type, reason, len(found), tuple([name for name in found if name][:examples]))
        for (type, reason), found in names.items()
    )
    return tuple(sorted(groups, key=lambda group: (-group.count, group.type, group.reason)))


def refused_operators(error: NnefToolsError) -> tuple[RefusedOperators, ...]:
    """The operators that a failed conversion refused; empty for any other error."""
    return group_refusals(getattr(error, "refused", ()))


def refusal_table(groups: Iterable[RefusedOperators]) -> Rows:
    """The refused operators, below a header."""
    return [("operator", "count", "reason", "for example")] + [
        (group.type, str(group.count), group.reason, ", ".join(group.examples)) for group in groups
    ]


def error_to_json(error: NnefToolsError) -> dict[str, Any]:
    """The JSON form of a failure, in place of a report."""
    verification = getattr(error, "verification", None)
    result: dict[str, Any] = {
        "schema": SCHEMA,
        "status": "error",
        "exit_code": error.exit_code,
        "error": {
            "type": type(error).__name__,
            "message": error.message,
            "where": error.where,
            "details": list(error.details),
            "hint": error.hint,
        },
        "refused": [asdict(group) for group in refused_operators(error)],
        "verification": None if verification is None else verification.to_json(),
    }
    plain: dict[str, Any] = _finite(result)
    return plain


def format_table(rows: Rows, width: int | None = None) -> Iterator[str]:
    """The lines of a table whose first row is its header: columns aligned, numbers to the right, two spaces between.

    width: the largest length of a line, None for no limit; text in the widest columns continues on further lines.
    """
    numeric = [all(_is_number(row[k]) for row in rows[1:]) for k in range(len(rows[0]))]
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    if width is not None:
        widths = _narrowed(widths, numeric, width)
    for row in rows:
        parts = [
            textwrap.wrap(cell, size) if len(cell) > size else [cell] for cell, size in zip(row, widths, strict=True)
        ]
        for line in zip_longest(*parts, fillvalue=""):
            cells = (
                cell.rjust(size) if right else cell.ljust(size)
                for cell, size, right in zip(line, widths, numeric, strict=True)
            )
            yield "  ".join(cells).rstrip()


_NARROWEST = 12


def _narrowed(widths: Sequence[int], fixed: Sequence[bool], limit: int) -> list[int]:
    """Widths that fit the limit: the widest columns that are not fixed are narrowed, but not below _NARROWEST."""
    result = list(widths)
    while sum(result) + 2 * (len(result) - 1) > limit:
        able = [k for k, size in enumerate(result) if size > _NARROWEST and not fixed[k]]
        if not able:
            break
        result[max(able, key=result.__getitem__)] -= 1
    return result


def size_on_disk(paths: Iterable[Path]) -> int | None:
    """Bytes of the given files and of all files in the given folders; None if there are none, as for a pipe."""
    found = [path for path in paths if path.is_file() or path.is_dir()]
    files = (file for path in found for file in (path.rglob("*") if path.is_dir() else [path]))
    return sum(file.stat().st_size for file in files if file.is_file()) if found else None


def format_size(size: int) -> str:
    """Bytes for people: `12 bytes`, `3.4 kB`, `1.2 GB` (powers of 1000)."""
    if size < 1000:
        return f"{size} bytes"
    value = float(size)
    for unit in ("kB", "MB", "GB"):
        value /= 1000
        if value < 999.95:
            return f"{value:.1f} {unit}"
    return f"{value / 1000:.1f} TB"


def plural(count: int, noun: str) -> str:
    """`1 input`, `2 inputs`."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _rank(output: OutputCheck) -> tuple[bool, float]:
    """Sort key of outputs: failed ones last, then by error."""
    return not output.passed, math.inf if math.isnan(output.error) else output.error


def _some(texts: Sequence[str], most: int = 4) -> str:
    """The first few of the texts, and how many more there are."""
    more = f" and {len(texts) - most} more" if len(texts) > most else ""
    return ", ".join(texts[:most]) + more


def count_operations(graph: Graph) -> int:
    """How many operations compute something, not counting those in nested graphs."""
    return sum(1 for _ in _computing(graph))


def _computing(graph: Graph) -> Iterator[Operation]:
    """The operations apart from those that only stand for an input or a constant."""
    inputs = {id(tensor) for tensor in graph.inputs}
    for operation in graph.operations:
        given = not operation.inputs and all(t.is_constant or id(t) in inputs for t in operation.outputs)
        if not given:
            yield operation


def _finite(value: Any) -> Any:
    """The value, with NaN and infinity, which JSON lacks, as text."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value


def _counts(operations: Mapping[str, int]) -> list[tuple[str, str]]:
    return [(type, str(count)) for type, count in sorted(operations.items(), key=lambda item: (-item[1], item[0]))]


def _is_number(cell: str) -> bool:
    try:
        float(cell.replace(",", "") or "0")
    except ValueError:
        return False
    return True
