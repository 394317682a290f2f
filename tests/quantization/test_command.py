"""The command `quantize`, the documented lines of the 1.0 series, and statistics over many samples."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from nnef_tools import load_model
from nnef_tools.execution.session import open_executor
from nnef_tools.language.quant_file import parse_quantization
from nnef_tools.language.tensor_file import read_tensor, write_tensor

from ..support.commands import Run, run_module, runner

GRAPH = """version 1.0;
graph net(x) -> (y)
{
    x = external<scalar>(shape = [1, 1, 2, 2]);
    w = variable<scalar>(shape = [2, 1, 1, 1], label = 'w');
    b = variable<scalar>(shape = [1, 2], label = 'b');
    c = conv(x, w, b, padding = [(0, 0), (0, 0)]);
    y = relu(c);
}
"""
STATISTICS = {
    "x": {"min": -1.0, "max": 1.55, "mean": 0.1, "std": 0.2},
    "w": {"min": -2.54, "max": 1.27, "mean": -0.635, "std": 2.694},
    "b": {"min": -0.5, "max": 0.25, "mean": -0.125, "std": 0.53},
    "c": {"min": -3.0, "max": 5.1, "mean": 1.0, "std": 1.0},
    "y": {"min": 0.0, "max": 5.1, "mean": 1.0, "std": 1.0},
}


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Run:
    return runner(capfd)


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "graph.nnef").write_text(GRAPH, "utf-8")
    write_tensor(str(folder / "w.dat"), np.array([1.27, -2.54], np.float32).reshape(2, 1, 1, 1))
    write_tensor(str(folder / "b.dat"), np.array([[-0.5, 0.25]], np.float32))
    (folder / "graph.stats").write_text(json.dumps(STATISTICS), "utf-8")
    return folder


def _entries(folder: Path) -> dict[str, tuple[float | list[float], int, int, bool]]:
    """Tensor -> scale, zero point, bits, signed."""
    parsed = parse_quantization((folder / "graph.quant").read_text("utf-8"))
    return {
        name: (np.asarray(e["scale"]).reshape(-1).tolist(), int(np.max(e["zero_point"])), e["bits"], e["signed"])
        for name, e in parsed.items()
    }


def near(*scale: float) -> object:
    return pytest.approx(list(scale), rel=1e-5)


UNSIGNED = {"x": (near(0.01), 100, 8, False), "y": (near(0.02), 0, 8, False)}
WEIGHTS = {"w": (near(0.01, 0.02), 0, 8, True), "b": (near(0.0001, 0.0002), 0, 32, True)}
LINES = {
    "model --output q": {**UNSIGNED, **WEIGHTS},
    "model --output q --statistics model/graph.stats --wide-bias": {**UNSIGNED, **WEIGHTS},
    "model --output q --signed": {"x": (near(0.01), -28, 8, True), "y": (near(0.02), -128, 8, True), **WEIGHTS},
    "model --output q --signed --symmetric": {
        "x": (near(1.55 / 127), 0, 8, True),
        "y": (near(5.1 / 127), 0, 8, True),
        "w": WEIGHTS["w"],
        "b": (near(0.01 * 1.55 / 127, 0.02 * 1.55 / 127), 0, 32, True),
    },
    "model --output q --percentile 2": {
        "x": (near(0.8 / 255), 96, 8, False),  # 0.1 - 0.4 .. 0.1 + 0.4
        "y": (near(3 / 255), 0, 8, False),
        "w": WEIGHTS["w"],
        "b": (near(0.01 * 0.8 / 255, 0.02 * 0.8 / 255), 0, 32, True),
    },
    "model --output q --weights as-activations": {
        **UNSIGNED,
        "w": (near(3.81 / 255), 170, 8, False),
        "b": (near(0.75 / 255), 170, 8, False),
    },
    "model --output q --weights as-activations --wide-bias": {
        **UNSIGNED,
        "w": (near(3.81 / 255), 170, 8, False),
        "b": (near(0.01 * 3.81 / 255), 0, 32, True),
    },
    "model --output q --bits 16 --signed --symmetric --weights per-tensor": {
        "x": (near(1.55 / 32767), 0, 16, True),
        "y": (near(5.1 / 32767), 0, 16, True),
        "w": (near(0.02), 0, 8, True),
        "b": (near(0.02 * 1.55 / 32767), 0, 32, True),
    },
}


@pytest.mark.parametrize("line", LINES)
def test_numbers(line: str, model: Path, run: Run) -> None:
    status, out, err = run("quantize", *line.split())
    assert status == 0, err
    assert "2 operations compute with codes" in err and out.endswith("Written q\n")
    assert _entries(Path("q")) == LINES[line]


def test_codes(model: Path, run: Run) -> None:
    """code = round(value / scale) + zero point."""
    assert run("quantize", "model", "--output", "q")[0] == 0
    assert read_tensor("q/w.dat")[0].reshape(-1).tolist() == [127, -127]
    assert read_tensor("q/b.dat")[0].reshape(-1).tolist() == [-5000, 1250]
    x = np.array([[[[-1.0, 0.014], [1.55, 9.0]]]], np.float32)
    rounded = np.array([-1.0, 0.01, 1.55, 1.55])
    expected = np.stack([1.27 * rounded - 0.5, -2.54 * rounded + 0.25]).clip(0, 5.1)
    found = next(iter(open_executor("q", backend="numpy").run({"x": x}).values()))
    np.testing.assert_allclose(found.reshape(2, 4), np.floor(expected / 0.02 + 0.5) * 0.02, atol=1e-5)


def test_module(model: Path) -> None:
    done = run_module("quantize", "model", "--output", "q", folder=model.parent)
    assert done.returncode == 0, done.stderr.decode()
    assert _entries(model.parent / "q") == {**UNSIGNED, **WEIGHTS}


def _write_samples(values: np.ndarray) -> None:
    for k, value in enumerate(values):
        Path("samples", str(k)).mkdir(parents=True)
        write_tensor(f"samples/{k}/x.dat", value)
    Path("stacked").mkdir()
    write_tensor("stacked/x.dat", values[:, 0])


def test_statistics_of_samples(model: Path, run: Run) -> None:
    values = np.random.default_rng(0).normal(0, 1, (12, 1, 1, 2, 2)).astype(np.float32)
    _write_samples(values)
    lines = (
        "--input-path samples --output-path out --statistics a.json --histograms",
        "--input-path stacked --batch-size 0 --output-path one --statistics b.json --add-statistics a.json",
    )
    for line in lines:
        status, _, err = run("execute", "model", "--backend", "numpy", *line.split())
        assert status == 0, err
    names = sorted(path.parent.name for path in Path("out").rglob("y.dat"))
    assert names == sorted(map(str, range(12)))
    stacked = read_tensor("one/y.dat")[0]
    np.testing.assert_allclose(read_tensor("out/11/y.dat")[0][0], stacked[11])
    one, both = (json.loads(Path(name).read_text("utf-8")) for name in ("a.json", "b.json"))
    twice = np.concatenate([values, values]).astype(np.float64)
    assert one["x"]["count"] == values.size and both["x"]["count"] == twice.size
    assert both["x"]["mean"] == pytest.approx(twice.mean(), rel=1e-5)
    assert both["x"]["std"] == pytest.approx(twice.std(ddof=1))
    for options in ("", "--input-path samples", "--input-path stacked", "--method mse", "--method percentile"):
        files = [] if "input" in options else ["--statistics", "a.json", "b.json"]
        status, out, err = run("quantize", "model", "--output", "q", "--json", *files, *options.split())
        assert status == 0, err
        assert json.loads(out)["schema"] == "nnef-tools.quantization/1"
        scale, _zero, _, _ = _entries(Path("q"))["x"]
        if "method" not in options:
            assert scale == near(float(values.max() - values.min()) / 255)


def test_exclusion_and_sensitivity(model: Path, run: Run) -> None:
    _write_samples(np.random.default_rng(0).normal(0, 1, (4, 1, 1, 2, 2)).astype(np.float32))
    assert run("quantize", "model", "--output", "q", "--exclude", "conv")[0] == 0
    assert set(_entries(Path("q"))) == {"c", "y"}
    assert run("quantize", "model", "--output", "q", "--exclude", "relu")[0] == 0
    assert set(_entries(Path("q"))) == {"x", "w", "b", "c"}
    status, _, err = run("quantize", "model", "--output", "q", "--input-path", "samples", "--sensitivity", "1")
    assert status == 0 and "left out" in err and "signal to noise" in err
    assert not any(t.quant for t in load_model("q").tensors)


@pytest.mark.parametrize(
    ("line", "status", "message"),
    [
        ("model", 1, "--output"),
        ("model --output q --bits 7", 1, "8 and 16"),
        ("model --output q --exclude konv", 1, "did you mean 'conv'"),
        ("model --output q --sensitivity 1", 1, "samples"),
        ("model --output q --method mse", 1, "--histograms"),
        ("model --output q --percentile -1", 1, "standard deviations"),
        ("model --output q --statistics none.json", 2, "none.json"),
        ("model --output q --statistics bad.json", 2, "not statistics"),
        ("model --output q --statistics other.json", 2, "the statistics lack 'x'"),
        ("model --output q --statistics model/graph.stats other.json", 2, "cannot be added"),
        ("model --output q.onnx", 1, "nnef-tools convert"),
        ("model --output q --input-path model", 2, "input 'x'"),
    ],
)
def test_wrong_calls(line: str, status: int, message: str, model: Path, run: Run) -> None:
    Path("bad.json").write_text('{"x": {"min": 1}}', "utf-8")
    Path("other.json").write_text(json.dumps({"z": STATISTICS["x"]}), "utf-8")
    found, _, err = run("quantize", *line.split())
    assert found == status and message in err, err
    assert not Path("q").exists()


def test_statistics_of_another_model_do_not_fit(model: Path, run: Run) -> None:
    histogram = {"exponent": 0, "first": -1, "counts": "2 3"}
    for name, tensor in (("a.json", "x"), ("b.json", "z")):
        item = {**STATISTICS["x"], "count": 5, "histogram": histogram}
        Path(name).write_text(json.dumps({tensor: item}), "utf-8")
    status, _, err = run("quantize", "model", "--output", "q", "--statistics", "a.json", "b.json")
    assert status == 2 and "of another model: they have no 'x' and another tensor, 'z'" in err


def test_extreme_numbers(model: Path, run: Run) -> None:
    """Statistics of any numbers give a model or one error."""
    huge = {"min": -1e308, "max": 1.7e308, "mean": 1e307, "std": 1e300}
    for item, message in ((huge, "no finite range"), ({**huge, "max": float("nan")}, "no finite range")):
        (model / "graph.stats").write_text(json.dumps({**STATISTICS, "x": item}), "utf-8")
        status, _, err = run("quantize", "model", "--output", "q")
        assert status == 2 and message in err and "--exclude" in err
    large = {"min": -1e38, "max": 3e38, "mean": 1e37, "std": 1e37, "count": 5}
    large["histogram"] = {"exponent": 120, "first": -100, "counts": "2 3"}  # type: ignore[assignment]
    (model / "graph.stats").write_text(json.dumps({**STATISTICS, "x": large}), "utf-8")
    assert run("quantize", "model", "--output", "q")[0] == 0
    assert _entries(Path("q"))["x"][0] == near(4e38 / 255)


def test_masks_of_infinities_stay_real(model: Path, run: Run) -> None:
    (model / "graph.nnef").write_text(GRAPH.replace("y = relu(c);", "m = add(c, b); y = relu(m);"), "utf-8")
    write_tensor(str(model / "b.dat"), np.array([[0.5, -np.inf]], np.float32))
    status, _, err = run("quantize", "model", "--output", "q", "--random", "uniform(0, 1)", "--exclude", "relu")
    assert status == 0 and "nothing is quantized" in err and "with real numbers: 1 add, 1 conv, 1 relu" in err
