"""GraphDef messages made by the protobuf package, to check our own wire format against."""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_SCALARS = {"double": 1, "float": 2, "int64": 3, "uint64": 4, "int32": 5, "bool": 8, "string": 9, "bytes": 12,
            "uint32": 13, "enum": 5}  # fmt: skip
_PACKAGE = "graphdef_test"

# Name -> fields (number, name, kind); `kind*` is repeated, `kind**` so and not packed, `kind%` a map from strings.
MESSAGES: dict[str, list[tuple[int, str, str]]] = {
    "GraphDef": [(1, "node", "NodeDef*"), (2, "library", "FunctionDefLibrary"), (3, "version", "int32"),
                 (4, "versions", "VersionDef")],
    "VersionDef": [(1, "producer", "int32"), (2, "min_consumer", "int32"), (3, "bad_consumers", "int32*")],
    "NodeDef": [(1, "name", "string"), (2, "op", "string"), (3, "input", "string*"), (4, "device", "string"),
                (5, "attr", "AttrValue%")],
    "AttrValue": [(1, "list", "ListValue"), (2, "s", "bytes"), (3, "i", "int64"), (4, "f", "float"), (5, "b", "bool"),
                  (6, "type", "enum"), (7, "shape", "TensorShapeProto"), (8, "tensor", "TensorProto"),
                  (9, "placeholder", "string"), (10, "func", "NameAttrList")],
    "ListValue": [(2, "s", "bytes*"), (3, "i", "int64*"), (4, "f", "float*"), (5, "b", "bool*"), (6, "type", "enum*"),
                  (7, "shape", "TensorShapeProto*"), (8, "tensor", "TensorProto*"), (9, "func", "NameAttrList*")],
    "NameAttrList": [(1, "name", "string"), (2, "attr", "AttrValue%")],
    "TensorShapeProto": [(2, "dim", "Dim*"), (3, "unknown_rank", "bool")],
    "Dim": [(1, "size", "int64"), (2, "name", "string")],
    "TensorProto": [(1, "dtype", "enum"), (2, "tensor_shape", "TensorShapeProto"), (3, "version_number", "int32"),
                    (4, "tensor_content", "bytes"), (5, "float_val", "float*"), (6, "double_val", "double*"),
                    (7, "int_val", "int32*"), (8, "string_val", "bytes*"), (9, "scomplex_val", "float*"),
                    (10, "int64_val", "int64*"), (11, "bool_val", "bool*"), (12, "dcomplex_val", "double*"),
                    (13, "half_val", "int32*"), (16, "uint32_val", "uint32*"), (17, "uint64_val", "uint64*"),
                    (18, "float8_val", "bytes")],
    "FunctionDefLibrary": [(1, "function", "FunctionDef*")],
    "FunctionDef": [(1, "signature", "OpDef"), (3, "node_def", "NodeDef*"), (4, "ret", "string%"),
                    (5, "attr", "AttrValue%")],
    "OpDef": [(1, "name", "string"), (2, "input_arg", "ArgDef*"), (3, "output_arg", "ArgDef*"),
              (4, "attr", "AttrDef*")],
    "ArgDef": [(1, "name", "string"), (3, "type", "enum"), (4, "type_attr", "string")],
    "AttrDef": [(1, "name", "string"), (2, "type", "string"), (3, "default_value", "AttrValue")],
    # The repeated fields of TensorProto, not packed.
    "UnpackedTensor": [(1, "dtype", "enum"), (2, "tensor_shape", "TensorShapeProto"), (5, "float_val", "float**"),
                       (7, "int_val", "int32**"), (10, "int64_val", "int64**"), (11, "bool_val", "bool**")],
}  # fmt: skip


def _file() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(name="graphdef_test.proto", package=_PACKAGE, syntax="proto3")
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        for number, field_name, kind in fields:
            base = kind.rstrip("*%")
            field = message.field.add(name=field_name, number=number, label=3 if kind != base else 1)
            if kind.endswith("%"):
                entry_name = "".join(part.title() for part in field_name.split("_")) + "Entry"
                entry = message.nested_type.add(name=entry_name)
                entry.options.map_entry = True
                entry.field.add(name="key", number=1, type=9, label=1)
                _set_type(entry.field.add(name="value", number=2, label=1), base)
                field.type, field.type_name = 11, f".{_PACKAGE}.{name}.{entry_name}"
            else:
                _set_type(field, base)
                if kind.endswith("**"):
                    field.options.packed = False
    return file


def _set_type(field: Any, base: str) -> None:
    if base in _SCALARS:
        field.type = _SCALARS[base]
    else:
        field.type, field.type_name = 11, f".{_PACKAGE}.{base}"


_POOL = descriptor_pool.DescriptorPool()
_POOL.Add(_file())
CLASSES: dict[str, Any] = {
    name: message_factory.GetMessageClass(_POOL.FindMessageTypeByName(f"{_PACKAGE}.{name}")) for name in MESSAGES
}

FLOAT, DOUBLE, INT32, STRING, INT64, BOOL, BFLOAT16, HALF, RESOURCE = 1, 2, 3, 7, 9, 10, 14, 19, 20


def shape(*dims: int | None) -> Any:
    return CLASSES["TensorShapeProto"](dim=[CLASSES["Dim"](size=-1 if dim is None else dim) for dim in dims])


def tensor(dtype: int, dims: tuple[int, ...] = (), **values: Any) -> Any:
    return CLASSES["TensorProto"](dtype=dtype, tensor_shape=shape(*dims), **values)


def attr(**value: Any) -> Any:
    return CLASSES["AttrValue"](**value)


def items(**values: Any) -> Any:
    return attr(list=CLASSES["ListValue"](**values))


def func(name: str, **attrs: Any) -> Any:
    return attr(func=CLASSES["NameAttrList"](name=name, attr=attrs))


def node(op: str, name: str, /, *inputs: str, **attrs: Any) -> Any:
    return CLASSES["NodeDef"](op=op, name=name, input=inputs, attr=attrs)


def placeholder(name: str, *dims: int | None, dtype: int = FLOAT) -> Any:
    return node("Placeholder", name, dtype=attr(type=dtype), shape=attr(shape=shape(*dims)))


def const(name: str, value: Any) -> Any:
    return node("Const", name, dtype=attr(type=value.dtype), value=attr(tensor=value))


def unary(op: str, name: str, *inputs: str, dtype: int = FLOAT) -> Any:
    return node(op, name, *inputs, T=attr(type=dtype))


def function(name: str, inputs: str, outputs: dict[str, str], *nodes: Any, attrs: dict[str, Any] | None = None) -> Any:
    """outputs: name of a result -> what it returns."""
    arg = CLASSES["ArgDef"]
    signature = CLASSES["OpDef"](
        name=name,
        input_arg=[arg(name=item, type=FLOAT) for item in inputs.split()],
        output_arg=[arg(name=item, type=FLOAT) for item in outputs],
        attr=[CLASSES["AttrDef"](name=key, type="any", default_value=value) for key, value in (attrs or {}).items()],
    )
    return CLASSES["FunctionDef"](signature=signature, node_def=nodes, ret=outputs)


def graph(*nodes: Any, functions: tuple[Any, ...] = (), producer: int = 1882) -> Any:
    library = CLASSES["FunctionDefLibrary"](function=functions) if functions else None
    return CLASSES["GraphDef"](node=nodes, library=library, versions=CLASSES["VersionDef"](producer=producer))
