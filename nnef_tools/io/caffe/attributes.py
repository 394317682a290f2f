"""The attributes of an operation: the fields of its layer's parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...dialects.caffe.layers import LAYERS
from ..protobuf import Message
from .schema import FIRST_PARAMETER, GENERAL

_ONLY_FOR_TRAINING = frozenset(
    (
        *("engine", "force_nd_im2col", "stable_prod_grad", "moving_average_fraction", "momentum", "frozen"),
        *("debug_info", "share_in_parallel", "dropout_ratio", "visualize", "visualize_threshold", "save_file"),
    )
)
"""Fields that say how something is computed or trained, not what."""


def attributes(layer: Message) -> tuple[dict[str, Any], list[str]]:
    """The attributes of a layer, and the names of parameters that its type does not have.

    The fields of nested messages are among the others, enumerations are names, shapes lists. A layer of an unknown type
    has the fields of all its parameters.
    """
    known = LAYERS.get(layer["type"])
    result: dict[str, Any] = {}
    surplus = []
    for name, value in layer.items():
        field = layer.type.by_name.get(name)
        if name in GENERAL or (field is not None and field.number < FIRST_PARAMETER):
            continue
        if known is not None and name != known.parameter:
            surplus += [name] if field is not None else []  # the reader has told of what it does not know
            continue
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, Message):
                _flatten(item, result)
            else:
                result[name] = _plain(item)
    return result, surplus


def _flatten(message: Message, result: dict[str, Any]) -> None:
    for name, value in message.items():
        field = message.type.by_name.get(name)
        if name in _ONLY_FOR_TRAINING or name.endswith("filler") or name == "save_output_param":
            continue
        if field is None:  # as it is written
            items = [_plain(item) for item in value]
            result[name] = items[0] if len(items) == 1 else items
        elif field.kind == "enum":
            names = {number: key for key, number in field.values.items()}
            result[name] = [names.get(v, v) for v in value] if field.repeated else names.get(value, value)
        elif field.kind != "message":
            result[name] = _plain(value)
        elif field.message is not None and field.message.name == "BlobShape" and not field.repeated:
            result[name] = list(value["dim"])
        elif not field.repeated:
            _flatten(value, result)


def _plain(value: Any) -> Any:
    """The value as an attribute of a graph; numbers of single precision are the shortest ones that are equal."""
    if isinstance(value, Message):
        return {key: _plain(item[0] if len(item) == 1 else item) for key, item in value.items()}
    if isinstance(value, (list, np.ndarray)):
        return [_plain(item) for item in value]
    if isinstance(value, (bytes, memoryview)):
        return bytes(value).decode("utf-8", "replace")
    if isinstance(value, (np.floating, float)):
        return float(str(np.float32(value)))
    return value


def data_changes(layer: Message, parameter: str) -> str:
    """What a layer for data does to the values that it reads: empty if it gives them as they are."""
    own: Mapping[str, Any] = layer[parameter] or {}
    changed: Mapping[str, Any] = layer["transform_param"] or {}
    parts = []
    mean = changed.get("mean_file") or own.get("mean_file") or _plain(changed.get("mean_value", []))
    if mean:
        parts.append(f"subtracts the mean {mean}")
    scale = _plain(changed.get("scale", own.get("scale", 1.0)))
    if scale != 1:
        parts.append(f"multiplies by {scale}")
    return " and ".join(parts)


def data_shapes(layer: Message, parameter: str) -> list[list[int | None] | None]:
    """The shapes of the results of a layer that reads data, as far as its parameters tell them."""
    own: Mapping[str, Any] = layer[parameter] or {}
    changed: Mapping[str, Any] = layer["transform_param"] or {}
    batch = own.get("batch_size")
    if parameter == "memory_data_param":
        extents = [own.get(name) for name in ("channels", "height", "width")]
        return [[batch, *extents], [batch]]
    size = changed.get("crop_size") or own.get("crop_size") or None
    height, width = changed.get("crop_h") or size, changed.get("crop_w") or size
    if parameter == "image_data_param":
        height, width = height or own.get("new_height") or None, width or own.get("new_width") or None
        return [[batch, 3 if own.get("is_color", True) else 1, height, width], [batch]]
    return [[batch, None, height, width] if height else None, [batch]]
