"""Tensor data files: golden bytes, the reference package as oracle, all widths, old layouts, hostile input."""

import io
import os
import random
import struct
import subprocess
import sys
import tracemalloc

import ml_dtypes
import nnef
import numpy as np
import pytest

from nnef_tools.errors import FileError, FormatError, NnefToolsError, UsageError
from nnef_tools.language.tensor_file import ItemType, read_tensor, write_tensor


def header(shape, bits, code, length, *, vendor=0, parameters=b"", version=(1, 0), magic=b"\x4e\xef"):
    """A header put together by hand, independent of the code under test."""
    extents = list(shape) + [0] * (8 - len(shape))
    raw = struct.pack("<2sBBII8I", magic, *version, length, len(shape), *extents)
    raw += struct.pack("<IHH", bits, code, vendor) + parameters
    return raw.ljust(128, b"\0")


def written(array, **options):
    stream = io.BytesIO()
    write_tensor(stream, array, **options)
    return stream.getvalue()


def read_bytes(tmp_path, raw):
    path = tmp_path / "t.dat"
    path.write_bytes(raw)
    return read_tensor(path)


def same(a, b):
    assert a.dtype == b.dtype
    assert a.shape == b.shape
    np.testing.assert_array_equal(a, b)


PLAIN = ["float16", "float32", "float64", "bool", *(f"{u}int{n}" for u in ("", "u") for n in (8, 16, 32, 64))]


def sample(dtype, shape=(3, 5)):
    rng = np.random.default_rng(7)
    if dtype == "bool":
        return rng.integers(0, 2, shape).astype(bool)
    if dtype.startswith("float"):
        return rng.standard_normal(shape).astype(dtype)
    info = np.iinfo(dtype)
    array = rng.integers(info.min, info.max, shape, dtype=dtype, endpoint=True)
    array.reshape(-1)[:2] = info.min, info.max
    return array


# --- golden vectors


def test_bool_items_are_packed_from_the_highest_bit():
    raw = written(np.array([1, 0, 1, 0, 1, 0, 1, 0, 1], bool))
    assert raw == header((9,), 1, 5, 2) + b"\xaa\x80"


def test_float_file():
    assert written(np.array([[1.0, -2.0]], np.float32)) == header((1, 2), 32, 0, 8) + struct.pack("<2f", 1, -2)


def test_four_bit_items(tmp_path):
    raw = written(np.array([1, -2, 7], ml_dtypes.int4))
    assert raw == header((3,), 4, 4, 2) + b"\x1e\x70"
    array, head = read_bytes(tmp_path, raw)
    same(array, np.array([1, -2, 7], np.int8))
    assert head.bits == 4


def test_twelve_and_twenty_four_bit_items(tmp_path):
    assert written(np.array([0x123, 0xABC], np.uint16), bits=12)[128:] == b"\x12\x3a\xbc"
    assert written(np.array([0x123456], np.uint32), bits=24)[128:] == b"\x56\x34\x12"  # whole bytes: little-endian
    array, _ = read_bytes(tmp_path, header((2,), 24, 4, 6) + b"\xff\xff\xff\x00\x00\x80")
    same(array, np.array([-1, -0x800000], np.int32))


def test_scalar_and_empty(tmp_path):
    for array in (np.array(2.5, np.float32), np.zeros((0, 3), np.int64), np.zeros((2, 0), bool)):
        same(read_bytes(tmp_path, written(array))[0], array)


# --- the reference package


@pytest.mark.parametrize("dtype", PLAIN)
def test_reference_reads_what_we_write(tmp_path, dtype):
    array = sample(dtype)
    write_tensor(tmp_path / "t.dat", array)
    with (tmp_path / "t.dat").open("rb") as file:
        same(nnef.read_tensor(file), array)


@pytest.mark.parametrize("dtype", PLAIN)
def test_we_write_and_read_what_the_reference_writes(tmp_path, dtype):
    array = sample(dtype)
    with (tmp_path / "t.dat").open("wb") as file:
        nnef.write_tensor(file, array)
    assert written(array) == (tmp_path / "t.dat").read_bytes()
    got, head = read_tensor(tmp_path / "t.dat")
    same(got, array)
    assert not head.quantized


@pytest.mark.parametrize("dtype", [name for name in PLAIN if "int" in name])
def test_quantized_codes(tmp_path, dtype):
    array = sample(dtype)
    with (tmp_path / "t.dat").open("wb") as file:
        nnef.write_tensor(file, array, quantized=True)
    assert written(array, quantized=True) == (tmp_path / "t.dat").read_bytes()
    got, head = read_tensor(tmp_path / "t.dat")
    same(got, array)
    assert head.quantized
    assert head.code == (2 if dtype.startswith("u") else 3)


# --- all widths


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("code", ["plain", "quantized"])
def test_every_integer_width(signed, code):
    rng = random.Random(3)
    for bits in range(1, 65):
        if not signed and code == "plain" and bits == 1:
            continue  # that is bool
        low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
        values = [low, high, *(rng.randint(low, high) for _ in range(9))]
        array = np.array(values, np.int64 if signed else np.uint64).reshape(1, 11)
        raw = written(array, bits=bits, quantized=code == "quantized")
        if bits % 8:  # an independent packing: one big number
            number = 0
            for value in values:
                number = number << bits | value & ((1 << bits) - 1)
            size = (11 * bits + 7) // 8
            assert raw[128:] == (number << (8 * size - 11 * bits)).to_bytes(size, "big")
        got, head = read_tensor(io.BytesIO(raw))
        assert got.shape == (1, 11)
        assert got.reshape(-1).tolist() == values
        assert head.bits == bits
        assert head.quantized == (code == "quantized")


def test_packing_across_chunks():
    array = np.random.default_rng(1).integers(0, 32, 150_001).astype(np.uint8)
    same(read_tensor(io.BytesIO(written(array, bits=5)))[0], array)
    flags = array > 15
    same(read_tensor(io.BytesIO(written(flags)))[0], flags)


def test_strided_and_big_endian_arrays():
    array = np.arange(200_000, dtype=np.float32).reshape(400, 500)
    for view in (array.T, array[::2, ::-3], array.astype(">f4")):
        got, _ = read_tensor(io.BytesIO(written(view)))
        np.testing.assert_array_equal(got, view)
        assert got.dtype == np.float32
    flags = (array % 3 == 0).T
    same(read_tensor(io.BytesIO(written(flags)))[0], flags)


@pytest.mark.parametrize("name", ["bfloat16", "float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz"])
def test_narrow_floats_widen_exactly(name):
    dtype = getattr(ml_dtypes, name)
    bits = np.arange(1 << 8 * np.dtype(dtype).itemsize).astype(f"u{np.dtype(dtype).itemsize}")
    array = bits.view(dtype)
    got, head = read_tensor(io.BytesIO(written(array)))
    assert got.dtype == np.float32
    assert head.bits == 32
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(got, array.astype(np.float64).astype(np.float32))
    finite = np.isfinite(got)
    np.testing.assert_array_equal(got[finite].astype(dtype).view(bits.dtype), bits[finite])


def test_eight_bit_bool(tmp_path):
    array, head = read_bytes(tmp_path, header((4,), 8, 5, 4) + bytes([0, 1, 2, 255]))
    same(array, np.array([False, True, True, True]))
    assert head.bits == 8
    assert written(np.array([True, False]), bits=8)[128:] == b"\1\0"


def test_signedness_can_be_given():
    assert written(np.array([1, 127], np.uint8), signed=True, quantized=True) == header((2,), 8, 3, 2) + b"\x01\x7f"
    with pytest.raises(UsageError, match="do not fit"):
        written(np.array([200], np.uint8), signed=True)
    with pytest.raises(UsageError, match="do not fit"):
        written(np.array([-1], np.int8), signed=False)
    with pytest.raises(UsageError, match="do not fit"):
        written(np.array([8], np.int8), bits=4)


@pytest.mark.parametrize(
    "array",
    [np.zeros(2, complex), np.array(["a"]), np.zeros((1,) * 9), np.zeros(1, "M8[s]"), np.zeros(2, object)],
    ids=["complex", "text", "rank 9", "time", "object"],
)
def test_what_cannot_be_written(array):
    with pytest.raises(UsageError):
        written(array)


def test_too_large_to_write():
    array = np.broadcast_to(np.float32(0), (1 << 15, 1 << 15))
    with pytest.raises(UsageError, match="4 GiB"):
        written(array)
    with pytest.raises(UsageError, match="integers"):
        written(np.zeros(1, np.float32), quantized=True)


# --- older forms


def test_legacy_signed_and_bool(tmp_path):
    raw = header((2,), 8, 1, 2, parameters=struct.pack("<I", 1)) + b"\xfe\x01"
    same(read_bytes(tmp_path, raw)[0], np.array([-2, 1], np.int8))
    same(read_bytes(tmp_path, header((3,), 1, 1, 1) + b"\xa0")[0], np.array([True, False, True]))


def test_legacy_linear(tmp_path):
    raw = header((3,), 8, 16, 3, parameters=struct.pack("<2f", -1, 1)) + bytes([0, 51, 255])
    array, head = read_bytes(tmp_path, raw)
    same(array, np.array([-1, -0.6, 1], np.float32))
    assert not head.quantized


def test_legacy_logarithmic(tmp_path):
    # max 4: m = 2; 2 bits: r = 3; x = 2^(q - 1)
    raw = header((4,), 2, 17, 1, parameters=struct.pack("<2f", 0, 4)) + bytes([0b00011011])
    same(read_bytes(tmp_path, raw)[0], np.array([0.5, 1, 2, 4], np.float32))
    # signed: one of 3 bits is the sign
    raw = header((2,), 3, 17, 1, parameters=struct.pack("<2f", -4, 4)) + bytes([0b01111100])
    same(read_bytes(tmp_path, raw)[0], np.array([4, -4], np.float32))


def test_codes_read_as_hexadecimal(tmp_path):
    for code, real in ((0x100, 4), (0x101, 5), (0x10, 2), (0x11, 3)):
        _, head = read_bytes(tmp_path, header((2,), 8, code, 2) + b"\1\0")
        assert head.code == real


def test_four_surplus_bytes(tmp_path):
    raw = header((2,), 8, 1, 2) + b"\0\0\0\0" + b"\5\6"
    same(read_bytes(tmp_path, raw)[0], np.array([5, 6], np.uint8))


def test_provisional_layout(tmp_path):
    raw = struct.pack("<2sBBIIII", b"\x4e\xef", 1, 0, 24, 2, 1, 2) + struct.pack("<BBH", 0, 32, 0)
    same(read_bytes(tmp_path, raw + struct.pack("<2f", 1.5, 2.5))[0], np.array([[1.5, 2.5]], np.float32))
    text = b"linear_quantize(min = 0.0, max = 1.0, bits = 8)"
    raw = struct.pack("<2sBBIII", b"\x4e\xef", 1, 0, 20 + len(text), 1, 300) + struct.pack("<BBH", 1, 8, len(text))
    array, head = read_bytes(tmp_path, raw + text + bytes(300))
    assert head.quantized
    assert head.quantization == text.decode()
    assert array.shape == (300,)


# --- streams


def test_several_tensors_on_one_stream():
    arrays = [sample("float32"), sample("bool", (11,)), sample("int64", (100, 200)), np.array(3, np.uint8)]
    stream = io.BytesIO(b"".join(written(array) for array in arrays))
    for array in arrays:
        same(read_tensor(stream)[0], array)
    with pytest.raises(FormatError, match="cut off"):
        read_tensor(stream)


def test_pipe_and_file_objects(tmp_path):
    arrays = [sample("float32", (200, 300)), sample("bool", (11,)), sample("int16", (70_000,))]
    path = tmp_path / "all"
    path.write_bytes(b"".join(written(array) for array in arrays) + b"rest")
    for buffering in (0, -1):
        with path.open("rb", buffering=buffering) as file:
            for array in arrays:
                same(read_tensor(file)[0], array)
            assert file.read() == b"rest"
    with subprocess.Popen(["cat", str(path)], stdout=subprocess.PIPE) as process:
        for array in arrays:
            same(read_tensor(process.stdout)[0], array)
        assert process.stdout.read() == b"rest"


def test_compressed_stream_is_not_mistaken_for_its_file(tmp_path):
    import gzip

    array = np.zeros((300, 300), np.float32)
    with gzip.open(tmp_path / "t.gz", "wb") as file:
        write_tensor(file, array)
    with gzip.open(tmp_path / "t.gz", "rb") as file:
        same(read_tensor(file)[0], array)


def test_text_stream():
    with pytest.raises(UsageError, match="binary"):
        read_tensor(io.StringIO("x" * 200))


def test_fifo(tmp_path):
    if not hasattr(os, "mkfifo"):
        pytest.skip("no named pipes here")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "t.dat").write_bytes(written(sample("int8")))
    with subprocess.Popen(["cp", str(tmp_path / "t.dat"), str(tmp_path / "pipe")]):
        same(read_tensor(tmp_path / "pipe")[0], sample("int8"))


# --- memory


def test_large_file_is_mapped(tmp_path):
    path = tmp_path / "big.dat"
    with path.open("wb") as file:
        file.write(header((1 << 29,), 32, 0, 1 << 31))
        file.truncate(128 + (1 << 31))
    tracemalloc.start()
    array, _ = read_tensor(path)
    with path.open("rb") as file:
        streamed, _ = read_tensor(file)
    assert array[-1] == streamed[5] == 0
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()
    assert not array.flags.writeable


def test_many_tensors_do_not_use_up_file_descriptors(tmp_path):
    code = """
import resource, sys
import numpy as np
from nnef_tools.language.tensor_file import read_tensor, write_tensor
resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 1024))
write_tensor(sys.argv[1], np.ones(20000, np.float32))
arrays = [read_tensor(sys.argv[1])[0] for _ in range(1500)]
assert all(array[-1] == 1 for array in arrays)
"""
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "t.dat")], check=True)


def test_writing_does_not_copy():
    array = np.zeros(1 << 24, np.float32)

    class Null(io.RawIOBase):
        def writable(self):
            return True

        def write(self, data):
            return min(len(data), 100_000)  # raw streams may take less than they are given

    for view in (array, array.reshape(4096, 4096).T):
        tracemalloc.start()
        write_tensor(Null(), view)
        assert tracemalloc.get_traced_memory()[1] < 1 << 22
        tracemalloc.stop()


# --- malformed files


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "cut off"),
        (b"\x4e\xef\1\0", "cut off"),
        (header((2,), 32, 0, 8), "missing"),
        (header((2,), 32, 0, 8) + bytes(9), "1 bytes too many"),
        (header((2,), 32, 0, 8, magic=b"NN") + bytes(8), "not a tensor file"),
        (header((2,), 32, 0, 8, version=(1, 1)) + bytes(8), "version 1.1"),
        (header((2,), 32, 0, 9) + bytes(9), "takes 8"),
        (header((2,), 33, 0, 9) + bytes(9), "33 bits"),
        (header((2,), 65, 4, 17) + bytes(17), "65 bits"),
        (header((2,), 0, 4, 0), "0 bits"),
        (header((2,), 4, 5, 1) + bytes(1), "4 bits"),
        (header((2,), 8, 7, 2) + bytes(2), "unknown item type 0x7"),
        (header((2,), 0xFFFFFFFF, 0x1000, 8, vendor=0x5452) + bytes(8), "tract's type strings"),
        (header((2,), 0xFFFFFFFF, 0x3040, 8, vendor=0x5452) + bytes(8), "tract's type Q4_0"),
        (header((2,), 32, 5, 8, vendor=0x1234) + bytes(8), "vendor 0x1234"),
        (header((65536,) * 4, 8, 1, 0), "too large"),
        (header((0xFFFFFFFF,) * 8, 64, 1, 0), "too large"),
        (header((0, 0xFFFFFFFF, 0xFFFFFFFF), 64, 1, 0), "too large"),
        (header((65535, 65535), 8, 1, 65535 * 65535), "missing"),
        (header((2,), 8, 16, 2, parameters=struct.pack("<2f", 2, 1)) + b"\0\0", "impossible range"),
        (header((2,), 8, 17, 2, parameters=struct.pack("<2f", -1, float("nan"))) + b"\0\0", "impossible range"),
        (struct.pack("<2sBBII8I", b"\x4e\xef", 1, 0, 0, 9, *[1] * 8).ljust(128, b"\0"), "rank 9"),
    ],
)
def test_malformed(tmp_path, raw, message):
    with pytest.raises(FormatError, match=message) as error:
        read_bytes(tmp_path, raw)
    assert "t.dat" in str(error.value)
    if raw and "too many" not in message:
        with pytest.raises(FormatError):
            read_tensor(io.BytesIO(raw))


def test_claimed_size_takes_no_memory():
    raw = header((1 << 30,), 16, 0, 1 << 31) + bytes(1000)
    tracemalloc.start()
    with pytest.raises(FormatError, match="missing"):
        read_tensor(io.BytesIO(raw))
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


def test_missing_file(tmp_path):
    with pytest.raises(FileError, match=r"none\.dat"):
        read_tensor(tmp_path / "none.dat")
    with pytest.raises(FileError):
        write_tensor(tmp_path / "no" / "t.dat", np.zeros(1))
    with pytest.raises(FileError):
        read_tensor(tmp_path)


def test_random_mutants(tmp_path):
    rng = random.Random(11)
    seeds = [
        header((3,), 32, 0, 12) + struct.pack("<3f", 1, 2, 3),
        header((3, 2), 4, 4, 3) + b"\1\2\3",
        header((9,), 1, 5, 2) + b"\xaa\x80",
        header((3,), 8, 16, 3, parameters=struct.pack("<2f", -1, 1)) + bytes([0, 51, 255]),
        struct.pack("<2sBBIIII", b"\x4e\xef", 1, 0, 24, 2, 1, 2) + struct.pack("<BBHd", 0, 32, 0, 1.5),
    ]
    outcomes = {True: 0, False: 0}
    for _ in range(1500):
        raw = bytearray(rng.choice(seeds))
        for _ in range(rng.randint(1, 4)):
            kind = rng.randrange(4)
            at = rng.randrange(len(raw)) if rng.random() < 0.3 else rng.randrange(min(len(raw), 60))
            if kind == 0:
                raw[at] ^= 1 << rng.randrange(8)
            elif kind == 1:
                raw[at] = rng.choice([0, 1, 2, 127, 128, 255])
            elif kind == 2:
                raw = raw[: max(at, 1)]
            else:
                raw += rng.randbytes(rng.randint(1, 9))
        for source in (raw_file(tmp_path, raw), io.BytesIO(raw)):
            outcomes[readable(source)] += 1
    assert outcomes[True] > 20
    assert outcomes[False] > 500


def readable(source):
    try:
        array, head = read_tensor(source)
    except NnefToolsError:
        return False
    assert array.shape == head.shape
    return True


def raw_file(tmp_path, raw):
    (tmp_path / "m.dat").write_bytes(raw)
    return tmp_path / "m.dat"


def test_same_array_same_bytes():
    assert written(sample("float32")) == written(sample("float32").copy())


def test_header_of_written_tensor():
    head = write_tensor(io.BytesIO(), np.zeros((2, 3), np.int16))
    assert (head.shape, head.bits, head.code, head.data_length) == ((2, 3), 16, ItemType.SIGNED, 12)
