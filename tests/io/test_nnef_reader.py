"""Reading NNEF models: containers, variables, quantization, shapes, and what has to be refused."""

import io
import os
import random
import struct
import tarfile
import tracemalloc

import nnef
import numpy as np
import pytest

from nnef_tools.errors import FileError, FormatError, NnefToolsError, ParseError, ShapeError, UsageError
from nnef_tools.execution import make_executor
from nnef_tools.io.nnef import Reader
from nnef_tools.language.tensor_file import write_tensor
from nnef_tools.ops.fragments import called_fragments, extension_fragments

TEXT = """version 1.0;

graph net( x ) -> ( y )
{
    x = external(shape = [1, 3, 8, 8]);
    w = variable(shape = [4, 3, 3, 3], label = 'conv/w');
    b = variable(shape = [1, 4], label = 'conv/b');
    c = conv(x, w, b, padding = [(1,1), (1,1)], stride = [2,2]);
    r = relu(c);
    y = avg_pool(r, size = [1,1,4,4], padding = [(0,0), (0,0), (0,0), (0,0)]);
}
"""

RNG = np.random.default_rng(0)
DATA = {
    "conv/w": RNG.standard_normal((4, 3, 3, 3)).astype(np.float32),
    "conv/b": RNG.standard_normal((1, 4)).astype(np.float32),
}
ONE = "version 1.0;\ngraph g(x) -> (y)\n{{\n x = external(shape = [2, 3]);\n {}\n}}\n"


def tensor_bytes(array, **options):
    stream = io.BytesIO()
    write_tensor(stream, array, **options)
    return stream.getvalue()


def model(folder, text=TEXT, data=DATA, **files):
    """A model folder, written by hand."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "graph.nnef").write_bytes(text if isinstance(text, bytes) else text.encode())
    for label, array in data.items():
        file = folder / f"{label}.dat"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(array if isinstance(array, bytes) else tensor_bytes(array))
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_text(content)
    return folder


def variable_model(folder, declaration, data, use="y = copy(v);", **files):
    return model(folder, ONE.format(f"v = variable{declaration};\n {use}"), data, **files)


def ops(graph, type):
    return [op for op in graph.operations if op.type == type]


def check_net(graph):
    assert [op.type for op in graph.operations] == ["external", "variable", "variable", "conv", "relu", "avg_pool"]
    assert [t.name for t in graph.inputs] == ["x"]
    assert [t.name for t in graph.outputs] == ["y"]
    for op in ops(graph, "variable"):
        label = op.attribs["label"]
        np.testing.assert_array_equal(op.output.data, DATA[label])
        assert op.output.dtype is np.float32
        assert op.attribs["shape"] == list(DATA[label].shape)


# --- containers


def test_folder(tmp_path):
    graph = Reader()(model(tmp_path / "m"))
    check_net(graph)
    assert graph.name == "net"
    assert graph.outputs[0].shape == (1, 4, 1, 1)
    assert ops(graph, "conv")[0].output.shape == (1, 4, 4, 4)
    assert all(op.name is None and not op.custom for op in graph.operations)
    assert graph.metadata == {}
    check_net(Reader()(str(tmp_path / "m")))


@pytest.mark.parametrize(("mode", "top"), [("w", ""), ("w:gz", ""), ("w", "./"), ("w:gz", "top/")])
def test_archives(tmp_path, mode, top):
    folder = model(tmp_path / "m")
    with tarfile.open(tmp_path / "model.bin", mode) as archive:
        archive.add(folder, arcname=top.rstrip("/") or ".")
    check_net(Reader()(tmp_path / "model.bin"))


def test_what_the_reference_writes(tmp_path):
    (tmp_path / "text").write_text(TEXT)
    graph = nnef.parse_string(TEXT)
    for op in graph.operations:
        if op.name == "variable":
            name = op.outputs["output"]
            graph.tensors[name] = graph.tensors[name]._replace(data=DATA[op.attribs["label"]])
    nnef.save_graph(graph, str(tmp_path / "m"))
    check_net(Reader()(tmp_path / "m"))


def test_nothing_there(tmp_path):
    with pytest.raises(FileError, match="no such"):
        Reader()(tmp_path / "none")
    with pytest.raises(FormatError, match=r"no graph\.nnef"):
        Reader()(tmp_path)
    with pytest.raises(FileError, match="folder or an archive"):
        Reader()(model(tmp_path / "m") / "graph.nnef")
    with tarfile.open(tmp_path / "t", "w"):
        pass
    with pytest.raises(FormatError, match=r"no graph\.nnef"):
        Reader()(tmp_path / "t")


def test_text_errors_name_the_file(tmp_path):
    with pytest.raises(ParseError, match=r"graph\.nnef:3:\d+"):
        Reader()(model(tmp_path / "m", TEXT.replace("graph net", "graf net")))


def test_comment_in_another_encoding(tmp_path):
    check_net(Reader()(model(tmp_path / "m", TEXT.replace("{", "{ # caf\xe9").encode("latin-1"))))


# --- variables


def test_large_variables_take_no_memory(tmp_path):
    size = 1 << 26
    folder = variable_model(tmp_path / "m", f"(shape = [1, {size}], label = 'big')", {})
    with (folder / "big.dat").open("wb") as file:
        file.write(tensor_bytes(np.zeros((1, 0), np.float32))[:4])
        file.write(struct.pack("<II8II", 4 * size, 2, 1, size, *[0] * 6, 32).ljust(124, b"\0"))
        file.truncate(128 + 4 * size)
    with tarfile.open(tmp_path / "m.tar", "w") as archive:
        archive.add(folder, arcname=".")
    for place in (folder, tmp_path / "m.tar"):
        tracemalloc.start()
        graph = Reader()(place)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
        tracemalloc.stop()
        data = ops(graph, "variable")[0].output.data
        assert data.shape == (1, size)
        assert data[0, -1] == 0
        assert not data.flags.writeable


def test_data_is_optional(tmp_path):
    graph = Reader(load_variables=False)(model(tmp_path / "m", data={}))
    assert all(op.output.data is None for op in ops(graph, "variable"))
    with pytest.raises(FormatError, match=r"conv/w\.dat") as error:
        Reader()(model(tmp_path / "m", data={}))
    assert "variable 'w'" in str(error.value)


@pytest.mark.parametrize("label", ["/a/w", "//a/w", "a/./w", "a\\\\w", "A/W"])
def test_labels_of_one_file(tmp_path, label):
    folder = variable_model(tmp_path / "m", f"(shape = [2], label = '{label}')", {"a/w": np.ones(2, np.float32)})
    with tarfile.open(tmp_path / "t", "w") as archive:
        archive.add(folder, arcname=".")
    for place in (folder, tmp_path / "t"):
        assert ops(Reader()(place), "variable")[0].output.data.tolist() == [1, 1]


def test_equal_labels_share_the_data(tmp_path):
    text = ONE.format(
        "v = variable(shape = [2], label = 'a/w');\n w = variable(shape = [2], label = '/A/W');\n y = add(v, w);"
    )
    graph = Reader()(model(tmp_path / "m", text, {"a/w": np.ones(2, np.float32)}))
    first, second = ops(graph, "variable")
    assert first.output.data is second.output.data


@pytest.mark.parametrize("label", ["../w", "a/../../w", "/../w", "..", "a\\\\..\\\\..\\\\w"])
def test_labels_cannot_leave_the_folder(tmp_path, label):
    write_tensor(tmp_path / "w.dat", np.ones(2, np.float32))
    folder = variable_model(tmp_path / "m", f"(shape = [2], label = '{label}')", {})
    with pytest.raises(FormatError, match="leads out"):
        Reader()(folder)


def test_absolute_label(tmp_path):
    write_tensor(tmp_path / "w.dat", np.ones(2, np.float32))
    folder = variable_model(tmp_path / "m", f"(shape = [2], label = '/{tmp_path}/w')", {})
    with pytest.raises(FormatError, match="there is no file"):
        Reader()(folder)


def test_links_cannot_leave_the_folder(tmp_path):
    write_tensor(tmp_path / "w.dat", np.ones(2, np.float32))
    folder = variable_model(tmp_path / "m", "(shape = [2], label = 'w')", {})
    (folder / "w.dat").symlink_to(tmp_path / "w.dat")
    with pytest.raises(FormatError, match="leads out"):
        Reader()(folder)
    (folder / "w.dat").unlink()
    write_tensor(folder / "real.dat", np.ones(2, np.float32))
    (folder / "w.dat").symlink_to("real.dat")
    assert ops(Reader()(folder), "variable")[0].output.data.tolist() == [1, 1]


def test_pipe_in_the_folder(tmp_path):
    folder = variable_model(tmp_path / "m", "(shape = [2], label = 'w')", {})
    os.mkfifo(folder / "w.dat")
    with pytest.raises(FormatError, match="not a file"):
        Reader()(folder)


@pytest.mark.parametrize("shape", [(2, 3, 1), (3, 2), (6,), ()])
def test_data_of_another_shape(tmp_path, shape):
    folder = variable_model(tmp_path / "m", "(shape = [2, 3], label = 'w')", {"w": np.zeros(shape, np.float32)})
    with pytest.raises(FormatError, match=r"the graph says \[2, 3\]"):
        Reader()(folder)


@pytest.mark.parametrize(
    ("item", "array", "options"),
    [
        ("scalar", np.ones(2, np.float16), {}),
        ("scalar", np.ones(2, np.float64), {}),
        ("scalar", np.ones(2, np.int32), {}),
        ("scalar", np.ones(2, np.int8), {"quantized": True}),
        ("integer", np.ones(2, np.int64), {}),
        ("integer", np.ones(2, np.uint8), {}),
        ("integer", np.ones(2, np.int32), {"quantized": True}),
        ("integer", np.ones(2, np.uint16), {"quantized": True}),
        ("logical", np.ones(2, bool), {}),
        ("logical", np.ones(2, bool), {"bits": 8}),
    ],
)
def test_type_of_the_data_is_that_of_the_file(tmp_path, item, array, options):
    folder = variable_model(
        tmp_path / "m",
        f"<{item}>(shape = [2], label = 'w')",
        {"w": tensor_bytes(array, **options)},
        use=f"y = copy<{item}>(v);",
    )
    op = ops(Reader()(folder), "variable")[0]
    assert op.output.dtype is array.dtype.type
    assert op.attribs["dtype"] is {"scalar": np.float32, "integer": np.int64, "logical": np.bool_}[item]
    np.testing.assert_array_equal(op.output.data, array)


@pytest.mark.parametrize(
    ("item", "dtype"), [("integer", np.float32), ("integer", bool), ("logical", np.uint8), ("logical", np.float32)]
)
def test_incompatible_data(tmp_path, item, dtype):
    folder = variable_model(tmp_path / "m", f"<{item}>(shape = [2], label = 'w')", {"w": np.ones(2, dtype)})
    with pytest.raises(FormatError, match=f"not variable<{item}>"):
        Reader()(folder)


def test_damaged_data(tmp_path):
    folder = variable_model(tmp_path / "m", "(shape = [2], label = 'w')", {"w": b"\x4e\xef\1\0"})
    with pytest.raises(FormatError, match=r"w\.dat: the header is cut off"):
        Reader()(folder)


# --- quantization


def test_quantization(tmp_path):
    entry = '"v": zero_point_linear_quantize(zero_point = 0, scale = 0.5, bits = 8, signed = true, symmetric = false);'
    other = (
        "'nothing': zero_point_linear_quantize(zero_point = 0, scale = 0.5, bits = 8, signed = true, symmetric = true);"
    )
    codes = np.array([-128, 127], np.int8)
    folder = variable_model(
        tmp_path / "m",
        "(shape = [2], label = 'w')",
        {"w": tensor_bytes(codes, quantized=True)},
        graph__quant=entry + "\n" + other,
    )
    reader = Reader()
    variable = ops(reader(folder), "variable")[0].output
    assert variable.quant == {
        "op-name": "zero_point_linear_quantize",
        "zero_point": 0,
        "scale": 0.5,
        "bits": 8,
        "signed": True,
        "symmetric": False,
    }
    np.testing.assert_array_equal(variable.data, codes)
    assert any("'nothing'" in warning for warning in reader.warnings)


def test_damaged_quantization(tmp_path):
    with pytest.raises(ParseError, match=r"graph\.quant"):
        Reader()(model(tmp_path / "m", graph__quant="x: y"))


# --- attributes and shapes


def test_empty_steps_are_ones(tmp_path):
    text = ONE.replace("[2, 3]", "[1, 3, 8, 8]").format(
        "p = max_pool(x, size = [1, 1, 2, 2]);\n"
        " b = box(p, size = [1, 1, 2, 2], padding = []);\n"
        " s = slice(b, axes = [2, 3], begin = [0, 0], end = [4, 4]);\n"
        " w = variable(shape = [3, 3, 3, 3], label = 'w');\n"
        " c = conv(s, w);\n"
        " y = deconv(c, w);"
    )
    for infer in (True, False):
        graph = Reader(infer_shapes=infer)(model(tmp_path / "m", text, {"w": np.ones((3, 3, 3, 3), np.float32)}))
        for type, count in (("max_pool", 4), ("box", 4), ("conv", 2), ("deconv", 2)):
            attribs = ops(graph, type)[0].attribs
            assert attribs["stride"] == attribs["dilation"] == [1] * count
            assert attribs["padding"] == []
        assert ops(graph, "slice")[0].attribs["stride"] == [1, 1]


def test_without_shape_inference(tmp_path):
    graph = Reader(infer_shapes=False)(model(tmp_path / "m"))
    assert graph.outputs[0].shape is None
    assert graph.inputs[0].shape == (1, 3, 8, 8)


def test_shapes_that_do_not_fit(tmp_path):
    with pytest.raises(ShapeError):
        Reader()(model(tmp_path / "m", TEXT.replace("[1, 3, 8, 8]", "[1, 5, 8, 8]")))


def test_input_shapes(tmp_path):
    folder = model(tmp_path / "m")
    graph = Reader()(folder, input_shapes={"x": (2, 3, 16, 16)})
    assert graph.inputs[0].shape == (2, 3, 16, 16)
    assert ops(graph, "external")[0].attribs["shape"] == [2, 3, 16, 16]
    assert graph.outputs[0].shape == (2, 4, 5, 5)
    with pytest.raises(UsageError, match="no graph input 'z'"):
        Reader()(folder, input_shapes={"z": (1,)})
    with pytest.raises(UsageError, match="rank"):
        Reader()(folder, input_shapes={"x": (1, 3)})
    with pytest.raises(UsageError, match="cannot have shape"):
        Reader()(folder, input_shapes={"x": (1, 3, 0, 8)})


FRAGMENT = "fragment twice( x: tensor<scalar>, k: scalar = 2.0 ) -> ( y: tensor<scalar> )"


def custom_text(declaration):
    head = "version 1.0;\nextension KHR_enable_fragment_definitions;\nextension KHR_enable_operator_expressions;\n"
    return head + declaration + "\n" + ONE.format("y = twice(x);").split(";", 1)[1]


def test_custom_operation(tmp_path):
    folder = model(tmp_path / "m", custom_text(FRAGMENT + ";"), {})
    reader = Reader()
    graph = reader(folder)
    op = ops(graph, "twice")[0]
    assert op.custom
    assert op.attribs == {"k": 2.0}
    assert graph.outputs[0].shape is None
    assert any("twice" in warning for warning in reader.warnings)
    assert list(graph.metadata["fragments"]) == ["twice"]
    reader = Reader(custom_shapes={"twice": lambda x, k: x})
    assert reader(folder).outputs[0].shape == (2, 3)
    assert reader.warnings == []


HEAD = "version 1.0;\nextension KHR_enable_fragment_definitions, KHR_enable_operator_expressions;\n"
OWN = (
    HEAD
    + """{}
graph g(x) -> (y)
{{
    x = external(shape = [2]);
    y = {}(x);
}}
"""
)


@pytest.mark.parametrize("body", [" { y = tanh(x); }", " { y = helper(x); }"])
def test_own_definition_of_a_name_of_ours(tmp_path, body):
    """What a model defines is what its operation means, in every backend."""
    helper = "fragment helper(x: tensor<scalar>) -> (y: tensor<scalar>) { y = tanh(x); }\n"
    text = OWN.format(f"{helper}fragment erf(x: tensor<scalar>) -> (y: tensor<scalar>){body}", "erf")
    folder = model(tmp_path / "m", text, {})
    x = np.array([0.5, -2], np.float32)
    for backend in ("numpy", "torch", "onnxruntime"):
        (y,) = make_executor(folder, backend=backend).run({"x": x}).values()
        np.testing.assert_allclose(y, np.tanh(x), rtol=1e-6)
    primitive = model(tmp_path / "p", OWN.format("fragment erf(x: tensor<scalar>) -> (y: tensor<scalar>);", "erf"), {})
    assert [op.type for op in Reader()(primitive).operations] == ["external", "erf"]


def test_fragment_of_ours_that_calls_another_one(tmp_path):
    """A layer is ours only if all that its body calls is, too; comments and line breaks do not matter."""
    texts = {name: extension_fragments()[name].text for name in (*called_fragments()["rnn_layer"], "rnn_layer")}
    graph = """
graph g(x) -> (y)
{
    x = external(shape = [1, 2, 3]);
    w = variable(shape = [1, 3, 3], label = 'w');
    b = variable(shape = [1, 6], label = 'b');
    h = variable(shape = [1, 2, 3], label = 'h');
    y, hn = rnn_layer(x, w, w, b, h, steps = 1);
}
"""
    data = {"w": np.eye(3)[None], "b": np.zeros((1, 6)), "h": np.zeros((1, 2, 3))}
    data = {label: array.astype(np.float32) for label, array in data.items()}
    x = np.full((1, 2, 3), 0.5, np.float32)
    same = "\n".join(texts.values()).replace("    ", "\n  ").replace("\n}", "  # the end\n}")
    folder = model(tmp_path / "same", HEAD + same + graph, data)
    assert "rnn_layer" in [op.type for op in Reader()(folder).operations]
    texts["rnn_layer_step"] = texts["rnn_layer_step"].replace("tanh(s)", "sin(s)")
    folder = model(tmp_path / "changed", HEAD + "\n".join(texts.values()) + graph, data)
    assert "sin" in [op.type for op in Reader()(folder).operations]
    (y,) = make_executor(folder, backend="numpy").run({"x": x}).values()
    np.testing.assert_allclose(y, np.sin(x)[:, None], rtol=1e-6)


def test_decomposed_operation(tmp_path):
    folder = model(tmp_path / "m", custom_text(FRAGMENT + " { y = mul(x, k); }"), {})
    graph = Reader(decomposed=["twice"])(folder)
    assert [op.type for op in graph.operations] == ["external", "mul"]
    assert graph.outputs[0].shape == (2, 3)


def test_operations_of_a_library(tmp_path):
    folder = model(tmp_path / "m", ONE.format("y = twice(x);"), {})
    with pytest.raises(ParseError):
        Reader()(folder)
    assert ops(Reader(stdlib=FRAGMENT + ";")(folder), "twice")[0].custom


def test_unknown_extension(tmp_path):
    text = TEXT.replace("version 1.0;", "version 1.0;\n# extension no;\nextension tract_symbol  N >= 1;", 1)
    folder = model(tmp_path / "m", text)
    with pytest.raises(ParseError):
        Reader()(folder)
    graph = Reader(on_unknown_extension="ignore")(folder)
    check_net(graph)
    assert graph.metadata["extensions"] == ["tract_symbol N >= 1"]


# --- sidecar


def test_sidecar(tmp_path):
    folder = model(tmp_path / "m", nnef_tools__json='{"producer": "x", "opset": {"": 13}, "fragments": {"evil": 1}}')
    assert Reader()(folder).metadata == {"producer": "x", "opset": {"": 13}}


@pytest.mark.parametrize("content", ["", "{", "[1]", "\xff", "[" * 100_000, '{"a": 1' + "0" * 10_000 + "}"])
def test_damaged_sidecar_is_only_a_warning(tmp_path, content):
    reader = Reader()
    check_net(reader(model(tmp_path / "m", nnef_tools__json=content)))
    assert [w.split(" ")[0] for w in reader.warnings] == ["nnef_tools.json"]


# --- robustness


def mutate(rng, raw):
    raw = bytearray(raw)
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(raw) + 1)
        kind = rng.randrange(5)
        if kind == 0 and at < len(raw):
            raw[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del raw[at:]
        elif kind == 2:
            del raw[at : at + rng.randint(1, 40)]
        elif kind == 3:
            raw[at:at] = rng.randbytes(rng.randint(1, 20))
        else:
            raw[at:at] = rng.choice([b"(", b"]", b"{", b"'", b"9" * 30, b"-1", b", ", b"\0", b"../", b"x", b"1e999"])
    return bytes(raw)


def outcome(place):
    try:
        Reader()(place)
    except NnefToolsError as error:
        assert str(error)
        return False
    return True


def test_mutants_of_a_folder(tmp_path):
    rng = random.Random(17)
    quant = (
        "'c': zero_point_linear_quantize(zero_point = 0, scale = 0.5, bits = 8, signed = true, symmetric = false);\n"
    )
    folder = model(tmp_path / "m", graph__quant=quant, nnef_tools__json='{"producer": "x"}')
    check_net(Reader()(folder))
    originals = {file: file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}
    outcomes = {True: 0, False: 0}
    for _ in range(900):
        file = rng.choice(list(originals))
        file.write_bytes(mutate(rng, originals[file]))
        outcomes[outcome(folder)] += 1
        file.write_bytes(originals[file])
    assert outcomes[True] > 50
    assert outcomes[False] > 300


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_mutants_of_an_archive(tmp_path, mode):
    rng = random.Random(23)
    with tarfile.open(tmp_path / "t", mode) as archive:
        archive.add(model(tmp_path / "m"), arcname=".")
    raw = (tmp_path / "t").read_bytes()
    outcomes = {True: 0, False: 0}
    for _ in range(250):
        (tmp_path / "t").write_bytes(mutate(rng, raw))
        outcomes[outcome(tmp_path / "t")] += 1
    assert outcomes[False] > 100
    for size in (0, 1, 100, 5000):
        (tmp_path / "t").write_bytes(rng.randbytes(size))
        assert not outcome(tmp_path / "t")
