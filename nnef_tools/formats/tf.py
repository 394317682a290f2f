"""TensorFlow: GraphDef, SavedModel and Keras files."""

from __future__ import annotations

from .format import Dialect, Format, Runtime, operation_types

TENSORFLOW = Dialect(
    name="tf",
    title="TensorFlow GraphDef",
    owns=lambda graph: not operation_types(graph).isdisjoint(("Placeholder", "PlaceholderV2")),
    channels_last=True,
    to_nnef="conversion.tf_to_nnef:Converter",
    from_nnef="conversion.nnef_to_tf:Converter",
    optimizer="optimization.tf_optimizer:Optimizer",
    optimizer_options=frozenset({"custom_optimizers"}),
    layout="optimization.tf.layout",
    complete_shapes="conversion.tf.to_nnef.converter:fill_shapes",
    tensor_name=lambda name: name.removesuffix(":0"),  # which TensorFlow itself adds to the name of a node
)

FORMATS = (
    Format(
        name="tf",
        title="TensorFlow GraphDef",
        dialect=TENSORFLOW,
        suffixes=(".pb",),
        read_suffixes=(".pbtxt", ".keras", ".h5", ".hdf5"),
        folder_marks=("saved_model.pb",),
        extra="tf",
        reader="io.tf.graphdef:Reader",
        reader_options=frozenset({"fold_constants", "set_inputs", "signature"}),
        writer="io.tf.graphdef:Writer",
        runtimes=(Runtime("tensorflow", "TensorFlow", "execution.tensorflow:TensorFlowExecutor"),),
    ),
)
