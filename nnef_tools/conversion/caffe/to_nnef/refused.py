"""Types of layers that NNEF cannot express, with the reasons."""

from __future__ import annotations

from collections.abc import Mapping

from ...engine.refusal import DATA

REASONS: Mapping[str, str] = {
    "Filter": f"the number of selected items {DATA}",
}
