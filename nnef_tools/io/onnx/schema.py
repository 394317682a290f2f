"""The messages of ONNX files, as far as they are read (onnx.proto of the ONNX project).

Types in attributes are not looked into.
"""

from __future__ import annotations

from ..protobuf import Message, Schema, decode

SCHEMA = Schema(
    """
ModelProto: 1 ir_version int64, 2 producer_name string, 3 producer_version string, 6 doc_string string,
 7 graph GraphProto, 8 opset_import OperatorSetIdProto*, 14 metadata_props StringStringEntryProto*,
 25 functions FunctionProto*
GraphProto: 1 node NodeProto*, 2 name string, 5 initializer TensorProto*, 11 input ValueInfoProto*,
 12 output ValueInfoProto*, 13 value_info ValueInfoProto*, 14 quantization_annotation TensorAnnotation*,
 15 sparse_initializer SparseTensorProto*
FunctionProto: 1 name string, 4 input string*, 5 output string*, 6 attribute string*, 7 node NodeProto*,
 9 opset_import OperatorSetIdProto*, 10 domain string, 11 attribute_proto AttributeProto*, 13 overload string
NodeProto: 1 input string*, 2 output string*, 3 name string, 4 op_type string, 5 attribute AttributeProto*,
 7 domain string, 8 overload string
AttributeProto: 1 name string, 2 f float, 3 i int64, 4 s bytes, 5 t TensorProto, 6 g GraphProto, 7 floats float+,
 8 ints int64+, 9 strings bytes*, 10 tensors TensorProto*, 11 graphs GraphProto*, 14 tp bytes, 15 type_protos bytes*,
 20 type int32, 21 ref_attr_name string, 22 sparse_tensor SparseTensorProto, 23 sparse_tensors SparseTensorProto*
TensorProto: 1 dims int64+, 2 data_type int32, 3 segment bytes, 4 float_data float*, 5 int32_data int32*,
 6 string_data bytes*, 7 int64_data int64*, 8 name string, 9 raw_data bytes, 10 double_data double*,
 11 uint64_data uint64*, 13 external_data StringStringEntryProto*, 14 data_location int32
SparseTensorProto: 1 values TensorProto, 2 indices TensorProto, 3 dims int64+
ValueInfoProto: 1 name string, 2 type TypeProto
TypeProto: 1 tensor_type TypeProto.Tensor, 8 sparse_tensor_type TypeProto.Tensor
TypeProto.Tensor: 1 elem_type int32, 2 shape TensorShapeProto
TensorShapeProto: 1 dim TensorShapeProto.Dimension*
TensorShapeProto.Dimension: 1 dim_value int64, 2 dim_param string
OperatorSetIdProto: 1 domain string, 2 version int64
StringStringEntryProto: 1 key string, 2 value string
TensorAnnotation: 1 tensor_name string, 2 quant_parameter_tensor_names StringStringEntryProto*
"""
)


def parse_model(data: bytes | memoryview) -> Message:
    """The message of a model, or of its skeleton. Raises FormatError if it is not valid or has no graph."""
    return decode(memoryview(data), SCHEMA["ModelProto"])


def parse_tensor(data: bytes) -> Message:
    """The message of a tensor. Raises FormatError if it is not valid."""
    return decode(memoryview(data), SCHEMA["TensorProto"])
