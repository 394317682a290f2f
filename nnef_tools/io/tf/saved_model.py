"""SavedModel folders and Keras files, frozen by TensorFlow."""

from __future__ import annotations

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
        # The model must be kept, since functions do not own their variables.
        model = tf.saved_model.load(str(path)) if path.is_dir() else tf.keras.models.load_model(path, compile=False)
        function = _signature(model, path) if path.is_dir() else concrete_function(model)
        names = Names()
        keys = function.structured_outputs
        wanted = [names.take(key) for key in sorted(keys)] if isinstance(keys, dict) else None
        taken = {tensor.op.name for tensor in function.inputs}
        if wanted is not None and taken & set(wanted):
            wanted = [f"{name}_output" if name in taken else name for name in wanted]
        graph_def, _ = frozen_function(function, wanted)
    except NnefToolsError:
        raise
    except Exception as error:  # TensorFlow and Keras raise classes of all kinds
        reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise FormatError(f"TensorFlow cannot load the model: {reason}", where=str(path)) from error
    data: bytes = graph_def.SerializeToString(deterministic=True)
    return data


def _signature(model: Any, path: Path) -> Any:
    signatures = dict(model.signatures)
    if _DEFAULT in signatures:
        return signatures[_DEFAULT]
    if len(signatures) == 1:
        return next(iter(signatures.values()))
    raise FormatError(
        f"the SavedModel has {len(signatures)} signatures, and none is called '{_DEFAULT}'",
        where=str(path),
        hint="save it with a signature, as model.export(..) of Keras does",
    )
