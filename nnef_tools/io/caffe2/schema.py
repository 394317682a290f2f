"""The messages of Caffe2's nets, as far as they are read or written (caffe2.proto of PyTorch)."""

from __future__ import annotations

from ..protobuf import Schema

SCHEMA = Schema(
    """
NetDef: 1 name string, 2 op OperatorDef*, 3 type string, 4 num_workers int32, 5 device_option DeviceOption,
 6 arg Argument*, 7 external_input string*, 8 external_output string*, 9 partition_info PartitionInfo*
OperatorDef: 1 input string*, 2 output string*, 3 name string, 4 type string, 5 arg Argument*,
 6 device_option DeviceOption, 7 engine string, 8 control_input string*, 9 is_gradient_op bool, 10 debug_info string,
 11 domain string, 12 op_version int64
Argument: 1 name string, 2 f float, 3 i int64, 4 s bytes, 5 floats float*, 6 ints int64*, 7 strings bytes*,
 8 n NetDef, 9 nets NetDef*, 10 t TensorProto, 11 tensors TensorProto*, 12 qtensors QTensorProto*
TensorProto: 1 dims int64+, 2 data_type int32, 3 float_data float*, 4 int32_data int32*, 5 byte_data bytes,
 6 string_data bytes*, 7 name string, 8 device_detail DeviceOption, 9 double_data double*, 10 int64_data int64*,
 13 raw_data bytes, 15 data_format uint32
QTensorProto: 1 dims int64+, 2 precision int32, 3 scale double, 4 bias double, 5 is_signed bool, 6 data int32*,
 7 name string
DeviceOption: 1 device_type int32, 2 device_id int32, 3 random_seed uint32, 4 node_name string, 5 numa_node_id int32,
 6 extra_info string*
PartitionInfo: 1 name string, 2 device_id int32+, 3 extra_info string
"""
)

NET = SCHEMA["NetDef"]
