"""What scripts, plugins and other packages import from this one."""

from __future__ import annotations

import importlib

import pytest

GRAPHDEF = (
    "Reader Writer save_default_graph load_default_graph composite_function reset_composites set_input_shapes "
    "fold_constant_tensors retain_reachables_from_outputs insert_rename_identities "
    "replace_composites_with_py_functions import_graph_def export_graph_def check_finite check_variables"
)
GRAPHDEF_UTILS = (
    "set_input_shapes fold_constant_tensors retain_reachables_from_outputs insert_rename_identities import_graph_def "
    "export_graph_def check_finite check_variables"
)
MODEL_UTILS = (
    "generate_tensor_names_from_op_type generate_missing_tensor_names_from_op_type generate_op_names_from_op_type "
    "replace_tensor_in_graph_inputs replace_tensor_in_graph_outputs replace_tensor_in_consumers "
    "replace_tensor_in_producers bypass_and_remove replace_chain remove_unreachable remove_dynamic"
)

NAMES = {
    "nnef_tools": "Transform",
    "nnef_tools.model": "Graph Tensor Operation",
    "nnef_tools.model.graph": "Graph Tensor Operation",
    "nnef_tools.model.utils": MODEL_UTILS,
    "nnef_tools.conversion": "Transform Converter ConversionError",
    "nnef_tools.conversion.converter": "Transform Converter ConversionError ConverterToNNEF ConverterFromNNEF",
    "nnef_tools.conversion.onnx_to_nnef": "Converter",
    "nnef_tools.conversion.nnef_to_onnx": "Converter",
    "nnef_tools.conversion.tf_to_nnef": "Converter",
    "nnef_tools.conversion.nnef_to_tf": "Converter",
    "nnef_tools.io.nnef": "Reader Writer",
    "nnef_tools.io.nnef.helpers": "tgz_compress tgz_extract",
    "nnef_tools.io.onnx": "Reader Writer",
    "nnef_tools.io.tf.graphdef": GRAPHDEF,
    "nnef_tools.io.tf.graphdef.composite": "composite_function reset_composites replace_composites_with_py_functions",
    "nnef_tools.io.tf.graphdef.utils": GRAPHDEF_UTILS,
    "nnef_tools.optimization.nnef_optimizer": "Optimizer",
    "nnef_tools.optimization.onnx_optimizer": "Optimizer",
    "nnef_tools.optimization.tf_optimizer": "Optimizer",
    "nnef_tools.interpreter": "Statistics",
    "nnef_tools.utils.types": "as_str from_numpy to_numpy cast PyTypeFromNumpyDtype PyTypeToNumpyDtype",
    "nnef_tools.utils.stdio": "is_stdin_piped is_stdout_piped set_stdin_to_binary set_stdout_to_binary",
    "nnef_tools.convert": "main",
    "nnef_tools.execute": "main",
}
WITH_TORCH = {
    "nnef_tools.interpreter.pytorch": "Interpreter NNEFModule",
    "nnef_tools.interpreter.pytorch.nnef_operators": "Operators",
}


@pytest.mark.parametrize("module", NAMES)
def test_names(module: str) -> None:
    loaded = importlib.import_module(module)
    assert [name for name in NAMES[module].split() if not hasattr(loaded, name)] == []


@pytest.mark.parametrize("module", WITH_TORCH)
def test_names_that_need_torch(module: str) -> None:
    pytest.importorskip("torch", reason="these are made of it")
    loaded = importlib.import_module(module)
    assert [name for name in WITH_TORCH[module].split() if not hasattr(loaded, name)] == []


def test_names_that_need_tensorflow() -> None:
    pytest.importorskip("tensorflow", reason="the messages are its own")
    loaded = importlib.import_module("nnef_tools.io.tf.graphdef.protobuf")
    names = "GraphDef NodeDef AttrValue TensorProto TensorShapeProto DataType FunctionDef OpDef VersionDef"
    assert [name for name in names.split() if not hasattr(loaded, name)] == []
    assert not hasattr(loaded, "Nonsense")
    assert loaded.GraphDef(node=[loaded.NodeDef(name="x", op="Placeholder")]).node[0].name == "x"
