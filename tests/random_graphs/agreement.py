"""What different engines make of a random model: the backends, and the way to other formats and back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import nnef_tools
from nnef_tools.errors import ConversionError

from ..support.onnx_models import onnx_session
from .generator import Array, Model

Results = list[Array]
Engine = Callable[[Model, Path], Results]


def _run(model: Model, path: Path, **options: Any) -> Results:
    return list(nnef_tools.run_model(path, list(model.inputs.values()), **options).values())


def numpy(model: Model, folder: Path) -> Results:
    return _run(model, folder, backend="numpy")


def torch(model: Model, folder: Path) -> Results:
    return _run(model, folder, backend="torch")


def onnxruntime(model: Model, folder: Path) -> Results:
    return _run(model, folder, backend="onnxruntime")


def optimized(model: Model, folder: Path) -> Results:
    target = folder.with_suffix(".optimized.nnef")
    nnef_tools.convert_model(folder, target, optimize=True)
    return _run(model, target, backend="numpy")


def onnx(model: Model, folder: Path) -> Results:
    """The written ONNX model in onnxruntime itself."""
    import onnx

    target = folder.with_suffix(".onnx")
    nnef_tools.convert_model(folder, target, keep_io_names=True)
    onnx.checker.check_model(str(target), full_check=True)
    session = onnx_session(target, threads=0)
    assert [item.name for item in session.get_inputs()] == list(model.inputs)
    return list(session.run(None, dict(model.inputs)))


def onnx_back(model: Model, folder: Path) -> Results:
    """From the ONNX model that `onnx` has written back to NNEF."""
    target = folder.with_suffix(".back.nnef")
    nnef_tools.convert_model(folder.with_suffix(".onnx"), target)
    return _run(model, target, backend="numpy")


def tensorflow(model: Model, folder: Path) -> Results:
    """The written graph in TensorFlow, with channels where NNEF has them."""
    target = folder.with_suffix(".pb")
    nnef_tools.convert_model(folder, target, keep_io_names=True)
    return _run(model, target)


def tensorflow_back(model: Model, folder: Path) -> Results:
    target = folder.with_suffix(".tf.nnef")
    nnef_tools.convert_model(folder.with_suffix(".pb"), target)
    return _run(model, target, backend="numpy")


def caffe2_back(model: Model, folder: Path) -> Results:
    """To Caffe2, which no test can run, and back to NNEF."""
    target, back = folder.with_suffix(".caffe2"), folder.with_suffix(".caffe2.nnef")
    nnef_tools.convert_model(folder, target)
    nnef_tools.convert_model(target, back)
    return _run(model, back, backend="numpy")


ENGINES: dict[str, Engine] = {
    engine.__name__: engine
    for engine in (numpy, torch, onnxruntime, optimized, onnx, onnx_back, tensorflow, tensorflow_back, caffe2_back)
}
FOLLOWS = {"onnx_back": "onnx", "tensorflow_back": "tensorflow"}
"""Engines that go on with the file of another one."""

TOLERANCE = 3e-5
"""Of rounding, relative to the largest magnitude of an output, beside what the model itself amplifies."""


def disagreement(model: Model, results: Results) -> str:
    """The first output that is not what was computed while the model was drawn; empty if all are right."""
    if len(results) != len(model.outputs):
        return f"{len(results)} outputs instead of {len(model.outputs)}"
    for (name, expected), result in zip(model.outputs.items(), results, strict=True):
        found = np.asarray(result)
        if found.shape != expected.shape:
            return f"{name}: shape {found.shape} instead of {expected.shape}"
        if expected.dtype.kind != "f":
            if not np.array_equal(found, expected):
                return f"{name}: {found.ravel()[:8]} instead of {expected.ravel()[:8]}"
            continue
        finite = np.isfinite(expected)
        if not np.array_equal(found[~finite], expected[~finite]) or not np.isfinite(found[finite]).all():
            return f"{name}: other infinities: {found.ravel()[:8]} instead of {expected.ravel()[:8]}"
        error = float(np.abs(found[finite].astype(np.float64) - expected[finite]).max(initial=0))
        scale = float(np.abs(expected[finite]).max(initial=0))
        if error > TOLERANCE * scale + model.slack[name] + 1e-30:
            place = int(np.argmax(np.abs(np.where(finite, found, 0) - np.where(finite, expected, 0))))
            return (
                f"{name}: error {error:.3g} of scale {scale:.3g}: {found.ravel()[place]} instead of "
                f"{expected.ravel()[place]} at {np.unravel_index(place, expected.shape)}"
            )
    return ""


def check(model: Model, folder: Path) -> dict[str, str]:
    """Engine -> what went wrong there, or `refused: ...` where the conversion is documented as impossible."""
    model.save(folder)
    found: dict[str, str] = {}
    for name, engine in ENGINES.items():
        if found.get(FOLLOWS.get(name, "")):
            continue
        try:
            problem = disagreement(model, engine(model, folder))
        except ConversionError as error:
            problem = "refused: " + "; ".join(map(str, error.details or [error.message]))
        except Exception as error:  # whatever it is, it is reported with the model
            problem = f"{type(error).__name__}: {error}"
        if problem:
            found[name] = problem
    return found
