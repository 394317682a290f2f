"""Rewrites of NNEF graphs, one family a module. All are exact but for the rounding of floating-point numbers."""
