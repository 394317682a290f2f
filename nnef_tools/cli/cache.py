"""The command `nnef-tools cache`: shows, limits and clears the cache of compiled models."""

from __future__ import annotations

import argparse
import re
from typing import Any

from ..errors import UsageError
from ..execution.onnxruntime.cache_folder import DEFAULT_LIMIT, VARIABLE, CachedFile, CacheFolder
from ..report import format_size
from .options import Parser, add_common_options, guarded, shortened
from .render import print_json, print_result

_SIZE = re.compile(r"(?P<number>\d{1,15}(?:\.\d{1,9})?)\s*(?P<unit>[kmgt]?)(?P<binary>i?)(?:b|bytes)?", re.IGNORECASE)
_POWERS = ("", "k", "m", "g", "t")


def build_parser(prog: str = "nnef-tools cache") -> Parser:
    """The parser of the subcommand."""
    parser = Parser(
        prog,
        "",
        "Show the cache of compiled models, which makes NNEF models load faster in onnxruntime. Entries are made when\n"
        "models are run, and those that were not used for longest are removed when there is no room for others.\n"
        f"The environment variable {VARIABLE} names the folder that the cache is in, or is 'off'.",
    )
    parser.add_argument("--clear", action="store_true", help="remove all entries")
    parser.add_argument(
        "--limit",
        type=_size,
        metavar="SIZE",
        help=f"keep the cache below this size from now on: 200MB, 1.5GB, 0 for no entries ({DEFAULT_LIMIT // 10**6}MB)",
    )
    add_common_options(parser)
    return parser


def main(args: argparse.Namespace) -> int:
    """Runs the command and returns the exit status; options that `args` lacks have their defaults."""
    return guarded(_run, build_parser().complete(args))


def _run(args: argparse.Namespace) -> int:
    folder = CacheFolder.of_user()
    if folder is None:
        if args.clear or args.limit is not None:
            raise UsageError("the cache of compiled models is off", hint=f"unset {VARIABLE}, or let it name a folder")
        _show(args, {"folder": None, "entries": 0, "size": 0, "limit": 0, "removed": 0})
        return 0
    folder.check()
    before = folder.entries()
    if args.clear:
        folder.clear()
    if args.limit is not None:
        folder.limit = args.limit
    after = folder.entries()
    facts = {"folder": str(folder.path), "entries": len(after), "size": _total(after), "limit": folder.limit}
    gone = [entry for entry in before if entry not in after]
    _show(args, {**facts, "removed": len(gone)})
    if (args.clear or args.limit is not None) and not args.json:
        print_result(f"removed: {len(gone)} ({format_size(_total(gone))})")
    return 0


def _show(args: argparse.Namespace, facts: dict[str, Any]) -> None:
    if args.json:
        print_json({"schema": "nnef-tools.cache/1", "status": "ok", **facts})
        return
    print_result(f"folder: {facts['folder'] or 'none, the cache is off'}")
    if facts["folder"] is not None:
        print_result(f"entries: {facts['entries']}")
        print_result(f"size: {format_size(facts['size'])}")
        print_result(f"limit: {format_size(facts['limit'])}")


def _total(entries: list[CachedFile]) -> int:
    return sum(entry.size for entry in entries)


def _size(text: str) -> int:
    """Reads a number of bytes: 1000, 200MB, 1.5 GiB. ArgumentTypeError."""
    found = _SIZE.fullmatch(text.strip())
    if found is None or (found["binary"] and not found["unit"]):
        raise argparse.ArgumentTypeError(f"'{shortened(text)}' is not a size such as 200MB")
    base = 1024 if found["binary"] else 1000
    return int(float(found["number"]) * base ** _POWERS.index(found["unit"].lower()))
