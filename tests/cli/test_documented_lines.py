"""The documented command lines of the 1.0 series work as written, by `python -m` and by the console script."""

from __future__ import annotations

import runpy
import shlex
import sys
import warnings
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from nnef_tools.cli.main import main
from nnef_tools.language.tensor_file import read_tensor
from tests.support.commands import run_module

GRAPH = """version 1.0;
graph net(x, k) -> (y)
{
    x = external<scalar>(shape = [1, 3, 4, 4]);
    k = external<integer>(shape = [2]);
    w = variable<scalar>(shape = [2, 3, 1, 1], label = 'layer/w');
    c = conv(x, w, border = 'constant');
    p = max_pool(c, size = [1, 1, 2, 2], stride = [1, 1, 2, 2]);
    y = relu(p);
}
"""

SHAPES = "CUSTOM_SHAPES = {'foo': lambda x: x}\n"


def gmac_result(macs: int) -> Callable[[Path, bytes], None]:
    def check(folder: Path, out: bytes) -> None:
        items = 48 + 2 + 6 + 32 + 8 + 8
        lines = [f"GMACs = {macs / 1e9}", f"Total memory in Mbytes (supposing float32) = {items * 4 / 1e6}"]
        assert out.decode().splitlines() == lines

    return check


def written(file: str, shape: tuple[int, ...], dtype: type, low: float, high: float) -> Callable[[Path, bytes], None]:
    def check(folder: Path, out: bytes) -> None:
        array = read_tensor(str(folder / file))[0]
        assert (array.shape, array.dtype.type) == (shape, dtype)
        assert low <= array.min() and array.max() <= high

    return check


def streamed(shape: tuple[int, ...], dtype: type) -> Callable[[Path, bytes], None]:
    def check(folder: Path, out: bytes) -> None:
        (folder / "out.dat").write_bytes(out)
        array = read_tensor(str(folder / "out.dat"))[0]
        assert (array.shape, array.dtype.type) == (shape, dtype)

    return check


def drawn(suffix: str, head: bytes) -> Callable[[Path, bytes], None]:
    def check(folder: Path, out: bytes) -> None:
        assert (folder / f"model.{suffix}").read_bytes().startswith(head)

    return check


CONV, POOL = 2 * 3 * 16, 2 * 2 * 2 * 4

LINES = {
    "gmac model": gmac_result(CONV),
    "gmac model --include-pooling --include-upsampling --include-normalization --include-reduction": gmac_result(
        CONV + POOL
    ),
    "gmac model --custom-shapes shapes": gmac_result(CONV),
    "visualize model": drawn("svg", b"<svg"),
    "visualize model --decompose --verbose --show-variables --infer-shapes --format svg": drawn("svg", b"<svg"),
    "visualize model --format pdf": drawn("pdf", b"%PDF"),
    "visualize model --format png": drawn("png", b"\x89PNG"),
    "visualize model --format dot": drawn("dot", b"digraph"),
    "random_tensor uniform --shape 2 3": streamed((2, 3), np.float32),
    "random_tensor 'uniform(0, 1)' --shape 2 3 --dtype float32 --output r.dat": written(
        "r.dat", (2, 3), np.float32, 0, 1
    ),
    "random_tensor 'normal(mean=0, std=1)' --shape 4 --output r.dat": written("r.dat", (4,), np.float32, -9, 9),
    "random_tensor 'bernoulli(0.5)' --shape 9 --dtype bool --output r.dat": written("r.dat", (9,), np.bool_, 0, 1),
    "image_tensor a.png": streamed((1, 3, 8, 6), np.float32),
    "image_tensor *.png --size 4 5 --dtype float32 --color BGR --format NHWC --range 0 1 --mean 0.5 0.5 0.5 "
    "--std 2 2 2 --output i.dat": written("i.dat", (2, 4, 5, 3), np.float32, -0.25, 0.25),
    "generate model --random 'uniform(1, 2)' --seed 1 --weights": written(
        "model/layer/w.dat", (2, 3, 1, 1), np.float32, 1, 2
    ),
    "generate model --random 'uniform(1, 2)' --inputs": written("model/x.dat", (1, 3, 4, 4), np.float32, 1, 2),
    "generate model --random \"{'scalar': uniform(1, 2), 'integer': integers(7, 7)}\" --inputs in --verbose": written(
        "model/in/k.dat", (2,), np.int32, 7, 7
    ),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "graph.nnef").write_text(GRAPH, "utf-8")
    (tmp_path / "shapes.py").write_text(SHAPES, "utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    sys.modules.pop("shapes", None)
    return tmp_path


def _prepare(line: str, folder: Path) -> list[str]:
    words = shlex.split(line)
    if words[0] == "image_tensor":
        image = pytest.importorskip("PIL.Image", reason="images need Pillow")
        for name in ("a.png", "b.png"):
            image.fromarray(np.zeros((8, 6, 3), np.uint8)).save(folder / name)
    for word, package in (("pdf", "reportlab"), ("png", "resvg_py")):
        if words[0] == "visualize" and words[-1] == word:
            pytest.importorskip(package)
    return words


@pytest.mark.parametrize("line", LINES)
def test_console_script(line: str, folder: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    words = _prepare(line, folder)
    capfdbinary.readouterr()
    assert main(words) == 0
    LINES[line](folder, capfdbinary.readouterr().out)


@pytest.mark.parametrize("line", LINES)
def test_module(
    line: str, folder: Path, capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What `python -m` does, in this process."""
    name, *words = _prepare(line, folder)
    capfdbinary.readouterr()
    monkeypatch.setattr(sys, "argv", [name, *words])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the module may be imported already
        with pytest.raises(SystemExit) as done:
            runpy.run_module(f"nnef_tools.{name}", run_name="__main__")
    assert done.value.code == 0
    LINES[line](folder, capfdbinary.readouterr().out)


@pytest.mark.parametrize("name", ["gmac", "random_tensor", "generate", "visualize"])
def test_module_in_a_process(name: str, folder: Path) -> None:
    line = next(line for line in reversed(LINES) if line.startswith(name))
    words = _prepare(line, folder)
    done = run_module(words[0], *words[1:], folder=folder)
    assert done.returncode == 0, done.stderr.decode()
    LINES[line](folder, done.stdout)
    module = import_module(f"nnef_tools.{name}")
    assert callable(module.main) and callable(module.build_parser)


def test_names_of_generated_files(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["generate", "model", "--weights", "--inputs", "--verbose"]) == 0
    lines = ["Generated weight 'layer/w'", "Generated input 'x'", "Generated input 'k'"]
    assert capsys.readouterr().err.splitlines() == lines
    first = (folder / "model" / "x.dat").read_bytes()
    for seed in ("5", "5"):
        assert main(["generate", "model", "--inputs", "--seed", seed]) == 0
        again, first = first, (folder / "model" / "x.dat").read_bytes()
    assert again == first


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("random_tensor 'lambda shape: 0' --shape 2 --output r.dat", "lambda"),
        ("random_tensor 'uniform(0, 300)' --shape 99 --dtype uint8 --output r.dat", "exceed what uint8 can hold"),
        ("random_tensor uniform --shape 0 --output r.dat", "not a positive integer"),
        ("random_tensor uniform --output r.dat", "--shape"),
        ("random_tensor uniform --shape 2 --seed -1 --output r.dat", "seed"),
        ("random_tensor uniform --shape 2 --output r.png", "suffixes"),
        ("image_tensor --output r.dat", "IMAGE"),
        ("image_tensor a.png --size 1 2 3 --output r.dat", "height and width"),
        ("image_tensor a.png --range 1 --output r.dat", "two numbers"),
        ("image_tensor a.png --mean x --output r.dat", "not a number"),
        ("generate model", "nothing to generate"),
        ("generate none --weights", "not a folder"),
        ("generate model --random 'lambda s: 0' --weights", "lambda"),
        ("generate model --random \"{'real': uniform}\" --weights", "data types"),
    ],
)
def test_mistakes(line: str, message: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(shlex.split(line)) == 1
    assert message in capsys.readouterr().err
