"""Whatever stands on the command line ends in one message and a documented status. Seeded; more by
`python -m tests.cli.test_odd_values COUNT SEED`."""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import random
import sys
import tempfile
import warnings
from pathlib import Path

import pytest

import nnef_tools
from nnef_tools.cli import convert, execute
from nnef_tools.cli.main import main

GRAPH = """version 1.0;
graph g(x) -> (y)
{
    x = external<scalar>(shape = [2, 3, 2]);
    t = relu(x);
    y = softplus(t);
}
"""

NUMBERS = [
    "-1",
    "0",
    "2",
    "007",
    "-0",
    "1e3",
    "nan",
    "inf",
    "9" * 30,
    "1" * 5000,
    "\u0663",
    "\u00b2",
    "0x10",
    "1_0",
    "",
]
NAMES = [
    "x",
    "y",
    "t",
    "*",
    "",
    " ",
    "\udc80",
    "\ud800",
    "a\0b",
    "a\nb",
    "'",
    '"',
    "../y",
    "/",
    "a/b",
    "\x1b[31m",
    "\u202e",
]
PATHS = [
    *("", ".", "..", "/", "folder", "file", "file/below", "missing", "missing/below", "/dev/null", "-", "/dev/stdout"),
    *(
        "a\0b",
        "\udc80",
        "\ud800.nnef",
        "n\n.onnx",
        "x" * 300,
        "fifo",
        "locked",
        "folder/new.nnef",
        "new.tgz",
        "new.onnx",
    ),
]
LITERALS = [
    "{}",
    "[]",
    "()",
    "[['x']]",
    "{'x': 1}",
    "{'x': (2, 3, 2)}",
    "{'x': 'a'}",
    "{1: 2}",
    "{'x'}",
    "x:2,3,2",
    "x:",
    ":",
]
LITERALS += [
    "x:2,3," + "1" * 5000,
    "{'x': (" + "9" * 40 + ",)}",
    "[" * 300,
    "1",
    "None",
    "{'x': nan}",
    "x:\u00b2",
    "'\\ud800'",
]
DISTRIBUTIONS = [
    "uniform",
    "uniform(-1e308,1e308)",
    "normal(0,1e300)",
    "integers(0,1e30)",
    "bernoulli(2)",
    "normal(1e400)",
]
DISTRIBUTIONS += [
    "integers(" + "9" * 400 + ")",
    "lambda: 1",
    "uniform(1,0)",
    "uniform(nan)",
    "(" * 300,
    "uniform(*x)",
    "\0",
]
DEVICES = ["cpu", "cpu:0", "cuda", "cuda:\u00b2", "meta", "tpu", "mps", "cpu:" + "9" * 30]
LIMITED = {"--verify": ["-1", "0", "1", "nan", "1" * 5000], "--batch-size": ["-1", "0", "1", "2", "9" * 30, "1" * 5000]}
STATUSES = {0, 1, 2, 3, 4, 5, 6}


def odd_line(name: str, rng: random.Random) -> list[str]:
    """A command line with up to three options of odd values."""
    parser = (convert if name == "convert" else execute).build_parser()
    model = rng.choice(["net.nnef"] * 8 + PATHS)
    line = [name, model]
    if name == "convert":
        line.append(rng.choice(["out.nnef", "out.onnx", "out.tgz", *PATHS]))
    else:
        line += rng.choice([["--random", "uniform"], ["--input-path", "folder"], []])
        line += rng.choice([["--output-path", "out"], ["--output-path", rng.choice(PATHS)], ["--json"], []])
    actions = [a for a in parser._actions if a.option_strings and a.dest not in ("help", "debug")]
    for action in rng.sample(actions, rng.randint(0, 3)):
        option = action.option_strings[-1]
        line.append(option)
        if action.nargs == 0:
            continue
        pool = [*NUMBERS, *NAMES, *PATHS, *LITERALS, *DISTRIBUTIONS, *DEVICES]
        fitting = {"--random": DISTRIBUTIONS, "--device": DEVICES, "--shape": LITERALS, "--input-shapes": LITERALS}
        fitting |= {"--output-names": [*NAMES, *LITERALS], "--seed": NUMBERS, "--opset": NUMBERS, "--compress": NUMBERS}
        if option in LIMITED:
            pool = LIMITED[option]
        elif rng.random() < 0.6:
            pool = fitting.get(option, [*NAMES, *PATHS])
        line[-1:] = [f"{option}={rng.choice(pool)}"] if rng.random() < 0.5 else [option, rng.choice(pool)]
    return line


def problem(line: list[str]) -> str | None:
    """Runs a command line in the current folder, and says what is wrong with how it ended."""
    out, err = io.TextIOWrapper(io.BytesIO(), "utf-8", "surrogatepass"), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), warnings.catch_warnings():
        warnings.simplefilter("error")
        status = main(line)
    out.flush()
    said = err.getvalue()
    if status not in STATUSES:
        return f"status {status}: {said}"
    if "internal error" in said or "Traceback" in said:
        return said
    if (said.count("error: ") == 0) != (status == 0) and "-q" not in line:
        return f"status {status} with: {said}"
    if not all(text.isprintable() for text in said.split("\n")):
        return f"control characters: {said!r}"
    if "--json" in line and json.loads(out.buffer.getvalue() or b"{}").get("exit_code", 0) != status:  # type: ignore[attr-defined]
        return "the status in the JSON is another one"
    return None


def furnish(folder: Path) -> None:
    """The models and files that the command lines refer to."""
    (folder / "net.nnef").mkdir()
    (folder / "net.nnef" / "graph.nnef").write_text(GRAPH)
    (folder / "folder").mkdir()
    (folder / "file").write_text("text")
    (folder / "locked").mkdir(0o500)


@pytest.mark.parametrize("name", ["convert", "execute"])
def test_odd_values(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    furnish(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NNEF_TOOLS_MODEL_CACHE", "off")
    monkeypatch.setattr(sys, "stdin", open(os.devnull))  # noqa: PTH123, SIM115
    rng = random.Random(5)
    for _ in range(60):
        line = odd_line(name, rng)
        assert problem(line) is None, line


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("count", type=int)
    parser.add_argument("seed", type=int)
    arguments = parser.parse_args()
    generator = random.Random(arguments.seed)
    sys.stdin = open(os.devnull)  # noqa: PTH123, SIM115
    with tempfile.TemporaryDirectory() as place:
        furnish(Path(place))
        os.chdir(place)
        for number in range(arguments.count):
            words = odd_line(generator.choice(["convert", "execute"]), generator)
            found = problem(words)
            if found is not None:
                print(number, ascii(words)[:600], ascii(found)[:600], sep="\n")
        print(arguments.count, "command lines,", nnef_tools.__version__)
