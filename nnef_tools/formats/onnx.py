"""ONNX."""

from __future__ import annotations

from .format import Dialect, Format, Runtime, has_capitalized_operators

ONNX = Dialect(
    name="onnx",
    title="ONNX",
    owns=has_capitalized_operators,
    to_nnef="conversion.onnx_to_nnef:Converter",
    from_nnef="conversion.nnef_to_onnx:Converter",
    optimizer="optimization.onnx_optimizer:Optimizer",
    optimizer_options=frozenset({"custom_optimizers"}),
    complete_shapes="io.onnx.inference:complete_shapes",
)

FORMATS = (
    Format(
        name="onnx",
        title="ONNX",
        dialect=ONNX,
        suffixes=(".onnx",),
        extra="onnx",
        reader="io.onnx:Reader",
        writer="io.onnx:Writer",
        writer_options=frozenset({"external_data"}),
        runtimes=(Runtime("onnxruntime", "ONNX", "execution.onnxruntime.onnx:OnnxExecutor", devices=True),),
    ),
)
