"""A table of operators that are the same in several formats: a row for an NNEF operation, a column for a dialect."""

from __future__ import annotations

from typing import NamedTuple


class Row(NamedTuple):
    """nnef: operation; onnx: operator of the default domain; tf: TensorFlow's main operator of that meaning."""

    nnef: str
    onnx: str
    tf: str


UNARY = (
    Row("abs", "Abs", "Abs"),
    Row("acos", "Acos", "Acos"),
    Row("acosh", "Acosh", "Acosh"),
    Row("asin", "Asin", "Asin"),
    Row("asinh", "Asinh", "Asinh"),
    Row("atan", "Atan", "Atan"),
    Row("atanh", "Atanh", "Atanh"),
    Row("ceil", "Ceil", "Ceil"),
    Row("cos", "Cos", "Cos"),
    Row("cosh", "Cosh", "Cosh"),
    Row("erf", "Erf", "Erf"),
    Row("exp", "Exp", "Exp"),
    Row("floor", "Floor", "Floor"),
    Row("log", "Log", "Log"),
    Row("neg", "Neg", "Neg"),
    Row("not", "Not", "LogicalNot"),
    Row("rcp", "Reciprocal", "Reciprocal"),
    Row("sign", "Sign", "Sign"),
    Row("sin", "Sin", "Sin"),
    Row("sinh", "Sinh", "Sinh"),
    Row("sqrt", "Sqrt", "Sqrt"),
    Row("tan", "Tan", "Tan"),
    Row("tanh", "Tanh", "Tanh"),
)

ACTIVATIONS = (
    Row("relu", "Relu", "Relu"),
    Row("sigmoid", "Sigmoid", "Sigmoid"),
    Row("softplus", "Softplus", "Softplus"),
)

BINARY = (
    Row("add", "Add", "AddV2"),
    Row("and", "And", "LogicalAnd"),
    Row("div", "Div", "RealDiv"),
    Row("eq", "Equal", "Equal"),
    Row("gt", "Greater", "Greater"),
    Row("ge", "GreaterOrEqual", "GreaterEqual"),
    Row("lt", "Less", "Less"),
    Row("le", "LessOrEqual", "LessEqual"),
    Row("mul", "Mul", "Mul"),
    Row("or", "Or", "LogicalOr"),
    Row("sub", "Sub", "Sub"),
    Row("ne", "Xor", "NotEqual"),
)

ELEMENTWISE = (*UNARY, *ACTIVATIONS, *BINARY)

REDUCE = (
    Row("max_reduce", "ReduceMax", "Max"),
    Row("mean_reduce", "ReduceMean", "Mean"),
    Row("min_reduce", "ReduceMin", "Min"),
    Row("product_reduce", "ReduceProd", "Prod"),
    Row("sum_reduce", "ReduceSum", "Sum"),
)
