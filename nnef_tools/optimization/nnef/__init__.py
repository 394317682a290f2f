"""Rewrites of NNEF graphs, one family a module. All are exact but for the rounding of floating-point numbers."""

from __future__ import annotations

from ..passes import Pass
from .affine import fold_affine
from .arithmetic import merge_arithmetic
from .constants import fold_constants, share_constants
from .identities import remove_identities
from .inverses import cancel_inverses
from .layout import LAYOUT
from .padding import fold_padding
from .unused import remove_unused

PASSES = (
    Pass("remove-identities", remove_identities),
    Pass("cancel-inverses", cancel_inverses),
    Pass("fold-constants", fold_constants),
    Pass("share-constants", share_constants),
    LAYOUT,
    Pass("fold-affine", fold_affine),
    Pass("merge-arithmetic", merge_arithmetic),
    Pass("fold-padding", fold_padding),
    Pass("remove-unused", remove_unused),
)
