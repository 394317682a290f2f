"""NNEF to Caffe2: the converter, where users import it from."""

from .caffe2.from_nnef.converter import Converter

__all__ = ["Converter"]
