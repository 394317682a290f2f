"""TensorFlow Lite to NNEF: the converter, where users import it from."""

from .tflite.to_nnef.converter import Converter

__all__ = ["Converter"]
