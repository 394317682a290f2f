"""The rule about channels that are elsewhere, with axes worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from nnef_tools.model.channels import TO_LAST, TO_SECOND, is_moved


@pytest.mark.parametrize(("shape", "last"), [((2,), (2,)), ((2, 3), (2, 3)), ((2, 3, 4), (2, 4, 3))])
def test_only_rank_3_and_up_changes(shape: tuple[int, ...], last: tuple[int, ...]) -> None:
    assert TO_LAST.shape(shape) == TO_LAST.array(np.zeros(shape)).shape == last
    assert TO_SECOND.shape(last) == TO_SECOND.array(np.zeros(last)).shape == shape
    assert is_moved("x", len(shape), True) is (len(shape) > 2)


def test_places() -> None:
    assert TO_SECOND.shape((1, 5, None, 3)) == (1, 3, 5, None)
    assert TO_LAST.shape((1, 3, 5, 6, 7)) == (1, 5, 6, 7, 3)
    assert TO_LAST.array(np.arange(4).reshape(1, 2, 1, 2)).tolist() == [[[[0, 2], [1, 3]]]]


def test_selection_by_name() -> None:
    assert is_moved("x", 4, ["y", "x"]) and not is_moved("z", 4, ["y", "x"])
    assert not is_moved("x", 2, ["x"]) and not is_moved("x", 4, False)
