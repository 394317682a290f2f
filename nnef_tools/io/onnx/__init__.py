"""ONNX files."""

from .reader import Reader as Reader
