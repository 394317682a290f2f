"""Builders of graphs: one for NNEF, one for other dialects, and functions for shapes and constants in both."""
