"""What plugins of the 1.0 series rely on, beside names of modules: statics, fields, helpers, default definitions."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

import nnef_tools
from nnef_tools.conversion import Converter, Transform, nnef_to_onnx, nnef_to_tf, onnx_to_nnef, tf_to_nnef
from nnef_tools.conversion.converter import ConverterFromNNEF, ConverterToNNEF
from nnef_tools.io.nnef import Reader, Writer
from nnef_tools.model import Graph, Operation, Tensor
from nnef_tools.utils import stdio

from ..support.onnx_models import Typed, onnx_model, run_node

CONVERTERS: list[Any] = [onnx_to_nnef.Converter, nnef_to_onnx.Converter, tf_to_nnef.Converter, nnef_to_tf.Converter]
STATICS = (
    "decomposed_operations defined_operations defined_operation_dependencies defined_shapes unpack_transforms "
    "merge_transforms find_public_methods find_public_functions"
)
COUNTS = (48, 41, 60, 58)
"""Helper methods of each converter."""
PARAMETERS = {
    onnx_to_nnef.Converter: "custom_transforms custom_functions mirror_unsupported keep_io_names infer_shapes "
    "custom_shapes io_transpose",
    nnef_to_onnx.Converter: "custom_transforms custom_functions mirror_unsupported",
    tf_to_nnef.Converter: "io_transpose custom_transforms custom_functions mirror_unsupported keep_io_names",
    nnef_to_tf.Converter: "data_format io_transpose custom_transforms custom_functions mirror_unsupported",
    Reader: "custom_shapes decomposed",
    Writer: "compression extensions fragments fragment_dependencies generate_custom_fragments annotate_shapes",
    Transform: "type name inputs outputs attribs defaults using cond custom",
    Tensor: "graph name shape dtype data quant",
    Operation: "graph type name attribs inputs outputs custom",
}


@pytest.mark.parametrize("converter", CONVERTERS)
def test_statics(converter: Any) -> None:
    for name in STATICS.split():
        assert callable(getattr(converter, name)), name
    assert issubclass(converter, Converter)
    assert issubclass(converter, (ConverterFromNNEF, ConverterToNNEF))


@pytest.mark.parametrize(("converter", "count"), zip(CONVERTERS, COUNTS, strict=True))
def test_numbers_of_helpers(converter: Any, count: int) -> None:
    assert len(converter.find_public_methods(converter())) == count


@pytest.mark.parametrize("factory", PARAMETERS)
def test_parameters(factory: Any) -> None:
    parameters = inspect.signature(factory).parameters
    assert [name for name in PARAMETERS[factory].split() if name not in parameters] == []


@pytest.mark.parametrize("converter", [nnef_to_onnx.Converter, nnef_to_tf.Converter])
def test_operations_that_a_reader_expands(converter: Any, tmp_path: Path) -> None:
    names = converter.decomposed_operations()
    assert {"separable_conv", "rms_pool", "local_contrast_normalization", "l1_normalization"} <= set(names)
    assert "relu" not in names and "conv" not in names
    text = "version 1.0; graph g(x) -> (y) { x = external(shape = [1, 2]); y = l1_normalization(x, axes = [1]); }"
    (tmp_path / "graph.nnef").write_text(text)
    graph = Reader(decomposed=names)(str(tmp_path))
    assert not {str(op.type) for op in graph.operations} & set(names)
    assert converter()(graph).outputs[0].shape == (1, 2)


def test_standard_streams() -> None:
    """Nothing to do where bytes go through as they are."""
    if sys.platform == "win32":
        pytest.skip("the streams are not those of the system")
    assert stdio.set_stdin_to_binary() is None and stdio.set_stdout_to_binary() is None


def test_arrays_of_python_values() -> None:
    converter = nnef_to_tf.Converter()
    for value, dtype in (([1, 2], np.int32), (3, np.int32), ([0.5], np.float32), (True, np.bool_)):
        assert converter.as_numpy(value).dtype.type is dtype
    assert converter.as_numpy([1], np.int64).dtype.type is np.int64


# models with an operator of a plugin


def model(folder: Path, shape: list[int]) -> Path:
    """x -> Foo -> y."""
    node = helper.make_node("Foo", ["x"], ["y"], domain="my")
    onnx.save(onnx_model([node], {"x": shape}, {"y": Typed(np.float32)}, domains=["my"]), folder / "model.onnx")
    return folder / "model.onnx"


def converted(folder: Path, shape: list[int], type: str, **attribs: Any) -> Path:
    """The model with the operator as an operation of NNEF, which the plugin does not declare."""
    transform = Transform(type, inputs=("!I[0]",), outputs=("!O[0]",), attribs=attribs)
    graph = onnx_to_nnef.Converter(custom_transforms={"Foo": transform})(
        nnef_tools.load_model(model(folder, shape)),
    )
    Writer()(graph, str(folder / "net"))
    return folder / "net"


X = np.arange(2 * 8 * 4 * 6, dtype=np.float32).reshape(2, 8, 4, 6) / 100 - 1


def with_onnx(op: str, **attributes: Any) -> Any:
    """What onnxruntime computes with an operator of ONNX."""
    return run_node(op, [X], opset=18, **attributes)[0]


@pytest.mark.parametrize(
    ("type", "attribs", "op", "attributes"),
    [
        ("mish", {}, "Mish", {}),
        ("depth_to_space", {"block_size": 2}, "DepthToSpace", {"blocksize": 2, "mode": "DCR"}),
        ("depth_to_space", {"block_size": 2, "blocks_first": False}, "DepthToSpace", {"blocksize": 2, "mode": "CRD"}),
        ("space_to_depth", {"block_size": 2}, "SpaceToDepth", {"blocksize": 2}),
        (
            "lp_pool",
            {"size": [1, 1, 2, 3], "stride": [1, 1, 2, 1], "padding": [(0, 0)] * 4, "p": 3.0},
            "LpPool",
            {"kernel_shape": [2, 3], "strides": [2, 1], "p": 3},
        ),
    ],
)
def test_default_definitions(
    type: str, attribs: dict[str, Any], op: str, attributes: dict[str, Any], tmp_path: Path
) -> None:
    """Plugins may make these operations without fragments and shape functions of their own."""
    assert type in onnx_to_nnef.Converter.defined_operations()
    path = converted(tmp_path, list(X.shape), type, **attribs)
    expected = with_onnx(op, **attributes)
    for target in (path, tmp_path / "again.onnx"):
        if target is not path:
            nnef_tools.convert_model(path, target)
        [result] = nnef_tools.run_model(target, [X], backend="auto").values()
        np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("name", "dtype"), [("scalar", np.float32), ("integer", np.int64), ("logical", np.bool_)])
def test_data_types_by_their_names_in_nnef(name: str, dtype: type, tmp_path: Path) -> None:
    path = converted(tmp_path, [2, 3], "cast", dtype=f"!nnef_dtype(np.{dtype.__name__})")
    assert f"= cast<{name}>(" in (path / "graph.nnef").read_text()
    [result] = nnef_tools.run_model(path, [np.ones((2, 3), np.float32)]).values()
    assert result.dtype == dtype


def test_data_types_by_their_names_in_a_graph(tmp_path: Path) -> None:
    """As an optimizer or a script makes operations."""
    graph = Graph("net")
    x, y = Tensor(graph, "x", (2,), np.float32), Tensor(graph, "y", (2,), np.int64)
    Operation(graph, "external", attribs={"shape": [2], "dtype": "scalar"}, outputs=x)
    Operation(graph, "cast", attribs={"dtype": "integer"}, inputs=x, outputs=y)
    graph.inputs, graph.outputs = [x], [y]
    Writer()(graph, str(tmp_path / "net"))
    text = (tmp_path / "net" / "graph.nnef").read_text()
    assert "x = external<scalar>(shape = [2]);" in text and "y = cast<integer>(x);" in text
