"""Resizing of images."""

from __future__ import annotations

from ....errors import InvalidOperator
from ....model import Tensor
from ...building.nnef import Builder
from ...building.shapes import shape
from ...compose.resampling import corners_in_place, resampled, standard_resampling
from ...engine.rules import to_nnef


@to_nnef("caffe", "Interp")
def interp(
    b: Builder,
    x: Tensor,
    *,
    height: int = 0,
    width: int = 0,
    zoom_factor: int = 1,
    shrink_factor: int = 1,
    pad_beg: int = 0,
    pad_end: int = 0,
) -> Tensor:
    """Interp of DeepLab and PSPNet: linear between the centers of the corners; negative pads cut the image before."""
    if len(shape(x)) != 4 or pad_beg > 0 or pad_end > 0 or min(zoom_factor, shrink_factor) < 1:
        factors = f"factors {zoom_factor} and {shrink_factor}"
        raise InvalidOperator(f"input of shape {shape(x)}, pads {pad_beg} and {pad_end}, {factors}")
    if bool(height) != bool(width) or (height and max(zoom_factor, shrink_factor) > 1):
        raise InvalidOperator(
            f"height {height}, width {width} with factors {zoom_factor}, {shrink_factor}: give both extents or factors"
        )
    if pad_beg or pad_end:
        x = b.pad(x, padding=[(0, 0), (0, 0), (pad_beg, pad_end), (pad_beg, pad_end)])
    own = shape(x)[2:]
    if height and width:
        sizes = [height, width]
    else:
        sizes = [(extent - 1) // shrink_factor + 1 for extent in own]
        sizes = [extent + (extent - 1) * (zoom_factor - 1) for extent in sizes]
    pairs = enumerate(zip(own, sizes, strict=True), 2)
    maps = {axis: corners_in_place(extent, size) for axis, (extent, size) in pairs if extent != size}
    if not maps:
        return x
    standard = standard_resampling(b, x, maps)
    return resampled(b, x, maps) if standard is None else standard
