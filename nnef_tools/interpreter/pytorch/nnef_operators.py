"""`Operators`: the functions of torch tensors that compute the NNEF operations, by operation name. Imports torch.

Tensors are positional, attributes are keywords (those that are Python keywords as `_lambda_`); an array argument is a
list of tensors. Gradients can be computed through these functions, except for the few that torch does not have.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...execution.kernels.torch import find_operator
from ...ops import registry

Operators: dict[str, Callable[..., Any]] = {
    name: function for name in registry.operations() if (function := find_operator(name)) is not None
}
