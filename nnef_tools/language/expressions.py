"""Recursive descent over the tokens: values, calls and operator expressions (sections 2.2 and 2.3 of the digest).

Precedence, low to high: if-else; `in`; `&& ||`; comparisons; `+ -`; `* /`; unary; `^`. Equal levels group left.
Nesting is bounded, everything that can be long (sums, arrays, arguments, subscripts) is a loop.
"""

from __future__ import annotations

import math
from typing import NoReturn

from ..errors import ParseError
from .ast import (
    Array,
    Assignment,
    Builtin,
    Call,
    Chain,
    Comprehension,
    Conditional,
    Expression,
    Literal,
    Name,
    Postfix,
    Suffix,
    Tuple,
    Unary,
)
from .lexer import RESERVED, Source, is_identifier, unquote
from .values import INTEGER, LOGICAL, SCALAR, STRING, type_of_value

MAX_DEPTH = 100
INTEGER_MAX = 2**63 - 1
FRAGMENTS_EXTENSION = "KHR_enable_fragment_definitions"
OPERATORS_EXTENSION = "KHR_enable_operator_expressions"

_LEVELS = {
    "in": 0,
    "&&": 1,
    "||": 1,
    "<": 2,
    "<=": 2,
    ">": 2,
    ">=": 2,
    "==": 2,
    "!=": 2,
    "+": 3,
    "-": 3,
    "*": 4,
    "/": 4,
}
_LOGIC_LEVEL = 1
_TYPE_ARGUMENTS = frozenset(("integer", "scalar", "logical", "string", "?"))
_BUILTINS = frozenset(("length_of", "range_of", "shape_of", "integer", "scalar", "logical", "string"))
_AFTER_VALUE = frozenset(",)];")
_DIGITS = frozenset("0123456789")
_QUOTES = frozenset("'\"")
_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_")
_MEMO_TOKENS = 100


class ExpressionParser:
    """Holds a position in the tokens of a source. operators: operator expressions are enabled."""

    def __init__(self, source: Source, *, operators: bool = True) -> None:
        self.source = source
        self.tokens = source.tokens
        self.position = 0
        self.operators = operators
        self._depth = 0
        # Literals by their tokens: equal ones are common, and need to be read once only. Those that are arguments
        # are even the same node, so the position of an argument is kept beside it.
        self._literals = {"true": Literal(True, 0, LOGICAL), "false": Literal(False, 0, LOGICAL)}
        self._arrays: dict[tuple[str, ...], tuple[Literal, int]] = {}

    # Tokens

    def fail(self, message: str, at: int | None = None, hint: str | None = None) -> NoReturn:
        raise self.source.error(self.position if at is None else at, message, hint=hint)

    def unexpected(self, wanted: str) -> ParseError:
        token = self.tokens[self.position]
        found = f"'{token}'" if token else "the end of the text"
        hint = None
        if token in RESERVED and wanted == "a name":
            hint = f"'{token}' is a reserved word"
        return self.source.error(self.position, f"expected {wanted}, found {found}", hint=hint)

    def expect(self, token: str) -> None:
        if self.tokens[self.position] != token:
            raise self.unexpected(f"'{token}'")
        self.position += 1

    def accept(self, token: str) -> bool:
        if self.tokens[self.position] != token:
            return False
        self.position += 1
        return True

    def identifier(self) -> str:
        token = self.tokens[self.position]
        if token[:1] not in _LETTERS or token in RESERVED:
            raise self.unexpected("a name")
        self.position += 1
        return token

    def enter(self) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            self.fail(f"nested deeper than {MAX_DEPTH} levels", hint="assign the inner part to a name of its own")

    def leave(self) -> None:
        self._depth -= 1

    def needs_operators(self, at: int, what: str) -> None:
        """Error unless operator expressions are enabled."""
        if not self.operators:
            self.fail(f"{what} is not enabled", at, hint=f"add 'extension {OPERATORS_EXTENSION};' after the version")

    # Statements

    def only_assignment(self, source: Source) -> Assignment:
        """The assignment that a source consists of."""
        source.check()
        self.source, self.tokens, self.position = source, source.tokens, 0
        assignment = self.assignment()
        if self.tokens[self.position]:
            raise self.unexpected("the end of the text")
        return assignment

    def assignment(self) -> Assignment:
        at = self.position
        target = self.target()
        if self.tokens[self.position] != "=":
            raise self.unexpected("'='")
        start = self.position = self.position + 1
        value = self._plain_call(start) or self.expression()
        if not self.operators and not isinstance(value, Call):
            hint = "write copy(...)" if isinstance(value, (Literal, Name)) else None
            self.fail("the right side of an assignment must be an operation", start, hint)
        if self.tokens[self.position] != ";":
            raise self.unexpected("';'")
        self.position += 1
        return Assignment(target, value, at)

    def _plain_call(self, at: int) -> Call | None:
        """The call that is the whole right side, as it nearly always is, or None without moving."""
        name = self.tokens[at]
        if name[:1] not in _LETTERS or name in RESERVED:
            return None
        if self.tokens[at + 1] == "(":
            call = self._call(name, None, at)
        elif self.tokens[at + 1] == "<" and self._type_argument_follows(at):
            self.position += 3
            call = self._call(name, self.tokens[at + 2], at)
        else:
            return None
        if self.tokens[self.position] == ";":
            return call
        self.position = at
        return None

    def target(self) -> Expression:
        """The left side: a name, or nested arrays and tuples of names."""
        at = self.position
        token = self.tokens[at]
        if token and self.tokens[at + 1] == "=" and token[0] in _LETTERS and token not in RESERVED:
            self.position += 1
            return Name(token, at)
        first = self._pattern()
        if self.tokens[self.position] != ",":
            return first
        items = [first]
        while self.accept(","):
            items.append(self._pattern())
        return Tuple(items, at)

    def _pattern(self) -> Expression:
        at = self.position
        token = self.tokens[at]
        if token not in ("[", "("):
            if not is_identifier(token):
                raise self.unexpected("a name, '[' or '(' on the left side")
            self.position += 1
            return Name(token, at)
        self.enter()
        self.position += 1
        close = "]" if token == "[" else ")"
        items: list[Expression] = []
        if token == "(" or self.tokens[self.position] != "]":
            items.append(self._pattern())
            while self.accept(","):
                items.append(self._pattern())
        if self.tokens[self.position] != close:
            raise self.unexpected(f"',' or '{close}'")
        self.position += 1
        self.leave()
        if token == "[":
            return Array(items, at)
        if len(items) < 2:
            self.fail("a tuple has two items or more", at, hint="leave out the parentheses")
        return Tuple(items, at)

    # Expressions

    def expression(self) -> Expression:
        """Any expression."""
        at = self.position
        token = self.tokens[at]
        if token == "[":
            known = self._known_array(at)
            if known is not None and self.tokens[self.position] in _AFTER_VALUE:
                return known
            self.position = at
        elif token and self.tokens[at + 1] in _AFTER_VALUE:
            simple = self._simple(at)
            if simple is not None:
                return simple
        value = self._chain(0)
        if self.tokens[self.position] != "if":
            return value
        self.needs_operators(self.position, "if-else")
        at = self.position
        self.position += 1
        self.enter()
        condition = self.expression()
        self.expect("else")
        otherwise = self.expression()
        self.leave()
        return Conditional(condition, value, otherwise, at)

    def _simple(self, at: int) -> Expression | None:
        """A name or literal of one token, or None without moving."""
        token = self.tokens[at]
        known = self._literals.get(token)
        if known is not None:
            self.position = at + 1
            return Literal(known.value, at, known.type)
        first = token[:1]
        if first in _LETTERS and token not in RESERVED:
            self.position = at + 1
            return Name(token, at)
        if first in _DIGITS:
            number = self._number(token, at, negative=False)
            literal = Literal(number, at, INTEGER if type(number) is int else SCALAR)
        elif first in _QUOTES:
            literal = Literal(unquote(token), at, STRING)
        else:
            return None
        self._literals[token] = literal
        self.position = at + 1
        return literal

    def _number(self, token: str, at: int, *, negative: bool) -> int | float:
        if token.isdigit():
            if len(token) > 19 + len(token) - len(token.lstrip("0")) or int(token) > INTEGER_MAX + negative:
                self.fail("integer out of the range of 64 bits", at)
            return -int(token) if negative else int(token)
        number = float(token)
        if math.isinf(number):
            self.fail("number out of the range of double precision", at, hint="there is no literal for infinity")
        return -number if negative else number

    def _chain(self, lowest: int) -> Expression:
        """Operands joined by binary operators of level `lowest` and above, without recursion over the levels."""
        open_chains: list[tuple[int, Chain]] = []
        operand = self._unary()
        while True:
            at = self.position
            operator = self.tokens[at]
            level = _LEVELS.get(operator, -1)
            if level < lowest:
                level = -1
            while open_chains and open_chains[-1][0] > level:
                chain = open_chains.pop()[1]
                _complete(chain, operand)
                operand = chain
            if level < 0:
                return operand
            self.needs_operators(at, f"operator '{operator}'")
            if open_chains and open_chains[-1][0] == level:
                chain = open_chains[-1][1]
                _complete(chain, operand)
            else:
                chain = Chain(operand, [], operand.at)
                open_chains.append((level, chain))
            chain.rest.append((operator, operand, at))  # the operand is replaced when the right one is known
            self.position += 1
            operand = self._unary()

    def _unary(self) -> Expression:
        at = self.position
        token = self.tokens[at]
        if token not in ("-", "+", "!"):
            base = self._postfix()
            return self._power(base) if self.tokens[self.position] == "^" else base
        self.position += 1
        following = self.tokens[self.position]
        if token == "-" and following[:1] in _DIGITS and self.tokens[self.position + 1] not in ("^", "["):
            self.position += 1
            number = self._number(following, at + 1, negative=True)
            return Literal(number, at, INTEGER if type(number) is int else SCALAR)
        self.needs_operators(at, f"unary '{token}'")
        self.enter()
        operand = self._unary()
        self.leave()
        return Unary(token, operand, at)

    def _power(self, base: Expression) -> Expression:
        chain = Chain(base, [], base.at)
        while self.tokens[self.position] == "^":
            at = self.position
            self.needs_operators(at, "operator '^'")
            self.position += 1
            signs = []
            while self.tokens[self.position] in ("-", "+"):
                signs.append((self.tokens[self.position], self.position))
                self.position += 1
            if len(signs) > MAX_DEPTH:
                self.fail("too many signs")
            exponent = self._postfix()
            for sign, sign_at in reversed(signs):
                exponent = Unary(sign, exponent, sign_at)
            chain.rest.append(("^", exponent, at))
        return chain

    def _postfix(self) -> Expression:
        at = self.position
        token = self.tokens[at]
        following = self.tokens[at + 1] if token else ""
        base: Expression | None
        if token == "[":
            base = self._array(at)
        elif token == "(":
            base = self._parenthesis(at)
        elif following == "(" and token in _BUILTINS:
            base = self._builtin(token, at)
        elif following == "(" and is_identifier(token):
            base = self._call(token, None, at)
        elif following == "<" and self._type_argument_follows(at):
            self.position += 3
            base = self._call(token, self.tokens[at + 2], at)
        else:
            base = self._simple(at)
            if base is None:
                raise self.unexpected("a value")
        return self._suffixes(base) if self.tokens[self.position] == "[" else base

    def _type_argument_follows(self, at: int) -> bool:
        following = self.tokens[at + 2 : at + 5]
        return following[1:] == [">", "("] and following[0] in _TYPE_ARGUMENTS and is_identifier(self.tokens[at])

    def _suffixes(self, base: Expression) -> Expression:
        self.needs_operators(self.position, "a subscript")
        suffixes = []
        self.enter()
        while self.tokens[self.position] == "[":
            at = self.position
            self.position += 1
            begin = None if self.tokens[self.position] == ":" else self.expression()
            is_range = self.accept(":")
            end = self.expression() if is_range and self.tokens[self.position] != "]" else None
            self.expect("]")
            suffixes.append(Suffix(begin, end, is_range, at))
        self.leave()
        return Postfix(base, suffixes, base.at)

    def _argument(self) -> Expression:
        """The expression here; the same node for a literal that was read before."""
        at = self.position
        token = self.tokens[at]
        if token == "[":
            literal, length = self._arrays.get(self._array_key(at), (None, 0))
        else:
            literal, length = self._literals.get(token), 1
        if literal is not None and self.tokens[at + length] in _AFTER_VALUE:
            self.position = at + length
            return literal
        if token[:1] in _LETTERS and self.tokens[at + 1] in _AFTER_VALUE and token not in RESERVED:
            self.position = at + 1
            return Name(token, at)
        return self.expression()

    def _known_array(self, at: int) -> Literal | None:
        """The literal at '[' if it was read before."""
        known = self._arrays.get(self._array_key(at))
        if known is None:
            return None
        literal, length = known
        self.position = at + length
        return Literal(literal.value, at, literal.type)

    def _array_key(self, at: int) -> tuple[str, ...]:
        """The tokens to the first ']'; for a nested array, an incomplete literal, which is never found."""
        try:
            return tuple(self.tokens[at : self.tokens.index("]", at, at + _MEMO_TOKENS) + 1])
        except ValueError:
            return ()

    def _array(self, at: int) -> Expression:
        known = self._known_array(at)
        if known is not None:
            return known
        self.position += 1
        if self.tokens[self.position] == "for":
            self.needs_operators(at, "array comprehension")
            return self._comprehension(at)
        items = [] if self.accept("]") else self._items("]")
        if not all(type(item) is Literal for item in items):
            return Array(items, at)
        value = [item.value for item in items if type(item) is Literal]
        literal = Literal(value, at, type_of_value(value))
        key = self._array_key(at)
        if self.position == at + len(key) and literal.type is not None:
            self._arrays[key] = literal, len(key)
        return literal

    def _parenthesis(self, at: int) -> Expression:
        self.position += 1
        items = self._items(")")
        if len(items) == 1:
            self.needs_operators(at, "a parenthesized expression")
            return items[0]
        if all(type(item) is Literal for item in items):
            value = tuple(item.value for item in items if type(item) is Literal)
            return Literal(value, at, type_of_value(value))
        return Tuple(items, at)

    def _items(self, close: str) -> list[Expression]:
        self.enter()
        items = [self.expression()]
        while self.accept(","):
            items.append(self.expression())
        if self.tokens[self.position] != close:
            raise self.unexpected(f"',' or '{close}'")
        self.position += 1
        self.leave()
        return items

    def _comprehension(self, at: int) -> Expression:
        self.expect("for")
        self.enter()
        iterators = []
        while True:
            target = self._pattern()
            self.expect("in")
            iterators.append((target, self._chain(_LOGIC_LEVEL)))
            if not self.accept(","):
                break
        condition = self.expression() if self.accept("if") else None
        self.expect("yield")
        value = self.expression()
        self.expect("]")
        self.leave()
        return Comprehension(iterators, condition, value, at)

    def _builtin(self, name: str, at: int) -> Expression:
        self.needs_operators(at, f"'{name}'")
        self.position += 2
        self.enter()
        operand = self.expression()
        self.expect(")")
        self.leave()
        return Builtin(name, operand, at)

    def _call(self, name: str, type_argument: str | None, at: int) -> Call:
        if self._depth and not self.operators:
            self.needs_operators(at, "a nested operation")
        self.position += 2
        arguments: list[tuple[str | None, Expression, int]] = []
        self.enter()
        tokens = self.tokens
        if tokens[self.position] != ")":
            while True:
                start = self.position
                keyword = None
                if tokens[start] and tokens[start + 1] == "=":
                    keyword = self.identifier()
                    self.position += 1
                arguments.append((keyword, self._argument(), start))
                if tokens[self.position] != ",":
                    break
                self.position += 1
        if tokens[self.position] != ")":
            raise self.unexpected("',' or ')'")
        self.position += 1
        self.leave()
        return Call(name, type_argument, arguments, at)


def _complete(chain: Chain, operand: Expression) -> None:
    """Puts the right operand, now that it is known, to the chain's last operator."""
    operator, _, at = chain.rest[-1]
    chain.rest[-1] = (operator, operand, at)
