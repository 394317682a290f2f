"""What the commands print: what has no effect, how much, how long, and nothing that a terminal would obey."""

from __future__ import annotations

import io
import json
import sys
import time
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

import nnef_tools
from nnef_tools.cli import render
from nnef_tools.cli.main import main
from nnef_tools.errors import FormatError

from ..support.commands import Run, shell


@pytest.fixture
def nnef(model: Path, tmp_path: Path) -> Path:
    target = tmp_path / "net.nnef"
    nnef_tools.convert_model(model, target, keep_io_names=True)
    return target


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    tables = ("TRANSFORMS", "SHAPES", "FRAGMENTS", "OPTIMIZERS", "OPERATORS")
    path = tmp_path / "plugin.py"
    path.write_text("".join(f"CUSTOM_{table} = {{}}\n" for table in tables))
    return path


# options, where they have no effect, and the model and target of a conversion where that is so
CONVERT = [
    *((option, "in this conversion", "onnx", "onnx") for option in (
        "--keep-io-names", "--io-transpose", "--fold-constants", "--standard-only", "--opset 21",
        "--mirror-unsupported", "--custom-converters {plugin}", "--custom-shapes {plugin}",
    )),
    *((option, "in this conversion", "nnef", "onnx") for option in (
        "--keep-io-names", "--io-transpose", "--fold-constants", "--standard-only", "--static-only",
        "--custom-fragments {plugin}",
    )),
    ("--opset 21", "in this conversion", "onnx", "nnef"),
    ("--external-data", "on NNEF models", "onnx", "nnef"),
    ("--annotate-shapes", "on ONNX models", "nnef", "onnx"),
    ("--generate-custom-fragments", "on ONNX models", "nnef", "onnx"),
    ("--compress", "on ONNX models", "nnef", "onnx"),
    ("--compress 0", "on ONNX models", "nnef", "onnx"),
    ("--annotate-shapes", "on TensorFlow GraphDef models", "nnef", "pb"),
    ("--optimize --custom-optimizers {plugin} --dequantize", "on ONNX models", "onnx", "onnx"),
    ("--dequantize", "without optimization", "onnx", "nnef"),
    ("--custom-optimizers {plugin}", "without optimization", "onnx", "nnef"),
    ("--random uniform", "without verification", "onnx", "nnef"),
    ("--seed 0", "without verification", "onnx", "nnef"),
    ("--dry-run --tensor-mapping", "in a dry run", "onnx", "nnef"),
]  # fmt: skip


@pytest.mark.parametrize(("options", "where", "source", "target"), CONVERT)
def test_options_without_effect_on_a_conversion(
    run: Run, model: Path, nnef: Path, plugin: Path, tmp_path: Path, options: str, where: str, source: str, target: str
) -> None:
    words = [word.format(plugin=plugin) for word in options.split()]
    named = next(word for word in reversed(words) if word.startswith("--"))
    status, _, err = run("convert", nnef if source == "nnef" else model, tmp_path / f"out.{target}", *words)
    assert status == 0, err
    assert [line for line in err.splitlines() if line.startswith("warning:")] == [
        f"warning: {named} has no effect {where}"
    ]


@pytest.mark.parametrize(
    ("options", "source", "target"),
    [
        ("--custom-shapes {plugin} --custom-fragments {plugin} --annotate-shapes --compress", "nnef", "nnef"),
        ("--custom-shapes {plugin} --opset 21 --mirror-unsupported --external-data", "nnef", "onnx"),
        ("--optimize --dequantize --custom-optimizers {plugin} --keep-io-names --io-transpose", "onnx", "nnef"),
        ("--static-only --optimize", "onnx", "onnx"),
        ("--custom-fragments {plugin} --decompose", "nnef", "onnx"),
        ("--custom-converters {plugin} --verify 1 --seed 1 --random normal", "nnef", "nnef"),
    ],
)
def test_options_with_effect_are_not_warned_of(
    run: Run, model: Path, nnef: Path, plugin: Path, tmp_path: Path, options: str, source: str, target: str
) -> None:
    words = [word.format(plugin=plugin) for word in options.split()]
    status, _, err = run("convert", nnef if source == "nnef" else model, tmp_path / f"out.{target}", *words)
    assert status == 0, err
    assert "no effect" not in err


@pytest.mark.parametrize(
    ("options", "format", "warning"),
    [
        ("--input-path {inputs} --seed 1", "nnef", "--seed has no effect without --random"),
        (
            "--input-path {inputs} --shape x:1,3,8,8",
            "nnef",
            "--shape has no effect on given inputs, which have their own",
        ),
        ("--random uniform --tensor-mapping {mapping}", "nnef", "--tensor-mapping has no effect without --statistics"),
        (
            "--random uniform --custom-operators {plugin}",
            "onnx",
            "--custom-operators has no effect on models that are not",
        ),
        ("--random uniform --decompose", "onnx", "--decompose has no effect on models that are not NNEF"),
        (
            "--random uniform --io-transpose",
            "small",
            "--io-transpose has no effect on inputs and outputs of rank below 3",
        ),
        ("--random uniform --seed 1 --seed 2", "nnef", "--seed is given 2 times: the last one counts"),
        ("--random uniform --random normal", "nnef", "--random is given 2 times: the last one counts"),
    ],
)
def test_options_without_effect_on_a_run(
    run: Run, model: Path, nnef: Path, plugin: Path, tmp_path: Path, options: str, format: str, warning: str
) -> None:
    mapping, small = tmp_path / "names.json", tmp_path / "small.nnef"
    mapping.write_text("{}")
    small.mkdir()
    (small / "graph.nnef").write_text(
        "version 1.0;\ngraph g(x) -> (y)\n{\n x = external<scalar>(shape = [2]);\n y = relu(x);\n}\n"
    )
    run("execute", nnef, "--random", "uniform", "--output-names", "x", "--output-path", tmp_path / "inputs")
    words = [word.format(plugin=plugin, mapping=mapping, inputs=tmp_path / "inputs") for word in options.split()]
    source = {"nnef": nnef, "onnx": model, "small": small}[format]
    status, _, err = run("execute", source, *words, "--json")
    assert status == 0, err
    warnings = [line for line in err.splitlines() if line.startswith("warning:")]
    assert len(warnings) == 1 and warnings[0].startswith(f"warning: {warning}")


def test_a_backend_that_is_asked_for_is_taken_or_refused(run: Run, nnef: Path, tmp_path: Path) -> None:
    plugin = tmp_path / "relu.py"
    plugin.write_text("CUSTOM_OPERATORS = {'relu': lambda x: x}\n")
    words = ("--random", "uniform", "--custom-operators", plugin, "--json")
    status, _, err = run("execute", nnef, *words, "--backend", "onnxruntime")
    assert status == 1 and "error: onnxruntime cannot call the Python functions of relu" in err
    status, out, _ = run("execute", nnef, *words)
    assert (status, json.loads(out)["backend"]) == (0, "torch")


def test_quiet(run: Run, model: Path, nnef: Path, tmp_path: Path) -> None:
    options = ("--verify", 1, "--optimize", "--opset", 21, "--seed", 1, "--seed", 2)
    assert run("convert", model, tmp_path / "out.nnef", *options, "-q") == (0, "", "")
    assert run("convert", model, tmp_path / "out.nnef", "--dry-run", "--quiet") == (0, "", "")
    assert run("execute", nnef, "--random", "uniform", "--output-path", tmp_path / "out", "-q") == (0, "", "")
    status, out, err = run("convert", tmp_path / "none.onnx", tmp_path / "out.nnef", "-q")
    assert (status, out) == (2, "") and err.startswith("error: ")
    status, out, err = run("convert", model, tmp_path / "out.nnef", "-q", "--json")
    assert (status, json.loads(out)["status"], err) == (0, "ok", "")
    assert run("convert", model, tmp_path / "out.nnef", "-q", "-v")[0] == 1
    assert run("convert", model, tmp_path / "out.nnef")[1:] != ("", "")  # it does not last


def test_dry_run_says_that_nothing_is_written(run: Run, model: Path, tmp_path: Path) -> None:
    status, out, err = run("convert", model, tmp_path / "out.nnef", "--dry-run")
    assert (status, out, err.splitlines()[-1]) == (0, "", "dry run: nothing written")


@pytest.mark.parametrize("backend", ["numpy", "torch", "onnxruntime"])
def test_verbose_run(run: Run, nnef: Path, tmp_path: Path, backend: str) -> None:
    words = ("--random", "uniform", "--output-path", tmp_path / "out", "--backend", backend, "-v")
    status, _, err = run("execute", nnef, *words)
    first, second = err.splitlines()
    assert (status, first) == (0, f"ran in {backend}")
    begin, loaded, ran = second.split(", ")
    assert begin == f"{nnef}: device cpu"
    assert 0 < float(loaded.removeprefix("loaded in ").removesuffix(" s")) < 60
    assert 0 < float(ran.removeprefix("ran in ").removesuffix(" s")) < 60


HOSTILE = "a\x1b]0;\u0085\u202e\x7f\r\nb\u2028\ufeff"
SHOWN = r"a\x1b]0;\x85\u202e\x7f\r\nb\u2028\ufeff"


def test_printable() -> None:
    assert render.printable(HOSTILE) == SHOWN
    assert render.printable("\udc80\ud800") == r"\udc80\ud800"
    assert render.printable("a\tb") == "a b"
    assert render.printable("模型 \N{SNOWMAN} é 'x'\\n") == "模型 \N{SNOWMAN} é 'x'\\n"


def test_names_of_a_model_do_not_reach_the_terminal(run: Run, tmp_path: Path) -> None:
    for number, nodes in enumerate((
        [helper.make_node("Relu", ["x"], [HOSTILE])],
        [helper.make_node(HOSTILE, ["x"], [HOSTILE], name=HOSTILE, domain=HOSTILE)],
    )):  # fmt: skip
        values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2]) for name in ("x", HOSTILE)]
        graph = helper.make_graph(nodes, "g", values[:1], values[1:])
        opsets = [helper.make_opsetid("", 17), helper.make_opsetid(HOSTILE, 1)]
        path = tmp_path / f"net{number}\x1b.onnx"
        onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
        target = tmp_path / f"out{HOSTILE}.nnef"
        for line in (
            ("convert", path, target, "-v", "--verify", 1),
            ("convert", path, target, "--keep-io-names", "--tensor-mapping", tmp_path / f"{HOSTILE}.json"),
            ("convert", path, target, "--json"),
            ("convert", path, target, "--output-names", HOSTILE + "?", "--debug"),
            ("convert", path, f"--{HOSTILE}"),
            ("convert", path, target, "--opset", HOSTILE),
            ("convert", path, HOSTILE),
            ("execute", path, "--random", "uniform", "--output-path", tmp_path / "out"),
            ("execute", path, "--random", "uniform", "--json"),
            ("execute", path, "--random", "uniform", "--json", "--output-names", "y"),
            ("execute", path, "--random", "uniform", "--json", "--device", HOSTILE),
            ("execute", path, "--random", "uniform", "--backend", HOSTILE),
            (HOSTILE,),
        ):
            status, out, err = run(*line)
            assert status < 7
            assert all(text.isprintable() for text in f"{out}\n{err}".split("\n")), (line, out, err)
            assert "internal error" not in err


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr(sys, "stderr", Terminal())
    now = [10.0]
    monkeypatch.setattr(render, "perf_counter", lambda: now[0])
    with render.progress() as show:
        show("read\x1b")
        now[0] += 0.5
        show("verify 1/2")
        now[0] += 2
        show("verify 2/2")
        now[0] += 1.25
    shown = sys.stderr.getvalue()  # type: ignore[attr-defined]
    assert [text for text in shown.split("\r\x1b[K") if text] == [
        r"read\x1b 0 s",
        "verify 1/2 0 s",
        "verify 2/2 2 s",
        "verify 2/2: 3.2 s\n",
    ]


def test_the_clock_goes_on_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setattr(render, "TICK", 0.01)
    with render.progress() as show:
        show("read")
        deadline = time.monotonic() + 20
        while sys.stderr.getvalue().count("read 0 s") < 3 and time.monotonic() < deadline:  # type: ignore[attr-defined]
            time.sleep(0.01)
    assert sys.stderr.getvalue().count("read 0 s") >= 3  # type: ignore[attr-defined]


def test_progress_names_the_inputs_that_are_verified(model: Path, tmp_path: Path) -> None:
    stages: list[str] = []
    nnef_tools.convert_model(model, tmp_path / "out.onnx", verify=2, progress=stages.append)
    assert stages == ["read", "prepare", "convert", "optimize", "verify", "verify 1/2", "verify 2/2", "write"]


def test_errors_are_styled_around_what_they_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr(sys, "stderr", Terminal())
    render.print_error(FormatError("m\x1b[2J", ["d\x07"], where="w\x9b", hint="h\x00"))
    assert sys.stderr.getvalue() == (  # type: ignore[attr-defined]
        "\x1b[1;31merror:\x1b[0m w\\x9b: m\\x1b[2J\n  d\\x07\n\x1b[1mhint:\x1b[0m h\\x00\n"
    )


@pytest.mark.parametrize("target", ["-", "/dev/stdout", "/dev/fd/1"])
def test_models_on_standard_output(model: Path, tmp_path: Path, target: str) -> None:
    nnef_tools.convert_model(model, tmp_path / "file.onnx", output_format="onnx")
    line = f"NNEF convert net.onnx {target} --output-format onnx"
    done = shell(f"{line} --verify 1 | cat && echo end && {line} > new && cat new", folder=tmp_path)
    content = (tmp_path / "file.onnx").read_bytes()
    assert (done.returncode, done.stdout) == (0, content + b"end\n" + content), done.stderr
    assert done.stderr.count(b"Written '/dev/") == 2
    archive = shell(f"NNEF convert net.onnx {target} --output-format nnef --compress -q | tar tz", folder=tmp_path)
    assert archive.stdout.split() == [b"graph.nnef", b"nnef_tools.json", b"variable1.dat", b"variable2.dat"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file.onnx", "net.onnx", "new"]


@pytest.mark.parametrize(
    ("line", "status", "message"),
    [
        (
            "NNEF convert net.onnx - --output-format nnef",
            1,
            b"an NNEF folder cannot be written to a stream\nhint: --comp",
        ),
        ("NNEF convert net.onnx - --output-format onnx --external-data", 2, b"external data needs a regular file"),
        ("NNEF convert net.onnx - --output-format onnx --tensor-mapping -", 1, b"cannot both go to standard output"),
        ("NNEF convert net.onnx - --output-format onnx >&-", 2, b"error: standard output: cannot write: it is closed"),
        ("NNEF convert net.onnx - --output-format onnx >/dev/full", 2, b"cannot write: no space is left on the device"),
        ("NNEF convert net.onnx out.nnef --json >/dev/full", 2, b"error: standard output: cannot write: No space left"),
        ("NNEF convert net.onnx out.nnef --json >&-", 2, b"error: standard output: cannot write: it is closed"),
        ("NNEF convert net.onnx out.nnef >&-", 0, b""),
        ("NNEF convert net.onnx out.nnef 2>/dev/full", 0, b""),
        ("NNEF convert - out.nnef --input-format onnx < net.onnx", 1, b"a model cannot be read from standard input"),
        ("cat net.onnx | NNEF convert /dev/stdin out.nnef --input-format onnx", 2, b"not from a stream"),
        ("NNEF convert net.onnx out.onnx --tensor-mapping ./out.onnx", 1, b"cannot have the same file"),
        ("NNEF execute net.onnx --random uniform >&-", 2, b"error: standard output: cannot write: it is closed"),
        ("NNEF execute net.onnx --random uniform >/dev/full", 2, b"error: standard output: cannot write"),
        (
            "NNEF execute net.onnx --random uniform --output-path o --statistics o/y.dat",
            1,
            b"cannot have the same file",
        ),
    ],
)
def test_streams_that_cannot_be_used(model: Path, line: str, status: int, message: bytes) -> None:
    if "/dev/full" in line and not Path("/dev/full").exists():
        pytest.skip("there is no device that is always full")
    done = shell(line, folder=model.parent)
    assert (done.returncode, done.stderr.count(b"error: ")) == (status, int(status != 0)), done.stderr
    assert message in done.stderr
    assert b"Traceback" not in done.stderr
    if status:
        assert [path.name for path in model.parent.iterdir() if path.name != "out.nnef"] == ["net.onnx"]


def test_main_leaves_the_streams_of_the_caller(capsys: pytest.CaptureFixture[str]) -> None:
    before = sys.stdout, sys.stderr
    assert main(["--version"]) == 0
    assert (sys.stdout, sys.stderr) == before
    assert capsys.readouterr().out.startswith("nnef-tools ")
