"""From files to the messages of nets: text and binary, of all versions of the format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ...dialects.caffe.layers import FORKS, LAYERS
from ...errors import FormatError
from ..mapped import Bytes, read_file
from ..protobuf import Message, MessageType, decode, parse_text
from ..protobuf.wire import BYTES, fields
from .schema import FIRST_PARAMETER, GENERAL, plain_layer, schema
from .upgrade import upgraded

MAX_TEXT = 1 << 28
"""Bytes of a net as text; the largest published ones have 1 MB."""

HDF5 = b"\x89HDF\r\n\x1a\n"

_DAMAGED = "the file is damaged or truncated, or not a Caffe net"
_SOLVER = ("base_lr", "lr_policy", "max_iter", "solver_mode", "train_net", "net", "net_param")


@dataclass(frozen=True)
class Net:
    """A net as a file has it, its layers as present versions write them.

    message: NetParameter. unknown: what the schema does not know, for a warning.
    """

    message: Message
    layers: Sequence[Message]
    unknown: tuple[str, ...]

    @property
    def blobs(self) -> dict[str, Sequence[Message]]:
        """The name of each layer that has weights -> these."""
        return {layer["name"]: layer["blobs"] for layer in self.layers if layer["blobs"]}


def parse_file(path: Path) -> Net:
    """The net of a file, whose weights stay in it. FileError; FormatError, with line and column for text."""
    data = read_file(path)
    try:
        return _parse_text(data, path) if is_text(data) else _parse_binary(data)
    except FormatError as error:
        if error.where and error.where.startswith(str(path)):
            raise
        where = f"{path}: {error.where}" if error.where else str(path)
        raise FormatError(error.message, error.details, where=where, hint=error.hint or _DAMAGED) from error


def is_text(data: Bytes) -> bool:
    """Is a file a text? Binary nets have bytes below the space near their begin."""
    head = bytes(data[:4096])
    return not any(byte < 32 and byte not in b"\t\n\v\f\r" for byte in head)


def _parse_text(data: Bytes, path: Path) -> Net:
    if len(data) > MAX_TEXT:
        raise FormatError(f"the text has {len(data):,} bytes, more than a net can have")
    try:
        text = bytes(data).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FormatError(f"the text is not UTF-8: {error}") from error
    message = parse_text(text, schema()["NetParameter"], str(path), keep_unknown=True)
    strange = [name for name in message if name not in message.type.by_name]
    if any(name in _SOLVER for name in strange):
        nets = [str(value, "utf-8", "replace") for name in ("net", "train_net") for value in message.get(name, ())
                if isinstance(value, bytes)]  # fmt: skip
        named = f": '{nets[0]}'" if nets else ""
        raise FormatError("these are the settings of a training, not a net", hint=f"give the net that they name{named}")
    unknown = [f"field '{name}' of the net" for name in strange]
    layers = _layers(message, message["layer"])
    for layer in layers:
        known = LAYERS.get(layer["type"])
        strange = [name for name in layer if name not in layer.type.by_name] if known is not None else []
        unknown += [f"field '{name}' of layer '{layer['name']}' ({layer['type']})" for name in strange]
    return Net(message, layers, tuple(unknown))


def _layers(message: Message, layers: Sequence[Message]) -> list[Message]:
    if message["layers"] and layers:
        raise FormatError("the net has layers of two versions, 'layer' and 'layers'")
    return upgraded(message["layers"]) if message["layers"] else list(layers)


def _parse_binary(data: Bytes) -> Net:
    if bytes(data[:8]) == HDF5:
        raise FormatError(
            "the net is saved as HDF5, which cannot be read",
            hint="save it with snapshot_format: BINARYPROTO, or net.save in Python",
        )
    unknown: set[str] = set()
    message = decode(data.data, _net_of_bytes(), unknown)
    names = [f"field {name.rpartition('.')[2]} of {name.rpartition('.')[0]}" for name in sorted(unknown)]
    layers = []
    for content in message["layer"]:
        layer, strange = _layer(content)
        layers.append(layer)
        names += [f"{name} of layer '{layer['name']}' ({layer['type']})" for name in strange]
    if not layers and not message["layers"]:
        raise FormatError("the file has no layers")
    return Net(message, _layers(message, layers), tuple(names))


def _net_of_bytes() -> MessageType:
    """A net whose layers are not decoded yet."""
    result = MessageType("NetParameter")
    for field in schema()["NetParameter"].by_number.values():
        result.add(replace(field, kind="bytes", message=None) if field.name == "layer" else field)
    return result


def _layer(content: memoryview) -> tuple[Message, list[str]]:
    """A layer, and what of it is not known. The parameters of forks have different numbers in different forks."""
    type = schema()["LayerParameter"]
    layer = decode(content, plain_layer())
    layer.type = type
    if layer["type"] in FORKS:
        return layer, _decode_fork(content, layer)
    unknown: set[str] = set()
    result = decode(content, type, unknown)
    if layer["type"] not in LAYERS:  # a field may mean something else, or be nothing that can be read
        return result, []
    return result, [f"field {name.rpartition('.')[2]} of {name.rpartition('.')[0]}" for name in sorted(unknown)]


def _decode_fork(content: memoryview, layer: Message) -> list[str]:
    """Adds the parameters of a layer of a fork: its only field with such a number. FormatError if there are several."""
    parameter = FORKS[layer["type"]].parameter
    general = {layer.type.by_name[name].number for name in GENERAL}
    found = [
        (number, content[payload:stop])
        for number, wire, _, payload, stop in fields(content, "LayerParameter", 0, len(content))
        if wire == BYTES and number >= FIRST_PARAMETER and number not in general
    ]
    if not found:
        return []
    if parameter is None:
        return [f"field {number}" for number, _ in found]
    own = layer.type.by_name[parameter]
    exact = [payload for number, payload in found if number == own.number]
    payloads = exact or [payload for _, payload in found]
    if len(payloads) > 1:
        raise FormatError(
            f"a layer of type {layer['type']} has parameters in several fields: "
            f"{', '.join(str(number) for number, _ in found)}",
            where=f"layer '{layer['name']}'",
            hint="give the prototxt, and this file as its --weights",
        )
    assert own.message is not None
    unknown: set[str] = set()
    layer[parameter] = decode(payloads[0], own.message, unknown)
    return sorted(unknown)
