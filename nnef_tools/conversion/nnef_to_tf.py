"""NNEF to TensorFlow: the converter, where users import it from."""

from .tf.from_nnef.converter import Converter

__all__ = ["Converter"]
