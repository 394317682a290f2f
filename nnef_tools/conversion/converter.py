"""The converters that other modules and plugin authors import."""

from ..errors import ConversionError
from .engine import Converter
from .from_nnef import ConverterFromNNEF
from .to_nnef import ConverterToNNEF
from .transform import Transform

__all__ = ["ConversionError", "Converter", "ConverterFromNNEF", "ConverterToNNEF", "Transform"]
