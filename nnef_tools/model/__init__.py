"""The dialect-neutral graph that every stage of the toolkit works on."""

from .graph import Graph, Operation, Tensor

__all__ = ["Graph", "Operation", "Tensor"]
