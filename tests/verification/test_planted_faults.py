"""A fault is planted in a model: the comparison names the very tensor where it is, and says "equal" without a fault."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

import nnef_tools
from nnef_tools.execution.feeds.tensor_files import tensor_file
from nnef_tools.execution.session import open_executor
from nnef_tools.model import Graph, Operation, Tensor
from nnef_tools.model.facts import tensor_facts
from nnef_tools.verification.bisect import write_reproduction
from nnef_tools.verification.compare import ModelComparison
from nnef_tools.verification.compared_model import ComparedModel
from nnef_tools.verification.first_difference import find_first_difference
from nnef_tools.verification.real_values import tensor_codes

from ..support.onnx_models import onnx_model
from .nets import image_net, node, quantized_net, rounding_net

Fault = Callable[[Graph], str]
"""Plants a fault and returns the name of the tensor where it is."""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The net in all formats; `tf_nnef` and `lite_nnef` are made of the TensorFlow and the TensorFlow Lite model."""
    folder = tmp_path_factory.mktemp("nets")
    found = {"onnx": image_net(folder / "net.onnx")}
    for name, suffix, source in (("tf", "pb", "onnx"), ("lite", "tflite", "onnx"), ("onnx_nnef", "nnef", "onnx"),
                                 ("tf_nnef", "nnef", "tf"), ("lite_nnef", "nnef", "lite")):  # fmt: skip
        found[name] = folder / f"{name}.{suffix}"
        nnef_tools.convert_model(found[source], found[name])
    return found


def compared(a: Path, b: Path | Graph) -> ModelComparison:
    found = nnef_tools.compare_models(a, b, inner=True)
    assert isinstance(found, ModelComparison)
    return found


def assert_reproduced(found: ModelComparison, a: Path, b: Graph, folder: Path) -> None:
    """What is written for a report is a smaller model in either format, and these compute something else alone."""
    written = write_reproduction(ComparedModel(a), ComparedModel(b), found, folder, 1e-4)
    assert written.is_reproduced
    parts = [nnef_tools.load_model(path) for path in written.models]
    assert len(parts[0].operations) < 8 and len(parts[1].operations) < len(b.operations)
    results = []
    for path, part, name in zip(written.models, parts, ("a", "b"), strict=True):
        files = sorted((folder / f"inputs-{name}").iterdir())
        assert len(files) == len(part.inputs) and (folder / "README.md").is_file()
        values = [np.load(next(f for f in files if f.stem in tensor_file(t.name or ""))) for t in part.inputs]
        results += nnef_tools.run_model(path, values).values()
    values = [np.asarray(value, np.float64).ravel() for value in results]
    if found.first is not None and found.first.tensor.layout:
        values = [np.sort(value) for value in values]
    assert values[0].shape != values[1].shape or not np.allclose(*values, 1e-4)


def find(graph: Graph, type: str, k: int = 0) -> Operation:
    return [op for op in graph.operations if op.type == type][k]


def name_of(op: Operation) -> str:
    """The result, or that of the squeeze behind it, which is what the source model has, too."""
    tensor = op.outputs[0]
    if tensor.consumers and tensor.consumers[0].type == "squeeze":
        tensor = tensor.consumers[0].outputs[0]
    assert tensor.name
    return tensor.name


def attribute(type: str, k: int = 0, **attribs: object) -> Fault:
    """Other attributes of an operation."""

    def fault(graph: Graph) -> str:
        op = find(graph, type, k)
        assert set(attribs) <= set(op.attribs), op.attribs
        op.attribs.update(attribs)
        return name_of(op)

    return fault


def other_type(type: str, other: str, k: int = 0, **attribs: object) -> Fault:
    """Another operation."""

    def fault(graph: Graph) -> str:
        op = find(graph, type, k)
        op.type = other
        op.attribs = dict(attribs)
        return name_of(op)

    return fault


def weight(type: str, change: Callable[[np.ndarray], np.ndarray], k: int = 0, operand: int = 1) -> Fault:
    """Other weights."""

    def fault(graph: Graph) -> str:
        op = find(graph, type, k)
        variable = op.inputs[operand]
        old = np.array(variable.data if variable.data is not None else variable.producer.attribs["value"])
        new = np.ascontiguousarray(change(old).reshape(old.shape), old.dtype)
        variable.data = new
        return name_of(op)

    return fault


def operands(type: str, order: tuple[int, ...], k: int = 0) -> Fault:
    """The operands in another order."""

    def fault(graph: Graph) -> str:
        op = find(graph, type, k)
        inputs = [op.inputs[j] for j in order]
        op.inputs = inputs if isinstance(op.inputs, list) or type == "concat" else tuple(inputs)
        return name_of(op)

    return fault


def flip_bit(bit: int) -> Callable[[np.ndarray], np.ndarray]:
    def change(value: np.ndarray) -> np.ndarray:
        codes = value.copy().view(np.uint32)
        codes.flat[np.abs(value).argmax()] ^= np.uint32(1 << bit)
        return codes.view(np.float32)

    return change


FAULTS: dict[str, Fault] = {
    "padding": attribute("conv", padding=[(0, 2), (0, 2)]),
    "padding of one axis": attribute("conv", padding=[(1, 1), (2, 0)]),
    "border": attribute("conv", border="reflect"),
    "a bit of the exponent of a weight": weight("conv", flip_bit(23)),
    "a high bit of the fraction of a weight": weight("conv", flip_bit(20)),
    "transposed kernel": weight("conv", lambda w: w.swapaxes(2, 3)),
    "flipped kernel": weight("conv", lambda w: w[:, :, ::-1, ::-1]),
    "bias of another channel": weight("conv", lambda b: np.roll(b, 1), operand=2),
    "epsilon": attribute("batch_normalization", epsilon=1e-3),
    "mean and scale exchanged": operands("batch_normalization", (0, 4, 2, 3, 1)),
    "dropped activation": other_type("relu", "copy"),
    "other activation": other_type("relu", "softplus"),
    "kind of pooling": attribute("max_pool", padding=[(0, 0), (0, 0), (1, -1), (0, 0)]),
    "resize mode": attribute("multilinear_upsample", method="asymmetric"),
    "border of resizing": attribute("multilinear_upsample", border="constant"),
    "counted padding": attribute("avg_pool", border="constant"),
    "axes of a transposition": attribute("transpose", axes=[0, 3, 2, 1]),
    "transposed matrix": weight("matmul", lambda w: w.swapaxes(2, 3)),
    "transposition flag": attribute("matmul", transposeB=True),
    "scaled bias": weight("add", lambda b: 1.5 * b),
    "slope": attribute("leaky_relu", alpha=0.11),
    "reduction axis": other_type("max_reduce", "min_reduce", axes=[1, 2]),
    "order of a concatenation": operands("concat", (1, 0)),
    "alpha": attribute("elu", alpha=0.9),
    "offset of a slice": attribute("slice", begin=[3], end=[15]),
    "value of padding": attribute("pad", value=0.5),
    "side of padding": attribute("pad", padding=[(0, 0), (2, 0)]),
    "columns exchanged": weight("linear", lambda w: w[:, ::-1]),
    "operator": other_type("sigmoid", "tanh"),
    "order of a subtraction": operands("sub", (1, 0)),
    "softmax axis": attribute("softmax", axes=[0]),
}


@pytest.mark.parametrize("kind", FAULTS)
def test_onnx_and_nnef(models: dict[str, Path], kind: str, tmp_path: Path) -> None:
    graph = nnef_tools.load_model(models["onnx_nnef"])
    place = FAULTS[kind](graph)
    found = compared(models["onnx"], graph)
    assert found.first is not None
    assert found.first.tensor.b == place
    assert found.ok is (kind == "axes of a transposition")  # the means over both axes do not depend on their order
    assert_reproduced(found, models["onnx"], graph, tmp_path / "report")


@pytest.mark.parametrize("kind", ["a bit of the exponent of a weight", "dropped activation", "resize mode"])
def test_tensorflow_and_nnef(models: dict[str, Path], kind: str, tmp_path: Path) -> None:
    graph = nnef_tools.load_model(models["tf_nnef"])
    place = FAULTS[kind](graph)
    found = compared(models["tf"], graph)
    assert found.first is not None
    assert found.first.tensor.b == place
    assert not found.ok
    assert_reproduced(found, models["tf"], graph, tmp_path / "report")


@pytest.mark.parametrize("kind", ["softmax axis", "order of a concatenation", "value of padding"])
def test_lite_and_nnef(models: dict[str, Path], kind: str, tmp_path: Path) -> None:
    graph = nnef_tools.load_model(models["lite_nnef"])
    place = FAULTS[kind](graph)
    found = compared(models["lite"], graph)
    assert found.first is not None
    assert found.first.tensor.b == place
    assert not found.ok
    assert_reproduced(found, models["lite"], graph, tmp_path / "report")


@pytest.mark.parametrize(
    ("a", "b"),
    [("onnx", "onnx_nnef"), ("tf", "tf_nnef"), ("lite", "lite_nnef"), ("onnx", "tf"), ("onnx", "lite"), ("lite", "tf"),
     ("onnx_nnef", "lite_nnef"), ("tf_nnef", "onnx")],
)  # fmt: skip
def test_equal_models_are_equal(models: dict[str, Path], a: str, b: str) -> None:
    found = compared(models[a], models[b])
    assert found.ok and found.first is None
    assert len(found.tensors) > 15
    assert all(tensor.error < 1e-5 for tensor in found.tensors)


@pytest.fixture(scope="module")
def quantized(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The net with codes between its operators: in ONNX as pairs of Q and DQ, in TensorFlow Lite on codes."""
    folder = tmp_path_factory.mktemp("quantized")
    found = {"onnx": quantized_net(folder / "net.onnx")}
    for name, suffix, source in (
        ("lite", "tflite", "onnx"),
        ("onnx_nnef", "nnef", "onnx"),
        ("lite_nnef", "nnef", "lite"),
    ):
        found[name] = folder / f"{name}.{suffix}"
        nnef_tools.convert_model(found[source], found[name])
    return found


def quantization(type: str, k: int = 0, operand: int | None = None, **changed: float) -> Fault:
    """Other parameters of the quantization of a result or an operand."""

    def fault(graph: Graph) -> str:
        op = find(graph, type, k)
        tensor = op.outputs[0] if operand is None else op.inputs[operand]
        assert tensor.quant and set(changed) <= set(tensor.quant)
        tensor.quant = {**tensor.quant, **changed}
        return name_of(op)

    return fault


QUANTIZED_FAULTS: dict[str, Fault] = {
    "scale": quantization("relu", scale=0.033),
    "scale that clips": quantization("conv", 1, scale=0.06),
    "zero point": quantization("conv", zero_point=60),
    "zero point of a result from 0 on": quantization("relu", zero_point=-100),
    "scale of weights": quantization("conv", 1, operand=1, scale=0.0105),
    "code of a weight": weight("conv", lambda w: np.where(np.arange(w.size).reshape(w.shape) == 7, 127, w)),
    "dropped activation": other_type("sigmoid", "copy"),
}


@pytest.mark.parametrize("source", ["onnx", "lite"])
@pytest.mark.parametrize("kind", QUANTIZED_FAULTS)
def test_quantized(quantized: dict[str, Path], source: str, kind: str, tmp_path: Path) -> None:
    graph = nnef_tools.load_model(quantized[f"{source}_nnef"])
    place = QUANTIZED_FAULTS[kind](graph)
    found = compared(quantized[source], graph)
    assert found.first is not None
    assert found.first.tensor.b == place
    assert_reproduced(found, quantized[source], graph, tmp_path / "report")


@pytest.mark.parametrize(("a", "b"), [("onnx", "onnx_nnef"), ("lite", "lite_nnef"), ("onnx", "lite")])
def test_equal_quantized_models_are_equal(quantized: dict[str, Path], a: str, b: str) -> None:
    found = compared(quantized[a], quantized[b])
    assert found.ok and found.first is None
    assert sum(tensor.is_computed for tensor in found.tensors) >= 5


def replaced(model: onnx.ModelProto, type: str, **attributes: object) -> onnx.ModelProto:
    """The model with other attributes, or another type, of the operator of that type."""
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    op = next(item for item in changed.graph.node if item.op_type == type)
    op.op_type = str(attributes.pop("to", type))
    kept = [item for item in op.attribute if item.name not in attributes]
    del op.attribute[:]
    op.attribute.extend([*kept, *(onnx.helper.make_attribute(key, value) for key, value in attributes.items())])
    return changed


@pytest.mark.parametrize(
    ("type", "attributes"),
    [
        ("Round", {"to": "Floor"}),
        ("Round", {"to": "Ceil"}),
        ("Resize", {"nearest_mode": "ceil"}),
        ("Resize", {"mode": "linear"}),
        ("ArgMax", {"axis": 2}),
        ("ReduceSum", {"keepdims": 0}),
        ("DepthToSpace", {"mode": "CRD"}),
        ("CumSum", {"exclusive": 1}),
    ],
)
def test_fault_in_the_source(tmp_path: Path, type: str, attributes: dict[str, object]) -> None:
    """The ONNX model is the one with the fault; its NNEF was made before."""
    model = rounding_net()
    onnx.save(model, tmp_path / "right.onnx")
    nnef_tools.convert_model(tmp_path / "right.onnx", tmp_path / "net.nnef")
    assert compared(tmp_path / "right.onnx", tmp_path / "net.nnef").ok
    onnx.save(replaced(model, type, **attributes), tmp_path / "wrong.onnx")
    found = compared(tmp_path / "wrong.onnx", tmp_path / "net.nnef")
    assert found.first is not None
    assert found.first.tensor.operators[0] == attributes.get("to", type)


def test_rounding_mode(tmp_path: Path) -> None:
    """Ties only: 0.5 is rounded to 0 by one model and to 1 by the other."""
    path = tmp_path / "net.onnx"
    onnx.save(onnx_model([node("Round", ["x"], ["r"]), node("Neg", ["r"], ["y"])], {"x": [8]}, {"y": [8]}), path)
    x = np.arange(8, dtype=np.float32) + 0.5
    right = nnef_tools.load_model(nnef_tools.convert_model(path, tmp_path / "net.nnef").written[0])
    assert nnef_tools.compare_models(path, right, inputs=[x], inner=True).ok
    graph = Graph("net")
    given, r, y = (Tensor(graph, name, (8,), np.float32) for name in ("x", "r", "y"))
    Operation(graph, "external", outputs=given, attribs={"shape": [8]})
    Operation(graph, "round", inputs=given, outputs=r)
    Operation(graph, "neg", inputs=r, outputs=y)
    graph.inputs, graph.outputs = [given], [y]
    found = nnef_tools.compare_models(path, graph, inputs=[x], inner=True)
    assert isinstance(found, ModelComparison) and found.first is not None
    assert found.first.tensor.b == "r"


def test_codes_are_compared_by_their_real_values(quantized: dict[str, Path]) -> None:
    """The inner tensors are int8 in LiteRT and real in kernels: only the one with the fault differs."""
    graph = nnef_tools.load_model(quantized["lite_nnef"])
    place = QUANTIZED_FAULTS["scale that clips"](graph)
    lite = nnef_tools.load_model(quantized["lite"])
    mapping = {source: name for name, fact in tensor_facts(graph.metadata).items() if (source := fact.get("source"))}
    x = np.random.default_rng(0).uniform(-1, 1, (1, 8, 8, 3)).astype(np.float32)
    found = find_first_difference(
        (open_executor(quantized["lite"]), {"x": x.reshape(lite.inputs[0].shape or ())}),
        (open_executor(graph, backend="numpy"), {graph.inputs[0].name or "": x.reshape(graph.inputs[0].shape or ())}),
        mapping,
        {},
        lambda comparison, expected: comparison.ok or comparison.max_error < 0.1,
        (tensor_codes(lite), tensor_codes(graph)),
    )
    assert found is not None and found.target == place
