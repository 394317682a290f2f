"""SavedModel folders and Keras files, frozen by TensorFlow."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...dialects.tf.node_names import Names
from ...errors import FileError, FormatError, NnefToolsError
from .graphdef.export import concrete_function, frozen_function
from .graphdef.graph_edit import rename_nodes, with_first
from .graphdef.tensorflow import require_tensorflow

_DEFAULT = "serving_default"
_SAVE_WITH_SIGNATURE = f"save it with a signature called '{_DEFAULT}', as model.export(..) of Keras does"


def freeze_file(path: Path) -> tuple[bytes, list[str]]:
    """The serialized GraphDef of a SavedModel folder (of its signature for serving), a `.keras` or a `.h5` file.

    Also the names of its outputs, in order. Inputs and outputs have the names of the signature, or of a Keras model:
    the keys of its dict of outputs, else the names of the layers that make them. A signature has no order, so that its
    names are sorted, by the numbers in them where these differ. Raises FileError, FormatError, MissingPackageError.
    """
    if not path.exists():
        raise FileError("there is no such file", where=str(path))
    for file in path.rglob("*") if path.is_dir() else (path,):
        if not file.is_file() and not file.is_dir():  # TensorFlow would wait for a pipe or device for ever
            raise FileError("not a plain file, but a pipe or device", where=str(file))
    tf = require_tensorflow(f"to read '{path.name}': only frozen graphs (.pb) can be read without it,")
    try:
        graph_def, outputs = _frozen_folder(path, tf) if path.is_dir() else _frozen_file(path, tf)
    except NnefToolsError:
        raise
    except Exception as error:  # TensorFlow and Keras raise classes of all kinds
        reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise FormatError(f"TensorFlow cannot load the model: {reason}", where=str(path)) from error
    data: bytes = graph_def.SerializeToString(deterministic=True)
    return data, outputs


def _frozen_file(path: Path, tf: Any) -> tuple[Any, list[str]]:
    model = tf.keras.models.load_model(path, compile=False)  # kept here, since functions do not own their variables
    function = concrete_function(model)
    return _named(function, _keras_names(model, function.structured_outputs))


def _frozen_folder(path: Path, tf: Any) -> tuple[Any, list[str]]:
    try:
        model = tf.saved_model.load(str(path))
    except Exception as error:  # TensorFlow raises classes of all kinds; older models load the other way
        try:
            return _frozen_session(path, tf)
        except NnefToolsError:
            raise
        except Exception:  # any class: the error of the current loader is the one to report
            raise error from None
    function = _signature(dict(model.signatures), path)
    keys: list[str] = sorted(function.structured_outputs)  # the order of tf.nest
    graph_def, names = _named(function, keys)
    by_key = dict(zip(keys, names, strict=True))
    inputs: list[str] = sorted(function.structured_input_signature[1], key=_by_number)
    return with_first(graph_def, inputs), [by_key[key] for key in sorted(keys, key=_by_number)]


def _named(function: Any, wanted: Sequence[str | None]) -> tuple[Any, list[str]]:
    """The frozen function and the names of the nodes of its outputs: those that are wanted, as far as they are free.

    Only inputs keep a name from an output, which then gets another one; inner nodes are renamed.
    """
    # No node can have this name already.
    graph_def, temporary = frozen_function(function, [f"\0{k}" for k in range(len(function.outputs))])
    inputs = {node.name for node in graph_def.node if node.op == "Placeholder"}
    found = [*wanted, *[None] * len(temporary)][: len(temporary)]
    names = Names()
    plain = [names.take(name or "output") for name in found]
    outputs = [names.take(f"{name}_output") if name in inputs else name for name in plain]
    rename_nodes(graph_def, dict(zip(temporary, outputs, strict=True)))
    return graph_def, outputs


def _keras_names(model: Any, structure: Any) -> list[str | None]:
    """Names for the outputs of a model, in the order of tf.nest."""
    paths = list(_paths(structure, ()))
    if any(isinstance(key, str) for path in paths for key in path):
        return ["_".join(map(str, path)) for path in paths]
    names = getattr(model, "output_names", None)
    if isinstance(names, (list, tuple)) and len(names) == len(paths):
        return list(names)
    layers = getattr(model, "layers", None)
    return [layers[-1].name if layers and len(paths) == 1 else None] * len(paths)


def _paths(structure: Any, path: tuple[Any, ...]) -> Iterable[tuple[Any, ...]]:
    """The way to each leaf of a structure of results."""
    if isinstance(structure, Mapping):
        for key in sorted(structure):
            yield from _paths(structure[key], (*path, str(key)))
    elif isinstance(structure, (list, tuple)):
        keys = getattr(structure, "_fields", range(len(structure)))
        for key, item in zip(keys, structure, strict=True):
            yield from _paths(item, (*path, key))
    elif structure is not None:
        yield path


def _by_number(name: str) -> list[tuple[int, str]]:
    """Sorts `output_2` before `output_10`."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name) if part]


def _frozen_session(path: Path, tf: Any) -> tuple[Any, list[str]]:
    """Loads only graph and variables, as TensorFlow 1 does. TensorFlow does not know the objects of all models
    that its older versions have saved, such as the optimizers of Keras 2.
    """
    tf1 = tf.compat.v1
    with tf.Graph().as_default() as graph, tf1.Session() as session:
        content = tf1.saved_model.loader.load(session, ["serve"], str(path))
        signature = _signature(dict(content.signature_def), path)
        inputs, outputs = dict(signature.inputs), dict(signature.outputs)
        feeds = [inputs[key].name for key in sorted(inputs, key=_by_number)]
        fetches = [outputs[key].name for key in sorted(outputs, key=_by_number)]
        nodes = [name.partition(":")[0] for name in feeds + fetches]
        graph_def = tf1.graph_util.convert_variables_to_constants(session, graph.as_graph_def(), nodes)
    function = tf1.wrap_function(lambda: tf1.import_graph_def(graph_def, name=""), []).prune(feeds, fetches)
    keys: list[str] = sorted(outputs, key=_by_number)
    return _named(function, keys)  # puts functions in where they are called


def _signature(signatures: Mapping[str, Any], path: Path) -> Any:
    if _DEFAULT in signatures:
        return signatures[_DEFAULT]
    if len(signatures) == 1:
        return next(iter(signatures.values()))
    if not signatures:
        raise FormatError("the SavedModel has no signature", where=str(path), hint=_SAVE_WITH_SIGNATURE)
    listed = ", ".join(f"'{name}'" for name in sorted(signatures))
    raise FormatError(
        f"the SavedModel has {len(signatures)} signatures, and none is called '{_DEFAULT}': {listed}",
        where=str(path),
        hint=_SAVE_WITH_SIGNATURE,
    )
