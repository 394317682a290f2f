"""Text of a graph.nnef to a Document: head, fragment declarations, graph. Types and names are checked in elaborate.py.

Checks of the text and of declarations happen here: grammar, version, extensions (S1), duplicate and misplaced
parameters, results and graph inputs and outputs (S2, S3).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from ..errors import ParseError
from .ast import Assignment, Body, GraphDeclaration, Name
from .ast import Literal as LiteralNode
from .expressions import FRAGMENTS_EXTENSION, OPERATORS_EXTENSION, ExpressionParser
from .gc_pause import paused_collector
from .lexer import Source, find_body, nearest
from .types import (
    PRIMITIVES,
    REQUIRED,
    ArrayType,
    Fragment,
    Parameter,
    Primitive,
    Result,
    TensorType,
    TupleType,
    Type,
    has_tensor,
)
from .values import fits, intern, type_of_value

KNOWN_EXTENSIONS = (FRAGMENTS_EXTENSION, OPERATORS_EXTENSION)
MAX_ARRAY_RANK = 16

UnknownExtensions = Literal["error", "ignore"]


@dataclass
class Document:
    """A parsed graph.nnef. fragments: those that it declares, in order. graph: the syntax tree.

    unread: the statements of the graph, if they are left to `build_graph`; the tree has none then.
    """

    version: str
    extensions: list[str]
    fragments: dict[str, Fragment]
    graph: GraphDeclaration
    unread: UnreadBody | None = None


class UnreadBody(NamedTuple):
    """The statements of a graph, from `start` in the text on. operators: operator expressions are enabled."""

    text: str
    filename: str
    start: int
    operators: bool
    on_unknown_extension: UnknownExtensions

    def tokens(self) -> frozenset[str]:
        """The different tokens of the whole text."""
        return Source(self.text, self.filename).distinct

    def parse(self) -> Document:
        """The whole document. ParseError if the text is not one."""
        return parse(self.text, self.filename, on_unknown_extension=self.on_unknown_extension)


def parse(text: str, filename: str = "<input>", *, on_unknown_extension: UnknownExtensions = "error") -> Document:
    """Parses a document. ParseError if the text is not one.

    on_unknown_extension: 'ignore' also takes free text after the name of an unknown extension, and as nobody knows what
    such an extension turns on, fragments and operator expressions are then enabled.
    """
    with paused_collector():
        source = Source(text, filename)
        try:
            return _DocumentParser(source, on_unknown_extension).document()
        except RecursionError:
            raise source.error(0, "nested too deeply for the stack that is left") from None


def parse_head(text: str, filename: str, *, on_unknown_extension: UnknownExtensions = "error") -> Document:
    """A document whose statements are left to `build_graph`. ParseError if the text before them is not right."""
    end = find_body(text)
    if end is not None:
        parser = _DocumentParser(Source(text[:end], filename), on_unknown_extension)
        try:
            document = parser.head()
        except (ParseError, RecursionError):
            pass  # errors show whole lines, so they come from a reading of the whole text
        else:
            document.unread = UnreadBody(text, filename, end, parser.operators, on_unknown_extension)
            return document
    return parse(text, filename, on_unknown_extension=on_unknown_extension)


def parse_fragments(text: str, filename: str = "<fragments>") -> dict[str, Fragment]:
    """Parses a text of fragment declarations only, all syntax enabled. ParseError if it is not one."""
    parser = _DocumentParser(Source(text, filename), "error")
    parser.source.check()
    parser.operators = True
    fragments = parser.fragments()
    if parser.tokens[parser.position]:
        raise parser.unexpected("'fragment'")
    return fragments


class _DocumentParser(ExpressionParser):
    def __init__(self, source: Source, on_unknown_extension: UnknownExtensions) -> None:
        super().__init__(source, operators=False)
        self.ignore_unknown = on_unknown_extension == "ignore"

    def document(self) -> Document:
        document = self.head()
        document.graph.body.assignments = self._assignments()
        if self.tokens[self.position]:
            raise self.unexpected("the end of the text after the graph")
        return document

    def head(self) -> Document:
        """What comes before the statements of the graph."""
        version = self._version()
        extensions, unknown = self._extensions()
        self.source.check(self.position)  # not before: there may be free text in unknown extensions
        self.operators = unknown or OPERATORS_EXTENSION in extensions
        if self.tokens[self.position] == "fragment" and not (unknown or FRAGMENTS_EXTENSION in extensions):
            hint = f"add 'extension {FRAGMENTS_EXTENSION};' after the version"
            self.fail("fragment declarations are not enabled", hint=hint)
        fragments = self.fragments()
        if self.tokens[self.position] != "graph":
            raise self.unexpected("'graph'")
        return Document(version, extensions, fragments, self._graph())

    def _version(self) -> str:
        if self.tokens[0] != "version":
            self.fail("a document begins with its version", hint="begin with 'version 1.0;'")
        self.position = 1
        version = self.tokens[1]
        if not re.fullmatch(r"1\.0*", version):
            hint = "every edition of NNEF 1.0.x writes 'version 1.0;'"
            self.fail(f"version '{version}' is not supported", hint=hint)
        self.position = 2
        self.expect(";")
        return version

    def _extensions(self) -> tuple[list[str], bool]:
        """The names, and whether there is an unknown one among them."""
        names: list[str] = []
        any_unknown = False
        while self.accept("extension"):
            at = self.position
            name = self.identifier()
            known = name in KNOWN_EXTENSIONS
            if not known and self.ignore_unknown:
                any_unknown = True
                names.append(name)
                self._skip_to_semicolon()
                continue
            while True:
                if name not in KNOWN_EXTENSIONS:
                    if not self.ignore_unknown:
                        hint = nearest(name, KNOWN_EXTENSIONS) or "unknown extensions can be ignored on request"
                        self.fail(f"unknown extension '{name}'", at, hint)
                    any_unknown = True
                names.append(name)
                if self.accept(";"):
                    break
                self.accept(",")
                at = self.position
                name = self.identifier()
        return names, any_unknown

    def _skip_to_semicolon(self) -> None:
        while self.tokens[self.position] not in (";", "", "graph", "fragment", "extension"):
            self.position += 1
        self.expect(";")

    # Graph

    def _graph(self) -> GraphDeclaration:
        at = self.position
        self.position += 1
        name = self.identifier()
        inputs = self._names({}, "input")
        self.expect("->")
        outputs = self._names({node.name: "input" for node in inputs}, "output")
        self.expect("{")
        return GraphDeclaration(name, inputs, outputs, Body(self.source, [], at), at)

    def _names(self, taken: dict[str, str], kind: str) -> list[Name]:
        self.expect("(")
        if self.tokens[self.position] == ")":
            self.fail(f"a graph has at least one {kind}")
        names: list[Name] = []
        while True:
            at = self.position
            name = self.identifier()
            if name in taken:
                hint = "put copy(...) in between" if taken[name] != kind else None
                self.fail(f"'{name}' is already an {taken[name]} of the graph", at, hint)
            taken[name] = kind
            names.append(Name(name, at))
            if not self.accept(","):
                break
        if self.tokens[self.position] != ")":
            raise self.unexpected("',' or ')'")
        self.position += 1
        return names

    def _body(self, at: int) -> Body:
        self.expect("{")
        return Body(self.source, self._assignments(), at)

    def _assignments(self) -> list[Assignment]:
        """The statements behind a `{`, to its `}`."""
        if self.tokens[self.position] == "}":
            self.fail("a body has at least one assignment")
        assignments = []
        while self.tokens[self.position] != "}":
            if not self.tokens[self.position]:
                raise self.unexpected("an assignment or '}'")
            assignments.append(self.assignment())
        self.position += 1
        return assignments

    # Fragments

    def fragments(self) -> dict[str, Fragment]:
        declared: dict[str, Fragment] = {}
        while self.tokens[self.position] == "fragment":
            at = self.position + 1
            fragment = self._fragment()
            if fragment.name in declared:
                self.fail(f"fragment '{fragment.name}' is declared twice", at)
            declared[fragment.name] = fragment
        return declared

    def _fragment(self) -> Fragment:
        at = self.position
        self.position += 1
        name = self.identifier()
        generic, default_type = self._generic()
        self._uses_generic = False
        parameters = self._parameters(generic)
        self.expect("->")
        results = self._results(generic, {parameter.name for parameter in parameters})
        if generic and not self._uses_generic:
            self.fail("a generic fragment uses the type '?' in a parameter or result", at + 1)
        body = None if self.accept(";") else self._body(at)
        start, end = self.source.offsets[at], self.source.offsets[self.position - 1]
        text = self.source.text[start : end + 1]
        return Fragment(name, tuple(parameters), tuple(results), generic, default_type, body, text)

    def _generic(self) -> tuple[bool, str | None]:
        if not self.accept("<"):
            return False, None
        self.expect("?")
        default = None
        if self.accept("="):
            default = self.tokens[self.position]
            if default not in PRIMITIVES:
                raise self.unexpected("'integer', 'scalar', 'logical' or 'string'")
            self.position += 1
        self.expect(">")
        return True, default

    def _parameters(self, generic: bool) -> list[Parameter]:
        self.expect("(")
        parameters: list[Parameter] = []
        names: set[str] = set()
        attribute = None
        while self.tokens[self.position] != ")":
            at = self.position
            name = self._declared_name(names, "parameter")
            type = self._type(generic)
            if not has_tensor(type):
                attribute = name
            elif attribute is not None:
                self.fail(f"tensor parameter '{name}' comes after attribute '{attribute}'", at)
            default = self._default(type, generic) if self.accept("=") else REQUIRED
            parameters.append(Parameter(name, type, default))
            if not self.accept(","):
                break
            if self.tokens[self.position] == ")":
                raise self.unexpected("a name")
        if self.tokens[self.position] != ")":
            raise self.unexpected("',' or ')'")
        if not parameters and not self.ignore_unknown:
            self.fail("a fragment has at least one parameter")
        self.position += 1
        return parameters

    def _results(self, generic: bool, names: set[str]) -> list[Result]:
        self.expect("(")
        results = []
        while True:
            at = self.position
            name = self._declared_name(names, "result")
            type = self._type(generic)
            if not _all_tensors(type) and not self.ignore_unknown:
                self.fail(f"result '{name}' is not a tensor", at, hint=f"its type is {type}; results are tensors")
            if _has_unbound(type):
                self.fail(f"result '{name}' has the unbound type tensor<>", at, hint="name the item type")
            results.append(Result(name, type))
            if not self.accept(","):
                break
        if self.tokens[self.position] != ")":
            raise self.unexpected("',' or ')'")
        self.position += 1
        return results

    def _declared_name(self, names: set[str], kind: str) -> str:
        name = self.identifier()
        if name in names:
            self.fail(f"{kind} '{name}' has the name of another parameter or result", self.position - 1)
        names.add(name)
        self.expect(":")
        return name

    def _default(self, type: Type, generic: bool) -> Any:
        at = self.position
        value = self.expression()
        if not isinstance(value, LiteralNode):
            self.fail("a default value is a literal", at)
        if not fits(value.value, type):
            self.fail(f"default value of type {type_of_value(value.value)} for a parameter of type {type}", at)
        return value.value

    def _type(self, generic: bool) -> Type:
        at = self.position
        token = self.tokens[at]
        type: Type
        if token == "(":
            self.position += 1
            self.enter()
            items = [self._type(generic)]
            while self.accept(","):
                items.append(self._type(generic))
            self.expect(")")
            self.leave()
            if len(items) < 2:
                self.fail("a tuple type has two items or more", at)
            if len({has_tensor(item) for item in items}) > 1 and not self.ignore_unknown:
                self.fail("a tuple holds either tensors only or no tensors", at)
            type = TupleType(tuple(items))
        elif self.accept("tensor"):
            self.expect("<")
            item = None if self.tokens[self.position] == ">" else self._primitive(generic)
            self.expect(">")
            type = TensorType(item)
        else:
            type = Primitive(self._primitive(generic))
        rank = 0
        while self.accept("["):
            self.expect("]")
            rank += 1
            if rank > MAX_ARRAY_RANK:
                self.fail(f"array type nested deeper than {MAX_ARRAY_RANK} levels")
            type = ArrayType(type)
        return intern(type)

    def _primitive(self, generic: bool) -> str:
        token = self.tokens[self.position]
        if token == "?":
            if not generic:
                self.fail("type '?' outside a generic fragment", hint="declare it as 'fragment name<?>(...)'")
            self._uses_generic = True
        elif token not in PRIMITIVES:
            hint = nearest(token, (*PRIMITIVES, "tensor"))
            self.fail(f"expected a type, found '{token}'" if token else "expected a type", hint=hint)
        self.position += 1
        return token


def _all_tensors(type: Type) -> bool:
    if isinstance(type, ArrayType):
        return _all_tensors(type.item)
    if isinstance(type, TupleType):
        return all(map(_all_tensors, type.items))
    return isinstance(type, TensorType)


def _has_unbound(type: Type) -> bool:
    if isinstance(type, ArrayType):
        return _has_unbound(type.item)
    if isinstance(type, TupleType):
        return any(map(_has_unbound, type.items))
    return isinstance(type, TensorType) and type.item is None
