"""The operations of NNEF as methods of the builder; `operations.pyi` declares them one by one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from ...model import Tensor

Operand = Tensor | int | float | bool | np.generic | np.ndarray[Any, Any]


class Operations:
    """`b.conv(x, w, stride=[2, 2])` is `b.op("conv", x, w, stride=[2, 2])`."""

    def op(self, name: str, *inputs: Operand | Sequence[Operand], **attribs: Any) -> Any:
        """Adds an operation; see the builder."""
        raise NotImplementedError

    def single(self, name: str, *inputs: Operand | Sequence[Operand], **attribs: Any) -> Tensor:
        """An operation that has one result, by name."""
        result: Tensor = self.op(name, *inputs, **attribs)
        return result

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_"):
            raise AttributeError(name)
        # A trailing underscore makes names of operations that are Python keywords: b.and_(x, y).
        return partial(self.op, name.rstrip("_"))
