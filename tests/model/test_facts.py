"""Typed access to `graph.metadata`, of which files may say anything."""

from __future__ import annotations

from typing import Any

import pytest

from nnef_tools.model import facts
from nnef_tools.model.facts import OnnxFacts


@pytest.mark.parametrize("value", [None, 5, "x", ["x"], True])
def test_what_does_not_fit_counts_as_missing(value: Any) -> None:
    metadata = dict.fromkeys(("tensors", "opset", "symbolic", "metadata_props", "aliases", "versions"), value)
    assert facts.tensor_facts(metadata) == facts.opset_versions(metadata) == facts.merged_tensors(metadata) == {}
    assert facts.graph_def_versions(metadata) == {}
    assert OnnxFacts.of(metadata) == OnnxFacts()
    facts.keep_tensor_facts(metadata, [("a", "b")])
    assert metadata["tensors"] == value


def test_facts_of_onnx_are_metadata_under_their_names() -> None:
    known = OnnxFacts({"": 13}, 8, "p", "1", "about", {"license": "free"}, {"x": ["n", 3]})
    assert OnnxFacts.of(dict(vars(known))) == known


def test_facts_follow_their_tensors() -> None:
    metadata: dict[str, Any] = {"tensors": {"a": {"source": "A"}, "b": {"dtype": "float16"}, "c": {}}}
    facts.rename_tensor_fact(metadata, "a", "z")
    assert facts.tensor_facts(metadata)["z"] == {"source": "A"}
    facts.keep_tensor_facts(metadata, [("z", "b"), ("b", "a"), ("d", "c")])
    assert facts.tensor_facts(metadata) == {"b": {"source": "A"}, "a": {"dtype": "float16"}}
