"""GraphDef files of TensorFlow."""

from .reader import Reader as Reader
