"""ONNX files."""

from .reader import Reader as Reader
from .writer import Writer as Writer
