"""NNEF to TensorFlow: what NNEF has to write out is one operator again where TensorFlow has it."""

from __future__ import annotations

import pytest

from nnef_tools.conversion.nnef_to_tf import Converter

from ...support.nnef_models import nnef_graph
from .checks_back import check_back, operators

pytest.importorskip("tensorflow", reason="TensorFlow runs the converted models")

BLOCKS = "x = external(shape = {}); y = reshape(transpose(reshape(x, shape = {}), axes = {}), shape = {});"
DEEP = ("[2, 12, 3, 5]", "[2, 2, 2, 3, 3, 5]", "[0, 3, 4, 1, 5, 2]", "[2, 3, 6, 10]")
WIDE = ("[2, 3, 6, 10]", "[2, 3, 3, 2, 5, 2]", "[0, 3, 5, 1, 2, 4]", "[2, 12, 3, 5]")
DEEP_LAST = ("[2, 3, 5, 12]", "[2, 3, 5, 2, 2, 3]", "[0, 1, 3, 2, 4, 5]", "[2, 6, 10, 3]")
WIDE_LAST = ("[2, 6, 10, 3]", "[2, 3, 2, 5, 2, 3]", "[0, 1, 3, 2, 4, 5]", "[2, 3, 5, 12]")


@pytest.mark.parametrize(
    ("parts", "ops"),
    [
        (DEEP, ["Transpose", "DepthToSpace", "Transpose"]),
        (WIDE, ["Transpose", "SpaceToDepth", "Transpose"]),
        (DEEP_LAST, ["DepthToSpace"]),
        (WIDE_LAST, ["SpaceToDepth"]),
    ],
)
def test_moved_blocks(parts: tuple[str, ...], ops: list[str]) -> None:
    check_back(nnef_graph(BLOCKS.format(*parts)), ops=ops)


def test_channels_second() -> None:
    """TensorFlow's kernels for the CPU have none of it, so it is not run."""
    for parts, type in ((DEEP, "DepthToSpace"), (WIDE, "SpaceToDepth")):
        converted = Converter(data_format="NCX")(nnef_graph(BLOCKS.format(*parts)))
        assert operators(converted) == [type]
        assert converted.operations[-1].attribs["data_format"] == "NCHW"


def test_what_tensorflow_lacks_stays() -> None:
    shuffled = ("[2, 12, 3, 5]", "[2, 3, 2, 2, 3, 5]", "[0, 1, 4, 2, 5, 3]", "[2, 3, 6, 10]")
    check_back(nnef_graph(BLOCKS.format(*shuffled)), ops=["Reshape", "Transpose", "Reshape"])
    check_back(nnef_graph("x = external(shape = [2, 3]); y = clamp(add(mul(x, 0.2), 0.5), 0.0, 1.0);"))
