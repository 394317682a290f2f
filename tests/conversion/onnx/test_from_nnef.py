"""NNEF to ONNX: every standard operation over a matrix of attributes, in an old, a middle and the newest opset."""

from __future__ import annotations

import re

import numpy as np
import onnx
import pytest

from nnef_tools.conversion.onnx.from_nnef.converter import OPSETS, Converter
from nnef_tools.errors import ConversionError, UsageError
from nnef_tools.language.stdlib import standard_fragments
from nnef_tools.ops.fragments import extension_fragments, helper_fragments

from ...support.nnef_cases import ALL, CUSTOM, RECURRENT, REGIONS, ROI_CASES, ROIS, SEVERAL, I, V, X
from ...support.nnef_models import inputs_for, nnef_graph
from .checks import check_back, to_onnx

NEWER = [
    (16, X + "g = external(shape = [2, 4, 3, 2]); ", "grid_sample(x, g, align_corners=true, padding_mode='border')"),
    (16, X + "g = external(shape = [2, 4, 3, 2]); ", "grid_sample(x, g, mode = 'nearest')"),
    (18, I + "j = external<integer>(shape = [2, 3]); ", "bitwise_and(i, j)"),
    (18, I + "j = external<integer>(shape = [2, 3]); ", "bitwise_or(i, j)"),
    (18, I + "j = external<integer>(shape = [2, 3]); ", "bitwise_xor(i, j)"),
    (18, V + "i = external<integer>(shape = [2, 3, 1]); u = external(shape = [2, 3, 1]); ",
     "scatter_elements(x, i, u, axis = 2, reduction = 'max')"),
    (18, X, "resize(x, output_size = [3, 4], mode = 'linear', antialias = true)"),
    (19, X, "resize(x, output_size = [3, 4], mode = 'linear', coordinate_mode = 'half_pixel_symmetric')"),
]  # fmt: skip


@pytest.mark.parametrize(("declarations", "call"), ALL, ids=[call for _, call in ALL])
@pytest.mark.parametrize("opset", [13, 18, OPSETS[-1]])
def test_operation(declarations: str, call: str, opset: int) -> None:
    check_back(nnef_graph(f"{declarations} y = {call};"), opset=opset)


@pytest.mark.parametrize(("declarations", "statement"), [*SEVERAL, *RECURRENT])
@pytest.mark.parametrize("opset", [13, 18, OPSETS[-1]])
def test_operation_with_several_results(declarations: str, statement: str, opset: int) -> None:
    check_back(nnef_graph(declarations + statement, ["y", "q"]), opset=opset)


@pytest.mark.parametrize("kind", ["avg", "max"])
def test_regions_do_not_meet_what_is_outside(kind: str) -> None:
    graph = nnef_graph(f"{X} {ROIS} y = {kind}_roi_pool(x, r, j, output_size = [2, 2]);")
    feeds = inputs_for(graph)
    feeds["x"][:, :, 0, 0] = np.inf
    feeds["r"] = np.full_like(REGIONS, [1, 1, 4, 4])
    check_back(graph, feeds)


@pytest.mark.parametrize("call", ROI_CASES)
@pytest.mark.parametrize("opset", [13, OPSETS[-1]])
def test_regions(call: str, opset: int) -> None:
    graph = nnef_graph(f"{X} {ROIS} y = {call};")
    feeds = inputs_for(graph)
    feeds["r"] = REGIONS
    check_back(graph, feeds, opset=opset)


@pytest.mark.parametrize(("declarations", "call"), CUSTOM, ids=[call for _, call in CUSTOM])
@pytest.mark.parametrize("opset", [13, 18, OPSETS[-1]])
def test_custom_operation(declarations: str, call: str, opset: int) -> None:
    if call.startswith("dynamic_quantize"):
        opset = min(opset, 25)  # onnxruntime has no later DequantizeLinear
    check_back(nnef_graph(f"{declarations} y = {call};"), opset=opset, rtol=1e-4)


@pytest.mark.parametrize(("since", "declarations", "call"), NEWER, ids=[call for *_, call in NEWER])
def test_what_old_operator_sets_lack(since: int, declarations: str, call: str) -> None:
    graph = nnef_graph(f"{declarations} y = {call};")
    for opset in (since, OPSETS[-1]):
        check_back(graph, opset=opset)
    with pytest.raises(ConversionError, match=rf"opset={since}|not supported"):
        Converter(opset=since - 1)(graph)


def test_every_operation_is_tested() -> None:
    texts = [call for _, call in (*ALL, *SEVERAL, *RECURRENT, *CUSTOM)] + ROI_CASES + [call for *_, call in NEWER]
    tested = set(re.findall(r"([a-z_0-9]+)(?:<\w+>)?\(", " ".join(texts)))
    missing = {*standard_fragments(), *extension_fragments()} - tested - helper_fragments()
    assert missing == {"external", "variable", "constant", "update", "inverse"}


def test_opsets() -> None:
    with pytest.raises(UsageError, match="opset 12"):
        Converter(opset=12)
    for opset in OPSETS:
        _, model = to_onnx(nnef_graph(f"{X} y = mean_reduce(relu(x), axes = [1]);"), opset=opset)
        assert model.opset_import[0].version == opset


def test_structure() -> None:
    """Operations with a counterpart become that one operator."""
    for call, op in {
        "max_pool(x, size = [1, 1, 3, 3], border = 'ignore')": "MaxPool",
        "avg_pool(x, size = [1, 1, 3, 3], border = 'ignore')": "AveragePool",
        "avg_pool(x, size = [1, 1, 3, 3])": "AveragePool",
        "multilinear_upsample(x, factor = [2, 2])": "Resize",
        "softmax(x)": "Softmax",
        "clamp(x, 0.0, 6.0)": "Clip",
        "local_response_normalization(x, size = [1, 5, 1, 1])": "LRN",
        "conv(x, w, k, stride = [2, 2])": "Conv",
        "batch_normalization(x, 0.5, 1.0, 2.0, 1.0, epsilon = 0.1)": "BatchNormalization",
    }.items():
        body = f"{X} w = external(shape = [4, 3, 3, 3]); k = constant(shape = [1, 4], value = [1.0]); y = {call};"
        _, model = to_onnx(nnef_graph(body))
        assert [node.op_type for node in model.graph.node] == [op]


def test_inverse_is_an_operator_of_a_domain() -> None:
    _, model = to_onnx(nnef_graph("x = external(shape = [2, 2]); y = inverse(x);"))
    onnx.checker.check_model(model, full_check=True)
    assert (model.graph.node[0].domain, model.graph.node[0].op_type) == ("com.microsoft", "Inverse")
