"""Inputs of LiteRT that are not as the file says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nnef_tools.io.tf.lite import Writer

from ..support.arrays import random
from ..support.lite_models import Fixed, operator_graph

pytest.importorskip("ai_edge_litert", reason="it runs the models")


def test_extents_that_the_file_leaves_open_may_be_impossible_in_it(tmp_path: Path) -> None:
    """A file has some number for an open extent; here it is smaller than the window."""
    from nnef_tools.execution.litert import LiteRtExecutor, LiteRtReferenceExecutor

    w, bias = Fixed(np.ones((1, 3, 1, 1), np.float32)), Fixed(np.zeros(1, np.float32))
    options = {"padding": "VALID", "stride_h": 1, "stride_w": 1}
    graph = operator_graph("CONV_2D", [random(1, 1, 1, 1), w, bias], shapes=[(1, 1, 1, 1)], **options)
    graph.inputs[0].shape = (1, None, 1, 1)
    path = tmp_path / "model.tflite"
    Writer()(graph, path)
    for kind in (LiteRtReferenceExecutor, LiteRtExecutor):
        executor = kind(path)
        assert executor.inputs[0].shape == (1, None, 1, 1)
        for extent in (8, 5, 8):
            x = random(1, extent, 1, 1)
            result = executor.run({"x0": x})["y0"]
            np.testing.assert_allclose(result[0, :, 0, 0], np.convolve(x.ravel(), [1, 1, 1], "valid"), atol=1e-6)


def test_scalars(tmp_path: Path) -> None:
    from nnef_tools.execution.litert import LiteRtExecutor

    path = tmp_path / "model.tflite"
    Writer()(operator_graph("ADD", [random(3), np.asarray(2, np.float32)], shapes=[(3,)]), path)
    result = LiteRtExecutor(path).run({"x0": random(3), "x1": np.asarray(2, np.float32)})["y0"]
    np.testing.assert_allclose(result, random(3) + 2)
