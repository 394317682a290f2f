"""From the messages of a net to a Graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...budget import ask_constant
from ...dialects.caffe.layers import FEEDING, JUDGING, LAYERS, REPLACED, Blob
from ...errors import FormatError, UsageError
from ...model.graph import Graph, Operation, Tensor
from ..protobuf import Message
from .attributes import attributes, data_changes, data_shapes
from .blobs import Array, to_array
from .parse import Net
from .select import selected

InputShapes = Mapping[str, Sequence[int | None]]
Extents = Sequence[int | None]

_FOR_EACH = ("Convolution", "Deconvolution", "ConvolutionDepthwise", "DepthwiseConvolution")
"""Types of layers that do the same to each of several bottoms."""

_FREE_OF_WEIGHTS = ("Scale", "Bias")
"""Types of layers that have no weights if a second bottom takes their place."""


def build_graph(net: Net, weights: Net | None, input_shapes: InputShapes) -> tuple[Graph, list[str]]:
    """The graph of a net and warnings about it. weights: what has its blobs, None for the net itself.

    FormatError for a net that Caffe would not take; UsageError for shapes of inputs that there are not.
    """
    builder = _Builder(net, weights, input_shapes)
    builder.build()
    return builder.graph, builder.warnings


class _Builder:
    """values: name of a blob -> its present tensor. last: name of a blob -> the layer that gives it its last value."""

    def __init__(self, net: Net, weights: Net | None, input_shapes: InputShapes) -> None:
        self.graph = Graph(net.message["name"] or None)
        self.warnings = [f"{name} is not known, and left out" for name in net.unknown]
        self._net = net
        self._blobs = (weights or net).blobs
        self._has_file = weights is not None
        self._shapes = dict(input_shapes)
        self._values: dict[str, Tensor] = {}
        self._used: set[Tensor] = set()
        self._fed: list[Tensor] = []  # inputs that a layer for data gives
        self._owners: dict[str, Tensor] = {}
        self._names: set[str] = set()

    def build(self) -> None:
        layers = selected(self._net.message, self._net.layers)
        self._last = {top: k for k, layer in enumerate(layers) for top in layer["top"]}
        self._check_weights(layers)
        inputs = self._declared_inputs()
        # a net that was saved in training has data for that phase only
        fed = {
            top: layer
            for layer in self._net.layers
            if layer["type"] in FEEDING
            for top in layer["top"]
            if top not in self._last
        }
        left_out = []
        for k, layer in enumerate(layers):
            for name in sorted(fed.keys() & set(layer["bottom"]) - self._values.keys()):
                inputs.append(self._input(name, None))
                self._fed.append(inputs[-1])
                self._tell_of_changes(fed[name], name)
            if layer["type"] in JUDGING:
                left_out.append(f"'{layer['name']}' ({layer['type']})")
            elif not self._make_source(k, layer, inputs):
                self._add(k, layer)
        if left_out:
            text = "layers that compare results with labels, or write them, are left out"
            self.warnings.append(f"{text}: {', '.join(left_out)}")
        ends = sorted(self._values.items())  # Caffe's order
        outputs = [tensor for _, tensor in ends if tensor not in self._used and tensor not in inputs]
        if not outputs:
            raise FormatError("the net has no outputs")
        idle = [t for t in self._fed if not t.has_consumer]
        if idle:
            self.warnings.append(f"data that nothing needs is left out: {', '.join(str(t.name) for t in idle)}")
        self.graph.inputs = [t for t in inputs if t not in idle]
        self.graph.outputs = outputs
        self.graph.remove_tensors(idle)
        if self._shapes:
            known = ", ".join(str(t.name) for t in self.graph.inputs)
            raise UsageError(f"the model has no input '{next(iter(self._shapes))}'", hint=f"it has {known}")

    # inputs

    def _declared_inputs(self) -> list[Tensor]:
        """Inputs of the net itself, with shapes or four extents each."""
        message = self._net.message
        names, shapes, extents = message["input"], message["input_shape"], list(message["input_dim"])
        found: list[Extents | None] = [None] * len(names)
        if shapes:
            found = [list(shape["dim"]) for shape in shapes]
        elif extents:
            found = [extents[k : k + 4] for k in range(0, len(extents), 4)]
        if len(found) != len(names) or (extents and len(extents) != 4 * len(names)):
            raise FormatError(f"the net has {len(names)} inputs, but shapes for another number of them")
        return [self._input(name, shape) for name, shape in zip(names, found, strict=True)]

    def _input(self, name: str, shape: Extents | None) -> Tensor:
        given = self._shapes.pop(name, None)
        if given is not None:
            if shape is not None and len(given) != len(shape):
                raise UsageError(f"input '{name}' has {len(shape)} dimensions, it cannot get {list(given)}")
            shape = [own if new is None else new for own, new in zip(shape or given, given, strict=True)]
        if shape is not None and any(extent is not None and not 0 < extent < 1 << 31 for extent in shape):
            raise FormatError(f"input '{name}' has the impossible shape {list(shape)}")
        if name in self._values:
            raise FormatError(f"the net has two inputs '{name}'")
        tensor = Tensor(self.graph, name, shape, np.float32)
        self._names.add(name)
        self._values[name] = tensor
        return tensor

    def _make_source(self, k: int, layer: Message, inputs: list[Tensor]) -> bool:
        """Makes the results of a layer without bottoms: inputs of the graph, or constants. False for other layers."""
        type, tops = layer["type"], layer["top"]
        if type == "Input":
            shapes = [list(shape["dim"]) for shape in (layer["input_param"] or {"shape": []})["shape"]]
            if len(shapes) not in (0, 1, len(tops)):
                raise FormatError(f"{len(tops)} inputs, but {len(shapes)} shapes", where=f"layer '{layer['name']}'")
            shapes = shapes * len(tops) if len(shapes) == 1 else shapes
            inputs += [self._input(top, shapes[n] if shapes else None) for n, top in enumerate(tops)]
        elif type in FEEDING or (type == "Python" and not layer["bottom"]):
            known = data_shapes(layer, FEEDING.get(type, "python_param")) if type in FEEDING else []
            made = [self._input(top, known[n] if n < len(known) else None) for n, top in enumerate(tops)]
            self._fed += made
            inputs += made
            if type in FEEDING and tops:
                self._tell_of_changes(layer, tops[0])
        elif type == "DummyData":
            for top, array in zip(tops, _dummies(layer), strict=True):
                self._values[top] = self._constant(self._name(top, k, layer), array)
        elif type == "ContinuationIndicator":
            own = layer["continuation_indicator_param"] or {}
            steps, batch = own.get("time_step", 0), own.get("batch_size", 0)
            ask_constant(steps * batch, f"layer '{layer['name']}'")
            first = np.arange(steps, dtype=np.float32)[:, np.newaxis]
            array = np.broadcast_to(np.minimum(first, 1), (steps, batch)).copy()
            self._values[tops[0]] = self._constant(self._name(tops[0], k, layer), array)
        elif type == "Parameter":
            blobs = self._weights(layer)
            if len(blobs) != 1:
                raise FormatError("it has no value", where=f"layer '{layer['name']}' (Parameter)")
            self._values[tops[0]] = blobs[0]
        else:
            return False
        return True

    def _tell_of_changes(self, layer: Message, top: str) -> None:
        """Warns of what a layer for data does, which the net that is read leaves to its caller."""
        if top in layer["top"][:1] and (changes := data_changes(layer, FEEDING[layer["type"]])):
            self.warnings.append(
                f"'{layer['name']}' ({layer['type']}) {changes}, which is left out: give input '{top}' such values"
            )

    # layers

    def _add(self, k: int, layer: Message) -> None:
        type, where = layer["type"], f"layer '{layer['name']}'"
        if not type:
            raise FormatError("it has no type", where=where)
        missing = [name for name in layer["bottom"] if name not in self._values]
        if missing:
            raise FormatError(f"it reads '{missing[0]}', which no layer before it makes", where=where)
        bottoms = [self._values[name] for name in layer["bottom"]]
        if type in REPLACED:
            layer = self._without_loss(layer)
            type, bottoms = layer["type"], bottoms[:1]
        self._used.update(bottoms)
        attribs, surplus = attributes(layer)
        if surplus:
            self.warnings.append(f"{where} ({type}) has parameters of other types, which are left out: {surplus[0]}")
        tops = list(layer["top"])
        if type == "Silence":
            return
        blobs = self._weights(layer)
        pairs = [(bottoms, tops)]
        if type in _FOR_EACH and len(bottoms) == len(tops):
            pairs = [([bottom], [top]) for bottom, top in zip(bottoms, tops, strict=True)]
        for n, (own, names) in enumerate(pairs):
            results = [Tensor(self.graph, self._name(top, k, layer), None, np.float32) for top in names]
            Operation(
                self.graph,
                type=type,
                name=layer["name"] if n == 0 else f"{layer['name']}_{n + 1}",
                attribs=dict(attribs),
                inputs=(*own, *blobs),
                outputs=tuple(results),
                custom=type not in LAYERS,
            )
            for top, tensor in zip(names, results, strict=True):
                if top in self._values and top not in layer["bottom"]:
                    raise FormatError(f"it makes '{top}', which a layer before it makes, too", where=where)
                self._values[top] = tensor

    def _without_loss(self, layer: Message) -> Message:
        name, type = layer["name"], layer["type"]
        self.warnings.append(f"loss '{name}' ({type}) is replaced by {REPLACED[type]}, whose results it judges")
        result = layer.type(name=name, type=REPLACED[type], top=layer["top"][:1] or [name])
        if type == "SoftmaxWithLoss" and layer["softmax_param"] is not None:
            result["softmax_param"] = layer["softmax_param"]
        return result

    def _name(self, blob: str, k: int, layer: Message) -> str:
        """The name of a value of a blob: the blob's own for the last one, unless an input has it."""
        own = f"{blob}/{layer['name']}" if self._last.get(blob, k) != k or blob in self._names else blob
        name, count = own, 1
        while name in self._names:
            count += 1
            name = f"{own}_{count}"
        self._names.add(name)
        return name

    # weights

    def _check_weights(self, layers: Sequence[Message]) -> None:
        """FormatError if the layers that need weights have none."""
        needy = [layer for layer in layers if self._needs_weights(layer)]
        without = [layer for layer in needy if not layer["blobs"] and not self._blobs.get(layer["name"])]
        without = [layer for layer in without if not any(spec["name"] for spec in layer["param"])]
        if not without:
            return
        shown = ", ".join(f"'{layer['name']}'" for layer in without[:5]) + (", .." if len(without) > 5 else "")
        if not self._has_file and not self._blobs:
            raise FormatError(
                f"the net has no weights: {len(without)} layers need some ({shown})",
                hint="put the .caffemodel beside it, under the same name, or name it with --weights",
            )
        if not self._blobs:
            raise FormatError(
                f"the file that is given for the weights has none: {len(without)} layers need some ({shown})",
                hint="give the .caffemodel that training has saved",
            )
        there = ", ".join(f"'{name}'" for name in list(self._blobs)[:5])
        raise FormatError(
            f"the weights are those of another net: there are none for {len(without)} of {len(needy)} layers ({shown})",
            hint=f"layers are matched by name; there are weights for {there}",
        )

    def _needs_weights(self, layer: Message) -> bool:
        known = LAYERS.get(layer["type"])
        optional = layer["type"] in _FREE_OF_WEIGHTS and len(layer["bottom"]) > 1
        return known is not None and bool(known.blobs) and not optional

    def _weights(self, layer: Message) -> list[Tensor]:
        """The weights of a layer as constants; those that several layers share are one tensor."""
        name, known = layer["name"], LAYERS.get(layer["type"])
        blobs = self._blobs.get(name) or layer["blobs"]
        roles = list(known.blobs) if known is not None else []
        if layer["type"] in _FREE_OF_WEIGHTS and len(layer["bottom"]) > 1:
            roles = roles[1:]
        if layer["type"] in ("LSTM", "RNN"):
            roles += [Blob(f"weight_{n}", 2 if n % 2 == 0 else None) for n in range(len(roles), len(blobs))]
        owners = [spec["name"] for spec in layer["param"]]
        count = len(blobs) or sum(owner in self._owners for owner in owners)
        result = []
        for n in range(count):
            role = roles[n] if n < len(roles) else Blob(f"blob{n}")
            owner = owners[n] if n < len(owners) else ""
            if owner in self._owners:
                result.append(self._owners[owner])
                continue
            try:
                array = to_array(blobs[n], role)
            except FormatError as error:
                raise FormatError(error.message, where=f"layer '{name}'", hint=error.hint) from error
            tensor = self._constant(f"{name}.{role.name}", array)
            result.append(tensor)
            if owner:
                self._owners[owner] = tensor
        return result

    def _constant(self, name: str, array: Array) -> Tensor:
        return Tensor(self.graph, name, array.shape, np.float32, array)


def _dummies(layer: Message) -> list[Array]:
    """The constants of a DummyData layer. FormatError if they are random."""
    own: Any = layer["dummy_data_param"] or _no_parameters(layer)
    where, count = f"layer '{layer['name']}' (DummyData)", len(layer["top"])
    shapes = [list(shape["dim"]) for shape in own["shape"]]
    if not shapes:
        shapes = [
            list(extents) for extents in zip(*(own[n] for n in ("num", "channels", "height", "width")), strict=False)
        ]
    fillers = [(filler["type"] or "constant", filler["value"]) for filler in own["data_filler"]] or [("constant", 0.0)]
    shapes = shapes * count if len(shapes) == 1 else shapes
    fillers = fillers * count if len(fillers) == 1 else fillers
    if len(shapes) != count or len(fillers) != count:
        raise FormatError(f"{count} results, but {len(shapes)} shapes and {len(fillers)} fillers", where=where)
    random = next((type for type, _ in fillers if type != "constant"), None)
    if random is not None:
        raise FormatError(
            f"its values are random ('{random}')", where=where, hint="only constant ones can be converted"
        )
    result = []
    for shape, (_, value) in zip(shapes, fillers, strict=True):
        if any(extent < 1 for extent in shape):
            raise FormatError(f"impossible shape {shape}", where=where)
        ask_constant(int(np.prod(shape, dtype=object)), where)
        result.append(np.full(shape, value, np.float32))
    return result


def _no_parameters(layer: Message) -> Message:
    """The parameters of a DummyData layer that has none."""
    message = layer.type.by_name["dummy_data_param"].message
    assert message is not None
    return message()
