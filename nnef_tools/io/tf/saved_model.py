"""SavedModel folders and Keras files, frozen by TensorFlow."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from ...dialects.tf.node_names import Names
from ...errors import FileError, FormatError, NnefToolsError, UsageError
from .graphdef.export import concrete_function, frozen_function
from .graphdef.graph_edit import rename_nodes, with_first
from .graphdef.tensorflow import require_tensorflow

_DEFAULT = "serving_default"
_SAVE_WITH_SIGNATURE = f"save it with a signature called '{_DEFAULT}', as model.export(..) of Keras does"

MAX_METADATA = 1 << 16
"""The most bytes of the metadata in a `.keras` file that are read."""


def freeze_file(path: Path, signature: str | None = None) -> tuple[bytes, list[str]]:
    """The serialized GraphDef of a SavedModel folder, a `.keras` or a `.h5` file.

    signature: of a SavedModel, by default that for serving or the only one.
    Also the names of its outputs, in order. Inputs and outputs have the names of the signature, or of a Keras model:
    the keys of its dict of outputs, else the names of the layers that make them. A signature has no order, so that its
    names are sorted, by the numbers in them where these differ. Raises FileError, FormatError, UsageError,
    MissingPackageError.
    """
    if not path.exists():
        raise FileError("there is no such file", where=str(path))
    for file in path.rglob("*") if path.is_dir() else (path,):
        if not file.is_file() and not file.is_dir():  # TensorFlow would wait for a pipe or device for ever
            raise FileError("not a plain file, but a pipe or device", where=str(file))
    tf = require_tensorflow(f"to read '{path.name}': only frozen graphs (.pb) can be read without it,")
    try:
        graph_def, outputs = _frozen_folder(path, signature, tf) if path.is_dir() else _frozen_file(path, tf)
    except NnefToolsError:
        raise
    except Exception as error:  # TensorFlow and Keras raise classes of all kinds
        raise FormatError(f"TensorFlow cannot load the model: {_first_line(error)}", where=str(path)) from error
    data: bytes = graph_def.SerializeToString(deterministic=True)
    return data, outputs


def _first_line(error: Exception) -> str:
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)


def _frozen_file(path: Path, tf: Any) -> tuple[Any, list[str]]:
    model = _load_keras(path, tf)  # kept here, since functions do not own their variables
    function = concrete_function(model)
    return _named(function, _keras_names(model, function.structured_outputs))


def _load_keras(path: Path, tf: Any) -> Any:
    """The model in a Keras file; one of Keras 2 that Keras 3 cannot load is loaded by tf_keras, if it is installed."""
    version = _keras_version(path)
    try:
        return tf.keras.models.load_model(path, compile=False)
    except Exception as error:  # Keras raises classes of all kinds
        if not version.startswith("2.") or tf.keras.__version__.startswith("2."):
            raise
        reason = _first_line(error)
    try:
        tf_keras = import_module("tf_keras")
    except ImportError as error:
        raise FormatError(
            f"the model is of Keras {version}, and Keras {tf.keras.__version__} cannot load it: {reason}",
            where=str(path),
            hint="pip install tf_keras, which is Keras 2 for this TensorFlow; it is used if it is installed",
        ) from error
    return tf_keras.models.load_model(path, compile=False)


def _keras_version(path: Path) -> str:
    """The version of Keras that wrote the file, '' if that is not known. FormatError for a file of weights only."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if "metadata.json" not in archive.namelist():
                return ""
            with archive.open("metadata.json") as file:
                return str(json.loads(file.read(MAX_METADATA)).get("keras_version", ""))
    import h5py  # type: ignore[import-untyped, unused-ignore]

    with h5py.File(path) as content:
        if "model_config" not in content.attrs:
            raise FormatError(
                "the file has weights only, not the layers that they belong to",
                where=str(path),
                hint="make the model in Python, model.load_weights(..), and save all of it: model.save('model.keras')",
            )
        version = content.attrs.get("keras_version", "")
        return version.decode() if isinstance(version, bytes) else str(version)


def _frozen_folder(path: Path, name: str | None, tf: Any) -> tuple[Any, list[str]]:
    try:
        model = tf.saved_model.load(str(path))
    except Exception as error:  # TensorFlow raises classes of all kinds; older models load the other way
        try:
            return _frozen_session(path, name, tf)
        except NnefToolsError:
            raise
        except Exception:  # any class: the error of the current loader is the one to report
            raise error from None
    function = _signature(dict(model.signatures), name, path)
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


def _frozen_session(path: Path, name: str | None, tf: Any) -> tuple[Any, list[str]]:
    """Loads only graph and variables, as TensorFlow 1 does. TensorFlow does not know the objects of all models
    that its older versions have saved, such as the optimizers of Keras 2.
    """
    tf1 = tf.compat.v1
    with tf.Graph().as_default() as graph, tf1.Session() as session:
        content = tf1.saved_model.loader.load(session, ["serve"], str(path))
        signature = _signature(dict(content.signature_def), name, path)
        inputs, outputs = dict(signature.inputs), dict(signature.outputs)
        feeds = [inputs[key].name for key in sorted(inputs, key=_by_number)]
        fetches = [outputs[key].name for key in sorted(outputs, key=_by_number)]
        nodes = [name.partition(":")[0] for name in feeds + fetches]
        graph_def = tf1.graph_util.convert_variables_to_constants(session, graph.as_graph_def(), nodes)
    function = tf1.wrap_function(lambda: tf1.import_graph_def(graph_def, name=""), []).prune(feeds, fetches)
    keys: list[str] = sorted(outputs, key=_by_number)
    return _named(function, keys)  # puts functions in where they are called


def _signature(signatures: Mapping[str, Any], name: str | None, path: Path) -> Any:
    """The signature of that name, or else the one for serving, or the only one."""
    listed = ", ".join(f"'{key}'" for key in sorted(signatures)) or "none"
    if name is not None:
        if name not in signatures:
            raise UsageError(f"the SavedModel has no signature '{name}'", where=str(path), hint=f"it has {listed}")
        return signatures[name]
    if _DEFAULT in signatures:
        return signatures[_DEFAULT]
    if len(signatures) == 1:
        return next(iter(signatures.values()))
    if not signatures:
        raise FormatError("the SavedModel has no signature", where=str(path), hint=_SAVE_WITH_SIGNATURE)
    raise FormatError(
        f"the SavedModel has {len(signatures)} signatures, and none is called '{_DEFAULT}': {listed}",
        where=str(path),
        hint=f"choose one with --signature, as in nnef-tools convert {path.name} --signature {min(signatures)}",
    )
