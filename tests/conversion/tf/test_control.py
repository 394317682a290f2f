"""Control flow, lists and recurrent layers against TensorFlow; the helpers of plugins."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nnef_tools.conversion import Transform
from nnef_tools.conversion.tf_to_nnef import Converter
from nnef_tools.errors import ConversionError
from nnef_tools.model import Graph, Operation, Tensor

from ...support.arrays import random
from ...support.nnef_models import run_nnef
from ...support.tf_programs import Traced, freeze, raw, tf
from .checks import check, convert, refusal


def test_passing_operators() -> None:
    check(lambda x: tf.stop_gradient(tf.identity(x)) + 1.0, random(3), ops=["add"])
    check(lambda x: tf.identity_n([tf.nn.relu(x), x * 2.0]), random(3), ops=["relu", "mul"])
    check(lambda x: tf.debugging.check_numerics(x, "no") + 1.0, random(3), ops=["add"])
    check(lambda x: x + tf.compat.v1.placeholder_with_default(np.float32(2), []), random(3), ops=["add"])

    def asserting(x: Any) -> Any:
        with tf.control_dependencies([tf.debugging.Assert(tf.reduce_all(x < 100.0), [x])]):
            return x * 2.0

    check(asserting, random(3), ops=["mul"])


def test_input_is_output() -> None:
    check(lambda x: (x, x * 2.0), random(3), ops=["mul", "copy"])


# branches


@pytest.mark.parametrize("lower", [False, True])
def test_computed_condition(lower: bool) -> None:
    def function(x: Any) -> Any:
        return tf.cond(tf.reduce_sum(x) > 0.0, lambda: x * 2.0, lambda: tf.nn.relu(x) - 1.0)

    traced = freeze(function, (3, 4), lower=lower)
    for sign in (1, -1):
        result = check(traced, sign * np.abs(random(3, 4)))
        assert "select" in result.ops


def test_constant_condition() -> None:
    traced = freeze(lambda x: tf.cond(tf.shape(x)[0] > 2, lambda: x * 2.0, lambda: tf.nn.relu(x)), (3, 4), lower=False)
    check(traced, random(3, 4), ops=["mul"])


def test_branches_of_different_shapes_are_refused() -> None:
    traced = freeze(lambda x: tf.cond(tf.reduce_sum(x) > 0.0, lambda: x[:1], lambda: x[:2]), (3, 4), lower=False)
    with pytest.raises(Exception, match="cannot be converted") as caught:
        Converter()(traced.read())
    assert "depends on the condition" in str(caught.value)


def three_ways(x: Any) -> Any:
    index = tf.cast(tf.reduce_sum(x), tf.int32)
    return tf.switch_case(index, [lambda: x, lambda: x * 2.0, lambda: tf.nn.relu(x)])


TOTALS = (0.5, 1.5, 2.5, 7.0, -4.0)


def test_case() -> None:
    function = three_ways
    concrete = tf.function(function).get_concrete_function(tf.TensorSpec((2,), tf.float32, name="x0"))
    traced = Traced(concrete.graph.as_graph_def(), [t.op.name for t in concrete.graph.outputs])
    assert "Case" in {op.type for op in traced.read().operations} or "StatelessCase" in str(traced.graph_def)
    for total in TOTALS:
        check(traced, np.float32([total + 1, -1]))


def test_case_of_tensorflow_1() -> None:
    def nested(x: Any) -> Any:
        index = tf.cast(tf.reduce_sum(x), tf.int32)
        first, second = tf.switch_case(
            index,
            [
                lambda: (x, x + 1.0),
                lambda: (x * 2.0, tf.constant([1.0, 2.0])),
                lambda: (tf.nn.relu(x), tf.cond(x[0] > 2.0, lambda: x * 3.0, lambda: three_ways(x - 0.4))),
            ],
        )
        return first * second

    def two_ways(x: Any) -> Any:
        return tf.switch_case(tf.cast(tf.reduce_sum(x), tf.int32), [lambda: x, lambda: x * 2.0])

    for function in (three_ways, nested, two_ways):
        traced = freeze(function, (2,))
        assert "_SwitchN" in {node.op for node in traced.graph_def.node}
        for total in TOTALS:
            check(traced, np.float32([total + 1, -1]))


@pytest.mark.parametrize(("index", "ops"), [(0, ["neg"]), (2, ["relu"]), (7, ["relu"]), (-1, ["relu"])])
def test_case_of_tensorflow_1_with_a_constant_index(index: int, ops: list[str]) -> None:
    def function(x: Any) -> Any:
        return tf.switch_case(tf.cast(tf.shape(x)[0], tf.int32), [lambda: -x, lambda: x * 2.0, lambda: tf.nn.relu(x)])

    graph_def = freeze(function, (2,)).graph_def
    for node in graph_def.node:  # what the choice depends on, as a constant
        if node.op == "_SwitchN":
            node.input[1] = "index"
    constant = graph_def.node.add(name="index", op="Const")
    constant.attr["dtype"].type = tf.int32.as_datatype_enum
    constant.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(index, tf.int32))
    names = [node.name for node in graph_def.node if node.op == "Identity" and "/" not in node.name]
    check(Traced(graph_def, names), random(2), ops=ops)


# loops


@pytest.mark.parametrize("lower", [False, True])
def test_loop(lower: bool) -> None:
    def function(x: Any) -> Any:
        _, y = tf.while_loop(lambda i, y: i < 3, lambda i, y: (i + 1, y * x + tf.cast(i, tf.float32)), (0, x))
        return y

    check(freeze(function, (3, 4), lower=lower), random(3, 4), ops=["mul", "add"] * 3)


def test_loop_whose_length_depends_on_data_is_refused() -> None:
    def program(x: Any) -> Any:
        return tf.while_loop(lambda y: tf.reduce_sum(y) < 100.0, lambda y: (y * 2.0,), (x,))[0]

    assert "depends on the data" in refusal(program, np.abs(random(3)))


def test_nested_loops() -> None:
    def function(x: Any) -> Any:
        def outer(i: Any, y: Any) -> Any:
            _, z = tf.while_loop(lambda j, z: j < 2, lambda j, z: (j + 1, z + x), (0, y))
            return i + 1, z * 0.5

        return tf.while_loop(lambda i, y: i < 2, outer, (0, x))[1]

    check(freeze(function, (3,)), random(3))
    check(freeze(function, (3,), lower=False), random(3))


@pytest.mark.parametrize("lower", [False, True])
def test_lists_in_loops(lower: bool) -> None:
    def function(x: Any) -> Any:
        values = tf.TensorArray(tf.float32, 4, element_shape=(3,)).unstack(x)
        results = tf.TensorArray(tf.float32, 4, element_shape=(3,))

        def body(i: Any, state: Any, results: Any) -> Any:
            state = state * 0.5 + values.read(i)
            return i + 1, state, results.write(3 - i, state)

        _, state, results = tf.while_loop(lambda i, *_: i < 4, body, (0, tf.zeros(3), results))
        return results.stack(), state

    result = check(freeze(function, (4, 3), lower=lower), random(4, 3))
    assert result.ops.count("unstack") == result.ops.count("stack") == 1


def test_lists() -> None:
    def program(x: Any) -> Any:
        items = tf.raw_ops.TensorListFromTensor(tensor=x, element_shape=[3])
        items = tf.raw_ops.TensorListPushBack(input_handle=items, tensor=x[0] * 2.0)
        items, last = tf.raw_ops.TensorListPopBack(input_handle=items, element_shape=[3], element_dtype=tf.float32)
        items = tf.raw_ops.TensorListResize(input_handle=items, size=6)
        chosen = tf.raw_ops.TensorListGather(
            input_handle=items, indices=[2, 0, 5], element_shape=[3], element_dtype=tf.float32
        )
        count = tf.cast(tf.raw_ops.TensorListLength(input_handle=items), tf.float32)
        other = tf.raw_ops.TensorListScatterV2(tensor=x, indices=[3, 0, 1, 4], element_shape=[3], num_elements=5)
        stacked = tf.raw_ops.TensorListStack(input_handle=other, element_shape=[3], element_dtype=tf.float32)
        joined, lengths = tf.raw_ops.TensorListConcatV2(
            input_handle=tf.raw_ops.TensorListFromTensor(tensor=x[:, None], element_shape=[1, 3]),
            element_shape=[-1, 3],
            leading_dims=np.zeros(0, np.int64),
            element_dtype=tf.float32,
        )
        return last, chosen * count, stacked, joined, lengths

    check(program, random(4, 3))


def test_tensor_arrays_of_version_1() -> None:
    def program(x: Any) -> Any:
        handle, flow = raw.TensorArrayV3(size=4, dtype=tf.float32, element_shape=[3])
        flow = raw.TensorArrayScatterV3(handle=handle, indices=[0, 1, 2, 3], value=x, flow_in=flow)
        item = raw.TensorArrayReadV3(handle=handle, index=2, flow_in=flow, dtype=tf.float32)
        other, empty = raw.TensorArrayV3(size=2, dtype=tf.float32, clear_after_read=False)
        filled = raw.TensorArrayWriteV3(handle=other, index=1, value=item * 2.0, flow_in=empty)
        filled = raw.TensorArrayWriteV3(handle=other, index=0, value=item, flow_in=filled)
        size = tf.cast(raw.TensorArraySizeV3(handle=other, flow_in=filled), tf.float32)
        gathered = raw.TensorArrayGatherV3(handle=other, indices=[1, 0], flow_in=filled, dtype=tf.float32)
        return gathered * size

    check(program, random(4, 3))


def test_read_before_write_is_zero_or_refused() -> None:
    def program(x: Any, shape: Any) -> Any:
        items = raw.TensorListReserve(element_shape=shape, num_elements=2, element_dtype=tf.float32)
        return x + raw.TensorListGetItem(input_handle=items, index=1, element_shape=shape, element_dtype=tf.float32)

    check(lambda x: program(x, [3]), random(3))
    assert "before it is written" in refusal(lambda x: program(x, -1), random(3))


# recurrent layers


@pytest.mark.parametrize("layer", ["LSTM", "GRU", "SimpleRNN"])
@pytest.mark.parametrize("options", [{"return_sequences": True}, {"go_backwards": True}, {"unroll": True}])
@pytest.mark.parametrize("lower", [True, False])
def test_keras_layers(layer: str, options: dict[str, Any], lower: bool) -> None:
    tf.keras.utils.set_random_seed(1)
    model = getattr(tf.keras.layers, layer)(4, **options)
    model.build((1, 5, 3))
    check(freeze(lambda x: model(x), (2, 5, 3), lower=lower), random(2, 5, 3))


def test_keras_bidirectional() -> None:
    tf.keras.utils.set_random_seed(1)
    model = tf.keras.layers.Bidirectional(tf.keras.layers.LSTM(4, return_sequences=True))
    check(freeze(lambda x: model(x), (1, 5, 3)), random(1, 5, 3))


# plugins

NAMES = [
    "as_const", "as_tensor", "axis_ncx_to_nxc", "axis_nxc_to_ncx", "beg_index", "bit_count", "convert_binarg",
    "convert_padding", "convert_size", "cxn_to_ncx", "cxn_to_ncx_perm", "downsample_factor", "end_index", "ensure_list",
    "ensure_positive", "fixed_batch", "flexible_batch", "from_numpy", "is_bit_set", "is_const", "is_cxn",
    "is_integer_downsample", "is_integer_upsample", "is_nxc", "is_xcn", "is_zero", "ncx_to_cxn", "ncx_to_cxn_perm",
    "ncx_to_nxc", "ncx_to_nxc_perm", "ncx_to_xcn", "ncx_to_xcn_perm", "needs_io_transpose", "new_tensor", "nnef_dtype",
    "nxc_to_ncx", "nxc_to_ncx_perm", "replace_bit_with", "replace_item_with", "squeeze_input", "squeeze_output",
    "squeeze_shape", "tensor_mapping", "to_numpy", "transpose_axis_like", "transpose_depthwise_filter",
    "transpose_filter", "transpose_input", "transpose_like", "transpose_list_like", "transpose_output", "transposing",
    "undo_transpose", "unsqueeze_input", "unsqueeze_output", "unsqueeze_shape", "unsqueeze_vector", "upsample_factor",
    "xcn_to_ncx", "xcn_to_ncx_perm",
]  # fmt: skip


def test_names_of_helpers() -> None:
    assert sorted(Converter.find_public_methods(Converter())) == NAMES


def test_values_of_helpers() -> None:
    c = Converter()
    assert (c.is_nxc("NHWC"), c.is_nxc("NXC"), c.is_nxc("NCHW"), c.is_nxc("NC")) == (True, True, False, False)
    assert (c.is_cxn("CHWN"), c.is_xcn("HWCN"), c.is_cxn("NC"), c.is_xcn("NC")) == (True, True, False, False)
    assert c.convert_size([1, 2, 3, 1], "NHWC") == [2, 3]
    assert c.convert_size([1, 1, 2, 3], "NCHW") == [2, 3]
    assert c.convert_padding("same", 2) == []
    assert c.convert_padding("VALID", 2) == [(0, 0), (0, 0)]
    assert c.convert_padding("EXPLICIT", 2, [0, 0, 1, 2, 3, 4, 0, 0], "NHWC") == [(1, 2), (3, 4)]
    assert c.convert_padding("EXPLICIT", 2, [0, 0, 0, 0, 1, 2, 3, 4], "NCHW") == [(1, 2), (3, 4)]
    assert (c.is_bit_set(0b101, 2), c.is_bit_set(0b101, 1), c.bit_count(0b1011)) == (True, False, 3)
    assert c.replace_item_with([1, 2, 3], 1, 2, 0) == [1, 0, 0, 3]
    assert (c.replace_bit_with(0b101, 1, 2, 1), c.replace_bit_with(0b111, 1, 2, 0)) == (15, 0b1001)
    big = 2**31 - 1
    assert (c.beg_index(1), c.end_index(1), c.beg_index(-1), c.end_index(-1)) == (0, big, big, -big)
    assert (c.ensure_list((1, 2)), c.ensure_list([1]), c.ensure_list(3)) == ([1, 2], [1], 3)
    assert c.nnef_dtype(np.int32) == "integer"


def test_plugin_with_layout_helpers() -> None:
    """A rule written for the layout helpers gives the same as the built-in one."""
    w = random(3, 3, 2, 4)
    transform = Transform(
        type="conv",
        using={"df": "!data_format"},
        inputs=("!transpose_input(I[0], df)", "!transpose_filter(I[1])"),
        outputs="!transpose_output(O[0], df)",
        attribs={
            "stride": "!convert_size(strides, df)",
            "dilation": "!convert_size(dilations, df)",
            "padding": "!convert_padding(padding, I[0].rank - 2, explicit_paddings, df)",
            "groups": 1,
        },
    )
    traced = freeze(lambda x: tf.nn.relu(tf.nn.conv2d(x, w, 2, "SAME")), (1, 7, 6, 2))
    result = check(traced, random(1, 7, 6, 2), custom_transforms={"Conv2D": transform})
    assert result.ops == ["transpose", "conv", "transpose", "relu"]


def test_plugin_with_axis_helpers() -> None:
    transform = Transform(
        type="concat",
        inputs=["!I[:-1]"],
        outputs="!transpose_like(O[0], I[0])",
        attribs={"axis": "!transpose_axis_like(as_const(I[-1]), I[0])"},
    )

    def infer(*shapes: Any, axis: int, **attribs: Any) -> Any:
        first, second = shapes[0]
        return [a + b if k == axis else a for k, (a, b) in enumerate(zip(first, second, strict=True))]

    check(
        lambda x, y: tf.nn.relu(tf.concat([x, y], -1)),
        random(2, 3),
        random(2, 4),
        ops=["concat", "relu"],
        custom_transforms={"ConcatV2": transform},
        custom_shapes={"concat": infer},
        infer_shapes=True,
    )


def test_layout_helpers_do_not_guess_ranks() -> None:
    c, x, known = Converter(io_transpose=True), Tensor(Graph(), "x"), Tensor(Graph(), "y", (1, 2, 3))
    calls: list[Any] = [
        lambda: c.transpose_input(x),
        lambda: c.transpose_output(x),
        lambda: c.transpose_axis_like(-1, x),
        lambda: c.needs_io_transpose(x),
        lambda: c.convert_binarg(x, known),
        lambda: c.convert_binarg(known, x),
    ]
    for call in calls:
        with pytest.raises(ConversionError, match="of tensor 'x' is not known"):
            call()
    assert c.transpose_axis_like(-1, x, 4) == 3
    assert c.transpose_input(x, "NCHW") is x and c.transpose_output(x, "NCHW") is x


def test_composites_are_converted_by_plugins() -> None:
    graph = Graph("g")
    x = Tensor(graph, "x", (2, 3), np.float32)
    y = Tensor(graph, "y", (2, 3), np.float32)
    Operation(graph, "Placeholder", "x", {"dtype": np.float32, "shape": (2, 3)}, [], [x])
    Operation(graph, "twice", "y", {"factor": 2.0}, [x], [y], custom=True)
    graph.inputs, graph.outputs = [x], [y]
    transform = Transform(type="mul", inputs=("!I[0]", "!as_tensor(factor, np.float32)"), outputs="!O[0]")
    converted = Converter(custom_transforms={"twice": transform})(graph)
    assert [op.type for op in converted.operations] == ["external", "mul"]
    np.testing.assert_array_equal(run_nnef(converted, [random(2, 3)])[0], 2 * random(2, 3))
    with pytest.raises(Exception, match="twice"):
        Converter()(graph)
    mirrored = Converter(mirror_unsupported=True)(graph)
    assert [op.type for op in mirrored.operations] == ["external", "twice"]
    assert mirrored.operations[1].custom and mirrored.operations[1].attribs == {"factor": 2.0}


def test_names_are_kept_on_request() -> None:
    result = convert(lambda x: tf.nn.relu(x), random(3), keep_io_names=True)
    assert [t.name for t in (*result.graph.inputs, *result.graph.outputs)] == ["x0", "y0"]
    assert result.converter.tensor_mapping() == {"x0": "x0", "y0": "y0"}
