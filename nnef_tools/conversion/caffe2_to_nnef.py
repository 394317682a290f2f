"""Caffe2 to NNEF: the converter, where users import it from."""

from .caffe2.to_nnef.converter import Converter

__all__ = ["Converter"]
