"""Optional values: whether there is one is known when the model is converted."""

from __future__ import annotations

from typing import Any

import numpy as np

from ....errors import Unsupported
from ....model import Tensor
from ...building.nnef import Builder
from ...engine.rules import to_nnef


@to_nnef("onnx", "Optional", since=15)
def optional(b: Builder, x: Tensor | None = None, *, type: Any = None) -> Tensor:
    """Optional with a tensor in it: the tensor."""
    if x is None:
        raise Unsupported("an optional value without a tensor; every value in NNEF is a tensor")
    return x


@to_nnef("onnx", "OptionalHasElement", since=15)
def has_element(b: Builder, x: Tensor | None = None) -> Tensor:
    """OptionalHasElement: true, unless the input is left out."""
    return b.constant(np.asarray(x is not None))


@to_nnef("onnx", "OptionalGetElement", since=15)
def get_element(b: Builder, x: Tensor) -> Tensor:
    """OptionalGetElement: the tensor itself."""
    return x
