"""The signatures of the rules against the schemas that the onnx package has of every version of every operator."""

from __future__ import annotations

from typing import Any

import onnx
import pytest
from onnx import defs, helper

from nnef_tools.conversion.engine.rules import Rule, find_rule
from nnef_tools.conversion.onnx_to_nnef import Converter

SCHEMAS = [schema for schema in defs.get_all_schemas_with_history() if not schema.deprecated]
RULES = [
    pytest.param(schema, rule, id=f"{schema.domain}{schema.name}-{schema.since_version}")
    for schema in sorted(SCHEMAS, key=lambda s: (s.domain, s.name, s.since_version))
    if (rule := find_rule(Converter.dialect, schema.name, schema.since_version, schema.domain)) is not None
]

# (operator, attribute) -> why a rule does not name it
NOT_NAMED = {
    ("Constant", "sparse_value"): "refused: NNEF has no sparse tensors",
    ("Constant", "value_string"): "refused: NNEF has no strings",
    ("Constant", "value_strings"): "refused: NNEF has no strings",
}
# (operator, attribute) -> what the default of a rule means where it is not that of the schema
OTHER_DEFAULT = {
    ("BatchNormalization", "is_test"): "None is the same but for a warning",
    ("Clip", "max"): "None: no bound",
    ("Clip", "min"): "None: no bound",
    ("Concat", "axis"): "version 1 has none in its schema, but tells it",
    ("Constant", "value"): "other attributes can take its place from version 12 on",
    ("Dropout", "is_test"): "None is the same but for a warning",
    ("GRU", "direction"): "the schema of version 1 has a slip of the pen",
    ("GridSample", "mode"): "bilinear and linear are the same",
    ("Hardmax", "axis"): "it depends on the version",
    ("LogSoftmax", "axis"): "it depends on the version",
    ("LpPool", "kernel_shape"): "required: without one there is nothing to pool",
    ("RNN", "activations"): "the rule fills them in by direction",
    ("Softmax", "axis"): "it depends on the version",
    ("Split", "axis"): "version 1 has none, 0 is that of version 2",
    ("Dropout", "seed"): "nothing is random",
    ("TreeEnsemble", "n_targets"): "1, as for onnxruntime",
    ("TreeEnsembleRegressor", "n_targets"): "1, as for onnxruntime",
}


def default_of(attribute: Any) -> Any:
    if not attribute.default_value.type:
        return None
    value = helper.get_attribute_value(attribute.default_value)
    return value.decode() if isinstance(value, bytes) else value


@pytest.mark.parametrize(("schema", "rule"), RULES)
def test_attributes(schema: defs.OpSchema, rule: Rule) -> None:
    defaults = rule.function.__kwdefaults__ or {}
    for name, attribute in schema.attributes.items():
        if name == "consumed_inputs" or (schema.name, name) in NOT_NAMED:
            continue
        assert name in rule.attributes, name
        if (schema.name, name) in OTHER_DEFAULT:
            continue
        if schema.domain == "ai.onnx.ml" and rule.attributes[name]:
            continue  # its schemas call nothing required
        assert rule.attributes[name] == attribute.required, f"{name} is required"
        if not attribute.required:
            expected = default_of(attribute)
            given = defaults[name] if defaults[name] != () else None  # a list that is missing is empty
            assert given == (pytest.approx(expected) if isinstance(expected, float) else expected), name


@pytest.mark.parametrize(("schema", "rule"), RULES)
def test_inputs(schema: defs.OpSchema, rule: Rule) -> None:
    if rule.variadic:
        return
    required = sum(not spec.optional for spec in rule.inputs)
    assert required <= schema.min_input
    assert len(rule.inputs) >= schema.max_input


def test_versions() -> None:
    """Where an operator has a rule, each of its versions has one."""
    known = {(schema.domain, schema.name) for schema in SCHEMAS}
    with_rule = {
        (s.domain, s.name) for s in SCHEMAS if find_rule("onnx", s.name, onnx.defs.onnx_opset_version(), s.domain)
    }
    missing = [
        f"{s.name}-{s.since_version}"
        for s in SCHEMAS
        if (s.domain, s.name) in known & with_rule and find_rule("onnx", s.name, s.since_version, s.domain) is None
    ]
    assert missing == []
