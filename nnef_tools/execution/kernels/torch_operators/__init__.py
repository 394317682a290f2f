"""The NNEF operators as functions of torch tensors, a family a module.

`OPERATORS` maps operator names to functions in the protocol of CUSTOM_OPERATORS. Importing this package imports torch.
"""

from __future__ import annotations

from . import conv, elementwise, index, linear, move, norm, pool, quant, recurrent, reduce, resize, roi
from .common import Operator

OPERATORS: dict[str, Operator] = {
    **elementwise.OPERATORS,
    **conv.OPERATORS,
    **pool.OPERATORS,
    **resize.OPERATORS,
    **roi.OPERATORS,
    **linear.OPERATORS,
    **reduce.OPERATORS,
    **move.OPERATORS,
    **norm.OPERATORS,
    **quant.OPERATORS,
    **index.OPERATORS,
    **recurrent.OPERATORS,
}
