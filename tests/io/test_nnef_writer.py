"""Writing NNEF models: text, data, declarations, archives; the reference package reads what is written."""

import gzip
import json
import shutil
import tarfile
import tracemalloc

import ml_dtypes
import nnef
import numpy as np
import pytest

from nnef_tools.errors import FileError, FormatError, NnefToolsError, ParseError, UsageError
from nnef_tools.io.nnef import Reader, Writer
from nnef_tools.language.types import Fragment
from nnef_tools.model import Graph, Operation, Tensor

W = np.arange(12, dtype=np.float32).reshape(4, 3)


def external(graph, name="x", shape=(2, 3), dtype=np.float32):
    tensor = Tensor(graph, name, shape=shape, dtype=dtype)
    Operation(graph, type="external", attribs={"shape": list(shape), "dtype": dtype}, outputs=tensor)
    return tensor


def variable(graph, name, data, label=None, quant=None):
    tensor = Tensor(graph, name, shape=data.shape, dtype=np.float32, data=data, quant=quant)
    attribs = {"shape": list(data.shape), "label": label or name, "dtype": np.float32}
    Operation(graph, type="variable", attribs=attribs, outputs=tensor)
    return tensor


def apply(graph, type, *inputs, name="y", dtype=np.float32, shape=None, **attribs):
    tensor = Tensor(graph, name, shape=shape, dtype=dtype)
    Operation(graph, type=type, inputs=inputs, outputs=tensor, attribs=attribs)
    return tensor


def matmul_graph(data=W, label="w", quant=None):
    graph = Graph("net")
    x = external(graph)
    y = apply(graph, "linear", x, variable(graph, "w", data, label, quant), shape=(2, 4))
    graph.inputs, graph.outputs = [x], [y]
    return graph


def unary_graph(type="relu", **attribs):
    graph = Graph("net")
    x = external(graph)
    graph.inputs, graph.outputs = [x], [apply(graph, type, x, shape=(2, 3), **attribs)]
    return graph


def text_of(path):
    return (path / "graph.nnef").read_text()


def files(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def write(tmp_path, graph, **options):
    return Writer(**options)(graph, tmp_path / "m")


# --- the plain case


def test_text_and_data(tmp_path):
    assert write(tmp_path, matmul_graph(label="fc/w")) == tmp_path / "m"
    assert text_of(tmp_path / "m") == (
        "version 1.0;\n\ngraph net(x) -> (y)\n{\n"
        "    x = external<scalar>(shape = [2, 3]);\n"
        "    w = variable<scalar>(shape = [4, 3], label = 'fc/w');\n"
        "    y = linear(x, w);\n}\n"
    )
    assert files(tmp_path / "m") == ["fc/w.dat", "graph.nnef"]
    assert (tmp_path / "m" / "fc" / "w.dat").stat().st_size == 128 + 48


def test_reference_loads_it(tmp_path):
    graph = nnef.load_graph(str(write(tmp_path, matmul_graph())))
    assert [op.name for op in graph.operations] == ["external", "variable", "linear"]
    np.testing.assert_array_equal(graph.tensors["w"].data, W)


def test_annotated_shapes(tmp_path):
    text = text_of(write(tmp_path, matmul_graph(), annotate_shapes=True))
    assert "y = linear(x, w);    # scalar(2, 4)\n" in text


def test_round_trip(tmp_path):
    graph = Reader()(write(tmp_path, matmul_graph()))
    assert text_of(Writer()(graph, tmp_path / "again")).replace(", 0.0", "") == text_of(tmp_path / "m")
    np.testing.assert_array_equal(graph.operations[1].output.data, W)


def test_writing_over_the_model_that_is_being_read(tmp_path):
    data = np.arange(30_000, dtype=np.float32).reshape(3, 10_000).repeat(4, 0)
    graph = Graph("net")
    x = external(graph, shape=(2, 10_000))
    graph.inputs, graph.outputs = [x], [apply(graph, "linear", x, variable(graph, "w", data))]
    write(tmp_path, graph)
    Writer()(Reader()(tmp_path / "m"), tmp_path / "m")
    np.testing.assert_array_equal(Reader()(tmp_path / "m").operations[1].output.data, data)


@pytest.mark.parametrize(
    "data",
    [
        W.astype(np.float16),
        W.astype(np.float64),
        W.astype(np.int64),
        W.astype(np.uint8),
        W > 3,
        W.T.reshape(3, 4).T,
        W.astype(">f4"),
    ],
    ids=str,
)
def test_types_of_data(tmp_path, data):
    got = Reader()(write(tmp_path, matmul_graph(data))).operations[1].output.data
    np.testing.assert_array_equal(got, data)
    assert got.dtype == data.dtype.newbyteorder("=")


def test_narrow_types_of_data(tmp_path):
    for dtype in (ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn, ml_dtypes.int4):
        data = (W - 6).astype(dtype)
        got = Reader()(write(tmp_path, matmul_graph(data))).operations[1].output.data
        np.testing.assert_array_equal(got, data.astype(np.float32))


def test_data_of_torch(tmp_path):
    torch = pytest.importorskip("torch")
    graph = matmul_graph()
    graph.operations[1].output.data = torch.nn.Parameter(torch.from_numpy(W.copy()))
    np.testing.assert_array_equal(Reader()(write(tmp_path, graph)).operations[1].output.data, W)


# --- archives


def test_archive(tmp_path):
    assert write(tmp_path, matmul_graph(label="/fc/w"), compression=1) == tmp_path / "m.tgz"
    with tarfile.open(tmp_path / "m.tgz") as archive:
        assert archive.getnames() == ["fc/w.dat", "graph.nnef"]
    np.testing.assert_array_equal(Reader()(tmp_path / "m.tgz").operations[1].output.data, W)
    for name in ("n.tgz", "n.tar.gz"):
        assert Writer(compression=9)(matmul_graph(), tmp_path / name) == tmp_path / name
    assert not (tmp_path / "n.tgz.tgz").exists()


@pytest.mark.parametrize("level", [0, 5])
def test_same_graph_same_bytes(tmp_path, level):
    writer = Writer(compression=level)
    first = writer(matmul_graph(), tmp_path / "a").read_bytes()
    assert first == writer(matmul_graph(), tmp_path / "b").read_bytes()
    folder = Writer()(matmul_graph(), tmp_path / "f")
    from nnef_tools.io.nnef.helpers import tgz_compress

    tgz_compress(folder, tmp_path / "packed", compression_level=level)
    assert gzip.decompress(first) == gzip.decompress((tmp_path / "packed").read_bytes())


def test_compression_level():
    for level in (-1, 10):
        with pytest.raises(UsageError, match="0 to 9"):
            Writer(compression=level)


def test_tract_runs_the_archive(tmp_path):
    tract = pytest.importorskip("tract")
    path = write(tmp_path, matmul_graph(), compression=1)
    x = np.ones((2, 3), np.float32)
    model = tract.nnef().load(str(path))
    model = model.into_model() if hasattr(model, "into_model") else model
    result = model.into_runnable().run([x])[0].to_numpy()
    np.testing.assert_allclose(result, x @ W.T)


def test_memory(tmp_path):
    data = np.broadcast_to(np.float32(1), (1 << 12, 1 << 13))
    for compression in (None, 0):
        tracemalloc.start()
        write(tmp_path, matmul_graph(data), compression=compression)
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
        tracemalloc.stop()


# --- what is there already


def test_existing_folder(tmp_path):
    folder = write(tmp_path, matmul_graph(label="old/w"))
    (folder / "README").write_text("mine")
    (folder / "input.dat").write_text("mine")
    (folder / "graph.quant").write_text("")
    write(tmp_path, matmul_graph(label="new/w"))
    assert files(folder) == ["README", "graph.nnef", "input.dat", "new/w.dat"]
    assert not (folder / "old").exists()


def test_failure_leaves_the_old_model(tmp_path, monkeypatch):
    folder = write(tmp_path, matmul_graph())
    archive = write(tmp_path, matmul_graph(), compression=1)
    before = text_of(folder), archive.read_bytes()

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("nnef_tools.io.nnef.writer.write_tensor", full)
    for compression in (None, 1):
        with pytest.raises(FileError, match="no space"):
            write(tmp_path, matmul_graph(label="other"), compression=compression)
    assert (text_of(folder), archive.read_bytes()) == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m", "m.tgz"]
    assert files(folder) == ["graph.nnef", "w.dat"]


# --- variables


def test_shared_label(tmp_path):
    graph = Graph("net")
    x = external(graph)
    v = variable(graph, "v", W, "Shared/W")
    w = variable(graph, "w", W.copy(), "shared/w")
    y = apply(graph, "linear", x, v, name="y")
    graph.inputs, graph.outputs = [x], [y, apply(graph, "linear", x, w, name="z")]
    write(tmp_path, graph)
    first, second = (op for op in Reader()(tmp_path / "m").operations if op.type == "variable")
    assert first.output.data is second.output.data
    w.data = W + 1
    with pytest.raises(FormatError, match="other data"):
        write(tmp_path, graph)


@pytest.mark.parametrize(
    ("label", "data", "message"),
    [
        ("../w", W, "leads out"),
        ("a b", W, "cannot be the label"),
        ("w:0", W, "cannot be the label"),
        ("w", W.T, "has shape"),
        ("w", W.astype(complex), "cannot be written"),
    ],
)
def test_variables_that_cannot_be_written(tmp_path, label, data, message):
    graph = matmul_graph(label=label)
    graph.operations[1].output.data = data
    with pytest.raises(NnefToolsError, match=message) as error:
        write(tmp_path, graph)
    assert "variable 'w'" in str(error.value)
    assert not (tmp_path / "m").exists()


def test_variable_without_data(tmp_path):
    graph = matmul_graph()
    graph.operations[1].output.data = None
    with pytest.raises(FormatError, match="no data"):
        write(tmp_path, graph)


def test_label_that_is_a_folder_of_another(tmp_path):
    graph = matmul_graph(label="a")
    y = graph.outputs[0]
    graph.outputs = [y, apply(graph, "linear", graph.inputs[0], variable(graph, "v", W, "a.dat/b"), name="z")]
    with pytest.raises(FormatError, match="folder of another"):
        write(tmp_path, graph)


# --- quantization

QUANT = {
    "op-name": "zero_point_linear_quantize",
    "zero_point": 0,
    "scale": 0.5,
    "bits": 8,
    "signed": True,
    "symmetric": False,
}


def test_quantized_variable(tmp_path):
    codes = W.astype(np.int8) - 6
    folder = write(tmp_path, matmul_graph(codes, quant={**QUANT, "nothing": None}))
    assert (folder / "graph.quant").read_text() == (
        '"w": zero_point_linear_quantize(zero_point = 0, scale = 0.5, bits = 8, signed = true, symmetric = false);\n'
    )
    with (folder / "w.dat").open("rb") as file:
        data, quantized = nnef.read_tensor(file, return_quantization=True)
    assert quantized
    np.testing.assert_array_equal(data, codes)
    tensor = Reader()(folder).operations[1].output
    assert tensor.quant == QUANT
    np.testing.assert_array_equal(tensor.data, codes)
    assert nnef.load_graph(str(folder)).tensors["w"].quantization["bits"] == 8


def test_quantization_of_other_tensors(tmp_path):
    graph = matmul_graph(quant=QUANT)
    graph.inputs[0].quant = {**QUANT, "scale": np.float32(0.25), "zero_point": np.array([[1, 2, 3]])}
    folder = write(tmp_path, graph)
    assert (folder / "graph.quant").read_text().startswith('"x": zero_point_linear_quantize(zero_point = [[1, 2, 3]]')
    got = Reader()(folder)
    assert got.inputs[0].quant["scale"] == 0.25
    assert got.operations[1].output.data.dtype == np.float32


def test_incomplete_quantization(tmp_path):
    with pytest.raises(FormatError, match="op-name"):
        write(tmp_path, matmul_graph(quant={"scale": 1.0}))
    codes = W.astype(np.int8) - 6
    with pytest.raises(FormatError, match="do not fit"):
        write(tmp_path, matmul_graph(codes, quant={**QUANT, "signed": False}))


# --- sidecar


def test_sidecar(tmp_path):
    graph = unary_graph()
    graph.metadata = {"b": {"": 13}, "a": (1, 2.5, None), "t": np.float16, "n": np.int64(3), "none": None}
    folder = write(tmp_path, graph)
    text = (folder / "nnef_tools.json").read_text()
    assert json.loads(text) == {"a": [1, 2.5, None], "b": {"": 13}, "n": 3, "t": "float16"}
    assert text.index('"a"') < text.index('"b"')
    assert Reader()(folder).metadata == json.loads(text)
    graph.metadata = {}
    write(tmp_path, graph)
    assert files(folder) == ["graph.nnef"]


@pytest.mark.parametrize("value", [object(), float("nan"), {1: 2}, b"x"], ids=["object", "nan", "dict", "bytes"])
def test_facts_that_json_cannot_hold(tmp_path, value):
    graph = unary_graph()
    graph.metadata = {"key": [value]}
    with pytest.raises(FormatError, match="'key'"):
        write(tmp_path, graph)


# --- declarations

FOO = "fragment foo( x: tensor<scalar>, k: integer = 1 ) -> ( y: tensor<scalar> );"


def test_fragments_are_declared_if_they_occur(tmp_path):
    writer = Writer(fragments={"bar": FOO.replace("foo", "bar"), "foo": FOO})
    text = text_of(writer(unary_graph("foo", k=2), tmp_path / "m"))
    assert text.startswith(
        "version 1.0;\n\nextension KHR_enable_fragment_definitions;\nextension KHR_enable_operator_expressions;\n\n"
        + FOO
        + "\n\ngraph net(x) -> (y)\n"
    )
    assert "bar" not in text
    assert nnef.parse_string(text).operations[1].name == "foo"
    assert "fragment" not in text_of(writer(unary_graph(), tmp_path / "m"))


def test_dependencies_come_first(tmp_path):
    calling = "fragment foo( x: tensor<scalar> ) -> ( y: tensor<scalar> ) { y = bar(relu(x)); }"
    fragments = {"foo": calling, "bar": FOO.replace("foo", "bar"), "baz": FOO.replace("foo", "baz")}
    text = text_of(write(tmp_path, unary_graph("foo"), fragments=fragments))
    assert text.index("fragment bar") < text.index("fragment foo")
    assert "baz" not in text
    nnef.parse_string(text)
    fragments["foo"] = FOO
    text = text_of(write(tmp_path, unary_graph("foo"), fragments=fragments, fragment_dependencies={"foo": ["baz"]}))
    assert text.index("fragment baz") < text.index("fragment foo")
    assert "bar" not in text
    loop = {"foo": ["bar"], "bar": ["foo"]}
    write(tmp_path, unary_graph("foo"), fragments=fragments, fragment_dependencies=loop)


def test_our_own_operations_are_declared(tmp_path):
    text = text_of(write(tmp_path, unary_graph("erf")))
    assert "fragment erf(x: tensor<scalar>) -> (y: tensor<scalar>);" in text
    nnef.parse_string(text)
    own = "fragment erf( z: tensor<scalar> ) -> ( y: tensor<scalar> );"
    text = text_of(write(tmp_path, unary_graph("erf"), fragments={"erf": own}))
    assert own in text
    assert text.count("fragment erf") == 1


def test_text_with_several_fragments(tmp_path):
    both = FOO.replace("foo", "erf") + "\n" + FOO
    graph = unary_graph("foo")
    graph.outputs = [*graph.outputs, apply(graph, "erf", graph.inputs[0], name="z")]
    text = text_of(write(tmp_path, graph, fragments={"foo": both}))
    assert text.count("fragment erf") == 1


def test_malformed_fragment(tmp_path):
    with pytest.raises(ParseError, match="fragments"):
        write(tmp_path, unary_graph("foo"), fragments={"foo": "fragment foo("})
    assert not (tmp_path / "m").exists()


def test_declarations_of_a_model_are_kept(tmp_path):
    body = "fragment foo( x: tensor<scalar>, k: scalar = 2.0 ) -> ( y: tensor<scalar> )\n{\n    y = relu(x) * k;\n}"
    folder = write(tmp_path, unary_graph("foo", k=3.0), fragments={"foo": body})
    graph = Reader()(folder)
    assert isinstance(graph.metadata["fragments"]["foo"], Fragment)
    assert text_of(Writer()(graph, tmp_path / "again")) == text_of(folder)
    assert files(tmp_path / "again") == ["graph.nnef"]


def test_extensions(tmp_path):
    graph = unary_graph()
    graph.metadata["extensions"] = ["tract_symbol N"]
    text = text_of(write(tmp_path, graph, extensions=["KHR_enable_fragment_definitions"]))
    assert "\nextension KHR_enable_fragment_definitions;\nextension tract_symbol N;\n" in text


def test_undeclared_operation_is_a_warning(tmp_path):
    writer = Writer()
    writer(unary_graph("foo"), tmp_path / "m")
    assert writer.warnings == ["custom operations without declaration: foo"]


def test_mixed_arguments_keep_their_structure(tmp_path):
    mixed = "fragment foo( a: tensor<scalar>, b: tensor<scalar>[], c: tensor<scalar> ) -> ( y: tensor<scalar> );"
    graph = Graph("net")
    x = external(graph)
    y = Tensor(graph, "y", shape=(2, 3), dtype=np.float32)
    Operation(graph, type="foo", inputs=[x, x, x, x], outputs=y)
    graph.inputs, graph.outputs = [x], [y]
    text = text_of(write(tmp_path, graph, fragments={"foo": mixed}))
    assert "y = foo(x, [x, x], x);" in text
    assert text_of(Writer()(Reader()(tmp_path / "m"), tmp_path / "n")) == text


# --- generated declarations


def generated(tmp_path, graph, **options):
    text = text_of(write(tmp_path, graph, generate_custom_fragments=True, **options))
    nnef.parse_string(text)
    return text


def test_generated_declaration(tmp_path):
    graph = unary_graph("foo", alpha=0.5, k=[1, 2], flag=True, name_="a", pairs=[(1, 2)], none=[], nested=[[], [1.0]])
    text = generated(tmp_path, graph)
    assert (
        "fragment foo_v1( _I1: tensor<scalar>, alpha: scalar, k: integer[], flag: logical, name_: string, "
        "pairs: (integer,integer)[], none: integer[], nested: scalar[][] ) -> ( _O1: tensor<scalar> );"
    ) in text.replace("(integer, integer)", "(integer,integer)")
    assert "y = foo_v1(x, alpha = 0.5, k = [1, 2]," in text
    assert graph.operations[1].type == "foo"


def test_each_call_has_its_version(tmp_path):
    graph = unary_graph("foo", k=1)
    z = apply(graph, "foo", graph.inputs[0], name="z", k=1.5)
    n = apply(graph, "foo_v2", graph.inputs[0], name="n")
    graph.outputs = [*graph.outputs, z, n]
    text = generated(tmp_path, graph, fragments={"foo_v2": FOO.replace("foo", "foo_v2")})
    assert "y = foo_v1(x, k = 1);" in text
    assert "z = foo_v3(x, k = 1.5);" in text
    assert [op.type for op in graph.operations] == ["external", "foo", "foo", "foo_v2"]


def test_one_declaration_for_all_calls(tmp_path):
    graph = unary_graph("foo", k=1)
    graph.outputs = [*graph.outputs, apply(graph, "foo", graph.inputs[0], name="z", k=2)]
    text = generated(tmp_path, graph, version_custom_fragments=False)
    assert text.count("fragment foo(") == 1
    graph.operations[2].attribs["k"] = 1.5
    with pytest.raises(FormatError, match="'foo' differ"):
        generated(tmp_path, graph, version_custom_fragments=False)
    assert [op.type for op in graph.operations] == ["external", "foo", "foo"]


def test_generated_types_of_tensors(tmp_path):
    graph = Graph("net")
    x, i, b = external(graph), external(graph, "i", dtype=np.int64), external(graph, "b", dtype=np.bool_)
    y, z = Tensor(graph, "y", dtype=np.int32), Tensor(graph, "z", dtype=np.bool_)
    Operation(graph, type="foo", inputs=(x, i, b), outputs=(y, z), attribs={"dtype": np.int64})
    u = Tensor(graph, "u", dtype=np.float32)
    Operation(graph, type="bar", inputs=[x, x], outputs=u)
    graph.inputs, graph.outputs = [x, i, b], [y, z, u]
    text = generated(tmp_path, graph)
    assert "foo_v1<?>( _I1: tensor<scalar>, _I2: tensor<?>, _I3: tensor<logical> )" in text
    assert "-> ( _O1: tensor<?>, _O2: tensor<logical> );" in text
    assert "y, z = foo_v1<integer>(x, i, b);" in text
    assert "fragment bar_v1( _I1: tensor<scalar>[] )" in text
    assert "u = bar_v1([x, x]);" in text


@pytest.mark.parametrize(
    "value", [None, [1, 2.0], object(), (1,), np.zeros(2)], ids=["none", "mixed", "object", "tuple", "array"]
)
def test_attributes_that_cannot_be_declared(tmp_path, value):
    graph = unary_graph("foo", key=value)
    with pytest.raises(FormatError, match="'key'"):
        generated(tmp_path, graph)
    assert graph.operations[1].type == "foo"


# --- graphs that cannot be written


def broken(change):
    graph = matmul_graph()
    change(graph)
    return graph


def reorder(graph):
    graph.reverse()


def rename(index, name):
    def change(graph):
        graph.operations[index].output.name = name

    return change


def no_shape(graph):
    graph.operations[0].attribs["shape"] = [None, 3]


def no_external(graph):
    graph.inputs = [*graph.inputs, Tensor(graph, "z", shape=(1,), dtype=np.float32)]


def passes_through(graph):
    graph.outputs = [*graph.outputs, graph.inputs[0]]


def no_outputs(graph):
    graph.outputs = []


def unknown_input(graph):
    graph.operations[2].inputs = (graph.inputs[0], Tensor(graph, "z", shape=(), dtype=np.float32))


def large_literal(graph):
    graph.operations[2].inputs = (graph.inputs[0], Tensor(graph, None, shape=(4, 3), dtype=np.float32, data=W))


def odd_type(graph):
    graph.operations[2].type = "com.ex::Foo"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (reorder, "order"),
        (rename(2, None), "not an identifier"),
        (rename(2, "a/b:0"), "not an identifier"),
        (rename(2, "graph"), "not an identifier"),
        (rename(2, "w"), "several tensors"),
        (no_shape, "shape of graph input 'x'"),
        (no_external, "'z' is not the result"),
        (passes_through, "both an input and an output"),
        (no_outputs, "at least one"),
        (unknown_input, "neither computed nor constant"),
        (large_literal, "literal"),
        (odd_type, "not an identifier"),
    ],
)
def test_graphs_without_text(tmp_path, change, message):
    with pytest.raises(FormatError, match=message):
        write(tmp_path, broken(change))
    assert not (tmp_path / "m").exists()


def test_all_problems_are_listed(tmp_path):
    graph = matmul_graph()
    graph.operations[1].output.name = "1"
    graph.operations[2].output.name = "2"
    with pytest.raises(FormatError) as error:
        write(tmp_path, graph)
    assert len(error.value.details) == 2


def test_unnamed_graph_and_literals(tmp_path):
    graph = Graph()
    x = external(graph)
    literal = Tensor(graph, None, shape=(), dtype=np.float32, data=np.array(0.1, np.float32))
    dead = Tensor(graph, "y", shape=())
    graph.inputs, graph.outputs = [x], [apply(graph, "mul", x, literal)]
    text = text_of(write(tmp_path, graph))
    assert "graph G(x) -> (y)" in text
    assert "y = mul(x, 0.1);" in text
    assert dead.graph is graph


def test_reading_the_copied_folder(tmp_path):
    shutil.copytree(write(tmp_path, matmul_graph()), tmp_path / "copy")
    np.testing.assert_array_equal(Reader()(tmp_path / "copy").operations[1].output.data, W)
