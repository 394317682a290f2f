"""Execution of NNEF graphs, operation by operation, by functions on numpy arrays or torch tensors."""
