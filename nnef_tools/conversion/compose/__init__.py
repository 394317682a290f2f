"""Pieces that rules are made of: what several operators need and NNEF has no operation for."""
