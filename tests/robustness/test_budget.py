"""Tiny models that ask for too much: one error that names the operator and the number, at once and without memory."""

from __future__ import annotations

import ast
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import nnef_tools
from nnef_tools.budget import Budget, Steps, current, within
from nnef_tools.errors import ConversionError, ExecutionError, LimitError, NnefToolsError, ShapeError, UsageError
from nnef_tools.ops.inference import infer_shapes
from nnef_tools.ops.resize import resized_axes

from ..io.tf.messages import INT32, attr, graph, node, placeholder
from ..support.commands import Run, runner
from ..support.onnx_models import text_model
from .graphdef import integers, scalar

BIG, HUGE = 10**9, 10**12
INT = attr(type=INT32)

# name -> declarations of inputs, statement for y
NNEF = {
    "copies": ("[1,2,3]", f"[y] = copy_n(x, times = {BIG});"),
    "window": ("[1,2,9]", f"y = max_pool(x, size = [1,1,{BIG}], border = 'constant', padding = []);"),
    "sums": ("[1,2,9]", f"y = box(x, size = [1,1,{BIG}], border = 'ignore', padding = [], normalize = true);"),
    "indices": ("[1,2,9]", f"y = argmax_pool(x, size = [1,1,{BIG}], border = 'constant', padding = []);"),
    "transpose of sums": ("[1,2,9]", f"y = debox(x, size = [1,1,{BIG}], border = 'constant', padding = []);"),
    "volume of a window": ("[1,1100,1100]", "y = argmax_pool(x, size = [1,1100,1100], border = 'constant');"),
    "regions": (
        "[1,2,9,9]",
        "r = constant(shape = [1,4], value = [0.0]); i = constant<integer>(shape = [1], value = [0]); "
        "y = max_roi_pool(x, r, i, output_size = [30000,30000]);",
    ),
    "rank": ("[2]", f"y = unsqueeze(x, axes = [{','.join(map(str, range(1, 40000)))}]);"),
    "rank of an input": (f"[{','.join(['1'] * 100_000)}]", "y = copy(x);"),
    "sums over a continued input": (
        "[1,2,9]",
        f"y = box(x, size = [1,1,{1 << 20}], border = 'replicate', padding = [(0,0),(0,0),({1 << 20},{1 << 20})]);",
    ),
    "sums over zeros": (
        "[1,9,9]",
        f"y = box(x, size = [1,{1 << 20},1], border = 'constant', padding = [(0,0),({1 << 20},{1 << 20}),(0,0)]);",
    ),
    "sums continued": (
        "[1,2,9]",
        f"y = debox(x, size = [1,1,{1 << 20}], border = 'replicate', padding = [(0,0),(0,0),(0,0)]);",
    ),
    "corners of a sample": (
        f"[{','.join(['1'] * 24)}]",
        "r = constant(shape = [1,44], value = [0.0]); i = constant<integer>(shape = [1], value = [0]); "
        f"y = roi_resample(x, r, i, output_size = [{','.join(['1'] * 22)}]);",
    ),
    "more than can be addressed": ("[1,2,3]", f"y = tile(x, repeats = [{2**40},{2**20},1]);"),
}

# what a run cannot hold; a conversion passes it on
RUN = {
    "an input": (f"[{HUGE}]", "y = copy(x);"),
    "a result": ("[1,2,3]", f"y = tile(x, repeats = [{HUGE},1,1]);"),
    "an upsampled result": ("[1,2,3]", f"y = nearest_upsample(x, factor = [{BIG}]);"),
    "upsampling": ("[1,2,3]", f"y = multilinear_upsample(x, factor = [{BIG}]);"),
    "padding": ("[1,2,3]", f"y = pad(x, padding = [(0,0),(0,{BIG}),(0,0)]);"),
    "a constant": ("[1]", f"c = constant(shape = [{BIG}], value = [1.0]); y = add(x, c);"),
    "an intermediate result": ("[1]", f"z = tile(x, repeats = [{2 * BIG}]); y = sum_reduce(z, axes = [0]);"),
}


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Run:
    return runner(capfd)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return tmp_path / "model"


def write(folder: Path, shape: str, statement: str) -> Path:
    folder.mkdir()
    text = f"version 1.0;\ngraph G(x) -> (y)\n{{\n    x = external<scalar>(shape = {shape});\n    {statement}\n}}\n"
    (folder / "graph.nnef").write_text(text)
    return folder


@contextmanager
def frugal() -> Iterator[None]:
    """Context manager that checks that little memory is taken, beyond what packages need that are imported here."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000


@pytest.mark.parametrize("backend", ["numpy", "torch", "onnxruntime", "auto"])
@pytest.mark.parametrize("case", [*NNEF, *RUN])
def test_runs(model: Path, case: str, backend: str) -> None:
    if case == "volume of a window":
        backend = "numpy"
    shape, statement = {**NNEF, **RUN}[case]
    write(model, shape, statement)
    with frugal(), pytest.raises(NnefToolsError, match=r"limit of|can be addressed"):
        nnef_tools.run_model(
            model, [np.zeros(ast.literal_eval(shape) if len(shape) < 14 else 1, np.float32)], backend=backend
        )


@pytest.mark.parametrize("suffix", [".onnx", ".pb"])
@pytest.mark.parametrize("case", [name for name in NNEF if name != "volume of a window"])
def test_conversions_from_nnef(model: Path, case: str, suffix: str) -> None:
    write(model, *NNEF[case])
    target = model.with_suffix(suffix)
    with frugal(), pytest.raises(NnefToolsError, match=r"limit of|can be addressed"):
        nnef_tools.convert_model(model, target)
    assert not target.exists()


RESIZE = {"output_size": [3], "mode": "linear"}


@pytest.mark.parametrize(
    "attribs",
    [
        {"scales": [1e-9], "antialias": True},
        {"scales": [1e-30], "antialias": True, "mode": "cubic"},
        {"output_size": [BIG], "mode": "nearest"},
        {"output_size": [BIG], "mode": "cubic"},
    ],
)
def test_tables_of_a_resize(attribs: dict[str, Any]) -> None:
    with frugal(), pytest.raises(LimitError, match=r"its table of .* would be a constant of"):
        resized_axes([1, 2, 9], **{**RESIZE, **attribs})


def test_neighbors_in_a_grid() -> None:
    with pytest.raises(LimitError, match="a cell of its grid spans 16,777,216 positions"):
        infer_shapes("grid_sample", [[1] * 14, [1] * 13 + [12]], {"mode": "cubic"})


@pytest.mark.parametrize("size", [[1, 1, 1 << 20, 1 << 20, 1 << 20, 1 << 20]])
def test_indices_that_cannot_be_counted(size: list[int]) -> None:
    attribs = {"size": size, "border": "constant", "padding": [(0, 0)] * 2 + [(1 << 20, 0)] * 4}
    with pytest.raises(ShapeError, match="more items than an index can count"):
        infer_shapes("argmax_pool", [[1, 1, 3, 3, 3, 3]], attribs)


def test_a_lack_of_memory_is_beyond_a_limit(model: Path, monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    def fail(*args: Any, **options: Any) -> None:
        raise MemoryError("no 80 GiB")

    write(model, "[1,2,9]", "y = relu(x);")
    monkeypatch.setattr("nnef_tools.io.nnef.reader.build_graph", fail)
    with pytest.raises(LimitError, match="out of memory: no 80 GiB"):
        nnef_tools.load_model(model)
    status, _, message = run("convert", model, model.with_suffix(".onnx"))
    assert status == 2
    assert "error: out of memory: no 80 GiB" in message


def test_a_lack_of_memory_names_the_operator(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any, **options: Any) -> None:
        raise MemoryError

    write(model, "[1,2,9]", "y = max_pool(x, size = [1,1,3]);")
    monkeypatch.setattr("nnef_tools.conversion.onnx.from_nnef.pool._over_axes", fail)
    with pytest.raises(ConversionError, match=r"'max_pool'.*out of memory"):
        nnef_tools.convert_model(model, model.with_suffix(".onnx"))


WIDE = "padding = [(0,0),(0,0),(100000,0),(99999,0)], border = '%s'"


@pytest.mark.parametrize("border", ["constant", "ignore"])
@pytest.mark.parametrize("name", ["max_pool", "avg_pool", "box"])
@pytest.mark.parametrize("suffix", [".onnx", ".pb"])
def test_large_windows_of_small_inputs_are_not_padded(model: Path, name: str, border: str, suffix: str) -> None:
    write(model, "[1,1,5,6]", f"y = {name}(x, size = [1,1,100000,100000], {WIDE % border});")
    with frugal():
        nnef_tools.convert_model(model, model.with_suffix(suffix), verify=1)


@pytest.mark.parametrize("suffix", [".onnx", ".pb"])
def test_constants_that_would_be_written(model: Path, suffix: str) -> None:
    write(model, *RUN["a constant"])
    with frugal(), pytest.raises(ConversionError) as caught:
        nnef_tools.convert_model(model, model.with_suffix(suffix))
    assert caught.value.exit_code == 3
    text = str(caught.value)
    assert "would be a constant of 1,000,000,000 items, more than the limit of 67,108,864" in text
    assert "limits={'constants': 1000000000}" in text
    nnef_tools.convert_model(model, model.with_suffix(".nnef"))  # NNEF has a short form of it


ONNX = {
    "Range": f"""n = Constant<value_int = {HUGE}>() o = Constant<value_int = 0>()
        e = Constant<value_int = 1>() r = Range(o, n, e) y = Add(x, r)""",
    "ConstantOfShape": f"""s = Constant<value_ints = [{BIG}]>() r = ConstantOfShape(s)
        i = Cast<to = 7>(r) y = Add(x, i)""",
    "Tile": f"""c = Constant<value_ints = [1, 2]>() s = Constant<value_ints = [{BIG}]>()
        r = Tile(c, s) y = Gather(r, x)""",
    "Expand": f"""c = Constant<value_ints = [1]>() s = Constant<value_ints = [{BIG}]>()
        r = Expand(c, s) y = Gather(r, x)""",
    "Pad": f"""c = Constant<value_ints = [1]>() s = Constant<value_ints = [0, {BIG}]>()
        r = Pad(c, s) y = Gather(r, x)""",
    "OneHot": f"""c = Constant<value_ints = [1]>() d = Constant<value_int = {BIG}>()
        v = Constant<value_ints = [0, 1]>() r = OneHot(c, d, v) t = Squeeze(r) y = Gather(t, x)""",
    "MelWeightMatrix": f"""d = Constant<value_int = {BIG}>() s = Constant<value_int = 8000>()
        l = Constant<value_float = 0.0>() h = Constant<value_float = 8000.0>()
        r = MelWeightMatrix(d, d, s, l, h) t = Squeeze(r) i = Cast<to = 7>(t) y = Gather(i, x)""",
}


@pytest.mark.parametrize("case", ONNX)
def test_conversions_from_onnx(tmp_path: Path, case: str) -> None:
    header = '<ir_version: 8, opset_import: ["" : 17]>'
    source = tmp_path / "model.onnx"
    onnx.save(text_model(f"{header} g (int64[1] x) => (int64[n] y) {{ {ONNX[case]} }}"), source)
    with frugal(), pytest.raises(ConversionError, match=rf"'{case}'.*(\n.*)*limit of"):
        nnef_tools.convert_model(source, tmp_path / "model.nnef", fold_constants=True)
    assert not (tmp_path / "model.nnef").exists()


@pytest.mark.parametrize(
    "name, extents, node",
    [
        ("EyeLike", "100000,100000", "y = EyeLike(x)"),
        ("Trilu", "100000,100000", "y = Trilu(x)"),
        ("Hardmax", f"1,{BIG}", "y = Hardmax(x)"),
        ("RoiAlign", "1,1,9,9", "r = Constant<value = float[1,4] {0, 0, 1, 1}>() i = Constant<value_ints = [0]>() "
         f"y = RoiAlign<output_height = 3, output_width = {BIG}, sampling_ratio = 9>(x, r, i)"),
        ("MaxPool", "1,1,9", f"y = MaxPool<kernel_shape = [{BIG}], pads = [{BIG - 1}, {BIG - 1}]>(x)"),
    ],
)  # fmt: skip
def test_tables_of_onnx_operators(tmp_path: Path, name: str, extents: str, node: str) -> None:
    header = '<ir_version: 8, opset_import: ["" : 17]>'
    source = tmp_path / "model.onnx"
    onnx.save(text_model(f"{header} g (float[{extents}] x) => (float y) {{ {node} }}"), source)
    with frugal(), pytest.raises(ConversionError, match=rf"'{name}'.*(\n.*)*limit of"):
        nnef_tools.convert_model(source, tmp_path / "model.nnef")


DIMS = integers("dims", 2 * 10**9)
TENSORFLOW = {
    "Fill": [DIMS, scalar("one", 1), node("Fill", "r", "dims", "one", T=INT, index_type=INT)],
    "Tile": [DIMS, integers("one", 1), node("Tile", "r", "one", "dims", T=INT, Tmultiples=INT)],
    "Range": [scalar("a", 0), scalar("b", 2 * 10**9), scalar("c", 1), node("Range", "r", "a", "b", "c", Tidx=INT)],
    "OneHot": [
        *(scalar("a", 0), scalar("b", 2 * 10**9), scalar("c", 1)),
        node("OneHot", "r", "a", "b", "c", "a", T=INT, TI=INT, axis=attr(i=-1)),
    ],
}


@pytest.mark.parametrize("case", TENSORFLOW)
def test_conversions_from_tensorflow(tmp_path: Path, case: str) -> None:
    source = tmp_path / "model.pb"
    add = node("AddV2", "y", "x", "r", T=INT)
    source.write_bytes(graph(placeholder("x", 1, dtype=INT32), *TENSORFLOW[case], add).SerializeToString())
    with frugal(), pytest.raises(ConversionError, match=rf"'{case}'.*(\n.*)*limit of"):
        nnef_tools.convert_model(source, tmp_path / "model.nnef", fold_constants=True)


def test_nested_loops_have_one_number_of_steps(tmp_path: Path) -> None:
    """4,000 steps each, together 16 million."""
    inner = "z = Loop(n, yes, a) <body = inner (int64 k, bool q, float[2] c) => (bool t, float[2] e) " \
        "{ t = Identity(q) e = Neg(c) }>"  # fmt: skip
    text = f"""<ir_version: 8, opset_import: ["" : 17]>
    g (float[2] x) => (float[2] y) {{
        n = Constant<value_int = 4000>() yes = Constant<value = bool {{1}}>()
        y = Loop(n, yes, x) <body = outer (int64 i, bool b, float[2] a) => (bool d, float[2] z) {{
            d = Identity(b) {inner}
        }}>
    }}"""
    source = tmp_path / "model.onnx"
    onnx.save(text_model(text), source)
    with pytest.raises(ConversionError, match=r"'Loop'.*(\n.*)*unrolled in 101 steps, more than the limit of 100"):
        nnef_tools.convert_model(source, tmp_path / "model.nnef", limits={"steps": 100})
    with pytest.raises(ConversionError, match=r"'Loop'.*(\n.*)*gives the model 1,00\d operations"):
        nnef_tools.convert_model(source, tmp_path / "model.nnef", limits={"operations": 1000})


def test_limits_are_raised_and_lowered(model: Path, run: Run) -> None:
    write(model, "[1,2,3]", "y = tile(x, repeats = [5,1,1]);")
    x = np.ones((1, 2, 3), np.float32)
    assert nnef_tools.run_model(model, [x], limits={"items": 30})["y"].shape == (5, 2, 3)
    for backend in ("numpy", "torch", "onnxruntime", "auto"):
        with pytest.raises(LimitError, match="tile 'y': its result would have 30 items, more than the limit of 29"):
            nnef_tools.run_model(model, [x], limits={"items": 29}, backend=backend)
    random = ("execute", str(model), "--random", "uniform(0,1)", "--json")
    assert run(*random, "--limit", "items=3e1, steps=7")[0] == 0
    status, _, message = run(*random, "--limit", "items=29")
    assert status == 2
    assert "--limit items=30 allows it" in message
    for wrong in ("item=29", "items", "items=many", "items=0", "items=nan"):
        assert run(*random, "--limit", wrong)[0] == 1, wrong


def test_the_budget_of_an_executor_stays_with_it(model: Path) -> None:
    write(model, "[1,2,9]", "y = max_pool(x, size = [1,1,3], border = 'constant', padding = [(0,0),(0,0),(5,5)]);")
    x = np.ones((1, 2, 9), np.float32)
    executor = nnef_tools.execution.make_executor(model, backend="numpy", limits={"items": 34})
    with pytest.raises(ExecutionError, match="its input with padding would have 38 items"):
        executor.run({"x": x})
    assert nnef_tools.execution.make_executor(model, backend="numpy").run({"x": x})["y"].shape == (1, 2, 17)


def test_inputs_are_not_generated_beyond_the_budget(model: Path, run: Run) -> None:
    write(model, f"[{HUGE}]", "y = reshape(x, shape = [1,-1]);")
    with frugal():
        for command in (
            ("convert", model, model.with_suffix(".onnx"), "--verify"),
            ("execute", model, "--random", "uniform(0,1)", "--json"),
        ):
            status, _, message = run(*command)
            assert status == 2, command
            assert "1,000,000,000,000 items" in message


def test_weights_of_files_do_not_count(model: Path) -> None:
    write(model, "[1,4]", "w = variable(shape = [4,4], label = 'w'); y = matmul(x, w);")
    with (model / "w.dat").open("wb") as file:
        nnef_tools.language.tensor_file.write_tensor(file, np.eye(4, dtype=np.float32))
    few = {"constants": 1, "items": 4}
    assert nnef_tools.run_model(model, [np.ones((1, 4), np.float32)], limits=few, backend="numpy")["y"].size == 4
    nnef_tools.convert_model(model, model.with_suffix(".onnx"), limits=few, optimize=True)


def test_budget() -> None:
    with within({"items": 5, "rank": 2e0}):
        assert current() == Budget(items=5, rank=2)
        with within({"items": 6}):
            assert current() == Budget(items=6, rank=2)
    assert current() == Budget()
    with pytest.raises(UsageError, match=r"no limit 'item'.*\n.*'items'"), within({"item": 5}):
        raise AssertionError
    steps = Steps()
    steps.take(Budget().steps)
    with pytest.raises(LimitError, match="16,385 steps"):
        steps.take()
