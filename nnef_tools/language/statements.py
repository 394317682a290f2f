"""The statements of a graph straight from their text, for documents as exporters write them.

The first statement of a kind, such as `. = conv(., ., border = 'constant', stride = [1, 1]);`, is parsed, checked and
evaluated. Others, whose text differs in names of tensors and labels only, give a copy of its operation. Nothing here
tells what is wrong with a text: that is for a reading of all of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import ParseError
from ..model.graph import Graph, Operation, Tensor
from .ast import Assignment, Call, Literal, Name
from .expressions import ExpressionParser
from .lexer import COMMENT, RESERVED, STRING, Source
from .types import Type
from .values import copied

_OPERAND = r"-?[\w.]+(?:(?<=e)-\d+)?\b(?! =)"
_KEYWORDS = r"(?:, )?[A-Za-z_]\w* = [^;'\"#]*(?:'[^'\\;#\x00-\x1f\x7f]*'[^;'\"#]*)*"
_CALL = re.compile(
    rf"\s*([A-Za-z_]\w*) = ([A-Za-z_]\w*(?:<\w+>)?)\(((?:{_OPERAND}(?:, {_OPERAND})*)?)({_KEYWORDS})?\);", re.ASCII
)
_LABEL = re.compile(r"label = '([^'\\]*)'(?=, |\Z)")
_ANY = re.compile(rf"[^;'\"#\ufeff]*(?:(?:{STRING}|{COMMENT})[^;'\"#\ufeff]*)*;")
_END = re.compile(rf"\s*(?:{COMMENT}\s*)*\}}\s*(?:{COMMENT}\s*)*\Z", re.ASCII)


@dataclass(slots=True)
class _Kind:
    """What operations of equal statements have in common.

    operands: types of the operands that are names, None for a literal. literals: further inputs, with their positions.
    lists: the attributes that are lists. result: type of the result.
    """

    operands: list[Type | None]
    literals: list[tuple[int, Any]]
    type: str
    attribs: dict[str, Any]
    lists: list[str]
    result: Type
    dtype: Any
    custom: bool


class StatementReader:
    """Adds the operations of statements to a graph.

    types, values: of the names that are defined so far, of the graph's body. reserved: names that only statements of
    certain operations may define. unlike: operations that are always evaluated, because more depends on them than
    their result. repeat_variable: notes a variable, by name and attributes, that is like an earlier one but for its
    label; False if something is wrong with it. evaluate: checks a statement and adds its operations.
    """

    def __init__(
        self,
        graph: Graph,
        types: dict[str, Type],
        values: dict[str, Any],
        reserved: Container[str],
        unlike: Container[str],
        repeat_variable: Callable[[str, dict[str, Any]], bool],
        evaluate: Callable[[Source, Assignment], None],
    ) -> None:
        self._graph = graph
        self._types = types
        self._values = values
        self._reserved = reserved
        self._unlike = unlike
        self._repeat_variable = repeat_variable
        self._evaluate = evaluate
        self._kinds: dict[tuple[str | int | None, ...], _Kind] = {}

    def read(self, text: str, start: int, filename: str, *, operators: bool) -> None:
        """Reads the statements from `start` on, to the end of the text. ParseError if something is wrong.

        operators: operator expressions are enabled.
        """
        parser = ExpressionParser(Source("", filename), operators=operators)
        position = start
        while not _END.match(text, position):
            match = _CALL.match(text, position)
            if match is None or not self._repeat(match):
                whole = match or _ANY.match(text, position)
                if whole is None:
                    raise ParseError("no statement", filename=filename)
                source = Source(whole[0], filename)
                assignment = parser.only_assignment(source)
                count = len(self._graph.operations)
                self._evaluate(source, assignment)
                if match is not None and len(self._graph.operations) == count + 1:
                    self._note(match, assignment, self._graph.operations[count])
                match = whole
            position = match.end()

    def _repeat(self, match: re.Match[str]) -> bool:
        """Adds the operation of a statement whose kind is known; False, without doing anything, if it is not."""
        target, callee, operands, keywords = match.groups()
        keywords, label = _without_label(callee, keywords)
        names = operands.split(", ") if operands else []
        types = [self._types.get(name) for name in names]
        kind = self._kinds.get(_key(callee, keywords, names, types))
        if kind is None or kind.operands != types or target in self._types:
            return False
        if target in RESERVED or target in self._reserved:
            return False
        attribs = kind.attribs.copy()
        for name in kind.lists:
            attribs[name] = copied(attribs[name])
        if label is not None:
            attribs["label"] = label
            if not self._repeat_variable(target, attribs):
                return False
        inputs: list[Any] = [self._values.get(name) for name in names]
        for k, data in kind.literals:
            inputs[k : k + 1] = [Tensor(self._graph, None, (), data.dtype.type, data.copy())]
        result = Tensor(self._graph, target, None if label is None else attribs["shape"], kind.dtype)
        Operation(self._graph, kind.type, None, attribs, tuple(inputs), (result,), kind.custom)
        self._values[target] = result
        self._types[target] = kind.result
        return True

    def _note(self, match: re.Match[str], assignment: Assignment, operation: Operation) -> None:
        """Makes a kind of a statement that was evaluated, if its operation follows from the text and the types."""
        target, callee, operands, keywords = match.groups()
        keywords, label = _without_label(callee, keywords)
        names = operands.split(", ") if operands else []
        call = assignment.value
        if type(call) is not Call or call.name != operation.type or call.name in self._unlike:
            return
        if not all(type(value) is Literal or (type(value) is Name and not key) for key, value, _ in call.arguments):
            return
        inputs, outputs = operation.inputs, operation.outputs
        if not isinstance(inputs, tuple) or len(outputs) != 1:
            return
        if outputs[0].shape is not None and label is None:
            return
        types = [self._types.get(name) for name in names]
        literals = [(k, x.data) for k, x in enumerate(inputs) if k >= len(names) or types[k] is None]
        self._kinds[_key(callee, keywords, names, types)] = _Kind(
            operands=types,
            literals=literals,
            type=call.name,
            attribs={name: copied(value) for name, value in operation.attribs.items()},
            lists=[name for name, value in operation.attribs.items() if type(value) is list],
            result=self._types[target],
            dtype=outputs[0].dtype,
            custom=operation.custom,
        )


def _without_label(callee: str, keywords: str | None) -> tuple[str | None, str | None]:
    """The attributes of a variable without its label, and the label; of other operations, all and None."""
    match = _LABEL.search(keywords) if keywords and callee.partition("<")[0] == "variable" else None
    if match is None:
        return keywords, None
    return match.string[: match.start()] + match.string[match.end() :], match[1]


def _key(
    callee: str, keywords: str | None, names: Sequence[str], types: Sequence[Type | None]
) -> tuple[str | int | None, ...]:
    """The text of a statement without the names of tensors."""
    if all(types):
        return callee, keywords, len(names)
    return callee, keywords, *[None if type_ else name for name, type_ in zip(names, types, strict=True)]
