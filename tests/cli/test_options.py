"""The reading of option values, the parser and the exit statuses."""

from __future__ import annotations

import argparse
import errno
import json
from pathlib import Path
from types import ModuleType

import pytest

from nnef_tools import errors
from nnef_tools.cli import convert, execute
from nnef_tools.cli import main as command
from nnef_tools.cli.options import SHAPE_WORD, Names, Parser, guarded, parse_shapes

from ..support.commands import shell

ROOT = Path(__file__).parents[2]


def test_shapes() -> None:
    assert parse_shapes(None) is None
    assert parse_shapes("{'x': (1, 3, 224, 224), 'y': [2], 'z': ()}") == {"x": (1, 3, 224, 224), "y": (2,), "z": ()}
    assert parse_shapes("{'x': 5}") == {"x": (5,)}
    assert parse_shapes(None, ["x:1,3,8,8", "serving:0:1,2", "s:"]) == {"x": (1, 3, 8, 8), "serving:0": (1, 2), "s": ()}
    assert parse_shapes("{'x': (1,), 'y': (2,)}", ["x:7"]) == {"x": (7,), "y": (2,)}


@pytest.mark.parametrize(
    "literal",
    [
        "__import__('os').system('true')",
        "{'x': (1, 2)",
        "[1, 2]",
        "{1: (2, 3)}",
        "{'x': (1, 'a')}",
        "{'x': (1, 2.5)}",
        "{'x': (1, -1)}",
        "{'x': (0,)}",
        "{'x': (True,)}",
        "{'x': None}",
        "(" * 5000,
    ],
)
def test_bad_shapes(literal: str) -> None:
    with pytest.raises(errors.UsageError):
        parse_shapes(literal)


@pytest.mark.parametrize("text", ["1,3,8", "x:1,b", "x:1,-3", "x:1.5"])
def test_bad_compact_shapes(text: str) -> None:
    with pytest.raises(errors.UsageError):
        parse_shapes(None, [text])


@pytest.fixture
def parser() -> Parser:
    parser = Parser(
        "prog",
        "[MODEL]",
        "what it does",
        optional_numbers={"--verify": "3"},
        items={"--shape": SHAPE_WORD},
        shortened=["--verify", "--names", "--name-file"],
    )
    parser.add_argument("model", nargs="?")
    parser.add_argument("output", nargs="?")
    parser.add_argument("--verify", nargs="?", type=int, default=0)
    parser.add_argument("--flag", action="store_true")
    parser.add_argument("--names", nargs="*", action=Names)
    parser.add_argument("--name-file")
    parser.add_argument("--vector", action="store_true")
    parser.add_argument("--shape", nargs="+", action=Names, default=[])
    return parser


@pytest.mark.parametrize(
    "line",
    [
        "a b --verify --flag",
        "a --flag b --verify",
        "--verify a --flag b",
        "--verify 3 a b --flag",
        "--flag --verify=3 a b",
        "a b --flag --verify --names",
    ],
)
def test_options_stand_anywhere(parser: Parser, line: str) -> None:
    args = parser.parse(line.split())
    assert (args.model, args.output, args.verify, args.flag) == ("a", "b", 3, True)


def test_parser_raises(parser: Parser) -> None:
    with pytest.raises(errors.UsageError, match="unrecognized arguments: --fla") as caught:
        parser.parse(["--fla"])
    assert caught.value.hint == "did you mean '--flag'?"
    with pytest.raises(errors.UsageError, match="unrecognized arguments: c") as caught:
        parser.parse(["a", "b", "c"])
    assert caught.value.hint == "prog --help"
    with pytest.raises(errors.UsageError, match="--verify"):
        parser.parse(["--verify=x"])


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("--help >&-", 0),
        ("convert --help >&-", 0),
        ("execute missing.nnef <&-", 2),
        ("execute missing.nnef >&- <&-", 2),
        ("execute missing.nnef 2>&-", 2),
        ("execute missing.nnef --debug >&- 2>&- <&-", 2),
        ("convert --help 2>&-", 0),
        ("execute missing.nnef 2>/dev/full", 2),
        ("execute missing.nnef --json >/dev/full", 2),
        ("--help >/dev/full", 2),
        ("convert --help >/dev/full", 2),
    ],
)
def test_unusable_streams(line: str, status: int) -> None:
    if "/dev/full" in line and not Path("/dev/full").exists():
        pytest.skip("there is no device that is always full")
    done = shell(f"NNEF {line}")
    assert done.returncode == status, done.stderr
    assert b"Traceback" not in done.stderr
    assert b"internal error" not in done.stderr
    full = line.endswith("--help >/dev/full")  # elsewhere the missing model is what is told
    assert full == (b"error: standard output: cannot write" in done.stderr)


def test_file_names_that_the_terminal_cannot_show(model: Path) -> None:
    target = model.parent / "\u6a21\u578b.nnef"
    done = shell(f"NNEF convert {model} {target}", PYTHONIOENCODING="ascii", PYTHONUTF8="1")
    assert done.returncode == 0, done.stderr
    assert b"\\u6a21\\u578b.nnef'" in done.stdout
    assert (target / "graph.nnef").is_file()


@pytest.mark.parametrize("line", ["convert", "convert a b c", "convert a b --no-such-option", "execute"])
def test_wrong_command_lines_are_told_to_machines_too(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main([*line.split(), "--json"]) == 1
    result = json.loads(capsys.readouterr().out)
    assert (result["status"], result["exit_code"], result["error"]["type"]) == ("error", 1, "UsageError")


@pytest.mark.parametrize(
    ("line", "shapes"),
    [
        ("--shape x:1,3 a b", ["x:1,3"]),
        ("--shape x:1,3 y: z:?,*,-1 a --shape=s:0:2 b", ["x:1,3", "y:", "z:?,*,-1", "s:0:2"]),
        ("a --shape x:1,n y:2,n b", ["x:1,n", "y:2,n"]),
        ("--shape x a b", ["x"]),
        ("--shape=x:1 a b --shape", None),
    ],
)
def test_shapes_end_where_a_path_begins(parser: Parser, line: str, shapes: list[str] | None) -> None:
    if shapes is None:
        with pytest.raises(errors.UsageError, match="--shape: expected at least one argument"):
            parser.parse(line.split())
        return
    args = parser.parse(line.split())
    assert (args.model, args.output, args.shape) == ("a", "b", shapes)


@pytest.mark.parametrize("path", ["C:\\m.onnx", "a:b/c.onnx", "a:1.onnx", "model.onnx", "https://x.org/1,2"])
def test_a_path_is_no_shape(parser: Parser, path: str) -> None:
    args = parser.parse(["--shape", "x:1,2", path])
    assert (args.model, args.shape) == (path, ["x:1,2"])


def test_shortened_options(parser: Parser) -> None:
    assert parser.parse(["--ver", "5"]).verify == 5  # --vector is not to be shortened
    assert parser.parse(["--v=4"]).verify == 4
    assert parser.parse(["--names", "u", "v"]).names == ["u", "v"]
    assert parser.parse(["--name-", "u"]).name_file == "u"
    with pytest.raises(errors.UsageError, match="'--name' can mean --name-file, --names"):
        parser.parse(["--name", "u"])
    with pytest.raises(errors.UsageError, match="unrecognized arguments: --vec"):
        parser.parse(["--vec"])


# What `argparse` of the 1.0 series takes for its options, as far as that is not ambiguous there.
SHORTENED = {
    convert: {
        "--input-m": "input_model", "--input-f": "input_format", "--input-s": "input_shapes",
        "--input-n": "input_names", "--output-f": "output_format", "--output-m": "output_model",
        "--output-n": "output_names", "--io": "io_transpose", "--f": "fold_constants", "--opt": "optimize",
        "--deq": "dequantize", "--dec": "decompose", "--m": "mirror_unsupported",
        "--custom-conv": "custom_converters", "--custom-s": "custom_shapes", "--custom-f": "custom_fragments",
        "--custom-o": "custom_optimizers", "--g": "generate_custom_fragments", "--k": "keep_io_names",
        "--s": "static_only", "--t": "tensor_mapping", "--a": "annotate_shapes", "--co": "compress",
    },
    execute: {
        "--f": "format", "--r": "random", "--se": "seed", "--in": "input_path", "--output-p": "output_path",
        "--output-n": "output_names", "--io": "io_transpose", "--d": "decompose", "--st": "statistics",
        "--c": "custom_operators", "--b": "batch_size", "--t": "tensor_mapping",
    },
}  # fmt: skip


@pytest.mark.parametrize("module", SHORTENED)
def test_shortened_options_of_the_former_series(module: ModuleType) -> None:
    parser = module.build_parser()
    actions = {action.dest: action for action in parser._actions}
    for short, name in SHORTENED[module].items():
        action = actions[name]
        words = [short] if action.nargs == 0 else [short, "onnx" if action.choices else "1"]
        long = [f"--{name.replace('_', '-')}", *words[1:]]
        assert vars(parser.parse(["m", *words])) == vars(parser.parse(["m", *long])), short


def test_options_that_are_given_twice(parser: Parser) -> None:
    args = parser.parse(
        [
            "--verify",
            "--names",
            "u",
            "--name-file",
            "p",
            "--verify",
            "4",
            "--flag",
            "--flag",
            "--names",
            "v",
            "w",
            "--name-f=q",
        ]
    )
    assert (args.verify, args.names, args.name_file) == (4, ["u", "v", "w"], "q")
    assert args.warnings == (
        "--verify is given 2 times: the last one counts",
        "--name-file is given 2 times: the last one counts",
    )
    assert parser.parse(["--names", "--names", "v"]).names == []  # no names: all
    assert parser.parse(["--names", "v", "--names"]).names == []
    assert parser.parse(["--flag", "--", "--verify", "--verify"]).warnings == ()


def test_words_that_lists_took(parser: Parser) -> None:
    args = parser.parse(["--names", "u", "model.onnx", "--flag"])
    assert parser.swallowed(args) == "--names took 'u', 'model.onnx': an option ends at the next one, or at --"
    assert parser.swallowed(parser.parse(["a"])) is None
    assert parser.parse(["--names", "u", "--", "model.onnx"]).model == "model.onnx"


def test_complete_fills_defaults(parser: Parser) -> None:
    args = parser.complete(argparse.Namespace(model="m", verify=2))
    assert vars(args) == {
        "model": "m",
        "output": None,
        "verify": 2,
        "flag": False,
        "names": None,
        "name_file": None,
        "vector": False,
        "shape": [],
    }


ARGS = argparse.Namespace(debug=False, json=False)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.UsageError("x"), 1),
        (errors.FormatError("x"), 2),
        (errors.FileError("x"), 2),
        (errors.ParseError("x"), 2),
        (errors.ShapeError("x"), 2),
        (errors.ExecutionError("x"), 2),
        (errors.ConversionError("x"), 3),
        (errors.VerificationError("x"), 4),
        (errors.PluginError("x"), 5),
        (errors.MissingPackageError("onnx", "to read ONNX", "onnx"), 6),
        (OSError(errno.ENOSPC, "No space left on device", "file"), 2),
        (MemoryError(), 2),
        (RuntimeError("x"), 70),
        (KeyboardInterrupt(), 130),
    ],
)
def test_statuses(error: BaseException, status: int, capsys: pytest.CaptureFixture[str]) -> None:
    def run(args: argparse.Namespace) -> int:
        raise error

    assert guarded(run, ARGS) == status
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) <= 2
    assert "Traceback" not in err


def test_error_message_and_json(capsys: pytest.CaptureFixture[str]) -> None:
    def run(args: argparse.Namespace) -> int:
        raise errors.FormatError("too short", ["more"], where="a.onnx", hint="get another")

    assert guarded(run, argparse.Namespace(debug=False, json=True)) == 2
    out, err = capsys.readouterr()
    assert err == "error: a.onnx: too short\n  more\nhint: get another\n"
    document = json.loads(out)
    assert document["status"] == "error"
    assert document["exit_code"] == 2
    assert document["error"] == {
        "type": "FormatError",
        "message": "too short",
        "where": "a.onnx",
        "details": ["more"],
        "hint": "get another",
    }


@pytest.mark.parametrize("error", [RuntimeError("x"), KeyboardInterrupt(), errors.PluginError("x"), MemoryError()])
def test_json_has_the_exit_status(error: BaseException, capsys: pytest.CaptureFixture[str]) -> None:
    def run(args: argparse.Namespace) -> int:
        raise error

    status = guarded(run, argparse.Namespace(debug=False, json=True))
    assert json.loads(capsys.readouterr().out)["exit_code"] == status


def test_debug_prints_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    def run(args: argparse.Namespace) -> int:
        raise errors.FormatError("too short")

    assert guarded(run, argparse.Namespace(debug=True, json=False)) == 2
    assert "Traceback" in capsys.readouterr().err


def test_main_without_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main([]) == 1
    assert capsys.readouterr().err.startswith("usage: nnef-tools COMMAND")
    assert command.main(["convrt"]) == 1
    assert capsys.readouterr().err == "error: unknown command 'convrt'\nhint: did you mean 'convert'?\n"
    assert command.main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("nnef-tools 1.")
