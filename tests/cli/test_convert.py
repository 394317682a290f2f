"""The subcommand `convert`, from the command line to the files."""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import nnef_tools
from nnef_tools import convert as convert_script

from ..support.arrays import uniform
from ..support.commands import ROOT, Run, run_module
from ..support.onnx_models import run_onnx


def snapshot(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_converts_and_verifies(run: Run, model: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.nnef"
    status, out, err = run("convert", model, target, "--verify", "--seed", 5)
    assert (status, out) == (0, f"Written '{target}'\n"), err
    assert "verified on 3 random inputs: equal, the largest error is" in err
    x = uniform(1, 3, 8, 8)
    (result,) = nnef_tools.run_model(target, [x], backend="numpy").values()
    np.testing.assert_allclose(result, run_onnx(model, [x])[0], rtol=1e-5, atol=1e-6)


def test_documented_script_and_default_name(model: Path) -> None:
    formats = ("--input-format", "onnx", "--output-format", "nnef")
    done = run_module("convert", "--input-model", model.name, *formats, "--keep-io-names", folder=model.parent)
    assert (done.returncode, done.stdout) == (0, b"Written 'net.onnx.nnef'\n"), done.stderr
    text = (model.parent / "net.onnx.nnef" / "graph.nnef").read_text()
    assert "graph net(x) -> (y)" in text
    assert "x = external<scalar>(shape = [1, 3, 8, 8]);" in text


def test_main_takes_a_bare_namespace(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "out"
    args = argparse.Namespace(input_model=str(model), output_model=str(target), output_format="nnef")
    assert convert_script.main(args) == 0
    assert capsys.readouterr().out == f"Written '{target}'\n"
    assert (
        convert_script.main(argparse.Namespace(input_model=str(tmp_path / "missing.onnx"), output_format="nnef")) == 2
    )


def test_dynamic_shapes(run: Run, dynamic_model: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.nnef"
    status, out, err = run("convert", dynamic_model, target)
    assert (status, out) == (3, "")
    assert "dynamic shape: 'x'" in err
    assert "--shape 'x:?,3,?,?'" in err
    assert not target.exists()
    assert run("convert", dynamic_model, target, "--shape", "x:2,3,6,6", "--verify")[0] == 0
    assert "shape = [2, 3, 6, 6]" in (target / "graph.nnef").read_text()
    assert run("convert", dynamic_model, target, "--input-shapes", "{'x': (1, 3, 4, 4)}", "--verify", 1)[0] == 0
    assert "shape = [1, 3, 4, 4]" in (target / "graph.nnef").read_text()


def test_refused_operators_in_one_table(run: Run, custom_model: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.nnef"
    status, out, err = run("convert", custom_model, target)
    assert (status, out) == (3, "")
    rows = [line.split() for line in err.splitlines()]
    assert ["operator", "count", "reason", "for", "example"] in rows
    assert [row[:2] for row in rows if row and row[0].startswith("com.example")] == [
        ["com.example.Foo", "2"],
        ["com.example.Bar", "1"],
    ]
    assert "foo1, foo2" in err
    assert not target.exists()

    status, out, _ = run("convert", custom_model, target, "--json", "--dry-run")
    document = json.loads(out)
    assert (status, document["status"], document["exit_code"]) == (3, "error", 3)
    assert [(group["type"], group["count"], group["examples"]) for group in document["refused"]] == [
        ("com.example.Foo", 2, ["foo1", "foo2"]),
        ("com.example.Bar", 1, ["bar"]),
    ]


PLUGIN = """
import numpy as np
from nnef_tools import Transform

CUSTOM_TRANSFORMS = {
    'Foo': Transform(type='foo', inputs='!I[0]', outputs='!O[0]', attribs={'alpha': '!alpha'}, custom=True),
    'Bar': Transform(type='copy', inputs='!I[0]', outputs='!O[0]'),
}
CUSTOM_FRAGMENTS = {
    'foo': 'fragment foo(x: tensor<scalar>, alpha: scalar) -> (y: tensor<scalar>) { y = x * alpha + 1.0; }\\n',
}
"""


def test_plugins(run: Run, custom_model: Path, tmp_path: Path) -> None:
    plugin = tmp_path / "plugin.py"
    plugin.write_text(PLUGIN)
    target = tmp_path / "out.nnef"
    status, _, err = run("convert", custom_model, target, "--custom-converters", plugin, "--custom-fragments", plugin)
    assert status == 0, err
    text = (target / "graph.nnef").read_text()
    assert "types of the results" not in err
    assert "fragment foo" in text
    assert "foo(relu1, alpha = 2.0)" in text
    x = uniform(2, 5)
    (result,) = nnef_tools.run_model(target, [x], backend="numpy").values()
    np.testing.assert_allclose(result, (np.maximum(x, 0) * 2 + 1) * 3 + 1, rtol=1e-6)

    status, _, err = run(
        "convert", custom_model, target, "--custom-converters", plugin, "--custom-fragments", plugin, "--decompose"
    )
    assert status == 0, err
    text = (target / "graph.nnef").read_text()
    assert "foo(" not in text.partition("graph ")[2]
    (result,) = nnef_tools.run_model(target, [x], backend="numpy").values()
    np.testing.assert_allclose(result, (np.maximum(x, 0) * 2 + 1) * 3 + 1, rtol=1e-6)


def test_mirrored_operators_are_declared(run: Run, custom_model: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.nnef"
    status, _, err = run("convert", custom_model, target, "--mirror-unsupported", "--generate-custom-fragments")
    assert status == 0, err
    text = (target / "graph.nnef").read_text()
    assert text.count("fragment Foo_v") == 2
    assert text.count("fragment Bar_v") == 1


@pytest.mark.parametrize("text", ["CUSTOM_TRANSFORMS = 3\n", "import no_such_module\n"])
def test_faulty_plugin(run: Run, model: Path, tmp_path: Path, text: str) -> None:
    plugin = tmp_path / "plugin.py"
    plugin.write_text(text)
    status, out, err = run("convert", model, tmp_path / "out.nnef", "--custom-converters", plugin)
    assert (status, out) == (5, "")
    assert "plugin" in err


def test_failed_verification_leaves_what_was_there(run: Run, model: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.nnef"
    assert run("convert", model, target)[0] == 0
    (target / "notes.txt").write_text("mine")
    before = snapshot(tmp_path)
    plugin = tmp_path / "wrong.py"
    plugin.write_text(
        "from nnef_tools import Transform\n"
        "CUSTOM_TRANSFORMS = {'Relu': Transform(type='sigmoid', inputs='!I[0]', outputs='!O[0]')}\n"
    )
    for path in (target, tmp_path / "out.nnef.tgz"):
        mapping = tmp_path / "mapping.json"
        arguments = ("convert", model, path, "--custom-converters", plugin, "--verify", "--tensor-mapping", mapping)
        status, out, err = run(*arguments)
        assert (status, out) == (4, "")
        assert "differs" in err
        assert "the first tensor that differs is 'r' of Relu, which became 'sigmoid1' of sigmoid" in err
        plugin_text = plugin.read_text()
        plugin.unlink()
        assert snapshot(tmp_path) == before
        plugin.write_text(plugin_text)
    assert run("convert", model, target, "--custom-converters", plugin)[0] == 0  # not asked to verify: written


def test_archives(run: Run, model: Path, tmp_path: Path) -> None:
    digests = []
    for name, options, written in (
        ("a.nnef", ["--compress"], "a.nnef.tgz"),
        ("b.nnef.tgz", [], "b.nnef.tgz"),
        ("c.tgz", ["--compress", "1"], "c.tgz"),
    ):
        status, out, err = run("convert", model, tmp_path / name, *options, "--verify", 1)
        assert (status, out) == (0, f"Written '{tmp_path / written}'\n"), err
        digests.append(hashlib.sha256((tmp_path / written).read_bytes()).hexdigest())
    assert len(set(digests)) == 1
    assert run("convert", model, tmp_path / "d.nnef", "--compress", 12)[0] == 1


def test_tensor_mapping(run: Run, model: Path, tmp_path: Path) -> None:
    mapping = tmp_path / "names.json"
    status, out, _ = run("convert", model, tmp_path / "out.nnef", "--tensor-mapping", mapping, "--keep-io-names")
    assert status == 0
    assert out.splitlines()[1] == f"Written '{mapping}'"
    names = json.loads(mapping.read_text())
    assert (names["x"], names["c"], names["y"]) == ("x", "conv1", "y")

    status, _, err = run("convert", tmp_path / "out.nnef", tmp_path / "same.nnef", "--tensor-mapping", mapping)
    assert status == 0, err
    names = json.loads(mapping.read_text())
    assert names["conv1"] == "conv1"


def test_same_format_keeps_the_model(run: Run, model: Path, tmp_path: Path) -> None:
    first, second, third = (tmp_path / f"{name}.nnef" for name in "abc")
    assert run("convert", model, first)[0] == 0
    status, _, err = run("convert", first, second, "--verify")
    assert status == 0, err
    assert run("convert", second, third)[0] == 0
    assert snapshot(second) == snapshot(third)
    status, _, err = run("convert", first, first, "--optimize", "--verify")  # in place
    assert status == 0, err
    x = uniform(1, 3, 8, 8)
    (result,) = nnef_tools.run_model(first, [x]).values()
    np.testing.assert_allclose(result, run_onnx(model, [x])[0], rtol=1e-5, atol=1e-6)


def test_dry_run_writes_nothing(run: Run, model: Path, tmp_path: Path) -> None:
    before = snapshot(tmp_path)
    status, out, err = run(
        "convert", model, tmp_path / "out.nnef", "--dry-run", "--tensor-mapping", tmp_path / "m.json"
    )
    assert (status, out) == (0, "")
    assert "out.nnef: nnef, 3 operations" in err
    assert snapshot(tmp_path) == before
    assert run("convert", model, tmp_path / "out.nnef", "--dry-run", "--verify")[0] == 1


def test_parts_of_a_model(run: Run, model: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.nnef"
    status, _, err = run("convert", model, target, "--output-names", "c", "r", "--keep-io-names", "--verify")
    assert status == 0, err
    x = uniform(1, 3, 8, 8)
    result = nnef_tools.run_model(target, [x])
    assert list(result) == ["c", "r"]
    np.testing.assert_allclose(result["c"].clip(0), result["r"])

    status, _, err = run("convert", model, target, "--input-names", "c", "--keep-io-names")
    assert status == 0, err
    c = uniform(1, 4, 8, 8)
    (result,) = nnef_tools.run_model(target, [c]).values()
    np.testing.assert_allclose(result, c.clip(0).reshape(1, 4, 4, 2, 4, 2).max((3, 5)))
    assert "conv" not in (target / "graph.nnef").read_text()

    status, _, err = run("convert", model, target, "--output-names", "nope", "y")
    assert status == 1
    assert "could not find tensor(s) in the graph: 'nope'" in err
    assert run("convert", model, target, "--input-names", "c", "--verify")[0] == 1


@pytest.mark.parametrize("names", [[], ["x", "y"]])
def test_io_transpose(run: Run, model: Path, tmp_path: Path, names: list[str]) -> None:
    """The source's x [1, 3, 8, 8] is taken as channels-last, so the target's is [1, 8, 3, 8]."""
    target = tmp_path / "out.nnef"
    status, _, err = run("convert", model, target, "--verify", "--io-transpose", *names)
    assert status == 0, err
    x = uniform(1, 3, 8, 8)
    (result,) = nnef_tools.run_model(target, [x.transpose(0, 3, 1, 2)]).values()
    np.testing.assert_allclose(result, run_onnx(model, [x])[0].transpose(0, 3, 1, 2), rtol=1e-5, atol=1e-6)


def test_report_as_json(run: Run, model: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.nnef"
    status, out, _ = run("convert", model, target, "--json", "--verify", "2", "--random", "normal(0, 2)", "--optimize")
    assert status == 0
    report = json.loads(out)
    assert report["schema"] == "nnef-tools.report/1"
    assert report["status"] == "ok"
    assert report["source"]["operations"] == {"Conv": 1, "MaxPool": 1, "Relu": 1}
    assert report["source"]["parameters"] == 4 * 3 * 3 * 3 + 4
    assert report["source"]["inputs"] == [{"name": "x", "dtype": "float32", "shape": [1, 3, 8, 8]}]
    assert report["source"]["size"] == model.stat().st_size
    assert report["target"]["operations"] == {"conv": 1, "max_pool": 1, "relu": 1}
    assert report["written"] == [str(target)]
    assert report["verification"]["passed"] is True
    assert report["verification"]["samples"] == 2
    assert report["verification"]["outputs"][0]["source"] == "y"
    assert set(report["timings"]) == {"read", "prepare", "convert", "optimize", "verify", "write"}


def test_verbose_tables(run: Run, model: Path, tmp_path: Path) -> None:
    status, _, err = run("convert", model, tmp_path / "out.nnef", "-v", "--verify")
    assert status == 0
    rows = [line.split() for line in err.splitlines()]
    assert ["onnx", "count", "nnef", "count"] in rows
    assert ["Conv", "1", "conv", "1"] in rows


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        ([], 1, "no model to convert"),
        (["{model}", "{tmp}/out.nnef", "{tmp}/more.nnef"], 1, "unrecognized arguments"),
        (["--input-model", "{model}", "{tmp}/a.nnef", "--output-model", "{tmp}/b.nnef"], 1, "one model too many"),
        (["{model}", "{tmp}/out.prototxt"], 1, "unsupported conversion: onnx to caffe"),
        (["{model}", "{tmp}/out.xyz"], 1, "cannot tell the format to write"),
        (["{model}", "{tmp}/out.nnef", "--input-format", "caffe2"], 2, "not a valid NetDef"),
        (["{model}", "{tmp}/out.nnef", "--input-shapes", "{{1: 2}}"], 1, "--input-shapes"),
        (["{model}", "{tmp}/out.nnef", "--shape", "z:1,2"], 1, "z"),
        (["{model}", "{tmp}/out.nnef", "--random", "lambda shape: 1", "--verify"], 1, "lambda"),
        (["{tmp}/missing.onnx", "{tmp}/out.nnef"], 2, "missing.onnx"),
        (["{tmp}", "{tmp}/out.nnef"], 2, "the folder holds no model"),
        (["{tmp}/junk.onnx", "{tmp}/out.nnef"], 2, "junk.onnx"),
        (["{tmp}/junk.tgz", "{tmp}/out.nnef"], 2, "junk.tgz"),
        (["{model}", "{model}/below/out.nnef"], 2, "net.onnx"),
    ],
)
def test_wrong_calls(run: Run, model: Path, tmp_path: Path, arguments: list[str], status: int, message: str) -> None:
    (tmp_path / "junk.onnx").write_bytes(b"\x00\x01junk")
    (tmp_path / "junk.tgz").write_bytes(b"\x1f\x8bjunk")
    before = snapshot(tmp_path)
    found, out, err = run("convert", *(argument.format(model=model, tmp=tmp_path) for argument in arguments))
    assert found == status, err
    assert message in err
    assert out == ""
    assert snapshot(tmp_path) == before


def test_plugin_options_need_optimize(run: Run, model: Path, tmp_path: Path) -> None:
    status, _, err = run("convert", model, tmp_path / "out.nnef", "--dequantize")
    assert status == 0
    assert "warning: --dequantize has no effect without optimization" in err


def test_missing_package(model: Path, tmp_path: Path) -> None:
    """ONNX is read without the package, but not written."""
    code = (
        "import sys; sys.modules['onnx'] = None; from nnef_tools.cli.main import main;"
        f"sys.exit(main(['convert', {str(model)!r}, {str(tmp_path / 'out.onnx')!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 6, done.stderr
    assert "hint: pip install 'nnef-tools[onnx]'" in done.stderr
    assert not (tmp_path / "out.onnx").exists()


def test_verification_of_what_the_source_runtime_cannot_run(run: Run, custom_model: Path, tmp_path: Path) -> None:
    plugin = tmp_path / "plugin.py"
    plugin.write_text(PLUGIN)
    options = ("--custom-converters", plugin, "--custom-fragments", plugin, "--verify")
    status, out, err = run("convert", custom_model, tmp_path / "out.nnef", *options)
    assert (status, out) == (2, "")
    assert "Foo" in err
    assert not (tmp_path / "out.nnef").exists()


def save(path: Path, nodes: list[onnx.NodeProto], outputs: dict[str, tuple[int, list[Any] | None]]) -> Path:
    """A model with input x [2, 3]."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3])
    results = [helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in outputs.items()]
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.example", 1)]
    onnx.save(helper.make_model(helper.make_graph(nodes, "g", [x], results), opset_imports=opsets, ir_version=8), path)
    return path


def test_static_only(run: Run, tmp_path: Path) -> None:
    nodes = [helper.make_node("Relu", ["x"], ["y"]), helper.make_node("NonZero", ["y"], ["n"])]
    outputs = {"y": (TensorProto.FLOAT, [2, 3]), "n": (TensorProto.INT64, [2, "k"])}
    model = save(tmp_path / "m.onnx", nodes, outputs)
    target = tmp_path / "out.nnef"
    assert run("convert", model, target)[0] == 3
    status, _, err = run("convert", model, target, "--static-only", "--keep-io-names", "--verify")
    assert status == 0, err
    assert "graph g(x) -> (y)" in (target / "graph.nnef").read_text()


def test_standard_only(run: Run, tmp_path: Path) -> None:
    model = save(tmp_path / "m.onnx", [helper.make_node("Erf", ["x"], ["y"])], {"y": (TensorProto.FLOAT, [2, 3])})
    target = tmp_path / "out.nnef"
    status, _, err = run("convert", model, target, "--standard-only")
    assert status == 3
    assert "Erf" in err
    assert not target.exists()
    status, _, err = run("convert", model, target, "--verify")
    assert status == 0, err
    assert "fragment erf" in (target / "graph.nnef").read_text()


@pytest.mark.parametrize("options", [["--decompose", "rnn_layer"], ["--decompose"], ["--standard-only"]])
def test_recurrent_layers_for_engines_without_fragments(run: Run, tmp_path: Path, options: list[str]) -> None:
    rng = np.random.default_rng(0)
    weights = {"w": rng.normal(size=(1, 4, 3)), "r": rng.normal(size=(1, 4, 4))}
    nodes = [
        *(
            helper.make_node("Constant", [], [name], value=numpy_helper.from_array(array.astype(np.float32)))
            for name, array in weights.items()
        ),
        helper.make_node("Constant", [], ["axis"], value_ints=[1]),
        helper.make_node("Unsqueeze", ["x", "axis"], ["sequence"]),
        helper.make_node("RNN", ["sequence", "w", "r"], ["y"], hidden_size=4),
    ]
    model = save(tmp_path / "m.onnx", nodes, {"y": (TensorProto.FLOAT, [2, 1, 1, 4])})
    whole, written_out = tmp_path / "whole.nnef", tmp_path / "out.nnef"
    assert run("convert", model, whole, "--verify")[0] == 0
    assert "fragment rnn_layer(" in (whole / "graph.nnef").read_text()
    sources = [model] if "--standard-only" in options else [model, whole]
    for source in sources:
        status, _, err = run("convert", source, written_out, *options, "--verify")
        assert status == 0, err
        text = (written_out / "graph.nnef").read_text()
        assert "fragment" not in text and "rnn_layer(" not in text and "matmul(" in text
    for choice in ([], ["--decompose"], ["--decompose", "rnn_layer"]):
        assert run("execute", whole, "--random", "uniform(0, 1)", "--output-path", tmp_path / "o", *choice)[0] == 0


def test_custom_shapes(run: Run, tmp_path: Path) -> None:
    """The shape after a custom operator is not known to ONNX, the plugin says it."""
    nodes = [
        helper.make_node("Twice", ["x"], ["t"], domain="com.example", name="twice"),
        helper.make_node("Relu", ["t"], ["y"]),
    ]
    model = save(tmp_path / "m.onnx", nodes, {"y": (TensorProto.FLOAT, None)})
    plugin = tmp_path / "plugin.py"
    plugin.write_text(
        "from nnef_tools import Transform\n"
        "CUSTOM_TRANSFORMS = {'Twice': Transform(type='twice', inputs='!I[0]', outputs='!O[0]', custom=True)}\n"
        "CUSTOM_SHAPES = {'twice': lambda x: [2 * x[0], *x[1:]]}\n"
        "CUSTOM_FRAGMENTS = {'twice': 'fragment twice(x: tensor<scalar>) -> (y: tensor<scalar>);\\n'}\n"
    )
    target = tmp_path / "out.nnef"
    arguments = ["convert", model, target, "--custom-converters", plugin, "--custom-fragments", plugin]
    status, _, err = run(*arguments, "--custom-shapes", plugin, "--annotate-shapes")
    assert status == 0, err
    text = (target / "graph.nnef").read_text()
    assert next(line for line in text.splitlines() if "relu(" in line).rstrip().endswith("# scalar(4, 3)")


def test_annotated_and_custom_optimizers(run: Run, model: Path, tmp_path: Path) -> None:
    plugin = tmp_path / "plugin.py"
    plugin.write_text(
        "from nnef_tools.model import Operation\n"
        "def fuse(relu, pool):\n"
        "    Operation(relu.graph, type='relu_pool', inputs=relu.input, outputs=pool.output,\n"
        "              attribs={'size': pool.attribs['size']}, custom=True)\n"
        "CUSTOM_OPTIMIZERS = {('relu', 'max_pool'): fuse}\n"
        "CUSTOM_FRAGMENTS = {'relu_pool': 'fragment relu_pool(x: tensor<scalar>, size: integer[])"
        " -> (y: tensor<scalar>);\\n'}\n"
    )
    options = ("--optimize", "--custom-optimizers", plugin, "--custom-fragments", plugin, "--json")
    status, out, err = run("convert", model, tmp_path / "out.nnef", *options)
    assert status == 0, err
    report = json.loads(out)
    assert report["target"]["operations"] == {"conv": 1, "relu_pool": 1}
    assert report["passes"][0]["difference"] == {"max_pool": -1, "relu": -1, "relu_pool": 1}
