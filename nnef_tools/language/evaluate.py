"""Evaluation of checked bodies: compile-time values, and operations added to a Graph.

A value is a Python value, a Tensor of the graph, or lists and tuples of values. `Wanted` says where a result has to go:
to a tensor with a given name, to an existing tensor, or (None) to wherever the evaluator likes; lists and tuples follow
the structure of the left side. Both reading a document and decomposing a graph replay fragment bodies here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn, Union

import numpy as np

from ..budget import current
from ..errors import ParseError
from ..model.graph import Graph, Operation, Tensor
from . import constants
from .ast import (
    Array,
    Assignment,
    Body,
    Builtin,
    Call,
    Chain,
    Comprehension,
    Conditional,
    Expression,
    Literal,
    Name,
    Postfix,
    Tuple,
    Unary,
)
from .attributes import check_attributes
from .lexer import Source
from .names import FreshNames
from .typecheck import Signature, Signatures
from .types import ArrayType, Fragment, TensorType, TupleType, Type
from .values import DTYPES, copied, item_of_dtype, type_of_value

MAX_EXPANSION_DEPTH = 64
MAX_STEPS = 2_000_000  # of the evaluation of a text, whatever it makes: some seconds
_EXPANSION_STEPS = 10
# Numbers from here on round to infinity; the text of the largest finite number is a little above it.
_FLOAT32_LIMIT = float.fromhex("0x1.ffffffp+127")
_TOO_LARGE = "is out of the range of single precision"

Wanted = Union[None, str, Tensor, list[Any], tuple[Any, ...]]

_NODES = {"+": "add", "-": "sub", "*": "mul", "/": "div", "^": "pow", "&&": "and", "||": "or"}
_NODES.update({"<": "lt", "<=": "le", ">": "gt", ">=": "ge", "==": "eq", "!=": "ne"})
_UNARY_NODES = {"+": "copy", "-": "neg", "!": "not"}


@dataclass(slots=True)
class Frame:
    """A body that is being evaluated. wanted: where names go; None in the graph's body, where a name goes to itself.

    item: what `?` stands for. depth: how many expansions are around.
    """

    source: Source
    values: dict[str, Any]
    wanted: dict[str, Wanted] | None = None
    item: str | None = None
    depth: int = 0


class Evaluator:
    """Adds operations to `graph`. decomposed: names of the compound operations that are replaced by their bodies.

    real: the class of scalars, float32 or float64.
    """

    def __init__(
        self,
        graph: Graph,
        signatures: Signatures,
        standard: Mapping[str, Fragment],
        decomposed: Collection[str],
        fresh: Callable[[str], str],
        real: type = np.float32,
    ) -> None:
        self.graph = graph
        self.real = real
        self.signatures = signatures
        self.standard = standard
        self.decomposed = decomposed
        self.fresh = fresh
        self._expanded_operations = 0
        self._steps = 0
        self._loops = 0

    # Statements

    def assign(self, assignment: Assignment, frame: Frame) -> None:
        """Evaluates the right side and gives its parts to the names of the left side."""
        target = assignment.target
        if type(target) is Name:
            name = target.name
            wanted = name if frame.wanted is None else frame.wanted.get(name)
            frame.values[name] = self.evaluate(assignment.value, frame, wanted)
        else:
            value = self.evaluate(assignment.value, frame, self._wanted(target, frame))
            self._bind(target, value, frame)

    def _wanted(self, target: Expression, frame: Frame) -> Wanted:
        if isinstance(target, Name):
            return target.name if frame.wanted is None else frame.wanted.get(target.name)
        assert isinstance(target, (Array, Tuple))
        parts = [self._wanted(item, frame) for item in target.items]
        return parts if isinstance(target, Array) else tuple(parts)

    def _bind(self, target: Expression, value: Any, frame: Frame) -> None:
        if isinstance(target, Name):
            frame.values[target.name] = value
            return
        assert isinstance(target, (Array, Tuple))
        if len(value) != len(target.items):
            message = f"{len(target.items)} names on the left side for {len(value)} items"
            raise frame.source.error(target.at, message)
        for item, part in zip(target.items, value, strict=True):
            self._bind(item, part, frame)

    # Expressions

    def evaluate(self, node: Expression, frame: Frame, wanted: Wanted = None) -> Any:
        """The value; tensors in it go where they are wanted."""
        if type(node) is Call:
            return self._call(node, frame, wanted)
        if wanted is None:
            if type(node) is Name:
                return frame.values[node.name]
            if type(node) is Literal:
                return node.value
        while isinstance(node, Conditional):
            node = node.value if self.evaluate(node.condition, frame) else node.otherwise
        if isinstance(node, Call):
            return self._call(node, frame, wanted)
        if isinstance(node, Chain):
            return self._chain(node, frame, wanted)
        if isinstance(node, (Array, Tuple)):
            return self._items(node, frame, wanted)
        if isinstance(node, Comprehension):
            return self._comprehension(node, frame, wanted)
        if isinstance(node, Unary) and node.node:
            operand = self.evaluate(node.operand, frame)
            return self._node(_UNARY_NODES[node.operator], [operand], wanted, frame, node.at)
        if isinstance(node, Literal):
            value = node.value
        elif isinstance(node, Name):
            value = frame.values[node.name]
        else:
            value = self._constant(node, frame)
        return value if wanted is None else self._deliver(value, wanted, frame, node.at)

    def _constant(self, node: Expression, frame: Frame) -> Any:
        """Unary operators, subscripts and built-ins, which give no new tensors."""
        try:
            if isinstance(node, Unary):
                return constants.unary(node.operator, self.evaluate(node.operand, frame))
            if isinstance(node, Postfix):
                return self._postfix(node, frame)
            assert isinstance(node, Builtin)
            operand = self.evaluate(node.operand, frame)
            if node.name == "length_of":
                return len(operand)
            if node.name == "range_of":
                self._spend(len(operand), frame, node.at)
                return constants.integers(operand)
            return constants.cast(node.name, operand)
        except constants.EvaluationError as problem:
            raise frame.source.error(node.at, str(problem)) from None

    def _postfix(self, node: Postfix, frame: Frame) -> Any:
        value = self.evaluate(node.base, frame)
        for suffix in node.suffixes:
            begin = None if suffix.begin is None else self.evaluate(suffix.begin, frame)
            if suffix.range:
                end = None if suffix.end is None else self.evaluate(suffix.end, frame)
                value = constants.items(value, begin, end)
                self._spend(len(value), frame, suffix.at)
            else:
                assert begin is not None
                value = constants.item(value, begin)
        return value

    def _chain(self, node: Chain, frame: Frame, wanted: Wanted) -> Any:
        left = self.evaluate(node.first, frame)
        last = len(node.rest) - 1
        for k, (operator, operand, at) in enumerate(node.rest):
            if node.nodes[k]:
                operands = [left, self.evaluate(operand, frame)]
                left = self._node(_NODES[operator], operands, wanted if k == last else None, frame, at)
            elif (operator == "&&" and not left) or (operator == "||" and left):
                continue
            else:
                right = self.evaluate(operand, frame)
                try:
                    left = constants.binary(operator, left, right)
                except constants.EvaluationError as problem:
                    raise frame.source.error(at, str(problem)) from None
                for value in (left, right):  # what is made, and what is searched or compared
                    if isinstance(value, (list, str)):
                        self._spend(len(value), frame, at)
        is_node = node.nodes[last]
        return left if wanted is None or is_node else self._deliver(left, wanted, frame, node.at)

    def _items(self, node: Array | Tuple, frame: Frame, wanted: Wanted) -> Any:
        parts: Any = wanted if isinstance(wanted, (list, tuple)) else [None] * len(node.items)
        if len(parts) != len(node.items):
            message = f"{len(parts)} names on the left side for {len(node.items)} items"
            raise frame.source.error(node.at, message)
        values = [self.evaluate(item, frame, part) for item, part in zip(node.items, parts, strict=True)]
        return values if isinstance(node, Array) else tuple(values)

    def _comprehension(self, node: Comprehension, frame: Frame, wanted: Wanted) -> Any:
        iterables = [self.evaluate(iterable, frame) for _, iterable in node.iterators]
        if len(set(map(len, iterables))) > 1:
            lengths = ", ".join(str(len(iterable)) for iterable in iterables)
            raise frame.source.error(node.at, f"the arrays of the loop have different lengths: {lengths}")
        outer = len(frame.values)
        self._loops += 1
        values: list[Any] = []
        for items in zip(*iterables, strict=True):
            self._spend(1, frame, node.at)
            for (target, _), item in zip(node.iterators, items, strict=True):
                self._bind(target, item, frame)
            if node.condition is None or self.evaluate(node.condition, frame):
                part = wanted[len(values)] if isinstance(wanted, list) and len(values) < len(wanted) else None
                values.append(self.evaluate(node.value, frame, part))
        self._loops -= 1
        for name in list(frame.values)[outer:]:
            del frame.values[name]
        if isinstance(wanted, list) and len(values) != len(wanted):
            raise frame.source.error(node.at, f"{len(wanted)} names on the left side for {len(values)} items")
        return values

    def _deliver(self, value: Any, wanted: Wanted, frame: Frame, at: int) -> Any:
        """Copies values that exist already to where they are wanted."""
        if wanted is None:
            return value
        if isinstance(wanted, (list, tuple)):
            if len(value) != len(wanted):
                raise frame.source.error(at, f"{len(wanted)} names on the left side for {len(value)} items")
            parts = [self._deliver(part, goal, frame, at) for part, goal in zip(value, wanted, strict=True)]
            return parts if isinstance(wanted, list) else tuple(parts)
        return self._node("copy", [value], wanted, frame, at)

    # Operations

    def _node(self, name: str, operands: list[Any], wanted: Wanted, frame: Frame, at: int) -> Any:
        """The operation that an operator stands for."""
        signature = self.signatures.find(name)
        if signature is None:
            raise frame.source.error(at, f"operation '{name}', which is needed here, is not defined")
        item = item_of_value(operands[0]) if signature.fragment.generic else None
        return self._apply(signature, operands, item, wanted, frame, at)

    def _call(self, node: Call, frame: Frame, wanted: Wanted) -> Any:
        assert node.bound is not None, "the body was not checked"
        signature = self.signatures.find(node.name)
        assert signature is not None
        arguments = [
            argument.value
            if type(argument) is Literal
            else frame.values[argument.name]
            if type(argument) is Name
            else self.evaluate(argument, frame)
            for argument in node.bound
        ]
        item = frame.item if node.item == "?" else node.item
        return self._apply(signature, arguments, item, wanted, frame, node.at)

    def _apply(
        self, signature: Signature, arguments: list[Any], item: str | None, wanted: Wanted, frame: Frame, at: int
    ) -> Any:
        if signature.name in self.decomposed and signature.fragment.body is not None:
            return self.expand(signature, arguments, item, wanted, frame, at)
        if frame.depth or self._loops:
            self._expanded_operations += 1
            most = current().operations
            if self._expanded_operations > most:
                hint = f"--limit operations={10 * most} allows more"
                self._give_up(f"the expansion has more than the limit of {most:,} operations", frame, at, hint)
            self._spend(sum(len(value) for value in arguments if isinstance(value, (list, str))), frame, at)
        return self._emit(signature, arguments, item, wanted, frame, at)

    def expand(
        self, signature: Signature, arguments: list[Any], item: str | None, wanted: Wanted, frame: Frame, at: int
    ) -> Any:
        """Replays the body of a compound operation: its results, which go where they are wanted."""
        if frame.depth >= MAX_EXPANSION_DEPTH:
            hint = "does it call itself without end?"
            self._give_up(f"'{signature.name}' expands deeper than {MAX_EXPANSION_DEPTH} levels", frame, at, hint)
        self._spend(_EXPANSION_STEPS, frame, at)
        body: Body = self.signatures.checked_body(signature)
        fragment = signature.fragment
        goals: Any = (wanted,) if len(fragment.results) == 1 else wanted or (None,) * len(fragment.results)
        values = dict(zip(signature.index, arguments, strict=True))
        names = [result.name for result in fragment.results]
        inner = Frame(body.source, values, dict(zip(names, goals, strict=True)), item, frame.depth + 1)
        try:
            for assignment in body.assignments:
                self.assign(assignment, inner)
        except ParseError as error:
            line = frame.source.location(at)
            error.details = (*error.details, f"in the expansion of '{signature.name}' at {line}")
            raise
        results = tuple(inner.values[name] for name in names)
        return results[0] if len(results) == 1 else results

    def _emit(
        self, signature: Signature, arguments: list[Any], item: str | None, wanted: Wanted, frame: Frame, at: int
    ) -> Any:
        """Adds the operation itself and returns its results."""
        fragment = signature.fragment
        standard = self.standard.get(fragment.name) is fragment
        attributes: dict[str, Any] = {}
        if signature.attribute_names:
            for name, value in zip(signature.attribute_names, arguments[signature.tensor_count :], strict=True):
                attributes[name] = copied(value) if type(value) is list else value
            problem = self._check_attributes(fragment.name, attributes) if standard else None
            if problem is not None:
                name, reason = problem
                raise frame.source.error(at, f"attribute '{name}' of '{fragment.name}': {reason}")
        if item is not None:
            attributes["dtype"] = DTYPES[item]
        inputs: list[Tensor] = []
        for argument in arguments[: signature.tensor_count]:
            if type(argument) is Tensor:
                inputs.append(argument)
            else:
                self._collect(argument, inputs, frame, at)
        outputs: list[Tensor] = []
        result_type = signature.instance(item)[1]
        if not isinstance(result_type, TensorType):
            wanted = self._with_lengths(wanted, result_type, signature, arguments, item, frame, at)
        results = self._results(wanted, result_type, fragment.name, outputs)
        if standard and "shape" in attributes and fragment.name in ("external", "variable", "constant"):
            outputs[0].shape = attributes["shape"]
        Operation(
            self.graph,
            type=fragment.name,
            attribs=attributes,
            inputs=inputs if signature.takes_arrays else tuple(inputs),
            outputs=tuple(outputs) if signature.gives_singles else outputs,
            custom=not standard,
        )
        return results

    def _check_attributes(self, operation: str, attributes: Mapping[str, Any]) -> tuple[str, str] | None:
        problem = check_attributes(operation, attributes)
        if problem is not None or self.real is np.float64:
            return problem
        for name, value in attributes.items():
            items = value if type(value) is list else (value,)
            far = next((item for item in items if type(item) is float and abs(item) >= _FLOAT32_LIMIT), None)
            if far is not None:
                return name, f"{far} {_TOO_LARGE}"
        return None

    def _collect(self, value: Any, inputs: list[Tensor], frame: Frame, at: int) -> None:
        """Appends the tensors of an argument; literals become tensors of rank 0."""
        if isinstance(value, Tensor):
            inputs.append(value)
        elif isinstance(value, (list, tuple)):
            for part in value:
                self._collect(part, inputs, frame, at)
        else:
            if isinstance(value, float) and abs(value) >= _FLOAT32_LIMIT and self.real is np.float32:
                raise frame.source.error(at, f"{value} {_TOO_LARGE}")
            data: np.ndarray[Any, Any] = np.array(value, dtype=self._class(item_of_value(value)))
            inputs.append(Tensor(self.graph, None, (), data.dtype.type, data))

    def _class(self, item: str) -> type | None:
        return self.real if item == "scalar" else DTYPES.get(item)

    def _with_lengths(
        self,
        wanted: Wanted,
        type_: Type,
        signature: Signature,
        arguments: list[Any],
        item: str | None,
        frame: Frame,
        at: int,
    ) -> Wanted:
        """The wanted structure, with lengths that the left side leaves open taken from the definition."""
        if _is_open(wanted, type_):
            if signature.fragment.body is None:
                message = f"the number of results of '{signature.name}' is not known here"
                raise frame.source.error(at, message, hint="list them on the left side: '[a, b] = ...'")
            result = self._trial(signature, arguments, item, frame, at)
            return _fill(wanted, type_, result)
        return wanted

    def _trial(self, signature: Signature, arguments: list[Any], item: str | None, frame: Frame, at: int) -> Any:
        """The results of an expansion into a graph that is thrown away."""
        trial = Evaluator(Graph(), self.signatures, self.standard, {signature.name}, FreshNames(()), self.real)
        trial._steps, trial._expanded_operations, trial._loops = self._steps, self._expanded_operations, self._loops
        try:
            return trial.expand(signature, arguments, item, None, frame, at)
        finally:
            self._steps, self._expanded_operations = trial._steps, trial._expanded_operations
            trial.graph.remove_operations(list(trial.graph.operations), unlink=True)

    def _results(self, wanted: Wanted, type_: Type, stem: str, outputs: list[Tensor]) -> Any:
        """Makes or takes the tensors of the results; appends them to outputs; the results in their structure."""
        if type(type_) is TensorType:
            dtype = self._class(type_.item or "")
            if isinstance(wanted, Tensor):
                tensor = wanted
                if tensor.dtype is None:
                    tensor.dtype = dtype
            else:
                assert wanted is None or isinstance(wanted, str)
                tensor = Tensor(self.graph, self.fresh(stem) if wanted is None else wanted, dtype=dtype)
            outputs.append(tensor)
            return tensor
        if isinstance(type_, ArrayType):
            assert isinstance(wanted, list)
            return [self._results(part, type_.item, stem, outputs) for part in wanted]
        assert isinstance(type_, TupleType)
        goals = wanted if isinstance(wanted, tuple) else (None,) * len(type_.items)
        return tuple(self._results(part, item, stem, outputs) for part, item in zip(goals, type_.items, strict=True))

    # Limits

    def _spend(self, steps: int, frame: Frame, at: int) -> None:
        self._steps += steps
        if self._steps > MAX_STEPS:
            self._give_up(f"evaluating this takes more than {MAX_STEPS} steps", frame, at)

    def _give_up(self, message: str, frame: Frame, at: int, hint: str | None = None) -> NoReturn:
        raise frame.source.error(at, message, hint=hint)


def item_of_value(value: Any) -> str:
    """The primitive of a literal or a tensor."""
    if isinstance(value, Tensor):
        return item_of_dtype(value.dtype)
    return str(type_of_value(value))


def _is_open(wanted: Wanted, type_: Type) -> bool:
    """Is there an array whose length the left side does not say?"""
    if isinstance(type_, TensorType):
        return False
    if isinstance(type_, ArrayType):
        if not isinstance(wanted, list):
            return True
        return any(_is_open(part, type_.item) for part in wanted)
    assert isinstance(type_, TupleType)
    goals = wanted if isinstance(wanted, tuple) else (None,) * len(type_.items)
    return any(_is_open(part, item) for part, item in zip(goals, type_.items, strict=True))


def _fill(wanted: Wanted, type_: Type, example: Any) -> Wanted:
    """Gives open arrays the lengths of an example."""
    if isinstance(type_, TensorType):
        return wanted
    if isinstance(type_, ArrayType):
        parts = wanted if isinstance(wanted, list) else [None] * len(example)
        return [_fill(part, type_.item, item) for part, item in zip(parts, example, strict=False)]
    assert isinstance(type_, TupleType)
    goals = wanted if isinstance(wanted, tuple) else (None,) * len(type_.items)
    return tuple(_fill(*parts) for parts in zip(goals, type_.items, example, strict=True))
