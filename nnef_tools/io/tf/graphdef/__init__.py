"""GraphDef files of TensorFlow."""

from .reader import Reader as Reader
from .writer import Writer as Writer
