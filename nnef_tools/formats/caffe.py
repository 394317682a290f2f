"""Caffe and Caffe2, which are recognized but not read or written yet."""

from __future__ import annotations

from .format import Dialect, Format

CAFFE = Dialect(name="caffe", title="Caffe")
CAFFE2 = Dialect(name="caffe2", title="Caffe2")

FORMATS = (
    Format(name="caffe", title="Caffe", dialect=CAFFE, suffixes=(".prototxt", ".caffemodel"), extra="caffe"),
    Format(
        name="caffe2",
        title="Caffe2",
        dialect=CAFFE2,
        suffixes=(".caffe2",),
        folder_mark="predict_net.pb",
        extra="caffe",
    ),
)
