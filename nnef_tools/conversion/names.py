"""Operators that are the same in several formats, once: a row per NNEF operation, a column per dialect."""

from __future__ import annotations

from typing import NamedTuple


class Row(NamedTuple):
    """nnef: operation; onnx: operator of the default domain."""

    nnef: str
    onnx: str


UNARY = (
    Row("abs", "Abs"),
    Row("acos", "Acos"),
    Row("acosh", "Acosh"),
    Row("asin", "Asin"),
    Row("asinh", "Asinh"),
    Row("atan", "Atan"),
    Row("atanh", "Atanh"),
    Row("ceil", "Ceil"),
    Row("cos", "Cos"),
    Row("cosh", "Cosh"),
    Row("erf", "Erf"),
    Row("exp", "Exp"),
    Row("floor", "Floor"),
    Row("log", "Log"),
    Row("neg", "Neg"),
    Row("not", "Not"),
    Row("rcp", "Reciprocal"),
    Row("relu", "Relu"),
    Row("sigmoid", "Sigmoid"),
    Row("sign", "Sign"),
    Row("sin", "Sin"),
    Row("sinh", "Sinh"),
    Row("softplus", "Softplus"),
    Row("sqrt", "Sqrt"),
    Row("tan", "Tan"),
    Row("tanh", "Tanh"),
)

BINARY = (
    Row("add", "Add"),
    Row("and", "And"),
    Row("div", "Div"),
    Row("eq", "Equal"),
    Row("gt", "Greater"),
    Row("ge", "GreaterOrEqual"),
    Row("lt", "Less"),
    Row("le", "LessOrEqual"),
    Row("mul", "Mul"),
    Row("or", "Or"),
    Row("sub", "Sub"),
    Row("ne", "Xor"),
)

REDUCE = (
    Row("max_reduce", "ReduceMax"),
    Row("mean_reduce", "ReduceMean"),
    Row("min_reduce", "ReduceMin"),
    Row("product_reduce", "ReduceProd"),
    Row("sum_reduce", "ReduceSum"),
)
