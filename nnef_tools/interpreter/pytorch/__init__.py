"""NNEF in PyTorch: `Interpreter` on arrays, `NNEFModule` on tensors, with gradients. Imports torch."""

from __future__ import annotations

from .interpreter import Interpreter
from .nnef_module import NNEFModule

__all__ = ["Interpreter", "NNEFModule"]
