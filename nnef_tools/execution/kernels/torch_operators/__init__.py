"""The NNEF operators as functions of torch tensors, a family a module.

`OPERATORS` maps operator names to functions in the protocol of CUSTOM_OPERATORS. Importing this package imports torch.
"""

from __future__ import annotations

from . import conv, elementwise, extensions, move, norm, pool, quant, recurrent, reduce, resize, roi
from .common import Operator

OPERATORS: dict[str, Operator] = {
    **elementwise.OPERATORS,
    **conv.OPERATORS,
    **pool.OPERATORS,
    **resize.OPERATORS,
    **roi.OPERATORS,
    **reduce.OPERATORS,
    **move.OPERATORS,
    **norm.OPERATORS,
    **quant.OPERATORS,
    **extensions.OPERATORS,
    **recurrent.OPERATORS,
}
