"""The converters that other modules and plugin authors import."""

from ..errors import ConversionError
from .engine.base import Converter
from .engine.from_nnef import ConverterFromNNEF
from .engine.to_nnef import ConverterToNNEF
from .engine.transform import Transform

__all__ = ["ConversionError", "Converter", "ConverterFromNNEF", "ConverterToNNEF", "Transform"]
