"""Conversion between dialects: the engine, its rules, and Transform, which plugins are written with."""

from ..errors import ConversionError
from .engine.base import Converter
from .engine.transform import Transform

__all__ = ["ConversionError", "Converter", "Transform"]
