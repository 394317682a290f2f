"""torch-to-nnef, which exports PyTorch models, runs on this package: it imports its graphs, archives and NNEFModule."""

from __future__ import annotations

import stat
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nnef_tools
from nnef_tools.io.nnef import Reader

torch = pytest.importorskip("torch", reason="the exporter is for its models")
client = pytest.importorskip("torch_to_nnef", reason="it is the client (pip install torch-to-nnef)")

pytestmark = pytest.mark.filterwarnings("ignore")  # of tracing

Export = Callable[..., Path]
nn = torch.nn


class Apply(nn.Module):  # type: ignore[misc,name-defined]  # torch may be missing, so mypy sees Any
    """A module that applies a function."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: Any) -> Any:
        """The result of the function."""
        return self.function(*inputs)


def network() -> Any:
    """Convolution, pooling and a linear layer."""
    layers = [nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(128, 5), nn.Sigmoid()]
    return nn.Sequential(*layers)


# Name -> model and shape of its input. The exporter compares what NNEFModule computes with what the model does.
MODELS: dict[str, tuple[Callable[[], Any], tuple[int, ...]]] = {
    "linear": (lambda: nn.Linear(4, 3), (2, 4)),
    "network": (network, (1, 3, 8, 8)),
    "grouped": (lambda: nn.Conv1d(3, 6, 3, groups=3), (1, 3, 9)),
    "deconvolution": (lambda: nn.ConvTranspose2d(3, 4, 3, stride=2), (1, 3, 5, 5)),
    "average": (lambda: nn.AvgPool2d(2), (1, 3, 8, 8)),
    "several results": (lambda: Apply(lambda x: torch.split(x, 2, 1)), (2, 4)),
    "scalar operand": (lambda: Apply(lambda x: x.sum(1, keepdim=True) + x.mean()), (2, 3)),
}


@pytest.fixture
def export(tmp_path: Path) -> Export:
    """Exports a model and gives the path of the archive."""

    def run(model: Any, x: Any, target: Any) -> Path:
        path = tmp_path / "model.nnef.tgz"
        written = client.export_model_to_nnef(
            model=model.eval(),
            args=x,
            file_path_export=path,
            inference_target=target,
            input_names=["x"],
            compression_level=1,
        )
        return Path(written)

    return run


@pytest.mark.parametrize("name", MODELS)
def test_checked_by_nnef_module(export: Export, name: str) -> None:
    torch.manual_seed(0)
    make, shape = MODELS[name]
    model, x = make(), torch.randn(shape)
    path = export(model, x, client.KhronosNNEF.latest())
    with tarfile.open(path) as archive:
        files = {member.name.removeprefix("./") for member in archive if member.isfile()}
    graph = Reader()(path)
    assert [(t.name, t.shape) for t in graph.inputs] == [("x", shape)]
    assert files == {"graph.nnef", *(f"{op.attribs['label']}.dat" for op in graph.operations if op.type == "variable")}
    expected = model(x)
    expected = expected if isinstance(expected, tuple) else (expected,)
    results = nnef_tools.run_model(path, [x.numpy()], backend="numpy").values()
    for result, tensor in zip(results, expected, strict=True):
        np.testing.assert_allclose(result, tensor.detach().numpy(), rtol=1e-4, atol=1e-5)


@pytest.fixture
def tract_target(tmp_path: Path) -> Callable[..., Any]:
    """The target with tract's extensions. It asks a program for its version, which one of our own tells here."""
    program = tmp_path / "tract"
    program.write_text("#!/bin/sh\necho 'tract 0.23.8'\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)

    def make(**options: Any) -> Any:
        return client.TractNNEF(
            "0.23.8",
            specific_tract_binary_path=program,
            check_io=False,
            dump_identity_properties=False,
            **options,
        )

    return make


def test_identifiers_in_the_shape_of_an_input(export: Export, tract_target: Callable[..., Any]) -> None:
    """The exporter puts the name of an open extent into the attribute of an operation of ours."""
    path = export(network(), torch.randn(1, 3, 8, 8), tract_target(dynamic_axes={"x": {0: "N"}}))
    text = _text(path)
    assert "extension tract_symbol N;" in text
    assert "shape = [N, 3, 8, 8]" in text


@pytest.mark.parametrize("layer", ["softmax", "lstm", "transformer", "list"])
def test_tract_runs_the_result(export: Export, tract_target: Callable[..., Any], layer: str) -> None:
    tract = pytest.importorskip("tract", reason="it runs what the exporter writes for it")
    torch.manual_seed(0)
    model, x = {
        "softmax": lambda: (nn.Softmax(-1), torch.randn(2, 3)),
        "lstm": lambda: (nn.LSTM(4, 5, batch_first=True), torch.randn(2, 7, 4)),
        "transformer": lambda: (nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), torch.randn(2, 5, 8)),
        "list": lambda: (Apply(lambda x: torch.cat([x, x * 2.0], 1)), torch.randn(2, 3)),
    }[layer]()
    path = export(model, x, tract_target())
    assert _text(path).startswith("version 1.0;")
    loaded = tract.nnef().with_tract_extra().with_tract_transformers().load(str(path))
    runnable = (loaded.into_model() if hasattr(loaded, "into_model") else loaded).into_runnable()
    results = [tensor.to_numpy() for tensor in runnable.run([x.numpy()])]
    expected = _flat(model(x))
    assert len(results) == len(expected)
    for result, tensor in zip(results, expected, strict=True):
        array = tensor.detach().numpy()
        np.testing.assert_allclose(result.reshape(array.shape), array, rtol=1e-4, atol=1e-5)


def _text(path: Path) -> str:
    with tarfile.open(path) as archive:
        member = next(member for member in archive if member.name.endswith("graph.nnef"))
        stream = archive.extractfile(member)
        assert stream is not None
        return stream.read().decode()


def _flat(value: Any) -> list[Any]:
    return [tensor for item in value for tensor in _flat(item)] if isinstance(value, (tuple, list)) else [value]
