"""Models of Caffe2 compute in NNEF, ONNX and TensorFlow what Caffe2 itself computed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from nnef_tools import run_model
from nnef_tools.conversion.caffe2_to_nnef import Converter
from nnef_tools.conversion.nnef_to_caffe2 import Converter as FromNnef
from nnef_tools.conversion.nnef_to_onnx import Converter as ToOnnx
from nnef_tools.conversion.nnef_to_tf import Converter as ToTensorFlow
from nnef_tools.io.caffe2 import Reader, Writer
from nnef_tools.io.onnx import Writer as OnnxWriter
from nnef_tools.io.tf.graphdef import Writer as TensorFlowWriter
from nnef_tools.model import Graph

from ...support.arrays import Array, nnef_kind
from ...support.caffe2_models import Recorded, names, recorded
from ...support.nnef_models import run_nnef

TOLERANCE = 1e-4  # relative to the largest item
INTEGERS = "NNEF has no integer arithmetic"
FLIPPED = 0.13
"""The largest part of the codes that may be off by one: Caffe2 rounds means of codes, and products in fixed point."""


def assert_recorded(model: Recorded, names: Sequence[str], results: Sequence[Array], *, coded: bool = False) -> None:
    """coded: are outputs that are codes in Caffe2 codes here, too, and not the real numbers that they stand for?"""
    for name, actual in zip(names, results, strict=True):
        wanted = model.outputs[name]
        assert actual.shape == wanted.shape, name
        if name in model.steps:
            scale, zero_point = model.steps[name]
            codes = actual.astype(np.int64) if coded else np.rint(actual / scale) + zero_point
            assert np.abs(codes - wanted).max() <= 1, name
            assert np.mean(codes != wanted) <= FLIPPED, name
        elif not model.steps:  # what follows codes is as far off as they are
            assert nnef_kind(actual.dtype) == nnef_kind(wanted.dtype), name
            limit = TOLERANCE * np.abs(wanted.astype(np.float64)).max(initial=0.0)
            np.testing.assert_allclose(actual, wanted, rtol=0, atol=limit, err_msg=name)


def converted(model: Recorded, folder: Path) -> tuple[Graph, Graph]:
    """The graph in the dialect of Caffe2, and in that of NNEF."""
    source = Reader()(model.write(folder))
    converter = Converter()
    target = converter(source)
    assert all(text.startswith(INTEGERS) for text in converter.warnings), converter.warnings
    return source, target


@pytest.mark.parametrize("name", names())
def test_numpy_computes_the_same(name: str, tmp_path: Path) -> None:
    model = recorded(name)
    source, target = converted(model, tmp_path)
    results = run_nnef(target, [model.inputs[str(t.name)] for t in source.inputs])
    assert_recorded(model, [str(t.name) for t in source.outputs], results)


@pytest.mark.parametrize("name", names())
def test_onnx_file_computes_the_same(name: str, tmp_path: Path) -> None:
    model = recorded(name)
    source, target = converted(model, tmp_path)
    OnnxWriter()(ToOnnx()(target), tmp_path / "model.onnx")
    results = run_model(tmp_path / "model.onnx", model.inputs)
    outputs = [str(t.name) for t in source.outputs]
    assert_recorded(model, outputs, [results[name] for name in outputs], coded=True)


@pytest.mark.parametrize("name", names())
def test_tensorflow_file_computes_the_same(name: str, tmp_path: Path) -> None:
    model = recorded(name)
    source, target = converted(model, tmp_path)
    TensorFlowWriter()(ToTensorFlow()(target), tmp_path / "model.pb")
    results = run_model(tmp_path / "model.pb", [model.inputs[str(t.name)] for t in source.inputs])
    assert_recorded(model, [str(t.name) for t in source.outputs], list(results.values()), coded=True)


@pytest.mark.parametrize("name", names())
def test_written_model_computes_the_same(name: str, tmp_path: Path) -> None:
    """What is written is read again; tests/data/caffe2/check_written.py runs the files in Caffe2 itself."""
    model = recorded(name)
    source, target = converted(model, tmp_path)
    Writer()(FromNnef()(target), tmp_path / "written")
    back = Converter()(Reader()(tmp_path / "written"))
    results = run_nnef(back, [model.inputs[str(t.name)] for t in source.inputs])
    assert_recorded(model, [str(t.name) for t in source.outputs], results, coded=True)
