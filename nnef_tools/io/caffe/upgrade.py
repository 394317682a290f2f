"""Layers of old files as present ones: of 2013 (V0), which hold another message, and of 2014 (V1), with other types."""

from __future__ import annotations

from collections.abc import Sequence

from ...dialects.caffe.layers import V0_TYPES, V1_TYPES
from ...errors import FormatError
from ..protobuf import Message
from .schema import schema

_V1_NAMES = {number: name for name, number in schema()["V1LayerParameter"].by_name["type"].values.items()}

# Fields of V0 layers -> those of the parameters of each type.
_CONV = {
    "num_output": "num_output", "biasterm": "bias_term", "pad": "pad", "kernelsize": "kernel_size", "group": "group",
    "stride": "stride",
}  # fmt: skip
_SOURCE = {"source": "source", "batchsize": "batch_size"}
_CROPPED = {"scale": "scale", "meanfile": "mean_file", "cropsize": "crop_size", "mirror": "mirror"}
_V0_FIELDS = {
    "conv": {"convolution_param": _CONV},
    "im2col": {"convolution_param": _CONV},
    "innerproduct": {"inner_product_param": {"num_output": "num_output", "biasterm": "bias_term"}},
    "pool": {"pooling_param": {"pool": "pool", "pad": "pad", "kernelsize": "kernel_size", "stride": "stride"}},
    "dropout": {"dropout_param": {"dropout_ratio": "dropout_ratio"}},
    "lrn": {"lrn_param": {"local_size": "local_size", "alpha": "alpha", "beta": "beta", "k": "k"}},
    "concat": {"concat_param": {"concat_dim": "concat_dim"}},
    "data": {"data_param": _SOURCE, "transform_param": _CROPPED},
    "images": {
        "image_data_param": {**_SOURCE, "new_height": "new_height", "new_width": "new_width"},
        "transform_param": _CROPPED,
    },
    "window_data": {"window_data_param": _SOURCE, "transform_param": _CROPPED},
    "hdf5_data": {"hdf5_data_param": _SOURCE},
}
_UNNEEDED = frozenset(
    (
        *("name", "type", "weight_filler", "bias_filler", "blobs", "blobs_lr", "weight_decay", "rand_skip"),
        *("det_fg_threshold", "det_bg_threshold", "det_fg_fraction", "det_context_pad", "det_crop_mode"),
        *("new_num", "new_channels", "shuffle_images", "hdf5_output_param", "axis", "source"),
    )
)


def upgraded(layers: Sequence[Message]) -> list[Message]:
    """The layers as LayerParameter messages. FormatError for unknown types."""
    paddings: dict[str, tuple[str, int]] = {}
    result = []
    for layer in layers:
        old = layer["layer"]
        if old is not None and old["type"] == "padding":
            if len(layer["bottom"]) != 1 or len(layer["top"]) != 1:
                raise FormatError("a padding layer must have one bottom and one top", where=f"layer '{old['name']}'")
            paddings[layer["top"][0]] = layer["bottom"][0], old["pad"]
        else:
            result.append(_from_v1(layer) if old is None else _from_v0(layer, old, paddings))
    return result


def _from_v1(layer: Message) -> Message:
    type = V1_TYPES.get(_V1_NAMES.get(layer["type"], ""), "")
    if not type:
        raise FormatError(f"unknown type {layer['type']} of a layer", where=f"layer '{layer['name']}'")
    result = schema()["LayerParameter"](type=type, param=_named(layer["param"]))
    for name, value in layer.items():
        if name in result.type.by_name and name not in ("type", "param"):
            result[name] = value
        elif name not in layer.type.by_name:
            result[name] = value  # kept for the message that it is not known
    return result


def _named(names: Sequence[str]) -> list[Message]:
    return [schema()["ParamSpec"](name=name) for name in names]


def _from_v0(layer: Message, old: Message, paddings: dict[str, tuple[str, int]]) -> Message:
    name, kind = old["name"], old["type"]
    where = f"layer '{name}'"
    if kind not in V0_TYPES:
        raise FormatError(f"unknown type '{kind}' of a layer", where=where)
    result = schema()["LayerParameter"](
        name=name, type=V0_TYPES[kind], bottom=list(layer["bottom"]), top=list(layer["top"]), blobs=old["blobs"]
    )
    groups = _V0_FIELDS.get(kind, {})
    for parameter, fields in groups.items():
        message_type = result.type.by_name[parameter].message
        assert message_type is not None
        result[parameter] = message_type()
        for own, new in fields.items():
            if own in old:
                field = message_type.by_name[new]
                result[parameter][new] = [old[own]] if field.repeated else old[own]
    used = {own for fields in groups.values() for own in fields} | _UNNEEDED
    unused = sorted(old.keys() - used)
    if unused:
        raise FormatError(f"a layer of type '{kind}' has no parameter '{unused[0]}'", where=where)
    for k, bottom in enumerate(layer["bottom"]):
        if bottom in paddings:
            result["bottom"][k], pad = paddings[bottom]
            _add_padding(result, pad, where)
    return result


def _add_padding(layer: Message, pad: int, where: str) -> None:
    """Puts the padding of a layer of its own into the following convolution or pooling."""
    if layer["type"] == "Convolution":
        layer["convolution_param"]["pad"] = [pad]
    elif layer["type"] == "Pooling":
        layer["pooling_param"]["pad"] = pad
    else:
        raise FormatError("a padding layer must be followed by a convolution or pooling", where=where)
