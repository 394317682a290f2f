"""What operations are known: standard ones, ours, and those that models declare."""

from __future__ import annotations

import subprocess
import sys

import pytest

from nnef_tools.errors import UsageError
from nnef_tools.language.parser import parse_fragments
from nnef_tools.language.stdlib import standard_fragments
from nnef_tools.model import Graph, Operation, Tensor
from nnef_tools.ops.decomposition import decompose_operations
from nnef_tools.ops.fragments import called_fragments, extension_fragments, helper_fragments
from nnef_tools.ops.library import Library
from nnef_tools.ops.registry import find, operations

OWN = parse_fragments(
    """
    fragment twice(x: tensor<scalar>) -> (y: tensor<scalar>) { y = x + x; }
    fragment erf(x: tensor<scalar>) -> (y: tensor<scalar>) { y = tanh(x); }
    """,
    "own",
)


def graph_of(name: str) -> Graph:
    graph = Graph("G")
    x, y = (Tensor(graph, label, (2,), float) for label in "xy")
    Operation(graph, "external", attribs={"shape": [2]}, outputs=x)
    Operation(graph, name, inputs=(x,), outputs=(y,))
    graph.inputs, graph.outputs = [x], [y]
    graph.metadata["fragments"] = OWN
    return graph


def test_what_a_model_declares_counts_before_what_is_known_here() -> None:
    library = Library.of(graph_of("twice"))
    assert library.fragments["twice"] is OWN["twice"]
    assert library.fragments["erf"] is OWN["erf"]
    assert library.fragments["relu"] is standard_fragments()["relu"]
    assert library.fragments["top_k"] is extension_fragments()["top_k"]
    assert {"twice", "erf", "softmax", "lstm_layer"} <= set(library.compounds)
    assert "erf" not in Library().compounds
    assert library.find("twice") is None
    assert library.find("erf") is operations()["erf"]


def test_of_several_declarations_the_last_counts() -> None:
    other = parse_fragments("fragment twice(x: tensor<scalar>) -> (y: tensor<scalar>);", "other")
    assert Library(OWN, other).fragments["twice"] is other["twice"]


def test_helpers_are_what_has_no_kernel() -> None:
    assert helper_fragments() == extension_fragments().keys() - operations().keys()


def test_decomposition_by_what_the_model_declares() -> None:
    graph = graph_of("twice")
    decompose_operations(graph, ["twice"], Library.of(graph))
    assert [op.type for op in graph.operations] == ["external", "add"]
    assert graph.outputs[0].shape == (2,)
    with pytest.raises(UsageError, match="there is no definition to decompose by: matmul, nosuch"):
        decompose_operations(graph, ["nosuch", "matmul"], Library.of(graph))


def test_no_kernels_are_loaded_for_declarations() -> None:
    code = """
import sys
from nnef_tools.ops.library import Library
assert "softmax" in Library().compounds
assert "nnef_tools.ops.conv" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_declared_operation_is_implemented() -> None:
    called = {other for others in called_fragments().values() for other in others}
    assert helper_fragments() == called
    for name, fragment in extension_fragments().items():
        assert (find(name) is not None) == (name not in called), name
        assert name in called or not find(name).standard
        assert fragment.text.lstrip().startswith("fragment ")
        assert name not in standard_fragments()


def test_the_reference_parser_reads_the_declarations() -> None:
    import nnef

    text = "version 1.0;\nextension KHR_enable_fragment_definitions, KHR_enable_operator_expressions;\n"
    text += "\n".join(fragment.text for fragment in extension_fragments().values())
    text += """
graph g( x ) -> ( y, values, indices )
{
    x = external(shape = [1, 2, 4, 4]);
    e = erf(x);
    y = resize(e, output_size = [8, 8], mode = 'linear');
    values, indices = top_k(x, k = 2, axis = 3);
}
"""
    graph = nnef.parse_string(text)
    assert [op.name for op in graph.operations] == ["external", "erf", "resize", "top_k"]
