"""Document to Graph, and decomposition of compound operations (sections 2.6, 2.7 and 2.10 of the digest).

No file is opened and no shape inferred here: shapes are set on the results of external, variable and constant only.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from functools import cached_property
from typing import Any, NoReturn

import numpy as np

from ..errors import ParseError, ShapeError
from ..model.graph import Graph, Operation, Tensor
from ..model.widths import is_double
from .ast import Array, Assignment, Call, Expression, Name, Tuple
from .attributes import check_attributes
from .evaluate import Evaluator, Frame, Wanted
from .gc_pause import paused_collector
from .lexer import Source, nearest
from .names import FreshNames
from .parser import Document, UnreadBody
from .signatures import complete, regroup
from .statements import StatementReader
from .stdlib import standard_fragments
from .typecheck import STATEMENTS_ONLY, Checker, Signature, Signatures, check_fragment
from .types import REQUIRED, ArrayType, Fragment, Primitive, TupleType, Type
from .values import item_of_dtype


def build_graph(
    document: Document,
    *,
    decomposed: Iterable[str] = (),
    fragments: Mapping[str, Fragment] | None = None,
    real: type = np.float32,
) -> Graph:
    """The graph of a document, in the NNEF dialect. ParseError if the document is not valid.

    decomposed: names of compound operations to replace by their definitions, recursively through these names; unknown
    names are ignored. fragments: more operations that the document may use; they replace standard ones of their name.
    real: the class of scalars, float64 if parts of the model are.
    """
    if document.unread is not None:
        try:
            with paused_collector():
                return _GraphBuilder(document, set(decomposed), fragments or {}, real).build()
        except (ParseError, RecursionError):
            document = document.unread.parse()  # tells what is wrong, and where
    source = document.graph.body.source
    try:
        with paused_collector():
            return _GraphBuilder(document, set(decomposed), fragments or {}, real).build()
    except RecursionError:
        message = "expressions and expansions are nested too deeply"
        raise source.error(document.graph.at, message) from None


def decompose(
    graph: Graph,
    names: Iterable[str],
    fragments: Mapping[str, Fragment] | None = None,
    *,
    only: Callable[[Operation], bool] | None = None,
) -> None:
    """Replaces operations of the named types by the definitions of their fragments, in place, recursively.

    Operations without a definition stay. Results keep their tensors; new tensors have no shape yet. fragments: more
    definitions. only: says which operations of the graph are replaced. ParseError, or ShapeError if an operation does
    not match its signature; the graph is then unchanged.
    """
    wanted = set(names)
    signatures = Signatures(standard_fragments(), fragments or {})
    fresh = FreshNames(tensor.name for tensor in graph.tensors if tensor.name)
    evaluator = Evaluator(graph, signatures, standard_fragments(), wanted, fresh)
    before = list(graph.operations)
    tensors = set(graph.tensors)
    expansions: dict[Operation, list[Operation]] = {}
    try:
        for operation in before:
            signature = signatures.find(operation.type or "") if operation.type in wanted else None
            if signature is None or signature.fragment.body is None or (only is not None and not only(operation)):
                continue
            count = len(graph.operations)
            _expand(evaluator, signature, operation)
            expansions[operation] = list(graph.operations)[count:]
    except (ParseError, ShapeError, RecursionError) as error:
        _undo(graph, before, tensors)
        if isinstance(error, RecursionError):
            raise ShapeError("the definitions are nested too deeply") from None
        raise
    if expansions:
        literals = [t for operation in expansions for t in operation.inputs if not t.name]
        graph.remove_operations(expansions, unlink=True)
        order = [new for old in before for new in expansions.get(old, (old,))]
        graph.reorder(order)
        graph.remove_tensors(dict.fromkeys(t for t in literals if not t.has_consumer and not t.has_producer))


def _undo(graph: Graph, before: list[Operation], tensors: set[Tensor]) -> None:
    kept = set(before)
    graph.remove_operations([operation for operation in graph.operations if operation not in kept], unlink=True)
    graph.remove_tensors([tensor for tensor in graph.tensors if tensor not in tensors])


def _expand(evaluator: Evaluator, signature: Signature, operation: Operation) -> None:
    """Adds the definition of one operation of a graph; its outputs get a second producer until it is removed."""
    fragment = signature.fragment
    evaluator.real = np.float64 if is_double(operation) else np.float32
    arguments = regroup([p.type for p in fragment.tensors], list(operation.inputs), fragment.name)
    for parameter in fragment.tensors[len(arguments) :]:
        if parameter.default is REQUIRED:
            raise ShapeError(f"argument '{parameter.name}' is missing", where=f"operation '{fragment.name}'")
        arguments.append(parameter.default)
    attribs = complete(fragment, operation.attribs)
    for name, parameter in fragment.attributes.items():
        if name not in attribs:
            raise ShapeError(f"attribute '{name}' is missing", where=f"operation '{fragment.name}'")
        arguments.append(as_attribute(attribs[name], parameter.type))
    goals = regroup([result.type for result in fragment.results], list(operation.outputs), fragment.name)
    goal: Wanted = goals[0] if len(goals) == 1 else tuple(goals)
    item = None
    if fragment.generic:
        example = operation.inputs[0].dtype if operation.inputs else operation.outputs[0].dtype
        item = item_of_dtype(operation.attribs.get("dtype", example))
    source = Source("", f"operation '{fragment.name}'")
    evaluator.expand(signature, arguments, item, goal, Frame(source, {}), 0)


def as_attribute(value: Any, type_: Type) -> Any:
    """The plain Python value of an attribute that may be a numpy value, or an int where a scalar is declared."""
    if isinstance(value, (np.ndarray, np.generic)):
        value = value.tolist()
    if isinstance(type_, ArrayType):
        return [as_attribute(item, type_.item) for item in value]
    if isinstance(type_, TupleType):
        return tuple(as_attribute(item, part) for item, part in zip(value, type_.items, strict=True))
    is_scalar = isinstance(type_, Primitive) and type_.name == "scalar"
    return float(value) if is_scalar and type(value) is int else value


class _GraphBuilder:
    def __init__(
        self, document: Document, decomposed: Collection[str], fragments: Mapping[str, Fragment], real: type
    ) -> None:
        self.document = document
        self.declaration = document.graph
        self.body = document.graph.body
        self.source = self.body.source
        self.standard = standard_fragments()
        self.signatures = Signatures(self.standard, fragments)
        self.graph = Graph(document.graph.name)
        self.evaluator = Evaluator(self.graph, self.signatures, self.standard, decomposed, self._fresh, real)
        self.checker = Checker(self.source, self.signatures, {})
        self.frame = Frame(self.source, {})
        self.inputs = {node.name: node for node in self.declaration.inputs}
        self.variables: set[str] = set()
        self.updated: set[str] = set()
        self.labels: dict[str, tuple[list[int], str]] = {}

    def fail(self, message: str, at: int, hint: str | None = None) -> NoReturn:
        raise self.source.error(at, message, hint=hint)

    def build(self) -> Graph:
        self._declare_fragments()
        for assignment in self.body.assignments:
            self._statement(assignment)
        if self.document.unread is not None:
            self._read_statements(self.document.unread)
        self._bind_interface()
        return self.graph

    @cached_property
    def _names(self) -> FreshNames:
        unread = self.document.unread
        return FreshNames(self.source.distinct if unread is None else unread.tokens())

    def _fresh(self, stem: str) -> str:
        return self._names(stem)

    def _read_statements(self, unread: UnreadBody) -> None:
        def evaluate(source: Source, assignment: Assignment) -> None:
            self.source = self.checker.source = self.frame.source = source
            self._statement(assignment)

        types, values = self.checker.types, self.frame.values
        unlike = [name for name in STATEMENTS_ONLY if name != "variable"]
        reader = StatementReader(self.graph, types, values, self.inputs, unlike, self._repeat_variable, evaluate)
        reader.read(unread.text, unread.start, unread.filename, operators=unread.operators)
        self.source = self.body.source

    def _statement(self, assignment: Assignment) -> None:
        value = self.checker.statement = assignment.value
        type_ = self.checker.infer(value, tail=True)
        self.checker.assign(assignment.target, type_, assignment.at, {})
        if type(value) is Call and value.name in STATEMENTS_ONLY:
            self._check_statement(assignment.target, value)
            self.evaluator.assign(assignment, self.frame)
            if value.name == "variable":
                self._check_label(assignment.target, value)
        else:
            self.evaluator.assign(assignment, self.frame)
            self._reject_inputs(assignment.target)

    def _declare_fragments(self) -> None:
        for fragment in self.document.fragments.values():
            if fragment.name in self.standard:
                tokens = self.source.tokens
                at = next(k for k, t in enumerate(tokens) if t == "fragment" and tokens[k + 1] == fragment.name)
                hint = "give it a name of its own"
                self.fail(f"fragment '{fragment.name}' has the name of a standard operation", at + 1, hint)
            self.signatures.add(fragment)
            if fragment.body is not None:
                check_fragment(fragment, self.signatures)

    # Statements that only the body of the graph may have

    def _check_statement(self, target: Expression, call: Call) -> None:
        """Checks external, variable and update."""
        if call.name == "external":
            if not isinstance(target, Name) or target.name not in self.inputs:
                name = target.name if isinstance(target, Name) else "?"
                hint = nearest(name, self.inputs) or f"write it into the parentheses after 'graph {self.graph.name}'"
                self.fail(f"'{name}' comes from external but is no input of the graph", target.at, hint)
            return
        if call.name == "variable":
            if isinstance(target, Name):
                self.variables.add(target.name)
        else:
            assert call.bound is not None
            variable = call.bound[0]
            if not isinstance(variable, Name) or variable.name not in self.variables:
                self.fail("the first argument of 'update' must be the result of 'variable'", variable.at)
            if variable.name in self.updated:
                self.fail(f"variable '{variable.name}' is updated twice", variable.at)
            self.updated.add(variable.name)
        self._reject_inputs(target)

    def _reject_inputs(self, target: Expression) -> None:
        if isinstance(target, Name):
            if target.name in self.inputs:
                self.fail(f"input '{target.name}' of the graph must come from external", target.at)
            return
        assert isinstance(target, (Array, Tuple))
        for item in target.items:
            self._reject_inputs(item)

    def _check_label(self, target: Expression, call: Call) -> None:
        """Equal labels, which compare case-insensitively, share one storage."""
        assert isinstance(target, Name)
        attributes = self.frame.values[target.name].producer.attribs
        shape, label = attributes["shape"], attributes["label"]
        other = self.labels.setdefault(label.lower(), (shape, target.name))
        if other[0] != shape:
            message = f"label '{label}' has shape {shape} here and {other[0]} for '{other[1]}'"
            self.fail(message, call.at, "labels are the same if they differ in upper and lower case only")

    def _repeat_variable(self, name: str, attributes: dict[str, Any]) -> bool:
        """Notes a variable that is like an earlier one but for its label; False if that is wrong."""
        shape, label = attributes["shape"], attributes["label"]
        if check_attributes("variable", attributes) or self.labels.setdefault(label.lower(), (shape, name))[0] != shape:
            return False
        self.variables.add(name)
        return True

    def _bind_interface(self) -> None:
        values = self.frame.values
        for node in self.declaration.inputs:
            if node.name not in values:
                hint = f"assign it: {node.name} = external(shape = [...]);"
                self.fail(f"input '{node.name}' of the graph is not assigned", node.at, hint)
        for node in self.declaration.outputs:
            if node.name not in values:
                message = f"output '{node.name}' of the graph is not assigned"
                self.fail(message, node.at, nearest(node.name, values))
        self.graph.inputs = [values[node.name] for node in self.declaration.inputs]
        self.graph.outputs = [values[node.name] for node in self.declaration.outputs]
