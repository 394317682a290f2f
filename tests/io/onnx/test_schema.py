"""The messages of ONNX files as they are read, against the descriptors of the onnx package."""

from __future__ import annotations

import onnx
import pytest
from onnx import onnx_ml_pb2

from nnef_tools.dialects.onnx.types import NEWEST_OPSET
from nnef_tools.io.onnx.schema import SCHEMA

MESSAGES = [
    *("ModelProto", "GraphProto", "FunctionProto", "NodeProto", "AttributeProto", "TensorProto", "SparseTensorProto"),
    *("ValueInfoProto", "TypeProto", "TypeProto.Tensor", "TensorShapeProto", "TensorShapeProto.Dimension"),
    *("OperatorSetIdProto", "StringStringEntryProto", "TensorAnnotation"),
]
AS_READ = {"message": ("message", "bytes"), "enum": ("int32", "enum")}
"""Messages that are not looked into are bytes, and enumerations numbers."""


@pytest.mark.parametrize("name", MESSAGES)
def test_numbers_and_kinds_of_fields(name: str) -> None:
    outer, *inner = name.split(".")
    descriptor = onnx_ml_pb2.DESCRIPTOR.message_types_by_name[outer]
    for part in inner:
        descriptor = descriptor.nested_types_by_name[part]
    kinds = {
        getattr(descriptor.fields[0], key): key.removeprefix("TYPE_").lower()
        for key in dir(descriptor.fields[0])
        if key.startswith("TYPE_")
    }
    for field in SCHEMA[name].by_number.values():
        theirs = descriptor.fields_by_number[field.number]
        kind = kinds[theirs.type]
        assert theirs.name == field.name
        assert field.kind in AS_READ.get(kind, (kind,)), field.name
        repeated = theirs.is_repeated if hasattr(theirs, "is_repeated") else theirs.label == theirs.LABEL_REPEATED
        assert repeated == field.repeated, field.name


def test_newest_operator_set() -> None:
    assert onnx.defs.onnx_opset_version() == NEWEST_OPSET
