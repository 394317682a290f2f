"""Rewrites of NNEF graphs, one family in each module. All are exact apart from floating-point rounding."""
