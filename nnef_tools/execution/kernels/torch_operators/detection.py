"""Custom operator for detected objects."""

from __future__ import annotations

from .common import Operator, numpy_operator

OPERATORS: dict[str, Operator] = {
    "multiclass_nms": numpy_operator("multiclass_nms"),  # each choice depends on those before
    "non_max_suppression": numpy_operator("non_max_suppression"),
}
