"""SavedModel folders and Keras files, frozen by TensorFlow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ...errors import FileError, FormatError, NnefToolsError
from .graphdef.export import concrete_function, frozen_function
from .graphdef.node_names import Names
from .graphdef.tensorflow import require_tensorflow

_DEFAULT = "serving_default"


def freeze_file(path: Path) -> bytes:
    """The serialized GraphDef of a SavedModel folder (of its signature for serving), a `.keras` or a `.h5` file.

    Inputs and outputs have the names of the signature. Raises FileError, FormatError, MissingPackageError.
    """
    if not path.exists():
        raise FileError("there is no such file", where=str(path))
    tf = require_tensorflow(f"to read '{path.name}': only frozen graphs (.pb) can be read without it,")
    try:
        graph_def = _frozen_folder(path, tf) if path.is_dir() else _frozen_file(path, tf)
    except NnefToolsError:
        raise
    except Exception as error:  # TensorFlow and Keras raise classes of all kinds
        reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise FormatError(f"TensorFlow cannot load the model: {reason}", where=str(path)) from error
    data: bytes = graph_def.SerializeToString(deterministic=True)
    return data


def _frozen_file(path: Path, tf: Any) -> Any:
    model = tf.keras.models.load_model(path, compile=False)  # kept here, since functions do not own their variables
    return frozen_function(concrete_function(model))[0]


def _frozen_folder(path: Path, tf: Any) -> Any:
    try:
        model = tf.saved_model.load(str(path))
    except Exception as error:  # TensorFlow raises classes of all kinds; older models load the other way
        try:
            return _frozen_session(path, tf)
        except NnefToolsError:
            raise
        except Exception:  # of whatever kind: the reason that counts is the one of today's loader
            raise error from None
    function = _signature(dict(model.signatures), path)
    keys = function.structured_outputs
    inputs = [tensor.op.name for tensor in function.inputs]
    return frozen_function(function, _output_names(sorted(keys), inputs) if isinstance(keys, dict) else None)[0]


def _frozen_session(path: Path, tf: Any) -> Any:
    """Only the graph and the variables, as TensorFlow 1 has them. TensorFlow does not know the objects of all models
    that its older versions have saved, such as the optimizers of Keras 2.
    """
    tf1 = tf.compat.v1
    with tf.Graph().as_default() as graph, tf1.Session() as session:
        content = tf1.saved_model.loader.load(session, ["serve"], str(path))
        signature = _signature(dict(content.signature_def), path)
        inputs, outputs = dict(signature.inputs), dict(signature.outputs)
        feeds = [inputs[key].name for key in sorted(inputs)]
        fetches = [outputs[key].name for key in sorted(outputs)]
        nodes = [name.partition(":")[0] for name in feeds + fetches]
        graph_def = tf1.graph_util.convert_variables_to_constants(session, graph.as_graph_def(), nodes)
    names = _output_names(sorted(outputs), nodes[: len(feeds)])
    function = tf1.wrap_function(lambda: tf1.import_graph_def(graph_def, name=""), []).prune(feeds, fetches)
    return frozen_function(function, names)[0]  # puts functions in where they are called


def _output_names(keys: Iterable[str], taken: Iterable[str]) -> list[str]:
    """The names of outputs, which differ from those that are taken."""
    names, known = Names(), set(taken)
    wanted = [names.take(key) for key in keys]
    return [f"{name}_output" if name in known else name for name in wanted]


def _signature(signatures: Mapping[str, Any], path: Path) -> Any:
    if _DEFAULT in signatures:
        return signatures[_DEFAULT]
    if len(signatures) == 1:
        return next(iter(signatures.values()))
    raise FormatError(
        f"the SavedModel has {len(signatures)} signatures, and none is called '{_DEFAULT}'",
        where=str(path),
        hint="save it with a signature, as model.export(..) of Keras does",
    )
