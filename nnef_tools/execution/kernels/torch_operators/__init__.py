"""The NNEF operators as functions on torch tensors, one family in each module.

`OPERATORS` maps operator names to functions in the protocol of CUSTOM_OPERATORS. Importing this package imports torch.
"""

from __future__ import annotations

from ....ops.window import by_keywords
from . import (
    activation,
    conv,
    detection,
    elementwise,
    index,
    linear,
    move,
    norm,
    pool,
    quant,
    recurrent,
    reduce,
    resize,
    roi,
    variable,
)
from .common import Operator

FAMILIES = (
    *(activation, conv, detection, elementwise, index, linear, move, norm),
    *(pool, quant, recurrent, reduce, resize, roi, variable),
)

OPERATORS: dict[str, Operator] = {
    name: by_keywords(function) for family in FAMILIES for name, function in family.OPERATORS.items()
}
