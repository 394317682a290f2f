"""A decoder with packed weights and a cache, as the model builder of onnxruntime-genai writes it, in every format."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto, NodeProto, TensorProto, helper

from nnef_tools.api import run_model
from nnef_tools.pipeline import convert_model

from ...support.arrays import Array, assert_agree
from ...support.onnx_models import Typed, onnx_model, run_onnx

F = np.float32
WORDS, WIDTH, HEADS, GROUPS, SIZE, BLOCK = 97, 64, 4, 2, 16, 32
SHARED = HEADS + 2 * GROUPS
PAST = ["past.key", "past.value"]


class Decoder:
    """One layer: embedding, attention with norms around it, logits."""

    def __init__(self) -> None:
        self.random = np.random.default_rng(0)
        self.nodes: list[NodeProto] = []
        self.constants: dict[str, Array] = {}

    def node(self, op: str, inputs: str, *outputs: str, domain: str = "com.microsoft", **attributes: Any) -> str:
        names = ["" if name == "-" else name for name in inputs.split()]
        self.nodes.append(helper.make_node(op, names, list(outputs), domain=domain, **attributes))
        return outputs[0]

    def constant(self, name: str, value: Any) -> str:
        self.constants[name] = value
        return name

    def packed(self, name: str, rows: int, width: int, *, table: bool = False) -> str:
        """Codes of 4 bits, scales, zero points."""
        shape = (rows, width // 2) if table else (rows, width // BLOCK, BLOCK // 2)
        zeros = (rows, width // BLOCK // 2) if table else (rows * width // BLOCK // 2,)
        self.constant(f"{name}.q", self.random.integers(0, 256, shape).astype(np.uint8))
        self.constant(f"{name}.s", (self.random.random((rows, width // BLOCK)) * 0.03 + 0.01).astype(F))
        self.constant(f"{name}.z", self.random.integers(0, 256, zeros).astype(np.uint8))
        return name

    def product(self, x: str, name: str, width: int, rows: int) -> str:
        self.packed(name, rows, width)
        inputs = f"{x} {name}.q {name}.s {name}.z"
        return self.node("MatMulNBits", inputs, f"{name}.y", K=width, N=rows, bits=4, block_size=BLOCK)

    def norm(self, name: str) -> str:
        return self.constant(name, self.random.normal(size=WIDTH).astype(F))

    def lengths(self) -> None:
        self.constant("one", np.array([1]))
        self.constant("axis", np.array(1))
        self.node("ReduceSum", "attention_mask one", "sums", domain="")
        self.node("Sub", "sums one", "less", domain="")
        self.node("Cast", "less", "lengths", domain="", to=TensorProto.INT32)
        self.node("Shape", "attention_mask", "shape", domain="")
        self.node("Gather", "shape axis", "extent", domain="")
        self.node("Cast", "extent", "total", domain="", to=TensorProto.INT32)

    def model(self) -> ModelProto:
        self.packed("table", WORDS, WIDTH, table=True)
        self.node("GatherBlockQuantized", "table.q input_ids table.s table.z", "x", bits=4, block_size=BLOCK)
        self.lengths()
        angle = np.arange(32)[:, None] * 10000.0 ** (-np.arange(SIZE // 2) / (SIZE // 2))
        self.constant("cos", np.cos(angle).astype(F))
        self.constant("sin", np.sin(angle).astype(F))
        self.constant("sink", self.random.normal(size=HEADS).astype(F))
        self.node("SimplifiedLayerNormalization", f"x {self.norm('n1')}", "h", domain="", epsilon=1e-6)
        joined = self.product("h", "qkv", WIDTH, SHARED * SIZE)
        self.node(
            "GroupQueryAttention", f"{joined} - - {' '.join(PAST)} lengths total cos sin - - sink", "a", "key", "value",
            num_heads=HEADS, kv_num_heads=GROUPS, do_rotary=1, local_window_size=5,
        )  # fmt: skip
        y = self.product("a", "out", HEADS * SIZE, WIDTH)
        self.node("SkipSimplifiedLayerNormalization", f"x {y} {self.norm('n2')}", "last", epsilon=1e-6)
        self.node("Identity", self.product("last", "head", WIDTH, WORDS), "logits", domain="")
        past = Typed(F, ["batch", GROUPS, "past", SIZE])
        inputs = {
            "input_ids": Typed(np.int64, ["batch", "length"]),
            "attention_mask": Typed(np.int64, ["batch", "all"]),
        }
        present = Typed(F, ["batch", GROUPS, "n", SIZE])
        outputs = {"logits": Typed(F, ["batch", "length", WORDS]), "key": present, "value": present}
        return onnx_model(
            self.nodes, {**inputs, **dict.fromkeys(PAST, past)}, outputs, self.constants, domains=["com.microsoft"]
        )


def feeds(batch: int, length: int, past: int, ends: list[int]) -> dict[str, Array]:
    random = np.random.default_rng(1)
    mask = np.arange(past + length)[None] < np.array(ends)[:, None]
    cache = {name: random.normal(size=(batch, GROUPS, past, SIZE)).astype(F) for name in PAST}
    return {"input_ids": random.integers(0, WORDS, (batch, length)), "attention_mask": mask.astype(np.int64), **cache}


@pytest.mark.parametrize(
    ("batch", "length", "past", "ends"), [(1, 5, 0, [5]), (2, 1, 7, [8, 3]), (1, 1, 7, [6]), (1, 3, 6, [9])]
)
def test_steps(batch, length, past, ends, tmp_path: Path):
    model, given = Decoder().model(), feeds(batch, length, past, ends)
    onnx.save(model, tmp_path / "decoder.onnx")
    shapes = {name: list(x.shape) for name, x in given.items()}
    convert_model(tmp_path / "decoder.onnx", tmp_path / "decoder.nnef", input_shapes=shapes)
    kept = [x for x in given.values() if x.size]  # an empty cache is no input
    for actual, wanted in zip(run_model(tmp_path / "decoder.nnef", kept).values(), run_onnx(model, given), strict=True):
        assert_agree(actual, wanted, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("target", ["decoder.tflite", "again.onnx"])
def test_formats(target, tmp_path: Path):
    if target.endswith(".tflite"):
        pytest.importorskip("ai_edge_litert")
    model, given = Decoder().model(), feeds(1, 1, 7, [6])
    source = tmp_path / "decoder.onnx"
    onnx.save(model, source)
    shapes = {name: list(x.shape) for name, x in given.items()}
    convert_model(source, tmp_path / "decoder.nnef", input_shapes=shapes)
    convert_model(tmp_path / "decoder.nnef", tmp_path / target)
    results = run_model(tmp_path / target, list(given.values())).values()
    for actual, wanted in zip(results, run_onnx(model, given), strict=True):
        assert_agree(np.asarray(actual), wanted, rtol=1e-3, atol=1e-4)


def test_optimization_keeps_packed_weights(tmp_path: Path):
    model, given = Decoder().model(), feeds(1, 1, 7, [6])
    onnx.save(model, tmp_path / "decoder.onnx")
    shapes = {name: list(x.shape) for name, x in given.items()}
    convert_model(tmp_path / "decoder.onnx", tmp_path / "plain.nnef", input_shapes=shapes)
    convert_model(tmp_path / "decoder.onnx", tmp_path / "decoder.nnef", input_shapes=shapes, optimize=True)
    plain, optimized = (
        sum(file.stat().st_size for file in (tmp_path / name).glob("*.dat")) for name in ("plain.nnef", "decoder.nnef")
    )
    assert optimized <= plain
    results = run_model(tmp_path / "decoder.nnef", list(given.values())).values()
    for actual, wanted in zip(results, run_onnx(model, given), strict=True):
        assert_agree(actual, wanted, rtol=1e-3, atol=1e-4)
