"""NNEF, the format in the middle of every conversion."""

from __future__ import annotations

from .format import Dialect, Format, Runtime, operation_types

NNEF = Dialect(
    name="nnef",
    title="NNEF",
    owns=lambda graph: "external" in operation_types(graph),
    optimizer="optimization.nnef_optimizer:Optimizer",
    optimizer_options=frozenset({"custom_optimizers", "dequantize"}),
    layout="optimization.nnef.layout",
)

FORMATS = (
    Format(
        name="nnef",
        title="NNEF",
        dialect=NNEF,
        suffixes=(".nnef", ".tgz", ".tar.gz", ".tar"),
        archive_suffixes=(".tgz", ".tar.gz"),
        folder_mark="graph.nnef",
        is_magic=lambda head: head[:2] == b"\x1f\x8b" or head[257:262] == b"ustar",
        reader="io.nnef:Reader",
        reader_options=frozenset({"custom_shapes", "load_variables"}),
        writer="io.nnef:Writer",
        writer_options=frozenset({"custom_fragments", "generate_custom_fragments", "annotate_shapes"}),
        runtimes=(
            Runtime("onnxruntime", "NNEF", "execution.onnxruntime.nnef:NnefOnnxExecutor", devices=True),
            Runtime("torch", "NNEF", "execution.kernels.torch:TorchKernels", devices=True, has_kernels=True),
            Runtime("numpy", "NNEF", "execution.kernels.numpy:NumpyKernels", has_kernels=True),
        ),
    ),
)
