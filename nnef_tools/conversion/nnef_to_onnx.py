"""NNEF to ONNX: the converter, where users import it from."""

from .onnx.from_nnef.converter import Converter

__all__ = ["Converter"]
