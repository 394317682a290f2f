"""`nnef-tools execute` with inputs from arrays and images, and outputs to numpy's files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nnef_tools.language.tensor_file import read_tensor
from tests.support.arrays import Array
from tests.support.commands import Run
from tests.support.onnx_models import run_onnx

X = np.random.default_rng(3).integers(0, 256, (8, 8, 3), np.uint8)


def computed(model: Path, x: Array) -> Array:
    return run_onnx(model, {"x": x})[0]


@pytest.fixture
def x() -> Array:
    return np.ascontiguousarray(X.transpose(2, 0, 1)[None].astype(np.float32) / np.float32(255))


@pytest.mark.parametrize("file", ["x.npy", "x.npz", "x.dat", "other.npy"])
def test_arrays(model: Path, tmp_path: Path, run: Run, x: Array, file: str) -> None:
    from nnef_tools.execution.feeds.array_files import write_arrays

    write_arrays(tmp_path / file, {"x": x})
    expected = computed(model, x)
    status, out, _ = run("execute", model, "--input", f"x={tmp_path / file}", "--output-path", tmp_path / "y.npy")
    assert (status, out) == (0, f"Written {tmp_path / 'y.npy'}\n")
    np.testing.assert_allclose(np.load(tmp_path / "y.npy"), expected, atol=1e-6)
    if file.startswith("x"):
        where = tmp_path / file if file.endswith(".npz") else tmp_path
        assert run("execute", model, "--input-path", where, "--output-path", tmp_path / "all.npz")[0] == 0
        with np.load(tmp_path / "all.npz") as archive:
            np.testing.assert_allclose(archive["y"], expected, atol=1e-6)


def test_an_image(model: Path, tmp_path: Path, run: Run, x: Array) -> None:
    image = pytest.importorskip("PIL.Image", reason="images need Pillow")
    image.fromarray(X).save(tmp_path / "photo.png")
    out = tmp_path / "out"
    options = ("--range", -1, 1, "--color", "BGR")
    arguments = ("--input", f"x={tmp_path / 'photo.png'}", *options, "--output-path", out)
    assert run("execute", model, *arguments)[0] == 0
    expected = computed(model, np.ascontiguousarray(x[:, ::-1] * 2 - 1))
    np.testing.assert_allclose(read_tensor(str(out / "y.dat"))[0], expected, atol=1e-5)
    image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(tmp_path / "x.jpg")
    assert run("execute", model, "--input-path", tmp_path, "--output-path", out)[0] == 0  # in the size of the model
    two = ("--input", f"x={tmp_path}/*.jpg", "--batch-size", "0", "--output-path", out)
    image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(tmp_path / "y.jpg")
    assert run("execute", model, *two)[0] == 0
    assert read_tensor(str(out / "y.dat"))[0].shape[0] == 2


def test_numpy_files_in_a_folder(model: Path, tmp_path: Path, run: Run) -> None:
    names = "{'y': 'result.npy'}"
    where = ("--output-names", names, "--output-path", tmp_path / "out")
    assert run("execute", model, "--random", "uniform", *where)[0] == 0
    assert np.load(tmp_path / "out" / "result.npy").shape == (1, 4, 4, 4)


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--input", "z={tmp}/x.npy"], 1, "the model has no input 'z'"),
        (["--input", "x"], 1, "is not an input with its file"),
        (["--input", "x=a.npy", "x=b.npy"], 1, "is given twice"),
        (["--input", "x={tmp}/none.npy"], 2, "no such file"),
        (["--input", "x={tmp}/x.txt"], 1, "what kind of file"),
    ],
)
def test_mistakes(model: Path, tmp_path: Path, run: Run, arguments: list[str], status: int, message: str) -> None:
    (tmp_path / "x.txt").write_text("1", "utf-8")
    given = [argument.format(tmp=tmp_path) for argument in arguments]
    where = [] if "--output-path" in given else ["--output-path", tmp_path / "out"]
    found, out, err = run("execute", model, *given, *where)
    assert (found, message in out + err) == (status, True)


def test_options_for_images_without_images(model: Path, tmp_path: Path, run: Run) -> None:
    _, _, err = run("execute", model, "--random", "uniform", "--mean", 0.5, "--output-path", tmp_path / "out")
    assert "--mean has no effect without images" in err


def test_several_outputs_need_an_archive(model: Path, tmp_path: Path, run: Run) -> None:
    arguments = ("execute", model, "--random", "uniform", "--output-names", "*", "--output-path")
    status, _, err = run(*arguments, tmp_path / "all.npy")
    assert (status, "holds one array" in err) == (1, True)
    assert run(*arguments, tmp_path / "all.npz")[0] == 0
