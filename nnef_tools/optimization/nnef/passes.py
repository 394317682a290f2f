"""The passes on NNEF graphs, in the order in which they run."""

from __future__ import annotations

from ..passes import Pass
from .affine import fold_affine
from .arithmetic import merge_arithmetic
from .constants import fold_constants, share_constants
from .duplicates import merge_concats, share_operations
from .identities import remove_identities
from .inverses import cancel_inverses
from .layout import LAYOUT
from .padding import fold_padding
from .quantization import dequantize_constants
from .unused import remove_unused

DEQUANTIZE = Pass("dequantize", dequantize_constants)
"""Comes first, if it is asked for."""

PASSES = (
    Pass("remove-identities", remove_identities),
    Pass("cancel-inverses", cancel_inverses),
    Pass("fold-constants", fold_constants),
    Pass("share-constants", share_constants),
    Pass("share-operations", share_operations),
    Pass("merge-concats", merge_concats),
    LAYOUT,
    Pass("fold-affine", fold_affine),
    Pass("merge-arithmetic", merge_arithmetic),
    Pass("fold-padding", fold_padding),
    Pass("remove-unused", remove_unused),
)
