"""The backend tests that the onnx package ships, as cases to convert and run.

Which ones: the node tests (made by `onnx.backend.test.case.node`) and the stored models of the kinds simple,
pytorch-converted and pytorch-operator. Left out are those in which a graph input or output is a string, a sequence or
an optional, and those with operators of ai.onnx.ml or ai.onnx.preview.training.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, numpy_helper

from ..support.arrays import Array

STORED_KINDS = ("simple", "pytorch-converted", "pytorch-operator")
FOREIGN_DOMAINS = {"ai.onnx.ml", "ai.onnx.preview.training"}

# Operator type -> names (as in its schema) of the inputs that are parameters rather than data: they say what shape the
# result has or what part of the data is meant, and real models hold them as constants. Many of them were attributes in
# earlier versions of the operator, and so are those after the blank line, which change values only.
PARAMETERS = {
    "AffineGrid": ("size",),
    "BlackmanWindow": ("size",),
    "CenterCropPad": ("shape",),
    "Col2Im": ("image_shape", "block_shape"),
    "ConstantOfShape": ("input",),
    "CumProd": ("axis",),
    "CumSum": ("axis",),
    "DFT": ("dft_length", "axis"),
    "Expand": ("shape",),
    "HammingWindow": ("size",),
    "HannWindow": ("size",),
    "If": ("cond",),
    "Loop": ("M", "cond"),
    "MaxUnpool": ("output_shape",),
    "MelWeightMatrix": ("num_mel_bins", "dft_length", "sample_rate", "lower_edge_hertz", "upper_edge_hertz"),
    "NonMaxSuppression": ("max_output_boxes_per_class", "iou_threshold", "score_threshold"),
    "OneHot": ("depth",),
    "Pad": ("pads", "axes", "constant_value"),
    "Range": ("start", "limit", "delta"),
    "ReduceL1": ("axes",),
    "ReduceL2": ("axes",),
    "ReduceLogSum": ("axes",),
    "ReduceLogSumExp": ("axes",),
    "ReduceMax": ("axes",),
    "ReduceMean": ("axes",),
    "ReduceMin": ("axes",),
    "ReduceProd": ("axes",),
    "ReduceSum": ("axes",),
    "ReduceSumSquare": ("axes",),
    "Reshape": ("shape",),
    "Resize": ("roi", "scales", "sizes"),
    "STFT": ("frame_step", "frame_length"),
    "SequenceAt": ("position",),
    "SequenceErase": ("position",),
    "SequenceInsert": ("position",),
    "Slice": ("starts", "ends", "axes", "steps"),
    "Split": ("split",),
    "SplitToSequence": ("split",),
    "Squeeze": ("axes",),
    "Tile": ("repeats", "tiles", "axis"),
    "TopK": ("K",),
    "Trilu": ("k",),
    "Unsqueeze": ("axes",),
    "Upsample": ("scales",),

    "Clip": ("min", "max"),
    "Dropout": ("ratio", "training_mode"),
}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A test model with its inputs and expected outputs, both in the order of the graph."""

    name: str
    model: ModelProto
    inputs: dict[str, Array]
    outputs: tuple[Array, ...]

    @property
    def operators(self) -> set[tuple[str, str]]:
        """Domain and type of all operators in it."""
        return {(node.domain, node.op_type) for node in _nodes(self.model.graph)}

    def parameters(self) -> set[str]:
        """Names of the inputs that are parameters of an operator.

        The `_expanded` cases have the body of an operator in place of it; their parameters are those of the operator.
        """
        base = all_cases().get(re.sub(r"_expanded(_ver\d+)?$", "", self.name), self)
        return (_parameters(base.model) | _parameters(self.model)) & set(self.inputs)

    def with_initializers(self) -> Case:
        """The same case with its parameters as initializers; itself if it has none."""
        names = self.parameters()
        if not names:
            return self
        model = ModelProto()
        model.CopyFrom(self.model)
        model.graph.initializer.extend(numpy_helper.from_array(self.inputs[name], name) for name in sorted(names))
        inputs = {name: array for name, array in self.inputs.items() if name not in names}
        return Case(self.name, model, inputs, self.outputs)


@cache
def all_cases() -> dict[str, Case]:
    """All cases by name, in alphabetical order."""
    return dict(sorted((case.name, case) for case in (*_node_cases(), *_stored_cases())))


def _node_cases() -> Iterator[Case]:
    from onnx.backend.test.case.node import collect_testcases

    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        found = collect_testcases(None)
    for test in found:
        if _is_covered(test.model):
            inputs, outputs = test.data_sets[0]
            yield _case(test.name, test.model, [_array(item) for item in inputs], [_array(item) for item in outputs])


def _stored_cases() -> Iterator[Case]:
    from onnx.backend.test.loader import load_model_tests

    for kind in STORED_KINDS:
        for test in load_model_tests(kind=kind):
            folder = Path(test.model_dir)
            model = onnx.load(folder / "model.onnx")
            if _is_covered(model):
                data = folder / "test_data_set_0"
                yield _case(test.name, model, _stored_arrays(data, "input"), _stored_arrays(data, "output"))


def _stored_arrays(folder: Path, kind: str) -> list[Array]:
    count = len([*folder.glob(f"{kind}_*.pb")])
    return [numpy_helper.to_array(onnx.load_tensor(folder / f"{kind}_{k}.pb")) for k in range(count)]


def _case(name: str, model: ModelProto, inputs: list[Array], outputs: list[Array]) -> Case:
    initialized = {tensor.name for tensor in model.graph.initializer}
    names = [value.name for value in model.graph.input if value.name not in initialized]
    return Case(name, model, dict(zip(names, inputs, strict=True)), tuple(outputs))


def _array(item: Any) -> Array:
    return numpy_helper.to_array(item) if isinstance(item, TensorProto) else np.asarray(item)


def _is_covered(model: ModelProto) -> bool:
    values = [value.type for value in (*model.graph.input, *model.graph.output)]
    tensors = all(value.HasField("tensor_type") for value in values)
    strings = any(value.tensor_type.elem_type == TensorProto.STRING for value in values)
    domains = {node.domain for node in _nodes(model.graph)}
    return tensors and not strings and not domains & FOREIGN_DOMAINS


def _nodes(graph: GraphProto) -> Iterator[NodeProto]:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            yield from _nodes(attribute.g)
            for inner in attribute.graphs:
                yield from _nodes(inner)


def _parameters(model: ModelProto) -> set[str]:
    versions = {entry.domain: entry.version for entry in model.opset_import}
    found = set()
    for node in _nodes(model.graph):
        if node.domain or node.op_type not in PARAMETERS:
            continue
        schema = onnx.defs.get_schema(node.op_type, versions.get("", 1), "")
        found |= {
            name
            for name, formal in zip(node.input, schema.inputs, strict=False)
            if name and formal.name in PARAMETERS[node.op_type]
        }
    return found
