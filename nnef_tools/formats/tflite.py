"""TensorFlow Lite, which is recognized but not read or written yet."""

from __future__ import annotations

from .format import Dialect, Format

TFLITE = Dialect(name="tflite", title="TFLite", channels_last=True)

FORMATS = (
    Format(
        name="tflite",
        title="TFLite",
        dialect=TFLITE,
        suffixes=(".tflite",),
        is_magic=lambda head: head[4:8] == b"TFL3",
        extra="tflite",
    ),
)
