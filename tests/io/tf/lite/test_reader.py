"""What the reader makes of the tables of a file, and what it refuses."""

from __future__ import annotations

import base64
import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnef_tools import convert_model, load_model, run_model
from nnef_tools.errors import ConversionError, FileError, FormatError, UsageError
from nnef_tools.io.tf.lite import Reader
from nnef_tools.io.tf.lite.flatbuffer import Table

from .models import model, operators, options, read_tables, rewritten, run, tensor, write_tables

ONE = np.ones(2, np.float32)


def relu(**rest: Any) -> Table:
    """A subgraph of one operator."""
    return {
        "tensors": [tensor("x"), tensor("y")],
        "inputs": [0],
        "outputs": [1],
        "operators": [{"opcode_index": 0, "inputs": [0], "outputs": [1]}],
        **rest,
    }


def call(index: int) -> Table:
    """A subgraph that calls another one."""
    return relu(
        operators=[{"opcode_index": 1, "inputs": [0], "outputs": [1], **options("CallOptions", subgraph=index)}]
    )


CODES = operators("RELU", "CALL", "ADD", "my_op", "STABLEHLO_COMPOSITE", "FULLY_CONNECTED", "CAST")


# tensors


def test_names_are_unique_and_come_back(tmp_path: Path) -> None:
    names = ["x", "x", None, "", "x_1", "y", "y"]
    adds = [{"opcode_index": 0, "inputs": [k, k + 1], "outputs": [k + 2]} for k in range(5)]
    codes = operators("ADD")
    tables = model({"tensors": [tensor(n) for n in names], "inputs": [0, 1], "outputs": [6], "operators": adds}, codes)
    graph = read_tables(tmp_path / "m.tflite", tables)
    assert [t.name for t in graph.tensors] == ["x", "x_1_", "tensor_2", "tensor_3", "x_1", "y", "y_6"]
    again = rewritten(tmp_path / "m.tflite")
    assert [t["name"] for t in _tables(again)] == names
    assert np.array_equal(run(again, ONE, ONE)[0], run(tmp_path / "m.tflite", ONE, ONE)[0])
    found = run_model(again, {"x": ONE, "x_1_": 2 * ONE}, output_names=["y_6", "tensor_2"])
    assert np.array_equal(found["tensor_2"], 3 * ONE)
    mapping = convert_model(again, tmp_path / "m.nnef", verify=1).tensor_mapping
    assert len(mapping) == len(names)


def _tables(path: Path) -> list[Table]:
    from nnef_tools.dialects.tflite.schema import tflite_schema
    from nnef_tools.io.tf.lite.flatbuffer import decode
    from nnef_tools.io.tf.lite.reader import IDENTIFIER

    tables = decode(memoryview(path.read_bytes()), tflite_schema(), "Model", IDENTIFIER)["subgraphs"][0]["tensors"]
    return list(tables)


def test_missing_inputs_keep_their_places(tmp_path: Path) -> None:
    graph = relu(
        tensors=[tensor("x", (1, 2)), tensor("y", (1, 3)), tensor("w", (3, 2), buffer=1)],
        operators=[{"opcode_index": 5, "inputs": [0, 2, -1], "outputs": [1], **options("FullyConnectedOptions")}],
    )
    tables = model(graph, CODES)
    tables["buffers"].append({"data": np.arange(6, dtype=np.float32).view(np.uint8)})
    read = read_tables(tmp_path / "m.tflite", tables)
    assert [t.name for t in read.operations[0].inputs] == ["x", "w", ""]
    again = rewritten(tmp_path / "m.tflite")
    assert np.array_equal(run(again, ONE[None])[0], [[1, 5, 9]])


def test_constants_without_items(tmp_path: Path) -> None:
    graph = relu(
        tensors=[tensor("x", (1,)), tensor("y", ()), tensor("shape", (0,), "INT32", buffer=1)],
        operators=[{"opcode_index": 0, "inputs": [0, 2], "outputs": [1]}],
    )
    tables = model(graph, operators("RESHAPE"))
    tables["buffers"].append({})
    read = read_tables(tmp_path / "m.tflite", tables)
    assert read.operations[0].inputs[1].data.shape == (0,)
    assert run(rewritten(tmp_path / "m.tflite"), ONE[:1])[0].shape == ()


def test_open_extents(tmp_path: Path) -> None:
    tensors = [tensor("x", (1, 2), shape_signature=[-1, 2]), tensor("y", (1, 2), shape_signature=[-1, 2])]
    path = write_tables(tmp_path / "m.tflite", model(relu(tensors=tensors), CODES))
    reader = Reader()
    graph = reader(path)
    assert graph.inputs[0].shape == (1, 2)
    assert "is open" in reader.warnings[0]
    assert [t["shape_signature"] for t in _tables(rewritten(path))] == [[-1, 2], [-1, 2]]
    x = np.ones((5, 2), np.float32)
    assert run_model(rewritten(path), [x])["y"].shape == (5, 2)
    graph = reader(path, {"x": (3, 2)})
    assert ([t.shape for t in graph.tensors], reader.warnings) == ([(3, 2), (None, 2)], [])
    graph = reader(path, {"x": (3, 3)})
    assert [t.shape for t in graph.tensors] == [(3, 3), (None, None)]
    with pytest.raises(UsageError, match=r"has shape \[1, 2\], it cannot get \[3\]"):
        reader(path, {"x": (3,)})
    convert_model(path, tmp_path / "m.nnef")  # shapes in NNEF are numbers
    assert "open_extents" not in load_model(tmp_path / "m.nnef").metadata
    tensors[0]["shape_signature"] = [-1]
    with pytest.raises(FormatError, match="signature"):
        read_tables(path, model(relu(tensors=tensors), CODES))


def test_variables(tmp_path: Path) -> None:
    tensors = [tensor("x"), tensor("y"), tensor("state", is_variable=True)]
    adds = [{"opcode_index": 2, "inputs": [0, 2], "outputs": [1]}]
    tables = model(relu(tensors=tensors, operators=adds), CODES)
    assert read_tables(tmp_path / "m.tflite", tables).metadata["variables"] == ["state"]
    assert [t["is_variable"] for t in _tables(rewritten(tmp_path / "m.tflite"))] == [False, False, True]
    tensors[2]["buffer"] = 1
    tables["buffers"].append({"data": ONE.view(np.uint8)})
    with pytest.raises(FormatError, match="a variable cannot have a value"):
        read_tables(tmp_path / "m.tflite", tables)


@pytest.mark.parametrize(
    ("quantization", "message"),
    [
        ({"scale": [0.5], "zero_point": [1, 2]}, "as many zero points"),
        ({"scale": [0.5, 0.5], "zero_point": [1, 2], "quantized_dimension": 1}, "2 scales for dimension 1"),
        ({"scale": [0.5] * 3, "zero_point": [1] * 3}, "3 scales for dimension 0"),
        ({"details_type": 2, "details": {"block_size": 32}}, "quantized in blocks, which is not supported"),
        ({"details_type": 1, "details": {"custom": b"x"}}, "by custom parameters"),
    ],
)
def test_bad_quantization(quantization: Table, message: str, tmp_path: Path) -> None:
    tables = model(relu(tensors=[tensor("x", type="INT8", quantization=quantization), tensor("y")]), CODES)
    with pytest.raises(FormatError, match=message) as caught:
        read_tables(tmp_path / "m.tflite", tables)
    assert "tensor 'x'" in str(caught.value)


# where values are


def test_files_beside_the_model(tmp_path: Path) -> None:
    graph = relu(tensors=[tensor("x"), tensor("y"), tensor("c", external_buffer=7)])
    graph["operators"][0] = {"opcode_index": 2, "inputs": [0, 2], "outputs": [1]}
    tables = model(
        graph,
        CODES,
        external_buffer_groups=[{"name": "weights.bin"}],
        external_buffers=[{"id": 7, "group": 0, "offset": 4, "length": 8}],
    )
    with pytest.raises(FileError, match="cannot read"):
        read_tables(tmp_path / "m.tflite", tables)
    (tmp_path / "weights.bin").write_bytes(b"....".ljust(4) + (ONE * 3).tobytes())
    assert read_tables(tmp_path / "m.tflite", tables).operations[0].inputs[1].data.tolist() == [3, 3]
    assert np.array_equal(run(rewritten(tmp_path / "m.tflite"), ONE)[0], [4, 4])
    for change, message in (
        ({"external_buffers": [{"id": 7, "group": 0, "offset": 8, "length": 8}]}, "outside of the file"),
        ({"external_buffers": [{"id": 8, "group": 0, "length": 8}]}, "no external buffer 7"),
        ({"external_buffers": [{"id": 7, "group": 3, "length": 8}]}, "no external buffer 7"),
        ({"external_buffers": [{"id": 7, "length": 8, "packing": "zip"}]}, "packed as 'zip'"),
        *(({"external_buffer_groups": [{"name": n}]}, "not beside") for n in ("../x", "/etc/passwd", "", "..", "c:x")),
    ):
        with pytest.raises(FormatError, match=message):
            read_tables(tmp_path / "m.tflite", {**tables, **change})


def test_large_options_of_custom_operators(tmp_path: Path) -> None:
    from nnef_tools.io.tf.lite.flexbuffer import encode_map

    raw = encode_map({"alpha": 0.5, "_hidden": True, "items": [1, 2]})
    op = {"opcode_index": 3, "inputs": [0], "outputs": [1]}
    path = tmp_path / "m.tflite"
    start = write_tables(path, model(relu(operators=[{**op, "custom_options": b""}]), CODES)).stat().st_size + 64
    large = {**op, "large_custom_options_offset": start, "large_custom_options_size": len(raw)}
    size = write_tables(path, model(relu(operators=[large]), CODES)).stat().st_size
    write_tables(path, model(relu(operators=[large]), CODES), bytes(start - size) + raw)
    found = Reader()(path).operations[0]
    assert found.custom and found.type == "my_op"
    assert {key: value for key, value in found.attribs.items() if key[0] != "_"} == {"alpha": 0.5, "items": [1, 2]}
    assert raw in rewritten(path).read_bytes()  # with the hidden one


def test_options_and_version_of_custom_operators(tmp_path: Path) -> None:
    codes = [*CODES[:3], {**CODES[3], "version": 4}]
    for raw in (b"\1\2\3", None):
        op = {"opcode_index": 3, "inputs": [0], "outputs": [1], "custom_options": raw}
        graph = read_tables(tmp_path / "m.tflite", model(relu(operators=[op]), codes))
        expected = {"custom_version": 4} if raw is None else {"custom_version": 4, "custom_options": raw}
        assert graph.operations[0].attribs == expected
        assert Reader()(rewritten(tmp_path / "m.tflite")).operations[0].attribs == expected
        convert_model(tmp_path / "m.tflite", tmp_path / "m.nnef", mirror_unsupported=True)
        text = (tmp_path / "m.nnef" / "graph.nnef").read_text()
        assert "custom_version = 4" in text and (raw is None or "custom_options = '010203'" in text)


def test_custom_operators_with_the_name_of_a_builtin_one(tmp_path: Path) -> None:
    code = {"deprecated_builtin_code": 32, "builtin_code": 32, "custom_code": "RELU"}
    path = write_tables(tmp_path / "m.tflite", model(relu(), [code]))
    assert Reader()(path).operations[0].custom
    with pytest.raises(ConversionError, match="RELU"):
        convert_model(path, tmp_path / "m.nnef")


# subgraphs


def test_shared_and_nested_subgraphs(tmp_path: Path) -> None:
    first = call(1)
    first["tensors"] += [tensor("z")]
    first["operators"] += [{**first["operators"][0], "inputs": [1], "outputs": [2]}]
    path = write_tables(tmp_path / "m.tflite", model([first, call(2), relu()], CODES))
    graph = Reader()(path)
    shared = [op.attribs["subgraph"] for op in graph.operations]
    assert shared[0] is shared[1]
    assert shared[0].operations[0].attribs["subgraph"].operations[0].type == "RELU"
    again = Reader()(rewritten(path))
    assert again.operations[0].attribs["subgraph"] is again.operations[1].attribs["subgraph"]


def test_decomposition_of_composites(tmp_path: Path) -> None:
    values = {"name": "odml.relu", "decomposition_subgraph_index": 1, "composite_attributes": b"abc", "version": 2}
    op = {"opcode_index": 4, "inputs": [0], "outputs": [1], **options("StableHLOCompositeOptions", **values)}
    path = write_tables(tmp_path / "m.tflite", model([relu(operators=[op]), relu()], CODES))
    for file in (path, rewritten(path)):
        attribs = Reader()(file).operations[0].attribs
        assert attribs["decomposition_subgraph"].operations[0].type == "RELU"
        assert (attribs["name"], attribs["composite_attributes"], attribs["version"]) == ("odml.relu", b"abc", 2)


@pytest.mark.parametrize(
    ("graphs", "message"),
    [
        ([call(0)], "subgraph 0 contains itself"),
        ([call(1), call(0)], "subgraph 0 contains itself"),
        ([call(5)], "there is no subgraph 5"),
        ([call(k + 1) for k in range(1000)], "nested deeper than 64"),
        ([call(1), relu(inputs=[])], "used before it has a value"),
        ([call(1), {**relu(), "outputs": [1, 1]}], "CALL passes 1 and gets 1 tensors"),
        ([relu(operators=[])], "'y' is used before it has a value"),
        ([relu(inputs=[0, 0])], "'x' is an input and is listed twice"),
        ([relu(inputs=[0, 1])], "'y' is computed by RELU, but has a value already"),
        ([relu(inputs=[4])], "there is no tensor 4"),
        ([relu(outputs=[-1])], "there is no tensor -1"),
        ([relu(operators=[{"opcode_index": 99}])], "there is no operator code 99"),
        ([relu(operators=[{"opcode_index": 0, "inputs": [0], "outputs": [1, 1]}])], "has a value already"),
        ([relu(operators=[{"opcode_index": 0, "inputs": [1], "outputs": [1]}])], "before it has a value"),
        ([relu(operators=[{"opcode_index": 0, "inputs": [0], "outputs": [-1]}])], "has a value already"),
        ([], "the model has no subgraph"),
    ],
)
def test_bad_subgraphs(graphs: list[Table], message: str, tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=message):
        read_tables(tmp_path / "m.tflite", model(graphs, CODES))


def test_little_that_says_a_lot(tmp_path: Path) -> None:
    """Many operators that call as many copies of one subgraph with many tensors."""
    many = 20_000
    inner = relu()
    inner["tensors"] = inner["tensors"] + [inner["tensors"][0]] * 100  # encoded once each
    calls = [{**call(1)["operators"][0], "outputs": [k]} for k in range(1, 50)]
    outer = relu(tensors=[tensor(f"t{k}") for k in range(50)], operators=calls)
    read_tables(tmp_path / "m.tflite", model([outer, inner], CODES))  # shared, so built once
    labels = [{"name": f"n{k}", "buffer": 1} for k in range(many)]
    tables = model(relu(), CODES, metadata=labels)
    tables["buffers"].append({"data": bytes(100_000)})
    with pytest.raises(FormatError, match="out of proportion"):
        read_tables(tmp_path / "m.tflite", tables)


# signatures and metadata


def signatures(*indices: int) -> list[Table]:
    return [
        {
            "signature_key": f"run{k}",
            "subgraph_index": index,
            "inputs": [{"name": "in", "tensor_index": 0}],
            "outputs": [{"name": "out", "tensor_index": 1}],
        }
        for k, index in enumerate(indices)
    ]


def test_signatures(tmp_path: Path) -> None:
    negative = relu(operators=[{"opcode_index": 1, "inputs": [0], "outputs": [1]}])
    codes = operators("RELU", "NEG")
    path = write_tables(tmp_path / "m.tflite", model([relu(), negative], codes, signature_defs=signatures(0, 1)))
    with pytest.raises(UsageError, match=r"several signatures: run0, run1[\s\S]*signature='..'"):
        Reader()(path)
    with pytest.raises(UsageError, match=r"no signature 'other'[\s\S]*run0, run1"):
        Reader("other")(path)
    for key, expected in (("run0", ONE), ("run1", -ONE)):
        assert np.array_equal(run_model(path, [ONE], signature=key)["y"], expected)
        assert convert_model(path, tmp_path / "m.nnef", signature=key, verify=1).verification
        assert np.array_equal(run_model(tmp_path / "m.nnef", [ONE]).popitem()[1], expected)
        graph = Reader()(rewritten(path, signature=key))
        facts = [graph.metadata[name] for name in ("signature", "signature_inputs", "signature_outputs")]
        assert facts == [key, {"in": "x"}, {"out": "y"}]
    with pytest.raises(UsageError, match="NNEF models have no option signature"):
        run_model(tmp_path / "m.nnef", [ONE], signature="run0")
    report = convert_model(tmp_path / "m.nnef", tmp_path / "m.onnx", signature="run0")
    assert report.unused_options == {"signature": "on NNEF models"}


def test_several_signatures_of_one_computation(tmp_path: Path) -> None:
    path = write_tables(tmp_path / "m.tflite", model(relu(), CODES, signature_defs=signatures(0, 0)))
    reader = Reader()
    assert reader(path).metadata["signature"] == "run0"
    assert reader.warnings == ["the signatures run0, run1 are the same computation; 'run0' is kept "
                               "(--signature chooses another)"]  # fmt: skip
    defs = signatures(0)
    defs[0]["inputs"][0]["tensor_index"] = 9
    with pytest.raises(FormatError, match="no tensors of its subgraph"):
        read_tables(path, model(relu(), CODES, signature_defs=defs))


def archive(**files: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as result:
        for name, content in files.items():
            result.writestr(name, content)
    return stream.getvalue()


def test_metadata_and_associated_files(tmp_path: Path) -> None:
    tables = model(relu(), CODES, metadata=[{"name": "about", "buffer": 1}], description="a model")
    tables["buffers"].append({"data": b"hello"})
    path = write_tables(tmp_path / "m.tflite", tables, archive(labels=b"cat\ndog\n", other=b""))
    again = rewritten(path)
    for file in (path, again):
        facts = Reader()(file).metadata
        assert (facts["description"], base64.b64decode(facts["tflite_metadata"]["about"])) == ("a model", b"hello")
        assert {k: base64.b64decode(v) for k, v in facts["associated_files"].items()} == {
            "labels": b"cat\ndog\n",
            "other": b"",
        }
    with zipfile.ZipFile(again) as found:
        assert found.read("labels") == b"cat\ndog\n"
        assert found.testzip() is None


def test_bad_archives(tmp_path: Path) -> None:
    good = archive(labels=b"cat\ndog\n" * 9)
    for bad in (good[:40] + b"\xff" * 9 + good[49:], archive(bomb=bytes(1 << 26)), b"PK\5\6" + bytes(18 + 9)):
        reader = Reader()
        path = write_tables(tmp_path / "m.tflite", model(relu(), CODES), bad)
        assert "associated_files" not in reader(path).metadata
        if b"bomb" in bad or b"labels" in bad:
            assert "cannot be read" in reader.warnings[0]
