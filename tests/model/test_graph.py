"""The graph model: constructors, links, removal, order (the public behavior that clients rely on)."""

from __future__ import annotations

import io
import sys

import ml_dtypes
import numpy as np
import pytest

from nnef_tools.model import Graph, Operation, Tensor
from nnef_tools.model.graph import View


@pytest.fixture
def graph():
    return Graph("net")


def unary(graph, source, type="relu", name=None):
    return Operation(graph, type=type, inputs=source, outputs=Tensor(graph, name)).output


def names(operations):
    return [operation.type for operation in operations]


# tensors


def test_tensor_takes_its_fields_by_position(graph):
    tensor = Tensor(graph, "x", [1, 2], np.float32, np.zeros((1, 2)), {"a": 1})
    assert (tensor.graph, tensor.name, tensor.shape, tensor.dtype) == (graph, "x", (1, 2), np.float32)
    assert tensor.quant == {"a": 1}
    assert list(graph.tensors) == [tensor]


def test_tensor_defaults(graph):
    tensor = Tensor(graph)
    assert (tensor.name, tensor.shape, tensor.dtype, tensor.data, tensor.quant) == (None, None, None, None, {})
    assert (tensor.rank, tensor.volume, tensor.is_constant) == (None, None, False)
    assert (tensor.producer, tensor.consumer, tensor.producers, tensor.consumers) == (None, None, [], [])


def test_tensor_takes_free_attributes(graph):
    tensor = Tensor(graph)
    tensor.qtensor = object()
    assert tensor.qtensor is not None


def test_quant_is_kept_by_reference_and_may_become_none(graph):
    quant = {"op-name": "q"}
    tensor = Tensor(graph, quant=quant)
    assert tensor.quant is quant
    tensor.quant = None
    assert tensor.quant is None


@pytest.mark.parametrize("data", [object(), np.zeros(3), 0, [1, 2]])
def test_data_is_any_object_and_never_copied(graph, data):
    tensor = Tensor(graph, data=data)
    assert tensor.data is data
    assert tensor.is_constant


@pytest.mark.parametrize(
    ("shape", "expected", "volume"),
    [((), (), 1), ([2, 3], (2, 3), 6), ((np.int64(4),), (4,), 4), ((None, 3), (None, 3), None), ((0, 3), (0, 3), 0)],
)
def test_shape(graph, shape, expected, volume):
    tensor = Tensor(graph, shape=shape)
    assert tensor.shape == expected
    assert all(dim is None or type(dim) is int for dim in tensor.shape)
    assert (tensor.volume, tensor.rank) == (volume, len(expected))


@pytest.mark.parametrize("shape", [(1.0,), ("a",), (True,)])
def test_bad_shape(graph, shape):
    with pytest.raises(AssertionError):
        Tensor(graph, shape=shape)
    assert len(graph.tensors) == 0


@pytest.mark.parametrize("dtype", [np.float32, np.bool_, np.str_, ml_dtypes.bfloat16])
def test_dtype_reads_back_as_a_class(graph, dtype):
    assert Tensor(graph, dtype=dtype).dtype is dtype
    assert Tensor(graph, dtype=np.dtype(dtype)).dtype is dtype


def test_dtype_must_be_a_class(graph):
    with pytest.raises(AssertionError):
        Tensor(graph, dtype="float32")


def test_tensor_copy_shares_data_and_quant_but_no_links(graph):
    tensor = Tensor(graph, "x", (2,), np.float32, np.zeros(2), {"a": 1})
    unary(graph, tensor)
    copy = tensor.copy_with(name="y")
    assert (copy.name, copy.shape, copy.dtype) == ("y", (2,), np.float32)
    assert copy.data is tensor.data and copy.quant is tensor.quant
    assert not copy.has_consumer and copy.graph is graph
    assert tensor.copy_with(graph=Graph()).graph is not graph


def test_text_of_a_tensor(graph):
    assert repr(Tensor(graph, "x")) == "x"
    assert repr(Tensor(graph)).startswith("@")
    assert str(Tensor(graph, "x", (1, 2), np.float32)) == "x: float32[1, 2]"
    assert str(Tensor(graph, "x", ())) == "x: ?[]"
    assert str(Tensor(graph, "x", (None, 2))) == "x: ?[?, 2]"


# operations


@pytest.mark.parametrize("argument", ["none", "tensor", "tuple", "generator"])
def test_separate_arguments_read_back_as_a_tuple(graph, argument):
    x, y = Tensor(graph, "x"), Tensor(graph, "y")
    given = {"none": None, "tensor": x, "tuple": (x, y), "generator": (t for t in (x, y))}[argument]
    operation = Operation(graph, inputs=given, outputs=None)
    assert operation.outputs == () and isinstance(operation.outputs, tuple)
    assert isinstance(operation.inputs, tuple)
    assert operation.inputs == {"none": (), "tensor": (x,)}.get(argument, (x, y))


def test_an_array_argument_reads_back_as_a_view(graph):
    x, y = Tensor(graph, "x"), Tensor(graph, "y")
    given = [x, y]
    operation = Operation(graph, type="concat", inputs=given, outputs=Tensor(graph))
    given.append(Tensor(graph))
    assert not isinstance(operation.inputs, (tuple, list))
    assert list(operation.inputs) == [x, y] and operation.inputs == [x, y]
    assert isinstance(operation.inputs[1:], list) and x in operation.inputs
    with pytest.raises(AttributeError):
        operation.inputs.append(x)


def test_links_are_mutual(graph):
    x, y = Tensor(graph, "x"), Tensor(graph, "y")
    operation = Operation(graph, type="add", inputs=(x, x), outputs=y)
    assert x.consumers == [operation] and x.consumer is operation and y.producer is operation
    z = Tensor(graph, "z")
    operation.inputs = (z,)
    operation.outputs = (x,)
    assert not x.has_consumer and not y.has_producer
    assert z.consumers == [operation] and x.producers == [operation]
    graph.assert_consistent()


def test_consumer_is_none_unless_there_is_exactly_one(graph):
    x = Tensor(graph, "x")
    assert x.consumer is None
    first = unary(graph, x).producer
    assert x.consumer is first
    unary(graph, x)
    assert x.consumer is None and len(x.consumers) == 2


def test_two_producers_make_producer_fail(graph):
    x, y = Tensor(graph), Tensor(graph)
    for _ in range(2):
        Operation(graph, inputs=x, outputs=y)
    assert len(y.producers) == 2 and not graph.is_unique()
    with pytest.raises(AssertionError):
        _ = y.producer


def test_input_and_output_need_exactly_one(graph):
    operation = Operation(graph, type="foo", inputs=(Tensor(graph), Tensor(graph)))
    with pytest.raises(AssertionError):
        _ = operation.input
    with pytest.raises(AssertionError):
        _ = operation.output


def test_a_constructor_that_fails_leaves_the_graph_alone(graph):
    x = Tensor(graph, "x")
    for bad in (
        {"outputs": (x, x)},
        {"inputs": ("x",)},
        {"attribs": {"a": x}},
        {"attribs": {1: 2}},
        {"inputs": x, "outputs": 3},
        {"type": 3},
    ):
        with pytest.raises((AssertionError, TypeError)):
            Operation(graph, **bad)
    assert len(graph.operations) == 0 and not x.has_consumer


def test_attributes_are_aliased_by_the_constructor_and_not_shared_by_copies(graph):
    attribs = {"k": [1, 2]}
    operation = Operation(graph, type="foo", attribs=attribs)
    assert operation.attribs is attribs
    copy = operation.copy_with()
    copy.attribs["k"] = 3
    assert operation.attribs == {"k": [1, 2]}
    assert Operation(graph).attribs == {} and Operation(graph).attribs is not Operation(graph).attribs


def test_operation_copy(graph):
    x, y = Tensor(graph, "x"), Tensor(graph, "y")
    operation = Operation(
        graph, type="foo", name="n", attribs={"a": 1}, inputs=[x], outputs=y, custom=True, domain="org"
    )
    copy = operation.copy_with(type="bar", outputs=Tensor(graph))
    assert (copy.type, copy.name, copy.attribs, copy.custom, copy.domain) == ("bar", "n", {"a": 1}, True, "org")
    assert copy.inputs == [x] and not isinstance(copy.inputs, tuple)
    assert x.consumers == [operation, copy] and list(graph.operations) == [operation, copy]


def test_text_of_an_operation(graph):
    x, y = Tensor(graph, "x"), Tensor(graph, "y", (2,), np.float32)
    operation = Operation(graph, type="foo", attribs={"k": 1}, inputs=(x, x), outputs=y)
    assert repr(operation) == "foo"
    assert str(operation) == "y: float32[2] = foo{k=1}(x, x)"


# graphs


def test_views_of_a_graph_are_live_and_read_only(graph):
    operations, tensors = graph.operations, graph.tensors
    x = Tensor(graph, "x")
    y = unary(graph, x)
    assert len(operations) == 1 and operations[0] is y.producer and y.producer in operations
    assert list(tensors) == [x, y] and tensors[-1] is y and isinstance(tensors[:], list)
    assert list(reversed(tensors)) == [y, x]
    assert not hasattr(operations, "append")


def test_graph_inputs_and_outputs(graph):
    x = Tensor(graph, "x")
    given = [x]
    graph.inputs = given
    graph.outputs = (x, x)
    given.append(x)
    assert graph.inputs == [x] and list(graph.outputs) == [x, x]
    assert not x.has_consumer and not x.has_producer
    with pytest.raises(AssertionError):
        graph.inputs = ["x"]


def test_removal(graph):
    x = Tensor(graph, "x")
    y = unary(graph, x)
    operation = y.producer
    for refused in (lambda: graph.remove_operation(operation), lambda: graph.remove_tensor(x)):
        with pytest.raises(AssertionError):
            refused()
    graph.remove_operation(operation, unlink=True)
    assert operation.graph is None and not x.has_consumer and not y.has_producer
    graph.inputs = [x]
    with pytest.raises(AssertionError):
        graph.remove_tensor(x)
    graph.remove_tensor(y)
    assert y.graph is None and list(graph.tensors) == [x] and len(graph.operations) == 0
    with pytest.raises(AssertionError):
        graph.remove_tensor(y)


def test_removing_while_iterating_skips_nothing(graph):
    for _ in range(5):
        Tensor(graph)
    for tensor in graph.tensors:
        graph.remove_tensor(tensor)
    assert len(graph.tensors) == 0


def test_sort_is_stable(graph):
    x = Tensor(graph, "x")
    a, b, c = Tensor(graph), Tensor(graph), Tensor(graph)
    Operation(graph, type="late", inputs=b, outputs=c)
    Operation(graph, type="free", inputs=x, outputs=Tensor(graph))
    Operation(graph, type="first", inputs=x, outputs=a)
    Operation(graph, type="second", inputs=a, outputs=b)
    Operation(graph, type="other", inputs=x, outputs=Tensor(graph))
    assert not graph.is_sorted()
    assert graph.sort()
    assert graph.is_sorted()
    assert names(graph.operations) == ["free", "first", "second", "late", "other"]


def test_sort_leaves_operations_before_the_offset(graph):
    a, b = Tensor(graph), Tensor(graph)
    Operation(graph, type="late", inputs=b, outputs=Tensor(graph))
    Operation(graph, type="second", inputs=a, outputs=b)
    Operation(graph, type="first", inputs=Tensor(graph), outputs=a)
    assert graph.sort(offset=1)
    assert names(graph.operations) == ["late", "first", "second"]


@pytest.mark.parametrize("length", [1, 3])
def test_sort_refuses_a_cycle_and_changes_nothing(graph, length):
    tensors = [Tensor(graph) for _ in range(length)]
    for k in range(length):
        Operation(graph, type=f"op{k}", inputs=tensors[k - 1], outputs=tensors[k])
    before = list(graph.operations)
    assert not graph.is_sorted()
    assert graph.sort() is False
    assert list(graph.operations) == before


def test_moving_reversing_and_reordering(graph):
    operations = [Operation(graph, type=letter) for letter in "abcd"]
    graph.move_operation(0, 2)
    assert names(graph.operations) == ["b", "c", "a", "d"]
    graph.reverse(1)
    assert names(graph.operations) == ["b", "d", "a", "c"]
    graph.reorder(operations)
    assert names(graph.operations) == ["a", "b", "c", "d"]
    for bad in (operations[:3], [*operations[:3], operations[0]]):
        with pytest.raises(AssertionError):
            graph.reorder(bad)


def test_print_writes_everything_to_the_file(graph, capsys):
    graph.inputs = [Tensor(graph, "x")]
    graph.outputs = [unary(graph, graph.inputs[0], name="y")]
    file = io.StringIO()
    graph.print(file)
    assert file.getvalue() == "graph net(x) -> (y) {\n    y: ?[...] = relu{}(x)\n}\n"
    assert capsys.readouterr().out == ""
    graph.print()
    assert capsys.readouterr().out == file.getvalue()


def test_assert_consistent_finds_a_removed_tensor(graph):
    x = Tensor(graph, "x")
    unary(graph, x)
    graph.assert_consistent()
    x._graph = None
    with pytest.raises(AssertionError):
        graph.assert_consistent()


# nested graphs


def if_operation(graph, captured):
    body = Graph("then")
    result = Operation(body, type="Neg", inputs=captured, outputs=Tensor(body, "inner")).output
    body.outputs = [result]
    condition = Tensor(graph, "condition")
    return Operation(graph, type="If", inputs=condition, outputs=Tensor(graph, "z"), attribs={"then_branch": body})


def test_captures_count_as_dependencies(graph):
    x = Tensor(graph, "x")
    captured = Tensor(graph, "captured")
    branch = if_operation(graph, captured)
    Operation(graph, type="Relu", inputs=x, outputs=captured)
    assert branch.captures == [captured]
    assert branch.attribs["then_branch"].is_sorted()
    assert not graph.is_sorted()
    assert graph.sort()
    assert names(graph.operations) == ["Relu", "If"]


def test_captures_of_deeper_graphs_and_of_body_outputs(graph):
    x, y = Tensor(graph, "x"), Tensor(graph, "y")
    inner = Graph("inner")
    Operation(inner, type="Neg", inputs=x, outputs=Tensor(inner, "a"))
    inner.outputs = [y]
    outer = Graph("outer")
    Operation(outer, type="If", outputs=Tensor(outer, "b"), attribs={"bodies": [inner]})
    operation = Operation(graph, type="If", outputs=Tensor(graph, "c"), attribs={"then_branch": outer, "n": 3})
    assert operation.captures == [x, y]


def test_adopting_an_operation(graph):
    x = Tensor(graph, "x")
    a = unary(graph, x, "Abs", "a")
    y = unary(graph, a, "Neg", "y")
    body = Graph("body")
    body.adopt(a.producer)
    assert (names(graph.operations), names(body.operations)) == (["Neg"], ["Abs"])
    assert (list(graph.tensors), list(body.tensors)) == ([x, y], [a])
    assert a.graph is a.producer.graph is body
    assert (a.consumers, x.consumers) == ([y.producer], [a.producer])
    body.adopt(y.producer)
    assert names(body.operations) == ["Abs", "Neg"]
    body.outputs = [y]
    holder = Operation(graph, type="If", attribs={"then_branch": body})
    assert holder.captures == [x]


# cost


def calls(function):
    """Number of Python and builtin function calls."""
    count = 0

    def profile(frame, event, argument):
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(profile)
    try:
        function()
    finally:
        sys.setprofile(None)
    return count


def chain(length):
    graph = Graph()
    tensor = Tensor(graph)
    for _ in range(length):
        tensor = unary(graph, tensor)
    return graph


def remove_one_by_one(graph):
    for operation in graph.operations:
        graph.remove_operation(operation, unlink=True)
    for tensor in graph.tensors:
        graph.remove_tensor(tensor)


@pytest.mark.parametrize("action", [remove_one_by_one, lambda g: g.sort(), lambda g: g.is_sorted()])
def test_cost_grows_linearly(action):
    small, large = calls(lambda: action(chain(200))), calls(lambda: action(chain(800)))
    assert large < 4.5 * small


def test_view_equality():
    view = View([1, 2])
    assert view == [1, 2] and view == View([1, 2]) and view != [2, 1] and view != (1, 2)
