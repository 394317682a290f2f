"""Writes Caffe2 models."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...dialects.caffe2.types import FILLERS
from ...dialects.onnx.types import find_data_type
from ...errors import FormatError
from ...model.graph import Graph, Operation, Tensor
from ..files import create_file, replace_folder
from ..protobuf import Message
from ..protobuf.encode import Chunk, encode, size, write
from .arguments import argument
from .reader import INIT, PREDICT, TEXT, VALUE_INFO
from .schema import NET, SCHEMA

MAX_SIZE = (1 << 31) - 1
"""What protobuf can parse."""


class Writer:
    """Writes a Graph of the Caffe2 dialect as a folder with `predict_net.pb`, `init_net.pb` and `value_info.json`.

    Constants go to `init_net.pb`, with an operator each that fills a blob.
    """

    def __call__(self, graph: Graph, filename: str | os.PathLike[str]) -> None:
        """Writes the folder completely, or leaves what is there.

        FormatError if the graph has no form in Caffe2, FileError if writing fails.
        """
        if not graph.is_sorted():
            raise FormatError("the operations of the graph are not sorted", hint="call graph.sort() first")
        constants = [t for t in graph.tensors if t.data is not None and not t.has_producer and t.has_consumer]
        constants += [t for t in graph.outputs if t.data is not None and not t.has_consumer]
        predict = NET(
            name=graph.name or "net",
            op=[_operator(op) for op in graph.operations],
            external_input=[_name(t) for t in (*graph.inputs, *constants)],
            external_output=[_name(t) for t in graph.outputs],
        )
        init = NET(
            name=f"{graph.name or 'net'}_init",
            op=[_filler(t) for t in constants],
            external_output=[_name(t) for t in constants],
        )
        files: dict[str, list[Chunk]] = {
            PREDICT: encode(predict),
            INIT: encode(init),
            VALUE_INFO: [_value_info(graph.inputs)],
        }
        former = [*files, *(str(Path(name).with_suffix(TEXT)) for name in (PREDICT, INIT))]
        for name, chunks in files.items():
            if size(chunks) > MAX_SIZE:
                raise FormatError(f"{name} would have {size(chunks)} bytes, but a net can have {MAX_SIZE} at most")
        with replace_folder(filename, owned=former, main=PREDICT) as folder:
            for name, chunks in files.items():
                with create_file(folder / name) as stream:
                    write(stream, chunks)


def _name(tensor: Tensor) -> str:
    if not tensor.name:
        raise FormatError("a tensor has no name, and every blob needs one")
    return tensor.name


def _operator(op: Operation) -> Message:
    where = f"{op.type} '{op.name}'"
    try:
        arguments = [argument(name, value) for name, value in op.attribs.items()]
    except FormatError as error:
        raise FormatError(error.message, where=where) from error
    return SCHEMA["OperatorDef"](
        input=[_name(t) for t in op.inputs],
        output=[_name(t) for t in op.outputs],
        name=op.name or "",
        type=str(op.type),
        arg=arguments,
    )


def _filler(tensor: Tensor) -> Message:
    """The operator that gives a blob the value of a constant."""
    data, name = np.asarray(tensor.data), _name(tensor)
    attribs: dict[str, Any] = {"shape": [int(n) for n in data.shape]}
    if tensor.quant and data.dtype in (np.uint8, np.int32):
        type = "Int8GivenTensorFill" if data.dtype == np.uint8 else "Int8GivenIntTensorFill"
        attribs["values"] = data.tobytes() if data.dtype == np.uint8 else data.reshape(-1)
        attribs["Y_scale"], attribs["Y_zero_point"] = tensor.quant["scale"], tensor.quant["zero_point"]
    elif data.dtype == np.uint8:
        type, attribs["values"] = "GivenTensorByteStringToUInt8Fill", [data.tobytes()]
    elif data.dtype.type in FILLERS:
        type, attribs["values"] = FILLERS[data.dtype.type], data.reshape(-1)
    else:
        raise FormatError(f"constant '{name}' is {data.dtype.name}, which Caffe2 has no operator to fill a blob with")
    arguments = [argument(key, value) for key, value in attribs.items()]
    return SCHEMA["OperatorDef"](output=[name], type=type, arg=arguments)


def _value_info(inputs: Sequence[Tensor]) -> bytes:
    entries: dict[str, Any] = {}
    for tensor in inputs:
        code = None if tensor.dtype is None else find_data_type(tensor.dtype)
        if code is None or tensor.shape is None or None in tensor.shape:
            raise FormatError(f"the type or the shape of input '{tensor.name}' is not known")
        entries[_name(tensor)] = [code, list(tensor.shape)]
    return (json.dumps(entries, indent=4) + "\n").encode()
