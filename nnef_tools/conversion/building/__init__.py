"""Builders of graphs: the one of NNEF, that of other dialects, and shapes and constants for both."""
