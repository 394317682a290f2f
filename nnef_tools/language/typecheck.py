"""Static checks of bodies: names, types, calls, generics, left and right sides (S4 to S6 of the digest's section 2.11).

The checker walks a body once, before anything is evaluated, and notes in the syntax tree what the evaluation needs:
the arguments of a call in parameter order, what a generic call stands for, and which operators are operations.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

from .ast import (
    Array,
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
from .lexer import Source, nearest
from .signatures import Overlay
from .types import REQUIRED, ArrayType, Fragment, Parameter, Primitive, TensorType, TupleType, Type, has_tensor
from .values import (
    EMPTY,
    INTEGER,
    INTEGERS,
    LOGICAL,
    SCALAR,
    STRING,
    TENSORS,
    bind,
    castable,
    common_type,
    deduce,
    intern,
    type_of_value,
)

STATEMENTS_ONLY = frozenset(("external", "variable", "update"))  # not inside fragments, not inside expressions
_CASTS = {"integer": INTEGER, "scalar": SCALAR, "logical": LOGICAL, "string": STRING}
_ARITHMETIC = ("+", "-", "*", "/", "^")
_ORDER = ("<", "<=", ">", ">=")


def _default(parameter: Parameter) -> Literal | None:
    if parameter.default is REQUIRED:
        return None
    return Literal(parameter.default, 0, type_of_value(parameter.default))


class Signature:
    """A fragment with what calls of it need at hand.

    plans: for the names of a call's arguments (None for a positional one) the parameters that these are.
    """

    def __init__(self, fragment: Fragment) -> None:
        self.fragment = fragment
        self.name = fragment.name
        self.index = {parameter.name: k for k, parameter in enumerate(fragment.parameters)}
        self.tensor_count = len(fragment.tensors)
        self.attribute_names = tuple(fragment.attributes)
        self.takes_arrays = any(not isinstance(parameter.type, TensorType) for parameter in fragment.tensors)
        self.types = [parameter.type for parameter in fragment.parameters]
        self.defaults = [_default(parameter) for parameter in fragment.parameters]
        results = [result.type for result in fragment.results]
        self.result_type = results[0] if len(results) == 1 else intern(TupleType(tuple(results)))
        self.gives_singles = all(isinstance(result, TensorType) for result in results)
        self.instances: dict[str | None, tuple[list[Type], Type]] = {None: (self.types, self.result_type)}
        self.plans: dict[tuple[str | None, ...], list[int]] = {}

    def instance(self, item: str | None) -> tuple[list[Type], Type]:
        """The types of the parameters and of the result where `?` stands for `item`."""
        known = self.instances.get(item)
        if known is None:
            assert item is not None
            known = [bind(type_, item) for type_ in self.types], bind(self.result_type, item)
            self.instances[item] = known
        return known


class Signatures:
    """The operations that can be called, by name."""

    def __init__(self, *fragments: Mapping[str, Fragment]) -> None:
        """fragments: by name; the last one with a name counts."""
        self._added: dict[str, Fragment] = {}
        self._fragments = Overlay(*fragments, self._added)
        self._signatures: dict[str, Signature] = {}  # filled when an operation is looked up

    def add(self, fragment: Fragment) -> None:
        self._added[fragment.name] = fragment
        self._signatures.pop(fragment.name, None)

    def find(self, name: str) -> Signature | None:
        signature = self._signatures.get(name)
        if signature is None and name in self._fragments:
            signature = self._signatures[name] = Signature(self._fragments[name])
        return signature

    def names(self) -> Iterable[str]:
        return self._fragments

    def checked_body(self, signature: Signature) -> Body:
        """The body of a compound operation, checked."""
        body = signature.fragment.body
        assert isinstance(body, Body), f"'{signature.name}' is a primitive"
        if not body.checked:
            check_fragment(signature.fragment, self)
        return body


def check_fragment(fragment: Fragment, signatures: Signatures) -> None:
    """Checks the body of a compound fragment. ParseError if it is wrong."""
    body: Body = fragment.body
    types = {parameter.name: parameter.type for parameter in fragment.parameters}
    results = {result.name: result.type for result in fragment.results}
    checker = Checker(body.source, signatures, types, fragment=fragment)
    for assignment in body.assignments:
        type_ = checker.infer(assignment.value, tail=True)
        checker.assign(assignment.target, type_, assignment.at, results)
    for name in results:
        if name not in types:
            checker.fail(f"result '{name}' of fragment '{fragment.name}' is not assigned", body.at)
    body.checked = True


class Checker:
    """Types of the names in scope and of the expressions over them.

    fragment: the one whose body is checked, None for the graph. statement: the call that is the whole right side of an
    assignment of the graph, where external, variable and update may stand.
    """

    def __init__(
        self, source: Source, signatures: Signatures, types: dict[str, Type], *, fragment: Fragment | None = None
    ) -> None:
        self.source = source
        self.signatures = signatures
        self.types = types
        self.fragment = fragment
        self.statement: Expression | None = None

    def fail(self, message: str, at: int, hint: str | None = None) -> NoReturn:
        raise self.source.error(at, message, hint=hint)

    # Left sides

    def assign(self, target: Expression, type_: Type, at: int, declared: Mapping[str, Type]) -> None:
        """Gives the names of a left side their types. declared: types that certain names must have."""
        if isinstance(target, Name):
            if type(type_) is TensorType and not declared and target.name not in self.types:
                self.types[target.name] = type_
            else:
                self._assign_name(target, type_, declared)
        elif isinstance(target, Array):
            if not isinstance(type_, ArrayType):
                hint = "several results are written 'a, b = ...'" if isinstance(type_, TupleType) else None
                self.fail(f"an array on the left side cannot take {_describe(type_)}", target.at, hint)
            for item in target.items:
                self.assign(item, type_.item, at, declared)
        else:
            assert isinstance(target, Tuple)
            if not isinstance(type_, TupleType):
                hint = "an array is written '[a, b] = ...'" if isinstance(type_, ArrayType) else None
                self.fail(f"a tuple on the left side cannot take {_describe(type_)}", target.at, hint)
            if len(type_.items) != len(target.items):
                message = f"{len(target.items)} names on the left side for {len(type_.items)} results"
                self.fail(message, target.at)
            for item, item_type in zip(target.items, type_.items, strict=True):
                self.assign(item, item_type, at, declared)

    def _assign_name(self, target: Name, type_: Type, declared: Mapping[str, Type]) -> None:
        name = target.name
        if name in self.types:
            is_parameter = self.fragment is not None and any(p.name == name for p in self.fragment.parameters)
            what = "is a parameter and cannot be assigned" if is_parameter else "is assigned twice"
            self.fail(f"'{name}' {what}", target.at)
        wanted = declared.get(name)
        if wanted is not None and not castable(type_, wanted):
            self.fail(f"result '{name}' of type {wanted} cannot take {_describe(type_)}", target.at)
        if isinstance(type_, TensorType):
            self.types[name] = wanted if wanted is not None else type_
            return
        if type_ == EMPTY or (self.fragment is None and not isinstance(type_, Primitive)):
            message = f"'{target.name}' must be a single tensor, not {_describe(type_)}"
            self.fail(message, target.at, "list the items on the left side: '[a, b] = ...' or 'a, b = ...'")
        if self.fragment is None and isinstance(type_, Primitive):
            type_ = TENSORS[type_.name]  # the literal is copied to a tensor
        self.types[name] = wanted if wanted is not None else type_

    # Expressions

    def infer(self, node: Expression, *, tail: bool = False) -> Type:
        """The type. tail: the value is assigned as it is, so it may be an operation with several results."""
        if isinstance(node, Call):
            return self.call(node, tail)
        if isinstance(node, Name):
            type_ = self.types.get(node.name)
            if type_ is None:
                self.fail(f"'{node.name}' is not defined", node.at, self._name_hint(node.name))
            return type_
        if isinstance(node, Literal):
            if node.type is None:
                self.fail("the items of the array have different types", node.at, _mixed_hint(node.value))
            return node.type
        if isinstance(node, Chain):
            return self._chain(node)
        if isinstance(node, Unary):
            return self._unary(node)
        if isinstance(node, Postfix):
            return self._postfix(node)
        if isinstance(node, Conditional):
            return self._conditional(node, tail)
        if isinstance(node, Builtin):
            return self._builtin(node)
        if isinstance(node, Comprehension):
            return self._comprehension(node)
        if isinstance(node, Tuple):
            return self._tuple(node)
        return self._array(node)

    def _name_hint(self, name: str) -> str | None:
        if self.signatures.find(name) is not None:
            return f"'{name}' is an operation; write {name}(...)"
        return nearest(name, self.types)

    def _array(self, node: Array) -> Type:
        item: Type = EMPTY
        for part in node.items:
            part_type = self.infer(part)
            common = common_type(item, part_type)
            if common is None:
                self.fail(f"the array holds {_describe(item)}, this is {_describe(part_type)}", part.at)
            item = common
        return intern(ArrayType(item))

    def _tuple(self, node: Tuple) -> Type:
        items = tuple(self.infer(item) for item in node.items)
        if len({has_tensor(item) for item in items}) > 1:
            if not all(isinstance(item, (TensorType, Primitive)) for item in items):
                self.fail("a tuple holds either tensors only or no tensors", node.at)
            items = tuple(TENSORS[item.name] if isinstance(item, Primitive) else item for item in items)
        return intern(TupleType(items))

    def call(self, node: Call, tail: bool) -> Type:
        """Checks a call, notes its arguments and what it stands for if generic; the type of its result."""
        signature = self.signatures.find(node.name)
        if signature is None:
            hint = nearest(node.name, self.signatures.names()) or "declare custom operations with 'fragment'"
            self.fail(f"operation '{node.name}' is not defined", node.at, hint)
        if node.name in STATEMENTS_ONLY and node is not self.statement:
            where = "inside a fragment" if self.fragment is not None else "inside an expression"
            self.fail(f"'{node.name}' cannot be used {where}", node.at, "assign it in the body of the graph")
        names = tuple([argument[0] for argument in node.arguments])
        plan = signature.plans.get(names)
        if plan is None:
            plan = signature.plans[names] = self._plan(node, signature)
        arguments: list[Any] = signature.defaults[:]
        for k, argument in zip(plan, node.arguments, strict=True):
            arguments[k] = argument[1]
        bound: list[Expression] = arguments
        known = self.types
        types = [
            (value.type if type(value) is Literal else known.get(value.name) if type(value) is Name else None)
            or self.infer(value)
            for value in bound
        ]
        generic = signature.fragment.generic or node.type_argument is not None
        item = self._resolve(node, signature, types, plan) if generic else None
        declared, result = signature.instance(item)
        if types != declared:
            for k, actual in enumerate(types):
                if actual is not declared[k] and not castable(actual, declared[k]):
                    self._bad_argument(node, signature, k, declared[k], actual)
        node.bound, node.item = bound, item
        if not tail and not isinstance(result, TensorType):
            hint = "assign its results to names first"
            self.fail(
                f"'{node.name}' has more than one result, so it cannot be used inside an expression", node.at, hint
            )
        return result

    def _plan(self, node: Call, signature: Signature) -> list[int]:
        """The parameters that the arguments stand for; they must be complete and legal."""
        plan: list[int] = []
        named = False
        for name, _, at in node.arguments:
            if name is None:
                k = len(plan)
                if named:
                    self.fail("a positional argument cannot follow a named one", at)
                if k >= signature.tensor_count:
                    self._excess_argument(signature, k, at)
            else:
                named = True
                if name not in signature.index:
                    hint = nearest(name, signature.index) or f"it has {', '.join(signature.index) or 'none'}"
                    self.fail(f"'{node.name}' has no parameter '{name}'", at, hint)
                k = signature.index[name]
            if k in plan:
                self.fail(f"argument '{name}' of '{node.name}' is given twice", at)
            plan.append(k)
        for k, parameter in enumerate(signature.fragment.parameters):
            if parameter.default is REQUIRED and k not in plan:
                hint = f"its type is {parameter.type}"
                self.fail(f"argument '{parameter.name}' of '{node.name}' is missing", node.at, hint)
        return plan

    def _excess_argument(self, signature: Signature, k: int, at: int) -> NoReturn:
        parameters = signature.fragment.parameters
        if k < len(parameters):
            name = parameters[k].name
            self.fail(f"attribute '{name}' of '{signature.name}' must be named", at, f"write '{name} = ...'")
        self.fail(f"'{signature.name}' takes no more than {signature.tensor_count} positional arguments", at)

    def _resolve(self, node: Call, signature: Signature, types: list[Type], given: list[int]) -> str | None:
        """What `?` stands for: explicit, else the default, else deduced from the arguments that are given."""
        explicit = node.type_argument
        if not signature.fragment.generic:
            self.fail(f"'{node.name}' is not generic, so it takes no type argument", node.at)
        if explicit is not None:
            if explicit == "?" and not (self.fragment is not None and self.fragment.generic):
                self.fail("type argument '?' outside a generic fragment", node.at, "name the type")
            return explicit
        if signature.fragment.default_type is not None:
            return signature.fragment.default_type
        found: set[str] = set()
        for k in given:
            deduce(signature.types[k], types[k], found)
        if len(found) != 1:
            reason = f"is ambiguous: {' or '.join(sorted(found))}" if found else "does not follow from its arguments"
            hint = f"write {node.name}<scalar>(...) or another type"
            self.fail(f"the type of '{node.name}' {reason}", node.at, hint)
        return found.pop()

    def _bad_argument(self, node: Call, signature: Signature, k: int, declared: Type, actual: Type) -> NoReturn:
        name = signature.fragment.parameters[k].name
        at = node.at
        value: Expression | None = None
        for position, argument in enumerate(node.arguments):
            if argument[0] == name or (argument[0] is None and position == k):
                _, value, at = argument
                at += 0 if argument[0] is None else 2
        message = f"argument '{name}' of '{node.name}' has type {declared}, it cannot be {_describe(actual)}"
        self.fail(message, at, _cast_hint(value, declared, actual))

    # Operators

    def _unary(self, node: Unary) -> Type:
        type_ = self.infer(node.operand)
        node.node = isinstance(type_, TensorType)
        is_not = node.operator == "!"
        if type_ not in ((LOGICAL, TENSORS["logical"]) if is_not else (SCALAR, TENSORS["scalar"], INTEGER)):
            self.fail(f"unary '{node.operator}' cannot be applied to {_describe(type_)}", node.at)
        return type_

    def _chain(self, node: Chain) -> Type:
        left = self.infer(node.first)
        node.nodes = []
        for operator, operand, at in node.rest:
            right = self.infer(operand)
            result = self._binary(operator, left, right)
            if result is None:
                hint = None
                if {left, right} in ({INTEGER, SCALAR}, {INTEGER, TENSORS["scalar"]}):
                    hint = "integers are not cast to scalars; write 1.0 for 1, or scalar(...)"
                message = f"operator '{operator}' cannot be applied to {_describe(left)} and {_describe(right)}"
                self.fail(message, at, hint)
            node.nodes.append(isinstance(result, TensorType))
            left = result
        return left

    def _binary(self, operator: str, left: Type, right: Type) -> Type | None:
        """The type of the result; None if the operator does not take these operands."""
        if isinstance(left, TensorType) or isinstance(right, TensorType):
            item = "logical" if operator in ("&&", "||") else "scalar"
            if operator == "in" or not (castable(left, TENSORS[item]) and castable(right, TENSORS[item])):
                return None
            return TENSORS["scalar" if operator in _ARITHMETIC else "logical"]
        if operator == "in":
            matches = isinstance(right, ArrayType) and not has_tensor(right) and common_type(left, right.item)
            return LOGICAL if matches else None
        if operator in ("&&", "||"):
            return LOGICAL if left == right == LOGICAL else None
        if operator in ("==", "!="):
            comparable = common_type(left, right) is not None and not has_tensor(left) and not has_tensor(right)
            return LOGICAL if comparable else None
        if left == right and left in (INTEGER, SCALAR):
            return LOGICAL if operator in _ORDER else left
        if operator == "+":
            if isinstance(left, ArrayType) and isinstance(right, ArrayType):
                return common_type(left, right)
            return STRING if left == right == STRING else None
        repeats = operator == "*" and right == INTEGER and (isinstance(left, ArrayType) or left == STRING)
        return left if repeats else None

    def _conditional(self, node: Conditional, tail: bool) -> Type:
        condition = self.infer(node.condition)
        if condition != LOGICAL:
            hint = "to choose at run time use select(...)" if isinstance(condition, TensorType) else None
            self.fail(f"the condition is {_describe(condition)}, not logical", node.condition.at, hint)
        value = self.infer(node.value, tail=tail)
        otherwise = self.infer(node.otherwise, tail=tail)
        common = common_type(value, otherwise)
        if common is None:
            self.fail(f"if-else between {_describe(value)} and {_describe(otherwise)}", node.at)
        return common

    def _postfix(self, node: Postfix) -> Type:
        type_ = self.infer(node.base)
        for suffix in node.suffixes:
            for index in (suffix.begin, suffix.end):
                index_type = INTEGER if index is None else self.infer(index)
                if index_type != INTEGER:
                    self.fail(f"an index is an integer, not {_describe(index_type)}", suffix.at)
            if isinstance(type_, TupleType) and not suffix.range:
                index = suffix.begin
                if not isinstance(index, Literal):
                    self.fail("the index of a tuple is an integer literal", suffix.at)
                if not 0 <= index.value < len(type_.items):
                    self.fail(f"index {index.value} of a tuple of {len(type_.items)} items", suffix.at)
                type_ = type_.items[index.value]
            elif isinstance(type_, ArrayType) and type_.item != EMPTY:
                type_ = type_ if suffix.range else type_.item
            elif type_ != STRING and not (isinstance(type_, ArrayType) and suffix.range):
                what = "a range" if suffix.range else "an item"
                hint = "use the operation slice(...)" if isinstance(type_, TensorType) else None
                self.fail(f"{what} of {_describe(type_)} cannot be taken", suffix.at, hint)
        return type_

    def _builtin(self, node: Builtin) -> Type:
        if node.name == "shape_of":
            self.fail("shape_of is deprecated since NNEF 1.0.1 and not supported", node.at)
        type_ = self.infer(node.operand)
        if node.name in _CASTS:
            if not isinstance(type_, Primitive) or type_ == EMPTY or type_.name == "?":
                hint = "use the operation cast<...>(...)" if isinstance(type_, TensorType) else None
                self.fail(f"{node.name}(...) cannot be applied to {_describe(type_)}", node.at, hint)
            return _CASTS[node.name]
        if not isinstance(type_, ArrayType) and type_ != STRING:
            self.fail(f"{node.name}(...) takes an array or a string, not {_describe(type_)}", node.at)
        return INTEGER if node.name == "length_of" else INTEGERS

    def _comprehension(self, node: Comprehension) -> Type:
        outer = len(self.types)
        iterables = [(target, iterable, self.infer(iterable)) for target, iterable in node.iterators]
        for target, iterable, type_ in iterables:
            if not isinstance(type_, ArrayType):
                self.fail(f"a loop runs over an array, not over {_describe(type_)}", iterable.at)
            self._iterator(target, type_.item)
        if node.condition is not None:
            condition = self.infer(node.condition)
            if condition != LOGICAL:
                self.fail(f"the condition is {_describe(condition)}, not logical", node.condition.at)
        item = self.infer(node.value)
        for name in list(self.types)[outer:]:
            del self.types[name]
        return intern(ArrayType(item))

    def _iterator(self, target: Expression, type_: Type) -> None:
        if isinstance(target, Name):
            if target.name in self.types:
                self.fail(f"'{target.name}' is already defined", target.at, "give the loop a name of its own")
            self.types[target.name] = type_
            return
        if not isinstance(target, Tuple):
            self.fail("a loop runs over a name or a tuple of names", target.at)
        if not isinstance(type_, TupleType) or len(type_.items) != len(target.items):
            self.fail(f"{len(target.items)} names for items of type {_describe(type_)}", target.at)
        for item, item_type in zip(target.items, type_.items, strict=True):
            self._iterator(item, item_type)


def _describe(type_: Type) -> str:
    text = str(type_)
    if text == "[]":
        return "an empty array"
    return text or "nothing"


def _mixed_hint(value: object) -> str | None:
    kinds = {type(item) for item in value} if isinstance(value, list) else set()
    return "write 1.0 for 1 among scalars" if kinds == {int, float} else None


def _cast_hint(value: Expression | None, declared: Type, actual: Type) -> str | None:
    wants_scalar = str(declared).rstrip("[]") in ("scalar", "tensor<scalar>")
    if wants_scalar and str(actual).rstrip("[]") == "integer":
        shown = value.value if isinstance(value, Literal) and isinstance(value.value, int) else 1
        return f"write {shown}.0; integers are not cast to scalars"
    if isinstance(declared, Primitive) and declared == INTEGER and actual == SCALAR:
        return "write an integer, without '.' and exponent"
    if isinstance(declared, TensorType) and isinstance(actual, ArrayType):
        return "an array cannot be given to a tensor; use constant(...) or variable(...)"
    if isinstance(declared, TensorType) and isinstance(actual, TensorType):
        return f"convert it with cast<{declared.item}>(...)"
    if isinstance(actual, TensorType) and not has_tensor(declared):
        return "attributes are known when the graph is read; a tensor is not"
    return None
