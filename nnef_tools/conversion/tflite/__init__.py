"""Conversion between TensorFlow Lite and NNEF: `to_nnef` and `from_nnef` have a module for each family of operators."""
