"""replace_chain: what plugins' optimizers rely on."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from nnef_tools.errors import PluginError
from nnef_tools.model import Graph, Operation, Tensor
from nnef_tools.model.utils import replace_chain
from nnef_tools.model.verify import verify

from ..support.graphs import all_types


def build(*chain, outputs=None):
    """external x -> chain of unary operations t0, t1, ...; the last is the output unless indices say otherwise."""
    graph = Graph("net")
    tensor = Tensor(graph, "x", (2,), np.float32)
    Operation(graph, type="external", outputs=tensor)
    graph.inputs = [tensor]
    tensors = []
    for k, type in enumerate(chain):
        result = Tensor(graph, f"t{k}", (2,), np.float32)
        Operation(graph, type=type, inputs=tensor, outputs=result)
        tensors.append(result)
        tensor = result
    graph.outputs = [tensors[k] for k in outputs or [-1]]
    verify(graph)
    return graph


def tensor(graph, name):
    return next(t for t in graph.tensors if t.name == name)


def fuse(*chain):
    """Replaces the chain by one operation."""
    graph = chain[0].graph
    Operation(graph, type="fused", inputs=chain[0].inputs, outputs=chain[-1].outputs, custom=True)


def test_a_chain_is_replaced_in_place():
    graph = build("neg", "relu", "sigmoid", "neg")
    seen = []

    def func(first, last):
        Operation(graph, type="shuffle", inputs=first.input, outputs=last.output, attribs={"a": 1}, custom=True)
        seen.append(len(last.output.producers))
        with pytest.raises(AssertionError):
            _ = last.output.producer

    assert replace_chain(graph, ("relu", "sigmoid"), func) is True
    assert seen == [2]
    assert all_types(graph) == ["external", "neg", "shuffle", "neg"]
    assert tensor(graph, "t2").producer.type == "shuffle"
    assert "t1" not in [t.name for t in graph.tensors]
    verify(graph)


@pytest.mark.parametrize("item", [{"relu", "elu"}, frozenset({"relu", "elu"}), ("relu", "elu"), ["relu", "elu"]])
def test_an_item_may_be_a_container(item):
    graph = build("neg", "elu", "neg", "relu")
    assert replace_chain(graph, ("neg", item), fuse)
    assert all_types(graph) == ["external", "fused", "fused"]
    verify(graph)


def test_false_declines_and_what_was_created_goes():
    graph = build("neg", "relu")
    before = list(graph.operations), list(graph.tensors)

    def func(first, last):
        middle = Tensor(graph, "new")
        Operation(graph, type="foo", inputs=first.input, outputs=middle)
        Operation(graph, type="bar", inputs=middle, outputs=last.output)
        return False

    assert replace_chain(graph, ("neg", "relu"), func) is False
    assert (list(graph.operations), list(graph.tensors)) == before
    verify(graph)


@pytest.mark.parametrize("result", [None, 0, True, [], np.False_])
def test_anything_but_false_means_replaced(result):
    graph = build("neg", "relu")

    def func(*chain):
        fuse(*chain)
        return result

    assert replace_chain(graph, ("neg", "relu"), func)
    assert all_types(graph) == ["external", "fused"]


def test_a_missing_replacement_is_an_error_and_the_chain_stays():
    graph = build("neg", "relu")
    with pytest.raises(PluginError, match=r"forgetful.*neg, relu.*t1"):

        def forgetful(first, last):
            Operation(graph, type="foo", inputs=first.input, outputs=Tensor(graph, "elsewhere"))

        replace_chain(graph, ("neg", "relu"), forgetful)
    assert all_types(graph) == ["external", "neg", "relu"]
    verify(graph)


def test_an_error_leaves_a_valid_graph():
    graph = build("neg", "relu", "neg", "relu", "exp")

    def func(first, last):
        fuse(first, last)
        if last.output.name == "t3":
            raise KeyError("oops")

    with pytest.raises(KeyError):
        replace_chain(graph, ("neg", "relu"), func)
    assert all_types(graph) == ["external", "fused", "neg", "relu", "exp"]
    verify(graph)


def test_rewiring_the_consumers_is_a_replacement():
    graph = build("neg", "neg", "relu")

    def func(first, last):
        last.output.consumer.inputs = (first.input,)

    assert replace_chain(graph, ("neg", "neg"), func)
    assert all_types(graph) == ["external", "relu"]
    verify(graph)


def test_several_new_operations_keep_the_order_of_creation():
    graph = build("neg", "relu", "exp")

    def func(first, last):
        middle = Tensor(graph, None, (2,), np.float32)
        Operation(graph, type="foo", inputs=first.input, outputs=middle)
        Operation(graph, type="bar", inputs=middle, outputs=last.output)

    assert replace_chain(graph, ("neg", "relu"), func)
    assert all_types(graph) == ["external", "foo", "bar", "exp"]
    verify(graph)


def test_new_operations_in_the_wrong_order_are_sorted():
    graph = build("neg", "relu", "exp")

    def func(first, last):
        middle = Tensor(graph, None, (2,), np.float32)
        Operation(graph, type="bar", inputs=middle, outputs=last.output)
        Operation(graph, type="foo", inputs=first.input, outputs=middle)

    assert replace_chain(graph, ("neg", "relu"), func)
    assert all_types(graph) == ["external", "foo", "bar", "exp"]


def test_operations_whose_result_the_replacement_uses_stay():
    graph = build("neg", "relu", "exp", "abs")

    def func(first, second, third):
        Operation(graph, type="foo", inputs=second.input, outputs=third.output)

    assert replace_chain(graph, ("neg", "relu", "exp"), func)
    assert all_types(graph) == ["external", "neg", "foo", "abs"]
    assert tensor(graph, "t0").consumer.type == "foo"
    verify(graph)


def test_the_result_of_a_replacement_is_scanned_again():
    graph = build("relu", "relu", "relu", "relu")

    def func(first, last):
        Operation(graph, type="relu", inputs=first.input, outputs=last.output)

    assert replace_chain(graph, ("relu", "relu"), func)
    assert all_types(graph) == ["external", "relu"]
    verify(graph)


# forks


def test_a_fork_is_no_chain():
    graph = build("neg", "relu")
    Operation(graph, type="exp", inputs=tensor(graph, "t0"), outputs=Tensor(graph, "other"))
    assert not replace_chain(graph, ("neg", "relu"), fuse)


def test_a_graph_output_in_the_middle_is_no_chain():
    graph = build("neg", "relu", outputs=[0, 1])
    assert not replace_chain(graph, ("neg", "relu"), fuse)
    verify(graph)


def test_one_consumer_that_uses_the_tensor_twice_is_a_chain():
    graph = build("neg")
    end = Tensor(graph, "end", (2,), np.float32)
    Operation(graph, type="mul", inputs=(tensor(graph, "t0"),) * 2, outputs=end)
    graph.outputs = [end]
    assert replace_chain(graph, ("neg", "mul"), fuse)
    assert all_types(graph) == ["external", "fused"]
    verify(graph)


def test_with_forks_the_operations_up_to_the_last_fork_stay():
    graph = build("abs", "neg", "relu", outputs=[1, 2])
    assert replace_chain(graph, ("abs", "neg", "relu"), fuse, allow_forks=True)
    assert all_types(graph) == ["external", "abs", "neg", "fused"]
    verify(graph)


def test_with_forks_each_branch_is_offered():
    graph = build("neg", "relu")
    other = Tensor(graph, "other", (2,), np.float32)
    Operation(graph, type="relu", inputs=tensor(graph, "t0"), outputs=other)
    graph.outputs = [*graph.outputs, other]
    assert replace_chain(graph, ("neg", "relu"), fuse, allow_forks=True)
    assert all_types(graph) == ["external", "fused", "fused"]
    verify(graph)


def test_a_consumer_in_a_nested_graph_is_no_link():
    graph = build("neg")
    body = Graph("then")
    Operation(body, type="relu", inputs=tensor(graph, "t0"), outputs=Tensor(body, "inner"))
    Operation(graph, type="If", outputs=Tensor(graph, "z"), attribs={"then_branch": body})
    assert not replace_chain(graph, ("neg", "relu"), fuse, allow_forks=True)


# several outputs


def split_graph():
    graph = build("neg")
    results = [Tensor(graph, name, (1,), np.float32) for name in "ab"]
    Operation(graph, type="split", inputs=tensor(graph, "t0"), outputs=results)
    graph.outputs = results
    return graph


@pytest.mark.parametrize("chain", [("split",), ("neg", "split")])
def test_the_last_operation_may_have_several_outputs(chain):
    graph = split_graph()
    assert replace_chain(graph, chain, fuse)
    assert all_types(graph)[-1] == "fused" and tensor(graph, "a").producer is tensor(graph, "b").producer
    verify(graph)


def test_every_output_that_is_used_needs_a_producer():
    graph = split_graph()

    def half(split):
        Operation(graph, type="half", inputs=split.input, outputs=split.outputs[0])

    with pytest.raises(PluginError, match="'b'"):
        replace_chain(graph, ("split",), half)
    verify(graph)


def test_an_operation_of_several_outputs_is_no_link():
    graph = split_graph()
    Operation(graph, type="relu", inputs=tensor(graph, "a"), outputs=Tensor(graph, "c"))
    assert not replace_chain(graph, ("split", "relu"), fuse)


# cost


def test_cost_grows_linearly():
    def cost(length):
        graph = build(*["neg", "relu"] * length)
        count = 0

        def profile(frame, event, argument):
            nonlocal count
            count += event in ("call", "c_call")

        sys.setprofile(profile)
        try:
            replace_chain(graph, ("neg", "relu"), fuse)
        finally:
            sys.setprofile(None)
        assert all_types(graph) == ["external"] + ["fused"] * length
        return count

    assert cost(400) < 4.5 * cost(100)
