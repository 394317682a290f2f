"""The NNEF operators as functions of torch tensors, a family a module.

`OPERATORS` maps operator names to functions in the protocol of CUSTOM_OPERATORS. Importing this package imports torch.
"""

from __future__ import annotations

from ....ops.window import by_keywords
from . import conv, elementwise, index, linear, move, norm, pool, quant, recurrent, reduce, resize, roi, variable
from .common import Operator

OPERATORS: dict[str, Operator] = {
    name: by_keywords(function)
    for family in (elementwise, conv, pool, resize, roi, linear, reduce, move, norm, quant, variable, index, recurrent)
    for name, function in family.OPERATORS.items()
}
