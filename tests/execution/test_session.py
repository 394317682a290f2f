"""A model from the outside: channels elsewhere, shapes, names."""

from __future__ import annotations

import numpy as np
import pytest

from nnef_tools.errors import UsageError
from nnef_tools.execution import TensorInfo, make_executor
from nnef_tools.execution.session import Session, named_inputs, with_shapes
from nnef_tools.model import Graph, Operation, Tensor


@pytest.fixture
def graph() -> Graph:
    graph = Graph("net")
    x = Tensor(graph, "x", (1, 3, 2, 2), np.float32)
    y = Tensor(graph, "y", (1, 3, 2, 2), np.float32)
    Operation(graph, "external", attribs={"shape": [1, 3, 2, 2]}, outputs=x)
    Operation(graph, "neg", inputs=(x,), outputs=y)
    graph.inputs, graph.outputs = [x], [y]
    return graph


def test_channels_are_elsewhere_for_the_tensors_that_are_named(graph: Graph) -> None:
    session = Session.of(make_executor(graph, backend="numpy"), ["x:0"])
    assert session.inputs[0].shape == (1, 2, 2, 3)
    x = np.arange(12, dtype=np.float32).reshape(1, 2, 2, 3)
    results = session.run({"x": x}, output_names=["y"])
    np.testing.assert_array_equal(results["y"], -np.moveaxis(x, 3, 1))
    assert session.moves_any({"x": x}) and not session.moves_any(results)
    with pytest.raises(UsageError, match="no tensor 'z'"):
        Session.of(session.executor, ["z"])


def test_batches_are_run_part_by_part(graph: Graph) -> None:
    session = Session.of(make_executor(graph, backend="numpy"), True)
    x = np.arange(24, dtype=np.float32).reshape(2, 2, 2, 3)
    np.testing.assert_array_equal(session.run({"x": x}, output_names=["y"], batched=True)["y"], -x)


def test_shapes_and_inputs_by_name_or_in_order() -> None:
    infos = [TensorInfo("x:0", np.float32, (None, 3)), TensorInfo("i", np.int64, None)]
    assert [info.shape for info in with_shapes(infos, {"x": (2, 3), "i": (4,)})] == [(2, 3), (4,)]
    with pytest.raises(UsageError, match="no input 'z'"):
        with_shapes(infos, {"z": (1,)})
    with pytest.raises(UsageError, match=r"input 'x:0' has shape \['\?', 3\], not \[2, 4\]"):
        with_shapes(infos, {"x": (2, 4)})
    assert named_inputs([[1.0], 2], infos).keys() == {"x:0", "i"}
    with pytest.raises(UsageError, match="2 inputs"):
        named_inputs([[1.0]], infos)
