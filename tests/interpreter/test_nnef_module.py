"""The contract of NNEFModule, Interpreter and Operators."""

from __future__ import annotations

import copy

import nnef
import numpy as np
import pytest
import torch
from torch import nn

from nnef_tools.errors import ExecutionError, NnefToolsError
from nnef_tools.interpreter import Statistics
from nnef_tools.interpreter.pytorch import Interpreter, NNEFModule
from nnef_tools.interpreter.pytorch.nnef_operators import Operators
from nnef_tools.io.nnef import Reader
from nnef_tools.io.nnef.helpers import tgz_compress
from nnef_tools.language.tensor_file import read_tensor, write_tensor
from nnef_tools.model import Graph, Operation, Tensor

TEXT = """version 1.0;
graph net(x) -> (y, m)
{
    x = external(shape = [1, 2, 5, 5]);
    filter = variable(shape = [3, 2, 3, 3], label = 'conv/filter');
    bias = variable(shape = [1, 3], label = 'conv/bias');
    index = variable<integer>(shape = [2], label = 'index');
    offset = constant(shape = [1, 3], value = [0.5]);
    c = conv(x, filter, bias, padding = [(0, 0), (0, 0)]);
    o = add(c, offset);
    r = relu(o);
    g = gather(r, index, axis = 1);
    y = mul(g, 2.0);
    m = mean_reduce(r, axes = [2, 3]);
}
"""


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    return {
        "conv/filter": rng.normal(size=(3, 2, 3, 3)).astype(np.float16),
        "conv/bias": rng.normal(size=(1, 3)),
        "index": np.array([2, 0], np.int32),
    }


@pytest.fixture
def folder(tmp_path, arrays):
    path = tmp_path / "model"
    (path / "conv").mkdir(parents=True)
    (path / "graph.nnef").write_text(TEXT)
    for label, array in arrays.items():
        write_tensor(str(path / f"{label}.dat"), array)
    return path


def expected(x, arrays):
    weights = torch.from_numpy(arrays["conv/filter"].astype(np.float32))
    bias = torch.from_numpy(arrays["conv/bias"].astype(np.float32))[0]
    r = torch.relu(nn.functional.conv2d(x, weights, bias) + 0.5)
    return r[:, [2, 0]] * 2, r.mean((2, 3), keepdim=True)


def check(module, arrays):
    x = torch.randn(1, 2, 5, 5)
    result = module(x)
    assert isinstance(result, tuple) and len(result) == 2
    for got, wanted in zip(result, expected(x, arrays), strict=True):
        assert torch.allclose(got, wanted, atol=1e-5)


def test_from_folder_archive_and_graph(folder, arrays, tmp_path):
    check(NNEFModule(str(folder)), arrays)
    check(NNEFModule(folder), arrays)
    tgz_compress(str(folder), str(tmp_path / "model.tgz"), compression_level=1)
    check(NNEFModule(str(tmp_path / "model.tgz")), arrays)
    check(NNEFModule(Reader(infer_shapes=False)(str(folder))), arrays)


def test_parameters_and_buffers(folder):
    module = NNEFModule(folder)
    parameters = dict(module.named_parameters())
    assert set(parameters) == {"_nnef_filter", "_nnef_bias", "_nnef_index"}
    assert {name: p.dtype for name, p in parameters.items()} == {
        "_nnef_filter": torch.float32, "_nnef_bias": torch.float32, "_nnef_index": torch.int64,
    }  # fmt: skip
    assert {name for name, p in parameters.items() if p.requires_grad} == {"_nnef_filter", "_nnef_bias"}
    buffers = dict(module.named_buffers())
    assert buffers["_nnef_offset"].tolist() == [[0.5] * 3]
    assert buffers["_nnef_$0"].item() == 2.0 and len(buffers) == 2


def test_gradients_and_state(folder, arrays):
    module = NNEFModule(folder)
    loss = module(torch.randn(1, 2, 5, 5))[1].square().sum()
    loss.backward()
    assert module._nnef_filter.grad.abs().sum() > 0 and module._nnef_bias.grad is not None
    torch.optim.SGD([p for p in module.parameters() if p.requires_grad], lr=0.1).step()
    other = NNEFModule(folder)
    other.load_state_dict(module.state_dict())
    x = torch.randn(1, 2, 5, 5)
    assert torch.equal(other(x)[0], module(x)[0])
    assert not torch.allclose(NNEFModule(folder)(x)[1], module(x)[1])


def test_module_moves_between_item_types(folder):
    module = NNEFModule(folder)
    module.to("cpu")
    module.load_state_dict({name: torch.zeros_like(value) for name, value in module.state_dict().items()})
    assert torch.count_nonzero(module(torch.randn(1, 2, 5, 5))[0]) == 0


def test_copies_pickles_and_double(folder, tmp_path):
    module = NNEFModule(folder)
    x = torch.randn(1, 2, 5, 5)
    y = module(x)[0]
    assert torch.equal(copy.deepcopy(module)(x)[0], y)
    torch.save(module, tmp_path / "module.pt")
    assert torch.equal(torch.load(tmp_path / "module.pt", weights_only=False)(x)[0], y)
    wide = module.double()(x)[0]
    assert wide.dtype == torch.float64 and torch.allclose(wide.float(), y, atol=1e-4)


def test_graph_of_the_reference_parser(folder, arrays):
    for path in (folder, None):
        if path is None:
            text = "version 1.0; graph g(x) -> (y) { x = external(shape=[4]); a,b = moments(x, axes=[0]); "
            text += "c = concat([x, a], axis=0); y = add(c, 0.5); }"
            graph = nnef.parse_string(text)
            assert NNEFModule(graph)(torch.tensor([1.0, 2, 3, 6]))[0].tolist() == [1.5, 2.5, 3.5, 6.5, 3.5]
        else:
            graph = nnef.load_graph(str(folder))
            check(NNEFModule(graph), arrays)
            x = np.ones((1, 2, 5, 5), np.float32)
            np.testing.assert_array_equal(Interpreter(graph)([x])["y"], Interpreter(folder)([x])["y"])


def test_activation_callback(folder):
    seen = {}
    module = NNEFModule(folder, activation_callback=lambda name, value: seen.__setitem__(name, value))
    x = torch.randn(1, 2, 5, 5)
    y, _ = module(x)
    assert {"x", "filter", "bias", "index", "offset", "c", "o", "r", "g", "y", "m"} <= set(seen)
    assert torch.equal(seen["y"], y) and torch.equal(seen["x"], x)
    assert module.activation_callback is not None
    module.activation_callback = None
    seen.clear()
    module(x)
    assert not seen


def test_wrong_inputs(folder):
    with pytest.raises(AssertionError, match="1 inputs, 2 are given"):
        NNEFModule(folder)(torch.zeros(1, 2, 5, 5), torch.zeros(1))
    with pytest.raises(ExecutionError, match="'conv'"):
        NNEFModule(folder)(torch.zeros(1, 3, 5, 5))


def test_training_attributes(folder):
    module = NNEFModule(folder, training_attributes={"gather": {"axis": 0}, "mean_reduce": {"axes": [1]}})
    module.eval()
    assert module(torch.zeros(1, 2, 5, 5))[1].shape == (1, 3, 1, 1)
    module = NNEFModule(folder, training_attributes={"mean_reduce": {"axes": [1]}})
    assert module.training and module(torch.zeros(1, 2, 5, 5))[1].shape == (1, 1, 3, 3)


def test_save(folder, tmp_path, arrays):
    module = NNEFModule(folder)
    with torch.no_grad():
        module._nnef_bias += 1
    module.save_nnef(tmp_path / "saved")
    assert np.allclose(read_tensor(str(tmp_path / "saved/conv/bias.dat"))[0], arrays["conv/bias"] + 1)
    module.save_nnef(str(tmp_path / "saved.tgz"))
    x = torch.randn(1, 2, 5, 5)
    for path in ("saved", "saved.tgz"):
        again = NNEFModule(tmp_path / path)
        assert all(torch.equal(a, b) for a, b in zip(again(x), module(x), strict=True))
    (tmp_path / "saved2").mkdir()
    again.save_nnef(tmp_path / "saved2")
    assert (tmp_path / "saved2/graph.nnef").read_text() == (tmp_path / "saved/graph.nnef").read_text()


@pytest.mark.parametrize("text", ["", "version 1.0; graph g(x) -> (y) { y = relu(x); }", None])
def test_load_failures_are_ours(tmp_path, text):
    path = tmp_path / "bad"
    if text is not None:
        path.mkdir()
        (path / "graph.nnef").write_text(text)
    with pytest.raises((ValueError, OSError, RuntimeError)) as info:
        NNEFModule(str(path))
    assert isinstance(info.value, NnefToolsError)


def one_op(tmp_path, body, *, shape, head=""):
    path = tmp_path / "m"
    path.mkdir(exist_ok=True)
    text = f"version 1.0;\n{head}graph g(x) -> (y)\n{{\n x = external(shape = {shape});\n {body}\n}}\n"
    (path / "graph.nnef").write_text(text)
    return path


def test_unsupported_operation_fails_at_forward(tmp_path):
    head = "extension KHR_enable_fragment_definitions;\nfragment foo(x: tensor<scalar>) -> (y: tensor<scalar>);\n"
    path = one_op(tmp_path, "y = foo(x);", shape=[2], head=head)
    module = NNEFModule(path)
    with pytest.raises(ExecutionError, match="1 x foo"):
        module(torch.zeros(2))
    assert NNEFModule(path, custom_operators={"foo": lambda x: x + 1})(torch.zeros(2))[0].tolist() == [1, 1]


@pytest.mark.parametrize(
    "body, shape, result",
    [
        ("z = sum_reduce(x, axes = [0]); y = squeeze(z, axes = [0]);", [3], 6.0),
        (
            "w = constant(shape = [3], value = [1.0, 0.0, 1.0]); z = mul(x, w); y = reshape(z, shape = [3]);",
            [3],
            [1, 0, 3],
        ),
        ("w = constant(shape = [2], value = [1.0, 2.0]); y = clamp(x, w, 2.5);", [2, 2], [[1, 2], [2.5, 2.5]]),
    ],
)
def test_ranks(tmp_path, body, shape, result):
    x = torch.arange(1.0, 1 + np.prod(shape)).reshape(shape)
    assert NNEFModule(one_op(tmp_path, body, shape=shape))(x)[0].tolist() == result


def test_shared_label_is_one_parameter(tmp_path):
    body = "a = variable(shape = [2], label = 'w'); b = variable(shape = [2], label = 'w'); y = add(a, b);"
    path = one_op(tmp_path, body, shape=[2])
    write_tensor(str(path / "w.dat"), np.array([1, 2], np.float32))
    module = NNEFModule(path)
    assert module._nnef_a is module._nnef_b
    module(torch.zeros(2))[0].sum().backward()
    assert module._nnef_a.grad.tolist() == [2, 2]


def test_quantized_model(tmp_path):
    body = "w = variable(shape = [2], label = 'w'); y = mul(x, w);"
    path = one_op(tmp_path, body, shape=[2])
    write_tensor(str(path / "w.dat"), np.array([12, 7], np.uint8), quantized=True)
    (path / "graph.quant").write_text(
        "'w': zero_point_linear_quantize(zero_point = 10, scale = 0.5, bits = 8, signed = false, symmetric = false);\n"
        "'y': linear_quantize(min = 0.0, max = 3.0, bits = 2);\n"
    )
    module = NNEFModule(path)
    assert module._nnef_w.tolist() == [1.0, -1.5]
    assert module(torch.tensor([1.6, 1.0]))[0].tolist() == [2.0, 0.0]
    module.save_nnef(tmp_path / "saved")
    assert NNEFModule(tmp_path / "saved")(torch.tensor([1.6, 1.0]))[0].tolist() == [2.0, 0.0]


def test_update_keeps_state(tmp_path):
    body = "s = variable(shape = [2], label = 's'); t = add(s, x); n = update(s, t); y = copy(s);"
    path = one_op(tmp_path, body, shape=[2])
    write_tensor(str(path / "s.dat"), np.zeros(2, np.float32))
    module = NNEFModule(path)
    x = torch.ones(2)
    outputs = [module(x)[0].tolist() for _ in range(3)]
    assert module._nnef_s.tolist() == [3, 3]
    assert outputs == [[0, 0], [1, 1], [2, 2]]


def test_graph_of_a_client():
    """Dangling tensors, tensors of one name, a null tensor: what exporters leave in a graph."""
    graph = Graph("network")
    x = Tensor(graph, "x", dtype=np.float32, shape=(2,))
    y = Tensor(graph, "y", dtype=np.float32, shape=(2,))
    Tensor(graph, "", dtype=np.float32, shape=(), data=np.zeros(()))
    Tensor(graph, "y", dtype=np.float32, shape=(3,))
    Operation(graph, type="external", attribs={"shape": [2], "dtype": np.float32}, outputs=x)
    Operation(graph, type="leaky_relu", attribs={"alpha": 0.5}, inputs=(x,), outputs=(y,))
    graph.inputs, graph.outputs = [x], [y]
    assert NNEFModule(graph)(torch.tensor([-1.0, 1.0]))[0].tolist() == [-0.5, 1]


def test_operators_take_positional_tensors():
    assert Operators["add"](torch.ones(2, 3), torch.ones(2)).shape == (2, 3)
    assert Operators["concat"]([torch.ones(1), torch.ones(2)], axis=0).shape == (3,)
    assert "conv" in Operators and "erf" in Operators


def test_interpreter(folder, arrays):
    interpreter = Interpreter(str(folder), device="cpu")
    x = np.random.default_rng(1).normal(size=(1, 2, 5, 5)).astype(np.float32)
    outputs = interpreter([x])
    for got, wanted in zip(outputs.values(), expected(torch.from_numpy(x), arrays), strict=True):
        np.testing.assert_allclose(got, wanted.numpy(), atol=1e-5)
    assert list(interpreter([x], output_names=["r", "filter"])) == ["r", "filter"]
    outputs, statistics = interpreter([x], collect_statistics=True)
    assert list(outputs) == ["y", "m"] and isinstance(statistics["filter"], Statistics)
    assert statistics["x"].num == 50 and statistics["x"].max == pytest.approx(x.max())
    (details,) = interpreter.input_details()
    assert (details.name, details.dtype, details.shape) == ("x", "scalar", (1, 2, 5, 5))
    assert [d.name for d in interpreter.output_details()] == ["y", "m"]
    assert {"x", "filter", "r"} <= {d.name for d in interpreter.tensor_details()}
    with pytest.raises(NnefToolsError):
        interpreter([x, x])


def test_models_in_float64(tmp_path):
    """Computed in float64, in the module and in the interpreter, and saved as such."""
    text = """version 1.0;
graph net(x) -> (y)
{
    x = external(shape = [3]);
    w = variable(shape = [3], label = 'w');
    a = mul(x, w);
    y = add(a, 1e-20);
}
"""
    folder = tmp_path / "double"
    folder.mkdir()
    (folder / "graph.nnef").write_text(text)
    (folder / "nnef_tools.json").write_text('{"tensors": {"x": {"dtype": "float64"}, "w": {"dtype": "float64"}}}')
    x, w = np.array([1.0, 1 / 3, 0.0]), np.array([1e300, 0.1, 1.0])
    write_tensor(folder / "w.dat", w)
    expected = (x * w + 1e-20).tolist()
    module = NNEFModule(str(folder))
    assert module(torch.from_numpy(x))[0].tolist() == expected
    module.save_nnef(str(tmp_path / "saved"))
    for model in (folder, tmp_path / "saved"):
        assert Interpreter(str(model), device="cpu")([x])["y"].tolist() == expected
