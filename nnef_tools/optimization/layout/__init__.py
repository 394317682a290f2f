"""Removal of transposes by choosing the order of axes in which each tensor is stored.

Transposes are not moved step by step. They are properties of the connections between the other operations, each of
which may work on tensors in another order of axes (a `Choice`). The search changes the choices of connected operations
together where that reduces transposing, and the rewrite puts transposes only where two neighbors disagree. So
canceling, merging, sinking and hoisting, also around forks and joins, are the same.

A `Dialect` tells what operations can do; nothing here knows a particular operation.
"""

from .dialect import Choice, Dialect, Port, Reordering
from .rewrite import minimize_transposes, places_of_transposes

__all__ = ["Choice", "Dialect", "Port", "Reordering", "minimize_transposes", "places_of_transposes"]
