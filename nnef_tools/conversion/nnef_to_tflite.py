"""NNEF to TensorFlow Lite: the converter, where users import it from."""

from .tflite.from_nnef.converter import Converter

__all__ = ["Converter"]
