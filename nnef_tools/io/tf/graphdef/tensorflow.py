"""TensorFlow itself, imported when it is needed."""

from __future__ import annotations

from typing import Any

from ....errors import MissingPackageError


def require_tensorflow(purpose: str) -> Any:
    """The package. Raises MissingPackageError if it is not installed."""
    try:
        import tensorflow
    except ImportError as error:
        raise MissingPackageError("tensorflow", purpose, "tf") from error
    return tensorflow


def graph_def_class() -> Any:
    """The message class GraphDef of TensorFlow."""
    require_tensorflow("to export graphs")
    from tensorflow.core.framework.graph_pb2 import GraphDef

    return GraphDef
