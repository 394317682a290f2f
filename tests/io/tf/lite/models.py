"""TensorFlow Lite models for tests, made by hand, and what others say about files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from nnef_tools.dialects.tflite.schema import tflite_schema
from nnef_tools.io.tf.lite import Reader, Writer
from nnef_tools.io.tf.lite.flatbuffer import Table, encode
from nnef_tools.io.tf.lite.reader import IDENTIFIER
from nnef_tools.io.tf.lite.types import ITEM_TYPES
from nnef_tools.model.graph import Graph, Operation, Tensor

NUMBERS = {name: number for number, name in enumerate(ITEM_TYPES)}


def operators(*names: str) -> list[Table]:
    """Operator codes."""
    numbers = {name: code for code, name in tflite_schema().operators.items()}
    return [
        {"deprecated_builtin_code": min(numbers[name], 127), "builtin_code": numbers[name], "version": 1}
        if name in numbers
        else {"deprecated_builtin_code": 32, "builtin_code": 32, "custom_code": name}
        for name in names
    ]


def options(table: str, **values: Any) -> Table:
    """The options of an operator, as fields of its table."""
    for field, union in (("builtin_options", "BuiltinOptions"), ("builtin_options2", "BuiltinOptions2")):
        names = tflite_schema().unions[union]
        if table in names:
            return {f"{field}_type": names.index(table), field: values}
    raise ValueError(table)


def tensor(name: str | None, shape: Sequence[int] = (2,), type: str = "FLOAT32", **rest: Any) -> Table:
    return {"name": name, "shape": list(shape), "type": NUMBERS[type], **rest}


def model(subgraphs: Sequence[Table] | Table, codes: Sequence[Table] = (), **rest: Any) -> Table:
    """The tables of a model; the first buffer is the empty one."""
    graphs = [subgraphs] if isinstance(subgraphs, dict) else list(subgraphs)
    return {"version": 3, "operator_codes": list(codes), "subgraphs": graphs, "buffers": [{}], **rest}


def write_tables(path: Path, tables: Table, after: bytes = b"") -> Path:
    """Writes the tables of a model, and something behind them."""
    with path.open("wb") as stream:
        encode(tables, tflite_schema(), "Model", IDENTIFIER).write(stream)
        stream.write(after)
    return path


def read_tables(path: Path, tables: Table) -> Graph:
    """The Graph of tables."""
    return Reader()(write_tables(path, tables))


def official(path: Path) -> Any:
    """The model as the generated classes of LiteRT read it."""
    return schema_py_generated.ModelT.InitFromPackedBuf(path.read_bytes(), 0)


def run(path: Path, *inputs: np.ndarray[Any, Any]) -> list[np.ndarray[Any, Any]]:
    """The outputs of a model in LiteRT's reference kernels."""
    interpreter = Interpreter(str(path), experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
    interpreter.allocate_tensors()
    for item, value in zip(interpreter.get_input_details(), inputs, strict=True):
        interpreter.set_tensor(item["index"], value)
    interpreter.invoke()
    return [interpreter.get_tensor(item["index"]) for item in interpreter.get_output_details()]


def rewritten(path: Path, **options: Any) -> Path:
    """The same model, read and written."""
    target = path.with_name(f"again-{path.name}")
    Writer()(Reader(**options)(path), target)
    return target


def sample(*, branches: bool = True) -> Graph:
    """A model with a convolution, constants of several types, a signature, perhaps a condition with branches."""
    rng = np.random.default_rng(0)
    graph = Graph("main")
    x = Tensor(graph, "x", (1, 5, 4, 2), np.float32)
    w = Tensor(graph, "w", (3, 3, 3, 2), np.float32, rng.standard_normal((3, 3, 3, 2), np.float32))
    b = Tensor(graph, "b", (3,), np.float32, np.ones(3, np.float32))
    h = Tensor(graph, "h", (1, 5, 4, 3), np.float32)
    axes = Tensor(graph, "axes", (2,), np.int32, np.array([1, 2], np.int32))
    m = Tensor(graph, "m", (1, 3), np.float32)
    zero = Tensor(graph, "zero", (), np.float32, np.zeros((), np.float32))
    first = Tensor(graph, "first", (), np.float32)
    all_axes = Tensor(graph, "all", (2,), np.int32, np.array([0, 1], np.int32))
    positive = Tensor(graph, "positive", (), np.bool_)
    y = Tensor(graph, "y", (1, 3), np.float32)
    options = {"padding": "SAME", "stride_w": 1, "stride_h": 1, "fused_activation_function": "RELU"}
    Operation(graph, "CONV_2D", attribs=dict(options), inputs=(x, w, b), outputs=(h,))
    Operation(graph, "MEAN", attribs={"keep_dims": False}, inputs=(h, axes), outputs=(m,))
    Operation(graph, "SUM", attribs={"keep_dims": False}, inputs=(m, all_axes), outputs=(first,))
    Operation(graph, "GREATER", inputs=(first, zero), outputs=(positive,))
    if branches:
        graphs = {"then_subgraph": unary("TANH", (1, 3)), "else_subgraph": unary("NEG", (1, 3))}
        Operation(graph, "IF", attribs=graphs, inputs=(positive, m), outputs=(y,))
    else:
        Operation(graph, "TANH", inputs=(m,), outputs=(y,))
    graph.inputs, graph.outputs = [x], [y]
    graph.metadata = {
        "description": "a sample",
        "signature": "run",
        "signature_inputs": {"image": "x"},
        "signature_outputs": {"result": "y"},
        "open_extents": {"x": [0], "h": [0], "m": [0], "y": [0]},
        "tflite_metadata": {"about": "aGVsbG8="},
        "associated_files": {"labels.txt": "Y2F0CmRvZwo="},
    }
    return graph


def unary(type: str, shape: Sequence[int], attribs: Mapping[str, Any] | None = None, custom: bool = False) -> Graph:
    """A model of one operator."""
    graph = Graph(type.lower())
    x, y = (Tensor(graph, name, shape, np.float32) for name in ("x", "y"))
    Operation(graph, type, attribs=dict(attribs or {}), inputs=(x,), outputs=(y,), custom=custom)
    graph.inputs, graph.outputs = [x], [y]
    return graph
