"""TensorFlow Lite files, read and written without TensorFlow."""

from .reader import Reader as Reader
from .writer import Writer as Writer
