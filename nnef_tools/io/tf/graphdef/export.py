"""Export of graphs from TensorFlow programs."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ....errors import FileError, FormatError, UsageError
from ...files import replace_file
from .assigned import assignments, leave_as_inputs, without_waiting
from .composites import replace_composites_with_py_functions, without_composites
from .folding import (
    export_graph_def,
    fold_constant_tensors,
    import_graph_def,
    set_input_shapes,
    with_inferred_shapes,
)
from .graph_edit import reachable, sinks, with_first, with_nodes
from .tensorflow import graph_def_class, require_tensorflow

InputShapes = Mapping[str, Sequence[Any]]


def save_default_graph(
    filename: str | os.PathLike[str],
    session: Any,
    outputs: Any,
    input_shapes: InputShapes | None = None,
    fold_constants: bool = True,
    collapse_composites: bool = True,
) -> None:
    """Writes the default graph of a TensorFlow 1 program, with the variables of a session as constants.

    outputs: tensors, or a dict tensor -> name that it gets in the file. input_shapes: placeholder name -> extents.
    fold_constants: see `fold_constant_tensors`. collapse_composites: make one operation of each call of a composite
    function. Raises ValueErrors: UsageError (for captured tensors, see `composite_function`, and variables or
    constants that are not finite); an OSError (FileError) for wrong input shapes.
    """
    tf = require_tensorflow("to export graphs")
    graph = tf.compat.v1.get_default_graph()
    check_variables(session)
    names = _output_names(outputs)
    graph_def = insert_rename_identities(export_graph_def(graph), names)
    graph_def = tf.compat.v1.graph_util.convert_variables_to_constants(session, graph_def, list(names.values()))
    graph_def = retain_reachables_from_outputs(graph_def, list(names.values()))
    _save(filename, graph_def, list(names.values()), input_shapes, fold_constants, collapse_composites)


def save_function(
    filename: str | os.PathLike[str],
    function: Any,
    input_signature: Any = None,
    *,
    output_names: Sequence[str] | None = None,
    input_shapes: InputShapes | None = None,
    fold_constants: bool = True,
    collapse_composites: bool = True,
) -> None:
    """Writes a function of a TensorFlow 2 program, with variables as constants.

    function: a tf.function, a concrete function, a Keras model or a callable. input_signature: the arguments that it is
    traced with (a list of tf.TensorSpec); not for a concrete function. output_names: of the results in the order of
    `tf.nest.flatten`; by default the keys of a dict, else Identity, Identity_1, ..; the inputs are named as the
    arguments. The rest is as for `save_default_graph`.
    """
    graph_def, names = frozen_function(concrete_function(function, input_signature), output_names)
    check_finite(graph_def)
    _save(filename, graph_def, names, input_shapes, fold_constants, collapse_composites)


def concrete_function(function: Any, input_signature: Any = None) -> Any:
    """The traced function. UsageError if it cannot be traced because it has no input signature."""
    tf = require_tensorflow("to export functions")
    if hasattr(function, "structured_input_signature") and hasattr(function, "graph"):
        return function
    if input_signature is None:
        inputs = getattr(function, "inputs", None)
        if getattr(function, "input_signature", None) is not None:
            input_signature = ()
        elif isinstance(inputs, (list, tuple)) and inputs:
            return _keras_function(tf, function, inputs)
        else:
            raise UsageError("the input signature of the function is not given", hint="give a list of tf.TensorSpec")
    if not hasattr(function, "get_concrete_function"):
        function = tf.function(function)
    return function.get_concrete_function(*input_signature)


def _keras_function(tf: Any, model: Any, inputs: Sequence[Any]) -> Any:
    """A Keras model, which knows its inputs; it takes them in a list, a dict or nested, as it was made."""
    specs = [tf.TensorSpec(item.shape, item.dtype, name=_plain_name(item.name)) for item in inputs]
    position = {id(item): k for k, item in enumerate(inputs)}
    structure = getattr(model, "input", None)
    if {id(item) for item in tf.nest.flatten(structure)} != set(position):
        structure = list(inputs) if len(inputs) > 1 else inputs[0]

    def call(*args: Any) -> Any:
        return model(tf.nest.map_structure(lambda item: args[position[id(item)]], structure), training=False)

    return tf.function(call, autograph=False).get_concrete_function(*specs)


def frozen_function(concrete: Any, output_names: Sequence[str] | None = None) -> tuple[Any, list[str]]:
    """The GraphDef of a concrete function, with variables as constants, and the names of the nodes of its outputs."""
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    assigned = leave_as_inputs(concrete)
    frozen = convert_variables_to_constants_v2(concrete, lower_control_flow=False)
    structure = concrete.structured_outputs
    if output_names is None and isinstance(structure, dict) and len(structure) == len(frozen.outputs):
        output_names = sorted(structure)  # the order of tf.nest
    graph_def = export_graph_def(frozen.graph)
    if output_names is None:
        output_names = [_plain_name(tensor.name) for tensor in frozen.outputs]
    if len({tensor.name for tensor in frozen.outputs}) < len(frozen.outputs):
        raise UsageError("the function returns a tensor twice", hint="return tf.identity(..) of it")
    if len(output_names) != len(frozen.outputs) or len(set(output_names)) != len(output_names):
        raise UsageError(f"the function has {len(frozen.outputs)} results, each needs a name of its own")
    names = {tensor.ref(): name for tensor, name in zip(frozen.outputs, output_names, strict=True)}
    graph_def = insert_rename_identities(graph_def, names)
    if assigned:
        graph_def = without_waiting(graph_def, names.values(), assigned)
    inputs = [tensor.op.name for tensor in frozen.inputs if tensor.op.name not in assigned]
    effects = assignments(graph_def) if assigned else []
    graph_def = retain_reachables_from_outputs(graph_def, [*names.values(), *inputs, *effects])
    return with_first(graph_def, inputs), list(names.values())


def load_default_graph(filename: str | os.PathLike[str]) -> None:
    """Imports a GraphDef file into the default graph. Raises FileError, FormatError."""
    tf = require_tensorflow("to import graphs")
    from google.protobuf.message import DecodeError

    graph_def = graph_def_class()()
    try:
        graph_def.ParseFromString(Path(filename).read_bytes())
    except OSError as error:
        raise FileError(f"cannot read the file: {error.strerror}", where=str(filename)) from error
    except DecodeError as error:
        raise FormatError(f"not a TensorFlow graph: {error}", where=str(filename)) from error
    tf.import_graph_def(graph_def, name="")


def retain_reachables_from_outputs(graph_def: Any, outputs: Iterable[str]) -> Any:
    """A copy with only those nodes that the named ones need, also by control inputs. UsageError for unknown names."""
    return reachable(graph_def, [_plain_name(name) for name in outputs])


def insert_rename_identities(graph_def: Any, names: Mapping[Any, str]) -> Any:
    """A copy with an Identity node of the wanted name for each tensor (or tensor name) that is named differently.

    UsageError if a name is taken.
    """
    result = with_nodes(graph_def, graph_def.node)
    nodes = {node.name: node for node in result.node}
    for key, name in names.items():
        tensor = _tensor_name(key)
        source, _, index = tensor.partition(":")
        if source not in nodes:
            raise UsageError(f"the graph has no tensor '{tensor}'")
        if source == name and index in ("", "0"):
            continue
        if name in nodes:
            raise UsageError(f"output '{tensor}' cannot be named '{name}', since there is another node of that name")
        node = result.node.add(name=name, op="Identity")
        node.input.append(source if index in ("", "0") else tensor)
        shapes = nodes[source].attr["_output_shapes"].list.shape if "_output_shapes" in nodes[source].attr else ()
        if len(shapes) > int(index or 0):
            node.attr["_output_shapes"].list.shape.add().CopyFrom(shapes[int(index or 0)])
        node.attr["T"].type = _type_number(key, graph_def)
        nodes[name] = node
    return result


def check_finite(graph_def: Any) -> None:
    """Raises UsageError (a ValueError) if a tensor in an attribute has NaN or infinite items."""
    tf = require_tensorflow("to check graphs")
    for node in graph_def.node:
        for key, value in node.attr.items():
            for tensor in [value.tensor] if value.HasField("tensor") else value.list.tensor:
                if tf.as_dtype(tensor.dtype).is_floating and not _is_finite(tf.make_ndarray(tensor)):
                    raise UsageError(
                        f"attribute '{key}' has items that are NaN or infinite", where=f"node '{node.name}'"
                    )


def check_variables(session: Any) -> None:
    """Raises UsageError (a ValueError) if a variable of the session has NaN or infinite items, or no value."""
    tf = require_tensorflow("to check variables")
    with session.graph.as_default():
        variables = [v for v in tf.compat.v1.global_variables() if v.dtype.base_dtype.is_floating]
        for variable in variables:
            try:
                value = session.run(variable)
            except tf.errors.FailedPreconditionError as error:
                raise UsageError(
                    f"variable '{variable.name}' has no value", hint="run the initializers, or restore a checkpoint"
                ) from error
            if not _is_finite(value):
                raise UsageError(f"variable '{variable.name}' has items that are NaN or infinite")


def _is_finite(value: Any) -> bool:
    array = np.asarray(value)
    return bool(np.all(np.isfinite(array if array.dtype.kind == "f" else array.astype(np.float32))))


def _save(
    filename: str | os.PathLike[str],
    graph_def: Any,
    outputs: list[str],
    input_shapes: InputShapes | None,
    fold_constants: bool,
    collapse_composites: bool,
) -> None:
    check_finite(graph_def)
    graph_def = _with_outputs_last(graph_def, outputs)
    if input_shapes:
        graph_def = set_input_shapes(graph_def, input_shapes)
    if fold_constants:
        graph_def = fold_constant_tensors(graph_def)
    if input_shapes or fold_constants:
        graph_def = with_inferred_shapes(graph_def)
    graph_def = (
        replace_composites_with_py_functions(graph_def) if collapse_composites else without_composites(graph_def)
    )
    check_finite(graph_def)
    with replace_file(filename) as file:
        file.write(graph_def.SerializeToString(deterministic=True))


def _with_outputs_last(graph_def: Any, outputs: list[str]) -> Any:
    """The nodes of outputs in the order of these, for readers of the file; those that nothing uses are put last."""
    unused = set(sinks(graph_def))
    ends = [name for name in outputs if name in unused]
    if [node.name for node in graph_def.node if node.name in set(ends)] == ends:
        return graph_def
    nodes = {node.name: node for node in graph_def.node}
    last = [nodes.pop(name) for name in ends]
    return with_nodes(graph_def, [*nodes.values(), *last])


def _output_names(outputs: Any) -> dict[Any, str]:
    """Tensor (or its name, or a reference to it) -> name in the file."""
    if isinstance(outputs, Mapping):
        return dict(outputs)
    return {tensor.ref() if hasattr(tensor, "ref") else tensor: _plain_name(_tensor_name(tensor)) for tensor in outputs}


def _tensor_name(tensor: Any) -> str:
    """The name of a tensor, given by itself, a reference to it (`tensor.ref()`), or its name."""
    if hasattr(tensor, "deref"):
        tensor = tensor.deref()
    name = tensor if isinstance(tensor, str) else tensor.name
    return str(name)


def _plain_name(name: str) -> str:
    """The name without `:0`; `:1` becomes `_1`."""
    return name.removesuffix(":0").replace(":", "_")


def _type_number(key: Any, graph_def: Any) -> int:
    tensor = key.deref() if hasattr(key, "deref") else key
    if isinstance(tensor, str):
        tensor = import_graph_def(graph_def).get_tensor_by_name(tensor if ":" in tensor else f"{tensor}:0")
    return int(tensor.dtype.base_dtype.as_datatype_enum)
