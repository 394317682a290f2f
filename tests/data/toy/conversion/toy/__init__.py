"""Toy and NNEF."""
