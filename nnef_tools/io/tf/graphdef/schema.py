"""The messages of GraphDef files, as far as they matter (field numbers: the .proto files of TensorFlow)."""

from __future__ import annotations

from ....dialects.tf.types import DATA_TYPES
from ...protobuf import Schema

_TEXT = """
GraphDef: 1 node NodeDef*, 2 library FunctionDefLibrary, 3 version int32, 4 versions VersionDef
VersionDef: 1 producer int32, 2 min_consumer int32, 3 bad_consumers int32*
NodeDef: 1 name string, 2 op string, 3 input string*, 4 device string, 5 attr map<string,AttrValue>
AttrValue: 1 list ListValue, 2 s bytes, 3 i int64, 4 f float, 5 b bool, 6 type DataType, 7 shape TensorShapeProto,
 8 tensor TensorProto, 9 placeholder string, 10 func NameAttrList
ListValue: 2 s bytes*, 3 i int64*, 4 f float*, 5 b bool*, 6 type DataType*, 7 shape TensorShapeProto*,
 8 tensor TensorProto*, 9 func NameAttrList*
NameAttrList: 1 name string, 2 attr map<string,AttrValue>
TensorShapeProto: 2 dim Dim*, 3 unknown_rank bool
Dim: 1 size int64, 2 name string
TensorProto: 1 dtype DataType, 2 tensor_shape TensorShapeProto, 3 version_number int32, 4 tensor_content bytes,
 5 float_val float*, 6 double_val double*, 7 int_val int32*, 8 string_val bytes*, 9 scomplex_val float*,
 10 int64_val int64*, 11 bool_val bool*, 12 dcomplex_val double*, 13 half_val int32*, 16 uint32_val uint32*,
 17 uint64_val uint64*, 18 float8_val bytes
FunctionDefLibrary: 1 function FunctionDef*
FunctionDef: 1 signature OpDef, 3 node_def NodeDef*, 4 ret map<string,string>, 5 attr map<string,AttrValue>,
 7 arg_attr map<uint32,ArgAttrs>
ArgAttrs: 1 attr map<string,AttrValue>
OpDef: 1 name string, 2 input_arg ArgDef*, 3 output_arg ArgDef*, 4 attr AttrDef*
ArgDef: 1 name string, 3 type DataType, 4 type_attr string, 5 number_attr string, 6 type_list_attr string
AttrDef: 1 name string, 2 type string, 3 default_value AttrValue
"""

SCHEMA = Schema(_TEXT, {"DataType": {f"DT_{name.upper()}": number for name, number in DATA_TYPES.items()}})
