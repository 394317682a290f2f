"""Caffe2."""

from __future__ import annotations

from .format import Dialect, Format

CAFFE2 = Dialect(
    name="caffe2",
    title="Caffe2",
    to_nnef="conversion.caffe2_to_nnef:Converter",
)

FORMATS = (
    Format(
        name="caffe2",
        title="Caffe2",
        dialect=CAFFE2,
        suffixes=(".caffe2",),
        folder_marks=("predict_net.pb", "predict_net.pbtxt"),
        reader="io.caffe2:Reader",
    ),
)
