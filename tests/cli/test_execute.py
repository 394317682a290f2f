"""The subcommand `execute`: inputs, outputs, statistics, options."""

from __future__ import annotations

import argparse
import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import nnef_tools
from nnef_tools import execute as execute_script
from nnef_tools.language.tensor_file import read_tensor, write_tensor

from ..support.arrays import Array, uniform
from ..support.commands import ROOT, Run, run_module
from ..support.onnx_models import run_onnx


@pytest.fixture
def nnef(model: Path, tmp_path: Path) -> Path:
    target = tmp_path / "net.nnef"
    nnef_tools.convert_model(model, target, keep_io_names=True)
    return target


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    write_tensor(folder / "x.dat", uniform(1, 3, 8, 8))
    return folder


def reference(model: Path, x: Array) -> Array:
    """What onnxruntime computes."""
    return run_onnx(model, [x], names=["y"], threads=0)[0]


def load(path: Path) -> Array:
    return read_tensor(str(path))[0]


@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_files_in_and_out(run: Run, model: Path, nnef: Path, inputs: Path, tmp_path: Path, backend: str) -> None:
    folder = tmp_path / "new" / "out"
    status, out, err = run(
        "execute", nnef, "--format", "nnef", "--input-path", inputs, "--output-path", folder, "--backend", backend
    )
    assert (status, out) == (0, f"Written {folder}/y.dat\n"), err
    assert f"ran in {backend}" in err
    np.testing.assert_allclose(
        load(folder / "y.dat"),
        reference(model, load(inputs / "x.dat")),
        rtol=1e-5,
        atol=1e-6,
    )


def test_onnx_model(run: Run, model: Path, inputs: Path, tmp_path: Path) -> None:
    status, _, err = run("execute", model, "--input-path", inputs, "--output-path", tmp_path / "out")
    assert status == 0, err
    assert "ran in onnxruntime" in err
    np.testing.assert_array_equal(load(tmp_path / "out" / "y.dat"), reference(model, load(inputs / "x.dat")))


def test_pipes(model: Path, nnef: Path, inputs: Path) -> None:
    done = run_module(
        "execute", "net.nnef", "--backend", "numpy", folder=nnef.parent, stdin=(inputs / "x.dat").read_bytes()
    )
    assert done.returncode == 0, done.stderr
    result = read_tensor(io.BytesIO(done.stdout))[0]
    np.testing.assert_allclose(result, reference(model, load(inputs / "x.dat")), rtol=1e-5, atol=1e-6)

    broken = run_module("execute", "net.nnef", "--backend", "numpy", folder=nnef.parent, stdin=b"\x4e\xef\x01\x00")
    assert (broken.returncode, broken.stdout) == (2, b"")
    assert b"Traceback" not in broken.stderr


def test_missing_input_on_a_pipe_is_named(nnef: Path) -> None:
    done = run_module("execute", "net.nnef", "--backend", "numpy", folder=nnef.parent)
    assert done.returncode == 2
    assert b"at input 'x': the tensor is cut off" in done.stderr


def test_random_inputs_of_an_open_shape(run: Run, dynamic_model: Path, tmp_path: Path) -> None:
    status, _, err = run("execute", dynamic_model, "--random", "uniform", "--output-path", tmp_path / "out")
    assert status == 1
    assert "--shape 'x:?,3,?,?'" in err
    status, _, err = run(
        "execute", dynamic_model, "--random", "uniform", "--shape", "x:2,3,6,4", "--output-path", tmp_path / "out"
    )
    assert status == 0, err
    assert load(tmp_path / "out" / "y.dat").shape == (2, 4, 3, 2)


@pytest.mark.parametrize("names", ["y", "*"])  # of `*`, the pipe breaks while the first tensors are written
def test_closed_pipe(nnef: Path, names: str) -> None:
    command = [sys.executable, "-m", "nnef_tools", "execute", "net.nnef", "--random", "uniform", "--backend", "numpy"]
    command += ["--output-names", names, "--batch-size", "2000"]
    process = subprocess.Popen(
        command,
        cwd=nnef.parent,
        env={"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    message = process.stderr.read()
    process.stderr.close()
    assert process.wait() == 141
    assert b"Traceback" not in message and b"Exception" not in message


def test_random_inputs_follow_the_seed(run: Run, nnef: Path, tmp_path: Path) -> None:
    results = []
    for k, seed in enumerate((3, 3, 4)):
        folder = tmp_path / f"out{k}"
        arguments = ("--random", "uniform(min=-1, max=1)", "--seed", seed, "--output-path", folder)
        assert run("execute", nnef, "--backend", "numpy", *arguments)[0] == 0
        results.append((folder / "y.dat").read_bytes())
    assert results[0] == results[1] != results[2]


@pytest.mark.parametrize(
    ("names", "files"),
    [
        (["{'conv1': 'first', 'y': 'last'}"], ["first", "last"]),
        (["['conv1', 'y']"], ["conv1", "y"]),
        (["conv1", "x"], ["conv1", "x"]),
        (["*"], ["conv1", "relu1", "variable1", "variable2", "x", "y"]),
        (["{'y': 'sub/y'}"], ["sub/y"]),
    ],
)
def test_output_names(run: Run, nnef: Path, inputs: Path, tmp_path: Path, names: list[str], files: list[str]) -> None:
    folder = tmp_path / "out"
    status, out, err = run(
        "execute", nnef, "--backend", "numpy", "--input-path", inputs, "--output-path", folder, "--output-names", *names
    )
    assert status == 0, err
    assert sorted(out.split()) == sorted([*["Written"] * len(files), *(f"{folder}/{name}.dat" for name in files)])
    assert all((folder / f"{name}.dat").is_file() for name in files)


@pytest.mark.parametrize("names", ["nope", "{'y': '../y'}", "{'y': 3}", "[__import__('os')]"])
def test_bad_output_names(run: Run, nnef: Path, inputs: Path, tmp_path: Path, names: str) -> None:
    folder = tmp_path / "out"
    arguments = ("--input-path", inputs, "--output-path", folder, "--output-names", names)
    assert run("execute", nnef, "--backend", "numpy", *arguments)[:2] == (1, "")
    assert not folder.exists()


def test_batch_size(run: Run, model: Path, nnef: Path, tmp_path: Path) -> None:
    batch = uniform(3, 3, 8, 8)
    (tmp_path / "batch").mkdir()
    write_tensor(tmp_path / "batch" / "x.dat", batch)
    expected = np.concatenate([reference(model, batch[k : k + 1]) for k in range(3)])
    for size in (3, 0):
        folder = tmp_path / f"out{size}"
        status, _, err = run(
            "execute", nnef, "--backend", "numpy", "--input-path", tmp_path / "batch", "--output-path", folder,
            "--batch-size", size,
        )  # fmt: skip
        assert status == 0, err
        np.testing.assert_allclose(load(folder / "y.dat"), expected, rtol=1e-5, atol=1e-6)
    status, _, err = run("execute", nnef, "--random", "uniform", "--batch-size", 0, "--output-path", tmp_path / "o")
    assert status == 1
    status, _, err = run("execute", nnef, "--input-path", tmp_path / "batch", "--output-path", tmp_path / "o")
    assert status == 1, err  # three samples for a model of one, without --batch-size


def test_statistics(run: Run, model: Path, nnef: Path, inputs: Path, tmp_path: Path) -> None:
    stats, mapping = tmp_path / "stats.json", tmp_path / "names.json"
    mapping.write_text('{"conv1": "renamed"}')
    status, out, err = run(
        "execute", nnef, "--backend", "numpy", "--input-path", inputs, "--output-path", tmp_path / "out",
        "--statistics", stats, "--tensor-mapping", mapping,
    )  # fmt: skip
    assert status == 0, err
    assert out.splitlines() == [f"Written {tmp_path}/out/y.dat", f"Written {stats}"]
    found = json.loads(stats.read_text())
    assert set(found) == {"x", "variable1", "variable2", "renamed", "relu1", "y"}
    y = reference(model, load(inputs / "x.dat"))
    expected = {"min": y.min(), "max": y.max(), "mean": y.mean(), "std": y.std(ddof=1)}
    assert found["y"] == pytest.approx({key: float(value) for key, value in expected.items()}, rel=1e-5)
    mapping.write_text("[1]")
    assert run("execute", nnef, "--random", "normal", "--statistics", stats, "--tensor-mapping", mapping)[0] == 2


def test_io_transpose(run: Run, model: Path, nnef: Path, inputs: Path, tmp_path: Path) -> None:
    x = uniform(1, 3, 8, 8)
    (tmp_path / "nhwc").mkdir()
    write_tensor(tmp_path / "nhwc" / "x.dat", np.ascontiguousarray(x.transpose(0, 2, 3, 1)))
    expected = reference(model, x)
    for names, result in (([], expected.transpose(0, 2, 3, 1)), (["x"], expected)):
        folder = tmp_path / f"out{len(names)}"
        status, _, err = run(
            "execute", nnef, "--backend", "numpy", "--input-path", tmp_path / "nhwc", "--output-path", folder,
            "--io-transpose", *names,
        )  # fmt: skip
        assert status == 0, err
        np.testing.assert_allclose(load(folder / "y.dat"), result, rtol=1e-5, atol=1e-6)


GRAPH = """version 1.0;
extension KHR_enable_fragment_definitions;
fragment twice(x: tensor<scalar>, by: scalar = 2.0) -> (y: tensor<scalar>) { y = mul(x, by); }
graph g(x) -> (y)
{
    x = external<scalar>(shape = [2, 3]);
    t = twice(x);
    y = softplus(t);
}
"""


def test_custom_operators_and_decompose(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "g"
    folder.mkdir()
    (folder / "graph.nnef").write_text(GRAPH)
    write_tensor(folder / "x.dat", uniform(2, 3))
    plugin = tmp_path / "ops.py"
    plugin.write_text("CUSTOM_OPERATORS = {'twice': lambda x, by: x * by + 1}\n")
    common = ("execute", folder, "--backend", "numpy", "--input-path", folder, "--output-path", tmp_path / "out")
    x = uniform(2, 3)
    for options, t in (([], 2 * x), (["--decompose", "softplus"], 2 * x), (["--decompose"], 2 * x),
                       (["--custom-operators", plugin], 2 * x + 1)):  # fmt: skip
        status, _, err = run(*common, *options)
        assert status == 0, err
        np.testing.assert_allclose(load(tmp_path / "out" / "y.dat"), np.log1p(np.exp(t)), rtol=1e-6)
    assert run(*common, "--decompose", "twice", "silu")[0] == 0  # known, whether the model has it or not
    for names in (["nosuch", "softplus"], ["nosuch", "conv"]):
        status, _, err = run(*common, "--decompose", *names)
        unknown = ", ".join(sorted({*names} - {"softplus"}))
        assert status == 1 and f"there is no definition to decompose by: {unknown}" in err


def test_json(run: Run, nnef: Path) -> None:
    status, out, _ = run("execute", nnef, "--random", "uniform", "--backend", "numpy", "--json")
    assert status == 0
    assert json.loads(out) == {
        "schema": "nnef-tools.execution/1",
        "status": "ok",
        "backend": "numpy",
        "outputs": {"y": {"dtype": "float32", "shape": [1, 4, 4, 4]}},
        "written": [],
    }


def test_outputs_and_statistics_are_all_or_nothing(run: Run, nnef: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    where = ("--output-path", tmp_path / "out", "--statistics", tmp_path / "file" / "stats.json")
    assert run("execute", nnef, "--random", "uniform", *where)[0] == 2
    assert not (tmp_path / "out").exists()
    where = ("--output-path", tmp_path / "file", "--statistics", tmp_path / "stats.json")
    assert run("execute", nnef, "--random", "uniform", *where)[0] == 2
    assert not (tmp_path / "stats.json").exists()


def test_main_takes_a_bare_namespace(nnef: Path, inputs: Path, tmp_path: Path) -> None:
    args = argparse.Namespace(model=str(nnef), input_path=str(inputs), output_path=str(tmp_path / "out"))
    assert execute_script.main(args) == 0
    assert (tmp_path / "out" / "y.dat").is_file()


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        ([], 1, "required: MODEL"),
        (["{nnef}", "--random", "lambda shape: 0"], 1, "lambda"),
        (["{nnef}", "--random", "uniform", "--input-path", "{tmp}"], 1, "exclude each other"),
        (["{nnef}", "--random", "uniform", "--backend", "onnxruntime", "--device", "tpu"], 1, "onnxruntime"),
        (["{nnef}", "--random", "uniform", "--format", "caffe2"], 2, "predict_net.pb"),
        (["{tmp}/none.nnef", "--random", "uniform"], 2, "none.nnef"),
        (["{nnef}", "--input-path", "{tmp}"], 2, "there is no file for input 'x'"),
        (["{nnef}", "--random", "uniform", "--custom-operators", "no_such_module"], 5, "no_such_module"),
        (["{nnef}", "--random", "uniform", "--batch-size", "-2"], 1, "the batch size cannot be -2"),
        (["{nnef}", "--random", "uniform", "--backend", "numpy", "--device", "cuda"], 1, "does not run on 'cuda'"),
        (["{nnef}", "--random", "uniform", "--backend", "torch", "--device", "meta"], 1, "cannot use device 'meta'"),
        (["{nnef}", "--random", "uniform(-1e308, 1e308)"], 1, "max - min exceeds the largest floating-point number"),
        (["{nnef}", "--random", "uniform(-1e300, 1e300)"], 1, "exceed what float32 can hold"),
        (["{nnef}", "--random", "normal(0, 1e400)"], 1, "must be numbers"),
        (["{nnef}", "--random", "uniform", "--seed", "-1"], 1, "the seed cannot be -1"),
        (["{nnef}", "--random", "uniform", "--seed", "1" * 5000], 1, "is not an integer"),
        (["{nnef}", "--random", "uniform", "--batch-size", "9" * 30], 2, "more than the limit of"),
        (["{nnef}", "--random", "uniform", "--output-names", "[['a']]"], 1, "not names, or names with file names"),
        (["{nnef}", "--random", "uniform", "--output-names", "[]"], 1, "not names, or names with file names"),
        (["{nnef}", "--random", "uniform", "--shape", "x:" + "1" * 5000], 1, "is not a positive integer of 64 bits"),
        (["a\0b.nnef", "--random", "uniform"], 2, "characters that no path can have"),
        (["\ud800.nnef", "--random", "uniform"], 2, "\\ud800.nnef: the path has characters"),
        (["-", "--random", "uniform"], 1, "cannot be read from standard input"),
        (["{nnef}", "--random", "uniform", "--output-path", "-"], 1, "--output-path: '-' is not a folder"),
        (["{nnef}", "--input-path", "/dev/stdin"], 1, "--input-path: '/dev/stdin' is not a folder"),
        (["{nnef}", "--random", "uniform", "--statistics", "-"], 1, "cannot both go to standard output"),
        (["--random", "uniform", "--output-names", "y", "{nnef}"], 1, "--output-names took 'y', "),
        (["{nnef}", "--random", "uniform", "--io-transpose", "z"], 1, "has no tensor 'z'"),
        (["{nnef}", "--random", "uniform", "--shape", "z:1,3"], 1, "has no input 'z'"),
        (["{nnef}", "--random", "uniform", "--shape", "x:1,3,9,9"], 1, "has shape [1, 3, 8, 8], not [1, 3, 9, 9]"),
        (["{nnef}", "--random", "uniform", "--output-path", "{tmp}", "--output-names", "{{'y': '../y'}}"], 1, "'../y'"),
        (["{nnef}", "--random", "uniform", "--output-names", "{{'x': 'a', 'y': 'a'}}"], 1, "would be saved as 'a'"),
        (["{nnef}", "--random", "uniform", "--format", "onnx"], 2, "it is a folder, not an ONNX file"),
        (["{nnef}", "--random", "uniform", "--backends", "numpy"], 1, "did you mean '--backend'?"),
    ],
)
def test_wrong_calls(run: Run, nnef: Path, tmp_path: Path, arguments: list[str], status: int, message: str) -> None:
    found, out, err = run("execute", *(argument.format(nnef=nnef, tmp=tmp_path) for argument in arguments))
    assert (found, out) == (status, ""), err
    assert message in err


@pytest.mark.parametrize("backend", ["auto", "numpy"])
def test_what_the_reader_ignores_is_told_once(run: Run, tmp_path: Path, backend: str) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "graph.nnef").write_text(
        "version 1.0;\ngraph g(x) -> (y)\n{\n x = external<scalar>(shape = [2]);\n y = relu(x);\n}\n"
    )
    (folder / "nnef_tools.json").write_text("[]")
    random = ("execute", folder, "--random", "uniform(0,1)", "--json", "--backend", backend)
    for _ in range(2):  # such a model is not cached
        status, _, message = run(*random)
        assert status == 0
        assert message.count("nnef_tools.json is ignored") == 1
    assert "warning" not in run(*random, "--quiet")[2]
    status, _, message = run("convert", folder, tmp_path / "model.onnx", "--verify")
    assert status == 0
    assert message.count("nnef_tools.json is ignored") == 1
