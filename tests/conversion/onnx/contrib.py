"""Models of com.microsoft operators, whose types and shapes onnx cannot infer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

from .conftest import Array, Const, Converted, check


def _type(dtype: Any) -> int:
    return int(helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))


def contrib_model(
    op: str,
    inputs: Sequence[Array | Const | None],
    outputs: Sequence[Any],
    domain: str = "com.microsoft",
    **attribs: Any,
) -> ModelProto:
    """A model of one node. outputs: their numpy types, None if omitted. Attributes that are None are left out."""
    given = [(f"x{k}", item) for k, item in enumerate(inputs)]
    results = [(f"y{k}", dtype) for k, dtype in enumerate(outputs)]
    node = helper.make_node(
        op,
        ["" if item is None else name for name, item in given],
        ["" if dtype is None else name for name, dtype in results],
        domain=domain,
    )
    node.attribute.extend(helper.make_attribute(key, value) for key, value in attribs.items() if value is not None)
    graph = helper.make_graph(
        [node],
        "test",
        [
            helper.make_tensor_value_info(name, _type(x.dtype), x.shape)
            for name, x in given
            if isinstance(x, np.ndarray)
        ],
        [helper.make_tensor_value_info(name, _type(d), None) for name, d in results if d is not None],
        [_initializer(item.array, name) for name, item in given if isinstance(item, Const)],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def _initializer(array: Array, name: str) -> TensorProto:
    return numpy_helper.from_array(array, name)


def agree(
    op: str,
    inputs: Sequence[Array | Const | None],
    outputs: Sequence[Any] = (np.float32,),
    *,
    rtol: float = 1e-5,
    atol: float = 1e-6,
    domain: str = "com.microsoft",
    **attribs: Any,
) -> Converted:
    """`check` of a model of one com.microsoft node."""
    model = contrib_model(op, inputs, outputs, domain, **attribs)
    return check(model, [x for x in inputs if isinstance(x, np.ndarray)], rtol=rtol, atol=atol)
