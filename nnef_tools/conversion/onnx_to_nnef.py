"""ONNX to NNEF: the converter, where users import it from."""

from .onnx.to_nnef.converter import Converter

__all__ = ["Converter"]
