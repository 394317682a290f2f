"""Caffe2."""

from __future__ import annotations

from .format import Dialect, Format, has_capitalized_operators

CAFFE2 = Dialect(
    name="caffe2",
    title="Caffe2",
    owns=has_capitalized_operators,
    to_nnef="conversion.caffe2_to_nnef:Converter",
    from_nnef="conversion.nnef_to_caffe2:Converter",
    complete_shapes="conversion.caffe2.to_nnef.converter:fill_shapes",
)

FORMATS = (
    Format(
        name="caffe2",
        title="Caffe2",
        dialect=CAFFE2,
        suffixes=(".caffe2",),
        folder_marks=("predict_net.pb", "predict_net.pbtxt"),
        folder_parts=("init_net.pb", "init_net.pbtxt"),
        reader="io.caffe2:Reader",
        writer="io.caffe2:Writer",
    ),
)
