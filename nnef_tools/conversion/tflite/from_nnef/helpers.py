"""Helper methods that the expressions of a Transform may call on a converter from NNEF to TensorFlow Lite."""

from __future__ import annotations

from collections.abc import Sequence

from ....model import Tensor
from ...maths.padding import Pairs
from ...tf.from_nnef.helpers import TfHelpers


class TfliteHelpers(TfHelpers):
    """Helpers from NNEF to TFLite, beside those from NNEF to TensorFlow."""

    def is_same_padding(self, input: Sequence[int], output: Sequence[int], stride: Sequence[int]) -> bool:
        """Has the output the extents that the padding 'SAME' gives: those of the input by the stride, rounded up?"""
        return all(o == -(-i // s) for i, o, s in zip(input, output, stride, strict=True))

    def is_valid_padding(self, padding: Pairs) -> bool:
        """Is there an explicit padding, of nothing?"""
        return len(padding) != 0 and all(tuple(pair) == (0, 0) for pair in padding)

    def pad_input(self, tensor: Tensor, paddings: Pairs) -> Tensor:
        """The tensor, padded by zeros by a pair for each axis, in its present layout."""
        return self._builder.pad(tensor, list(paddings))
