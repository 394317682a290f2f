"""TensorFlow itself, imported when it is needed."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from ....errors import MissingPackageError


def require_tensorflow(purpose: str) -> Any:
    """The package. Raises MissingPackageError if it is not installed."""
    try:
        import tensorflow
    except ImportError as error:
        raise MissingPackageError("tensorflow", purpose, "tf") from error
    return tensorflow


# Modules of tensorflow.core.framework that define the messages of a GraphDef.
_MODULES = ("graph", "node_def", "attr_value", "tensor", "tensor_shape", "types", "function", "op_def", "versions")


def message_class(name: str) -> Any:
    """A message class or enumeration of a GraphDef, by its name; None if there is none of that name."""
    require_tensorflow("for the messages of GraphDef files")
    modules = (import_module(f"tensorflow.core.framework.{module}_pb2") for module in _MODULES)
    return next((getattr(module, name) for module in modules if hasattr(module, name)), None)


def graph_def_class() -> Any:
    """The message class GraphDef of TensorFlow."""
    require_tensorflow("to export graphs")
    from tensorflow.core.framework.graph_pb2 import GraphDef

    return GraphDef
