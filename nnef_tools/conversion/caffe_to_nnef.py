"""Caffe to NNEF: the converter, where users import it from."""

from .caffe.to_nnef.converter import Converter

__all__ = ["Converter"]
