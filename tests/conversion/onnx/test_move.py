"""Operators that move data, against onnxruntime."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto
from onnx.helper import make_graph, make_model, make_node, make_opsetid, make_tensor_value_info
from onnx.numpy_helper import from_array

from nnef_tools.errors import ConversionError, ExecutionError

from ...support.arrays import Array
from ...support.onnx_models import Const, const, node_model, text_model
from .checks import check, check_node, convert

Random = Callable[..., Array]


@pytest.mark.parametrize("shape", [[6, 4], [0, -1], [-1], [2, 2, 6], [0, 0, 2, 2], [1, 24, 1]])
def test_reshape(random: Random, shape: list[int]) -> None:
    check_node("Reshape", [random(2, 3, 4), const(shape)], ops=["reshape"])
    check_node("Reshape", [np.arange(24).reshape(2, 3, 4), const(shape)], ops=["reshape"])


@pytest.mark.parametrize("shape", [[-1, -1], [5, -1], [7], [0, 0, 0, 0], [-2]])
def test_impossible_shapes_are_refused(random: Random, shape: list[int]) -> None:
    x = random(2, 3, 4)
    model = node_model("Reshape", [x, const([24])])
    model.graph.initializer[0].CopyFrom(node_model("Reshape", [x, const(shape, np.int64)]).graph.initializer[0])
    with pytest.raises(ConversionError, match="Reshape"):
        convert(model, [x])


@pytest.mark.parametrize("axis", range(-3, 4))
def test_flatten(random: Random, axis: int) -> None:
    check_node("Flatten", [random(2, 3, 4)], axis=axis)


def test_squeeze_and_unsqueeze(random: Random) -> None:
    x, y = random(2, 3, 4), random(1, 3, 1, 4)
    check_node("Squeeze", [y], ops=["squeeze"])
    check_node("Squeeze", [y, const([0, -2])], ops=["squeeze"])
    check_node("Squeeze", [y], axes=[0], opset=11, ops=["squeeze"])
    check_node("Unsqueeze", [x, const([-1, 0])], ops=["unsqueeze"])
    check_node("Unsqueeze", [x], axes=[0, 4], opset=11, ops=["unsqueeze"])
    wrong = node_model("Squeeze", [y], opset=11)
    wrong.graph.node[0].attribute.extend(node_model("Squeeze", [y], axes=[0], opset=11).graph.node[0].attribute)
    wrong.graph.node[0].attribute[0].ints[:] = [1]
    with pytest.raises(ConversionError, match="are not all of extent 1"):
        convert(wrong, [y])


def test_transpose(random: Random) -> None:
    x = random(2, 3, 4)
    check_node("Transpose", [x], ops=["transpose"])
    check_node("Transpose", [x], perm=[0, 2, 1], ops=["transpose"])
    check_node("Transpose", [x], perm=[0, 1, 2], ops=["copy"])


@pytest.mark.parametrize("axis", [-1, 0, 1])
def test_concat(random: Random, axis: int) -> None:
    x = random(2, 3, 4)
    check_node("Concat", [x, random(2, 3, 4)], axis=axis, ops=["concat"])
    check_node("Concat", [x, Const(random(2, 3, 4)), x * 2], axis=axis, ops=["concat"])
    check_node("Concat", [x], axis=axis, ops=["copy"])
    empty = np.zeros([0 if k == axis % 3 else n for k, n in enumerate(x.shape)], np.float32)
    check_node("Concat", [x, Const(empty)], axis=axis, ops=["copy"])


def test_split(random: Random) -> None:
    x = random(2, 3, 4)
    check_node("Split", [x, const([1, 3])], 2, axis=-1, ops=["split"])
    check_node("Split", [x], 2, axis=2, num_outputs=2, ops=["split"])
    check_node("Split", [random(7, 2)], 3, num_outputs=3, ops=["split"])
    check_node("Split", [x], 2, axis=2, split=[3, 1], opset=11, ops=["split"])
    check_node("Split", [x], 2, axis=2, opset=11, ops=["split"])
    check_node("Split", [x, const([4])], 1, axis=2, ops=["copy"])
    expected = [x[:, :1], x[:, 2:]]  # onnxruntime does not survive an omitted output
    check_node("Split", [x], ["a", "", "c"], axis=1, num_outputs=3, expected=expected)


SLICES = [
    ([1], [3], [2], [1]),
    ([-1], [-100], [2], [-1]),
    ([0, 1], [2, 3], [0, 2], [1, 2]),
    ([3], [0], [-1], [-2]),
    ([0], [2**63 - 1], [1], [1]),
    ([-2], [2**31], [1], [1]),
    ([100], [-100], [1], [-3]),
]


@pytest.mark.parametrize(("starts", "ends", "axes", "steps"), SLICES)
def test_slice(random: Random, starts: list[int], ends: list[int], axes: list[int], steps: list[int]) -> None:
    check_node("Slice", [random(2, 3, 4), const(starts), const(ends), const(axes), const(steps)])


def test_slice_forms(random: Random) -> None:
    x = random(2, 3, 4)
    whole = [const([0]), const([2**63 - 1]), const([1])]
    assert check_node("Slice", [x, *whole]).ops == ["copy"]
    result = check_node("Slice", [x, const([0, 1]), const([1, 2])], ops=["slice"])
    assert result.graph.operations[-1].attribs == {"axes": [0, 1], "begin": [0, 1], "end": [1, 2]}
    check_node("Slice", [x], starts=[0, 1], ends=[1, 100], opset=9)
    check_node("Slice", [x], starts=[1], ends=[-1], axes=[2], opset=9)


def places_model(step: int = 1, ends_apart: bool = True) -> ModelProto:
    """x[k : k + 3 * step : step] along the second axis; with ends_apart = False, the end is k * 2."""
    nodes = [
        make_node("Add", ["k", "length"], ["end"]) if ends_apart else make_node("Add", ["k", "k"], ["end"]),
        make_node("Slice", ["x", "k", "end", "axes", "steps"], ["y"]),
        make_node("Squeeze", ["k", "zero"], ["scalar"]),
        make_node("Squeeze", ["end", "zero"], ["limit"]),
        make_node("Range", ["scalar", "limit", "delta"], ["z"]),
    ]
    inputs = [
        make_tensor_value_info("x", TensorProto.FLOAT, [2, 7, 3]),
        make_tensor_value_info("k", TensorProto.INT64, [1]),
    ]
    outputs = [
        make_tensor_value_info("y", TensorProto.FLOAT, None),
        make_tensor_value_info("z", TensorProto.INT64, None),
    ]
    values = {"length": [3 * step], "axes": [-2], "steps": [step], "zero": [0]}
    constants = [from_array(np.asarray(value, np.int64), name) for name, value in values.items()]
    constants.append(from_array(np.asarray(step, np.int64), "delta"))
    return make_model(make_graph(nodes, "g", inputs, outputs, constants), opset_imports=[make_opsetid("", 18)])


@pytest.mark.parametrize(("at", "step"), [(0, 1), (4, 1), (-7, 1), (-4, 1), (1, 2), (6, -1), (-1, -2)])
def test_slice_at_a_computed_place(random: Random, at: int, step: int) -> None:
    check(places_model(step), [random(2, 7, 3), np.asarray([at])])


@pytest.mark.parametrize("at", [-3, -1])
def test_slice_from_a_place_at_the_end_past_it(random: Random, at: int) -> None:
    """The end counts from the start then, so that the source has no items; results of another shape are no option."""
    with pytest.raises(ExecutionError) as caught:
        convert(places_model(), [random(2, 7, 3), np.asarray([at])])
    assert f"index {at} is out of range" in str(caught.value)


def test_wrapping_around_nothing(random: Random) -> None:
    model = node_model("Pad", [random(1, 3), const([-1, 0, 1, 0])], mode="wrap", opset=19, infer=False)
    with pytest.raises(ConversionError) as caught:
        convert(model, [random(1, 3)])
    assert "nothing to repeat along axis 0" in str(caught.value)


def test_slice_of_computed_length(random: Random) -> None:
    with pytest.raises(ConversionError) as caught:
        convert(places_model(ends_apart=False), [random(2, 7, 3), np.asarray([1])])
    assert "depends on the data: the length of the range" in str(caught.value)


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "wrap"])
def test_pad_modes(random: Random, mode: str) -> None:
    x = random(2, 3, 4)
    check_node("Pad", [x, const([0, 1, 2, 0, 1, 1])], mode=mode, opset=19)
    check_node("Pad", [x, const([1, 2]), None, const([-1])], mode=mode, opset=19)
    check_node("Pad", [x, const([0, 1, -1, 0, 1, 2])], mode=mode, opset=19)
    if mode != "wrap":
        check_node("Pad", [x], pads=[0, 1, 2, 0, 1, 1], mode=mode, opset=10, ops=["pad"])


@pytest.mark.parametrize("pads", [[5, 0, -1, 9], [-1, 8, 3, -3], [0, -2, 12, -1], [2, 4, 0, 4], [6, 0, 2, 12]])
@pytest.mark.parametrize("dtype", [np.float32, np.int64, np.bool_])
def test_pad_wraps_more_than_once(pads: list[int], dtype: Any, random: Random) -> None:
    check_node("Pad", [(random(3, 4) * 9).astype(dtype), const(pads)], mode="wrap", opset=19)


@pytest.mark.parametrize("pads", [[0, 1, 2, 0, 1, 1], [1, 0, -1, 0, -2, 3], [0, 0, -1, 0, 0, -2]])
@pytest.mark.parametrize("value", [2.5, -np.inf, np.nan, True, 2**40, np.float64(0.1)])
def test_pad_value_that_is_computed(pads: list[int], value: Any, random: Random) -> None:
    given = np.asarray(value, np.float32 if isinstance(value, float) and type(value) is float else None)
    x = (random(2, 3, 4) * 9).astype(given.dtype)
    result = check_node("Pad", [x, const(pads), given], opset=19)
    assert {"select"} <= set(result.ops) if max(pads) > 0 else "select" not in result.ops
    check_node("Pad", [x, const(pads), given], opset=19, mode="edge")


def test_pad_values(random: Random) -> None:
    x, integers = random(2, 3, 4), np.arange(6).reshape(2, 3)
    check_node("Pad", [x, const([0, 1, 2, 0, 1, 1]), Const(np.array(1.5, np.float32))], ops=["pad"])
    check_node("Pad", [integers, const([1, 1, 0, 2]), const(7)])
    check_node("Pad", [integers.astype(bool), const([1, 1, 0, 2]), Const(np.array(True))])
    check_node("Pad", [integers.astype(np.uint8), const([1, 1, 0, 2]), Const(np.array(255, np.uint8))], opset=19)
    check_node("Pad", [x, const([0, -1, 0, 0, -1, -2])])
    check_node("Pad", [x, const([0] * 6)], ops=["copy"])


@pytest.mark.parametrize("shape", [[2, 3, 4], [1, 1, 1], [5, 2, 3, 4], [2, 1, 4]])
def test_expand(random: Random, shape: list[int]) -> None:
    check_node("Expand", [random(2, 3, 1), const(shape)])
    check_node("Expand", [np.array(3, np.float32), const(shape)])


def test_tile(random: Random) -> None:
    check_node("Tile", [random(2, 3, 4), const([2, 1, 3])], ops=["tile"])
    check_node("Tile", [random(2, 3, 4), const([1, 1, 1])], ops=["copy"])
    check_node("Tile", [np.arange(4).reshape(2, 2), const([2, 2])], ops=["tile"])


@pytest.mark.parametrize("mode", ["DCR", "CRD"])
def test_depth_to_space(random: Random, mode: str) -> None:
    attribs: dict[str, Any] = {"blocksize": 2, "mode": mode}
    check_node("DepthToSpace", [random(2, 8, 2, 3)], ops=["reshape", "transpose", "reshape"], **attribs)


def test_space_to_depth(random: Random) -> None:
    check_node("SpaceToDepth", [random(2, 3, 4, 6)], blocksize=2, ops=["reshape", "transpose", "reshape"])


@pytest.mark.parametrize("reduction", ["ReduceSum", "ReduceMean", "ReduceMax"])
@pytest.mark.parametrize("ends", ["s, e", "s, last", "second, e"])
def test_slice_between_computed_places(reduction: str, ends: str) -> None:
    """The items stay, and those between the places count; of none of them the sum and the mean are 0."""
    model = text_model(
        f"""<ir_version: 8, opset_import: ["" : 18]>
        g (float[2,5] x, int64[1] s, int64[1] e) => (float[2,1] y, float[m] z) {{
        axis = Constant<value = int64[1] {{1}}>() zero = Constant<value = int64[1] {{0}}>()
        second = Constant<value = int64[1] {{1}}>() last = Constant<value = int64[1] {{-1}}>() k = Add(s, e)
        a = Slice(x, {ends}, axis) y = {reduction}(a, axis) c = Slice(x, zero, k, zero)
        z = {reduction}<keepdims = 0>(c, zero) }}"""
    )
    x = np.random.default_rng(0).standard_normal((2, 5)).astype(np.float32)
    for places in [(1, 4), (0, 9), (-3, -1), (3, 3), (4, 1), (-9, 2), (2, 2**40)]:
        check(model, [x, *(np.asarray([place]) for place in places)])


def test_rows_between_computed_places_that_show() -> None:
    model = text_model(
        """<ir_version: 8, opset_import: ["" : 18]> g (float[4] x, int64[1] s, int64[1] e) => (float[n] y) {
        y = Slice(x, s, e) }"""
    )
    given = [np.arange(4, dtype=np.float32), np.asarray([1]), np.asarray([3])]
    with pytest.raises(ConversionError) as caught:
        convert(model, given)
    assert "the shape of the result depends on the data" in str(caught.value)
    rows, count = convert(model, given, fixed_nms=True).outputs
    assert rows.tolist() == [1, 2, 0, 0]
    assert count == 2


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_embedding_bags_between_offsets(mode: str, tmp_path: Path) -> None:
    """Bags whose ends are inputs, as PyTorch writes them: a Loop with a Slice; PyTorch tells what they give."""
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    bag = torch.nn.EmbeddingBag(10, 3, mode=mode).eval()
    items, offsets = torch.tensor([1, 2, 4, 5, 4, 3, 2, 9]), torch.tensor([0, 2, 5])
    path = tmp_path / "bag.onnx"
    torch.onnx.export(bag, (items, offsets), str(path), dynamo=False, opset_version=17)
    model = onnx.load(path)
    for places in [(0, 2, 5), (0, 1, 7), (0, 0, 8), (0, 3, 3)]:
        result = check(model, [items.numpy(), np.asarray(places)])
        if mode != "max" or min(np.diff([*places, 8])) > 0:  # the exported model gives -inf for an empty bag
            np.testing.assert_allclose(result.outputs[0], bag(items, torch.tensor(places)).detach().numpy(), atol=1e-6)
