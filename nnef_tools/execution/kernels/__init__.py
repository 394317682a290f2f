"""Execution of NNEF graphs, operation by operation, by functions of numpy or torch."""
