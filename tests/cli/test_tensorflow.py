"""The options of `convert` and `execute` for TensorFlow graphs; those that run such a graph need TensorFlow."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from nnef_tools import run_model
from nnef_tools.io.nnef import Reader as NnefReader
from nnef_tools.io.tf.graphdef import Reader
from nnef_tools.language.tensor_file import read_tensor, write_tensor

from ..support.commands import Run
from ..support.tf_examples import FOLDER, recorded

IMAGE = FOLDER / "squeeze_excite.pb"
IMAGE_SHAPE = ("--shape", "input_0:2,10,11,6")
DILATED = FOLDER / "dilated.pb"
U_NET = FOLDER / "u_net_transposed.pb"

PLUGIN = """
import numpy as np
from nnef_tools.conversion import Transform

CUSTOM_TRANSFORMS = {
    "Relu": Transform(type="ramp", inputs="!I[0]", outputs="!O[0]", attribs={"limit": 6.0}, custom=True),
}
CUSTOM_FRAGMENTS = {"ramp": "fragment ramp( x: tensor<scalar>, limit: scalar = 6.0 ) -> ( y: tensor<scalar> );"}
CUSTOM_SHAPES = {"ramp": lambda x, **attribs: x}


def ramp(x, limit):
    return np.maximum(np.asarray(x), 0)


CUSTOM_OPERATORS = {"ramp": ramp}
"""


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    path = tmp_path / "plugin.py"
    path.write_text(PLUGIN)
    return path


def text(folder: Path) -> str:
    return (folder / "graph.nnef").read_text()


def succeed(done: tuple[int, str, str]) -> str:
    """What was told on standard error."""
    assert done[0] == 0, done[2]
    return done[2]


def relus(graph: Path) -> list[str]:
    return [str(op.output.name) for op in Reader()(graph).operations if op.type == "Relu"]


def test_names_and_annotations(run: Run, tmp_path: Path) -> None:
    target = tmp_path / "m.nnef"
    succeed(run("convert", IMAGE, target, *IMAGE_SHAPE, "--keep-io-names", "--annotate-shapes", "--io-transpose"))
    assert "graph G(input_0) -> (Identity)" in text(target)
    assert "input_0 = external<scalar>(shape = [2, 6, 10, 11]);    # scalar(2, 6, 10, 11)" in text(target)
    succeed(run("convert", target, tmp_path / "back.pb", "--io-transpose"))
    back = Reader()(tmp_path / "back.pb")
    assert [(t.name, t.shape) for t in back.inputs] == [("input_0", (2, 10, 11, 6))]
    assert [t.name for t in back.outputs] == ["Identity"]


@pytest.mark.parametrize("suffix", ["", ":0"])
def test_one_input_is_transposed(run: Run, suffix: str, tmp_path: Path) -> None:
    target = tmp_path / "m.nnef"
    succeed(run("convert", IMAGE, target, *IMAGE_SHAPE, "--io-transpose", f"input_0{suffix}"))
    (x,), (y,) = recorded(IMAGE)
    (result,) = run_model(target, [np.moveaxis(x, -1, 1)]).values()
    np.testing.assert_allclose(result, y, atol=1e-4 * np.abs(y).max())


@pytest.mark.parametrize("suffix", ["", ":0"])
def test_part_of_a_graph(run: Run, suffix: str, tmp_path: Path) -> None:
    first, *_, last = relus(U_NET)
    target = tmp_path / "m.nnef"
    names = ("--input-names", first + suffix, "--output-names", last + suffix)
    succeed(run("convert", U_NET, target, "--input-shapes", "{'input_0:0': (2, 24, 16, 3)}", *names))
    part = NnefReader()(target)
    assert [t.shape for t in (*part.inputs, *part.outputs)] == [(2, 24, 16, 6), (2, 24, 16, 6)]
    status, _, err = run("convert", U_NET, target, "--output-names", last.replace("Relu", "Rellu") + suffix)
    assert status == 1 and f"'{last}'" in err


def test_shape_of_an_inner_input(run: Run, tmp_path: Path) -> None:
    """It may be given, for what comes before cannot always be converted."""
    first, *_, last = relus(U_NET)
    target, names = tmp_path / "m.nnef", ("--input-names", first, "--output-names", last)
    status, _, err = run("convert", U_NET, target, *names)
    assert status != 0 and first in err and f"--shape '{first}:?'" in err
    succeed(run("convert", U_NET, target, *names, "--input-shapes", f"{{'{first}:0': (1, 24, 16, 6)}}"))
    assert NnefReader()(target).inputs[0].shape == (1, 24, 16, 6)
    status, _, err = run("convert", U_NET, target, "--input-shapes", f"{{'{first}': (1, 24, 16, 6)}}")
    assert status != 0 and f"no input '{first}'" in err


def test_open_extents(run: Run, tmp_path: Path) -> None:
    for options in ((), ("--static-only",)):
        status, _, err = run("convert", IMAGE, tmp_path / "m.nnef", *options)
        assert status == 3 and "dynamic shape: 'input_0'" in err
    status, _, err = run("convert", IMAGE, tmp_path / "m.nnef", "--shape", "input_0:2,10,11,5")
    assert status != 0 and not (tmp_path / "m.nnef").exists()


@pytest.mark.parametrize("options", [(), ("--optimize",), ("--io-transpose", "--optimize")], ids=str)
def test_mapped_tensors_hold_the_same(run: Run, options: tuple[str, ...], tmp_path: Path) -> None:
    """Names of the source stand for the right tensors of the result, which may have channels second."""
    from ..support.tf_programs import run_graph_def  # here, since other tests need no TensorFlow

    target, file = tmp_path / "m.nnef", tmp_path / "map.json"
    (x,), (_,) = recorded(DILATED)
    succeed(run("convert", DILATED, target, "--shape", "input_0:2,15,14,3", "--tensor-mapping", file, *options))
    mapping = json.loads(file.read_text())
    names = [name for name, other in mapping.items() if not other.startswith(("variable", "external"))]
    assert len(names) >= 5
    expected = run_graph_def(DILATED, [f"{name}:0" for name in names], {"input_0:0": x})
    values = dict(zip(names, expected, strict=True))
    given = np.moveaxis(x, -1, 1) if "--io-transpose" in options else x
    results = run_model(target, [given], backend="numpy", output_names=[mapping[name] for name in names])
    for name, value in values.items():
        result = results[mapping[name]]
        layouts = [value, np.moveaxis(value, -1, 1) if value.ndim > 2 else value]
        assert any(
            result.shape == other.shape and np.allclose(result, other, atol=1e-4 * np.abs(value).max())
            for other in layouts
        ), name


def test_plugins_and_copied_operators(run: Run, plugin: Path, tmp_path: Path) -> None:
    """A custom operation of a plugin runs, is copied into a TensorFlow graph as a composite, and comes back."""
    target, back, again = tmp_path / "m.nnef", tmp_path / "back.pb", tmp_path / "again.nnef"
    (x,), (y,) = recorded(IMAGE)
    plugins = ("--custom-converters", plugin, "--custom-fragments", plugin, "--custom-shapes", plugin)
    succeed(run("convert", IMAGE, target, *IMAGE_SHAPE, *plugins))
    assert re.search(r"= ramp\(\w+, limit = 6\.0\);", text(target))
    assert "fragment ramp( x: tensor<scalar>, limit: scalar = 6.0 )" in text(target)
    operators = {"ramp": lambda x, limit: np.maximum(x, 0)}
    (result,) = run_model(target, [x], backend="numpy", custom_operators=operators).values()
    np.testing.assert_allclose(result, y, atol=1e-4 * np.abs(y).max())

    status, _, err = run("convert", target, back, "--custom-shapes", plugin)
    assert status == 3 and "ramp" in err and not back.exists()
    succeed(run("convert", target, back, "--custom-shapes", plugin, "--mirror-unsupported"))
    assert [op.attribs for op in Reader()(back).operations if op.custom] == [{"limit": 6.0}]
    succeed(run("convert", back, again, "--mirror-unsupported", "--generate-custom-fragments"))
    assert re.search(r"fragment ramp_v1\(.*limit: scalar \)", text(again))


def test_verified_with_plugins(run: Run, plugin: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorflow", reason="it runs the source")
    plugins = ("--custom-converters", plugin, "--custom-fragments", plugin, "--custom-shapes", plugin)
    assert "equal" in succeed(run("convert", IMAGE, tmp_path / "m.nnef", *IMAGE_SHAPE, *plugins, "--verify", 1))


@pytest.mark.parametrize("name", ["lstm", "separable", "transformer_encoder", "u_net_transposed"])
def test_verified_in_both_directions(run: Run, name: str, tmp_path: Path) -> None:
    pytest.importorskip("tensorflow", reason="it runs the source")
    target, back = tmp_path / "m.nnef", tmp_path / "back.pb"
    shape = ",".join(map(str, recorded(FOLDER / f"{name}.pb")[0][0].shape))
    options = ("--io-transpose", "--optimize", "--verify", 1)
    assert "equal" in succeed(run("convert", FOLDER / f"{name}.pb", target, "--shape", f"input_0:{shape}", *options))
    assert "equal" in succeed(run("convert", target, back, *options))


@pytest.mark.parametrize("suffix", ["", ":0"])
def test_execution(run: Run, suffix: str, tmp_path: Path) -> None:
    """Statistics have TensorFlow's names; tensors are asked for with and without `:0`."""
    pytest.importorskip("tensorflow", reason="it runs the model")
    first, *_, last = relus(U_NET)
    shape = ("--shape", f"input_0{suffix}:2,24,16,3")
    wanted = ("--output-names", f"{{'{first}{suffix}': 'first', '{last}{suffix}': 'last'}}")
    files = ("--output-path", tmp_path, "--statistics", tmp_path / "stats.json")
    succeed(run("execute", U_NET, "--random", "normal(0, 1)", "--seed", 1, *shape, *wanted, *files))
    assert (tmp_path / "first.dat").exists() and (tmp_path / "last.dat").exists()
    statistics = json.loads((tmp_path / "stats.json").read_text())
    assert {"input_0:0", f"{first}:0", f"{last}:0", "Identity:0"} <= set(statistics)
    assert statistics[f"{first}:0"]["min"] == 0 < statistics[f"{first}:0"]["max"]

    mapping = tmp_path / "map.json"
    succeed(run("convert", U_NET, tmp_path / "m.nnef", "--shape", "input_0:2,24,16,3", "--tensor-mapping", mapping))
    succeed(run("execute", U_NET, "--random", "normal(0, 1)", "--seed", 1, *shape, *files, "--tensor-mapping", mapping))
    renamed = json.loads((tmp_path / "stats.json").read_text())
    names = json.loads(mapping.read_text())
    assert renamed[names[first]] == statistics[f"{first}:0"]
    assert "input_0:0" not in renamed
    model = ("execute", tmp_path / "m.nnef", "--random", "normal(0, 1)", "--seed", 1, "--backend", "numpy")
    succeed(run(*model, *files, "--tensor-mapping", mapping))
    back = json.loads((tmp_path / "stats.json").read_text())
    assert first in back and names[first] not in back
    assert back[first]["max"] == pytest.approx(statistics[f"{first}:0"]["max"], rel=1e-4)


def test_files_have_full_names(run: Run, tmp_path: Path) -> None:
    """Inputs are found with and without `:0`; outputs are written as they are asked for, by default with it."""
    pytest.importorskip("tensorflow", reason="it runs the model")
    (x,), (y,) = recorded(DILATED)
    (out := tmp_path / "out").mkdir()
    for file in ("input_0:0.dat", "input_0.dat"):
        folder = tmp_path / file.replace(":", "_")
        folder.mkdir()
        write_tensor(folder / file, x)
        succeed(run("execute", DILATED, "--input-path", folder, "--output-path", out))
        np.testing.assert_allclose(read_tensor(str(out / "Identity:0.dat"))[0], y, atol=1e-5 * np.abs(y).max())
    succeed(run("execute", DILATED, "--input-path", folder, "--output-path", out, "--output-names", "*"))
    assert all(file.name.removesuffix(".dat").rpartition(":")[2].isdigit() for file in out.rglob("*.dat"))
    assert (out / "input_0:0.dat").exists()


@pytest.mark.parametrize("options", [(), ("input_0", "Identity:0"), ("input_0:0", "Identity")])
def test_channels_are_second_outside(run: Run, options: tuple[str, ...], tmp_path: Path) -> None:
    """TensorFlow has channels last: values of files and pipes have them second, as in NNEF."""
    pytest.importorskip("tensorflow", reason="it runs the model")
    (x,), (y,) = recorded(DILATED)
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    write_tensor(folder / "input_0.dat", np.ascontiguousarray(np.moveaxis(x, -1, 1)))
    succeed(run("execute", DILATED, "--input-path", folder, "--output-path", out, "--io-transpose", *options))
    (file,) = out.iterdir()
    result = read_tensor(str(file))[0]
    assert result.shape == (y.shape[0], y.shape[-1], *y.shape[1:-1]) != y.shape
    np.testing.assert_allclose(np.moveaxis(result, 1, -1), y, atol=1e-5 * np.abs(y).max())
    random = ("--random", "uniform(0, 1)", "--shape", f"input_0:{','.join(map(str, np.moveaxis(x, -1, 1).shape))}")
    succeed(run("execute", DILATED, *random, "--output-path", out, "--io-transpose", *options))
    status, _, err = run("execute", DILATED, "--random", "uniform(0, 1)", "--io-transpose", "nothing")
    assert status == 1 and "has no tensor 'nothing'" in err
