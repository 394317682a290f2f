"""TensorFlow Lite."""

from __future__ import annotations

from .format import Dialect, Format, Runtime

TFLITE = Dialect(
    name="tflite",
    title="TFLite",
    channels_last=True,
    to_nnef="conversion.tflite_to_nnef:Converter",
    from_nnef="conversion.nnef_to_tflite:Converter",
    optimizer="optimization.tflite_optimizer:Optimizer",
    optimizer_options=frozenset({"custom_optimizers"}),
    layout="optimization.tflite.layout",
)

FORMATS = (
    Format(
        name="tflite",
        title="TFLite",
        dialect=TFLITE,
        suffixes=(".tflite",),
        is_magic=lambda head: head[4:8] == b"TFL3",
        extra="tflite",
        reader="io.tf.lite:Reader",
        reader_options=frozenset({"signature"}),
        writer="io.tf.lite:Writer",
        runtimes=(
            Runtime("litert", "TFLite", "execution.litert:LiteRtExecutor", package="ai_edge_litert"),
            Runtime("litert-reference", "TFLite", "execution.litert:LiteRtReferenceExecutor", package="ai_edge_litert"),
            Runtime(
                "litert-real-weights", "TFLite", "execution.litert:LiteRtRealWeightsExecutor", package="ai_edge_litert"
            ),
        ),
        verifying="litert-real-weights",
    ),
)
