"""Caffe."""

from __future__ import annotations

from .format import Dialect, Format, Runtime, operation_types

CAFFE = Dialect(
    name="caffe",
    title="Caffe",
    owns=lambda graph: bool({"Convolution", "Eltwise", "InnerProduct", "Pooling"} & operation_types(graph)),
    to_nnef="conversion.caffe_to_nnef:Converter",
    complete_shapes="conversion.caffe.to_nnef.converter:fill_shapes",
)

FORMATS = (
    Format(
        name="caffe",
        title="Caffe",
        dialect=CAFFE,
        suffixes=(".prototxt", ".caffemodel"),
        extra="caffe",
        reader="io.caffe:Reader",
        reader_options=frozenset({"weights"}),
        witness=Runtime("opencv", "Caffe", "execution.opencv:OpenCvExecutor", package="cv2"),
    ),
)
