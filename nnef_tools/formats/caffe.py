"""Caffe, which is recognized but not read or written yet."""

from __future__ import annotations

from .format import Dialect, Format

CAFFE = Dialect(name="caffe", title="Caffe")

FORMATS = (Format(name="caffe", title="Caffe", dialect=CAFFE, suffixes=(".prototxt", ".caffemodel"), extra="caffe"),)
