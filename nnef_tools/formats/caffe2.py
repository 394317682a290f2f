"""Caffe2, which is recognized but not read or written yet."""

from __future__ import annotations

from .format import Dialect, Format

CAFFE2 = Dialect(name="caffe2", title="Caffe2")

FORMATS = (
    Format(
        name="caffe2",
        title="Caffe2",
        dialect=CAFFE2,
        suffixes=(".caffe2",),
        folder_mark="predict_net.pb",
        extra="caffe",
    ),
)
