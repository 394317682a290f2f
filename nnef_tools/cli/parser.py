"""The argument parser of the subcommands: argparse with further rules.

Errors are UsageErrors. Options may stand anywhere, may be shortened, and take no more words than they can use.
"""

from __future__ import annotations

import argparse
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NoReturn

from ..budget import LIMITS
from ..errors import UsageError

EXIT_CODES = """exit status:
  0  done
  1  the command line is wrong
  2  a model or file cannot be read, written or run
  3  the model has operators that cannot be converted
  4  the written model does not compute what the source model computes, or compared models differ
  5  a plugin module is faulty
  6  a needed package is not installed"""

SHOWN_LENGTH = 60

_NUMBER = re.compile(r"[-+]?\d+")


class Names(argparse.Action):
    """Action that collects the words of an option with several values, also if it is given more than once.

    If words may be left out, which means all, the option means all as soon as they are left out once.
    """

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option: str | None = None
    ) -> None:
        words = [values] if isinstance(values, str) else values
        before = getattr(namespace, self.dest, None)
        is_all = self.nargs == "*" and (not words or before == [])
        setattr(namespace, self.dest, [] if is_all else [*(before or ()), *words])


class Parser(argparse.ArgumentParser):
    """An argument parser that raises UsageError, and lets options stand between and before positional arguments.

    positional: the positional arguments, for the usage line. optional_numbers: options `--name [N]`, with the value for
    a missing N. They take the next word only if that is a number, so that a file name may follow them. items: options
    with several words -> the form of a word; after the first, they take words only as long as these have the form.
    shortened: options that may be written as any unambiguous beginning of their name.
    """

    def __init__(
        self,
        prog: str,
        positional: str,
        description: str,
        optional_numbers: Mapping[str, str] | None = None,
        items: Mapping[str, re.Pattern[str]] | None = None,
        shortened: Iterable[str] = (),
    ) -> None:
        super().__init__(
            prog=prog,
            usage=" ".join(filter(None, ("%(prog)s", positional, "[options]"))),
            description=description,
            epilog=EXIT_CODES,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        self.optional_numbers = dict(optional_numbers or {})
        self.items = dict(items or {})
        self.shortened = frozenset(shortened)

    def error(self, message: str) -> NoReturn:
        """Raises UsageError, where argparse would exit."""
        raise UsageError(message, hint=f"{self.prog} --help")

    def parse(self, argv: Sequence[str]) -> argparse.Namespace:
        """Parses the arguments; `warnings` of the result are about them. UsageError; SystemExit after --help."""
        words = list(self._expanded(argv))
        args, unknown = self.parse_known_intermixed_args(words)
        if unknown:
            import difflib  # many modules, for what is rare

            similar = difflib.get_close_matches(unknown[0].partition("=")[0], self._option_string_actions, n=1)
            hint = f"did you mean '{similar[0]}'?" if similar else f"{self.prog} --help"
            raise UsageError(f"unrecognized arguments: {' '.join(unknown)}", hint=hint)
        args.warnings = self._doubled(words)
        return args

    def complete(self, args: argparse.Namespace) -> argparse.Namespace:
        """Adds the defaults of all options that the caller's namespace lacks."""
        defaults = {a.dest: a.default for a in self._actions if a.default is not argparse.SUPPRESS}
        return argparse.Namespace(**{**defaults, **vars(args)})

    def swallowed(self, args: argparse.Namespace) -> str | None:
        """A hint about the words that options with several values took, for an error about a missing word."""
        lists = [(a.option_strings[0], getattr(args, a.dest)) for a in self._actions if isinstance(a, Names)]
        taken = [f"{option} took {', '.join(map(repr, words))}" for option, words in lists if words]
        return f"{' and '.join(taken)}: an option ends at the next one, or at --" if taken else None

    def _expanded(self, argv: Sequence[str]) -> Iterable[str]:
        """The arguments with option names in full, omitted numbers filled in, and one item for each option."""
        rest = list(argv)
        while rest:
            word = rest.pop(0)
            if word == "--":
                yield from (word, *rest)
                return
            name, equals, value = word.partition("=")
            if not name.startswith("--"):
                yield word
                continue
            option = self._full(name)
            if option in self.items and (equals or rest):
                yield f"{option}={value if equals else rest.pop(0)}"
                while rest and self.items[option].fullmatch(rest[0]):
                    yield f"{option}={rest.pop(0)}"
            elif option in self.optional_numbers and not equals:
                given = bool(rest) and _NUMBER.fullmatch(rest[0]) is not None
                yield f"{option}={rest.pop(0) if given else self.optional_numbers[option]}"
            else:
                yield option + equals + value

    def _full(self, name: str) -> str:
        """The option with that name or beginning of a name, or else the word itself. UsageError if it is ambiguous."""
        if name in self._option_string_actions:
            return name
        meant = sorted(option for option in self.shortened if option.startswith(name))
        if len(meant) > 1:
            raise UsageError(f"'{name}' can mean {', '.join(meant)}", hint=f"{self.prog} --help")
        return meant[0] if meant else name

    def _doubled(self, words: Sequence[str]) -> tuple[str, ...]:
        """Warnings about options with one value that are given more than once."""
        options = [word.partition("=")[0] for word in words]
        ends = options.index("--") if "--" in options else len(options)
        known = {option: self._option_string_actions.get(option) for option in options[:ends]}
        single = [o for o, action in known.items() if action and action.nargs != 0 and not isinstance(action, Names)]
        counts = Counter(options[:ends])
        return tuple(
            f"{option} is given {counts[option]} times: the last one counts" for option in single if counts[option] > 1
        )


def option_name(parameter: str) -> str:
    """The option that sets a parameter: `--keep-io-names` for keep_io_names."""
    return f"--{parameter.replace('_', '-')}"


def integer(text: str) -> int:
    """Reads an integer as the value of an option. ArgumentTypeError."""
    try:
        return int(text)
    except ValueError:  # raised for too many digits, too
        raise argparse.ArgumentTypeError(f"'{shortened(text)}' is not an integer") from None


def shortened(text: str) -> str:
    """The text, or its beginning if it is too long for a message."""
    return text if len(text) <= SHOWN_LENGTH else f"{text[:SHOWN_LENGTH]}.."


def add_common_options(parser: Parser, verbose: str = "print more on standard error") -> None:
    """Adds the options that every subcommand has. verbose: what `--verbose` does there."""
    group = parser.add_argument_group("messages")
    amount = group.add_mutually_exclusive_group()
    amount.add_argument("-v", "--verbose", action="store_true", help=verbose)
    amount.add_argument("-q", "--quiet", action="store_true", help="print only errors")
    group.add_argument("--debug", action="store_true", help="print the traceback of an error")
    group.add_argument("--json", action="store_true", help="print the result for machines on standard output")


def add_limits(parser: Parser) -> None:
    """Adds the option for what models may ask for, which every subcommand has that opens one."""
    group = parser.add_argument_group("work", "a model that asks for more is refused")
    names = ", ".join(LIMITS)
    text = f"change limits, as in items=2e9,steps=10000: {names}"
    group.add_argument("--limit", dest="limits", metavar="NAME=N,..", help=text)
