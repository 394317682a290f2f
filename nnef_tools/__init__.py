"""Convert, run, inspect and optimise Khronos NNEF neural network models."""

__version__ = "1.1.0"
