"""The converters that other modules and plugin authors import."""

from ..errors import ConversionError
from .engine import Converter
from .to_nnef import ConverterToNNEF

__all__ = ["ConversionError", "Converter", "ConverterToNNEF"]
