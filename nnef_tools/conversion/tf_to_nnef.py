"""TensorFlow to NNEF: the converter, where users import it from."""

from .tf.to_nnef.converter import Converter

__all__ = ["Converter"]
