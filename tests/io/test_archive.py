"""Tar archives: reading by content, refusing what is hostile, writing the same bytes each time."""

import gzip
import io
import random
import shutil
import subprocess
import tarfile
import tracemalloc

import pytest

from nnef_tools.errors import FileError, FormatError, NnefToolsError
from nnef_tools.io.archive import below_top_folder, extract_archive, pack_folder, read_archive
from nnef_tools.io.nnef.helpers import tgz_compress, tgz_extract

FILES = {"graph.nnef": b"version 1.0;", "conv/w.dat": b"\x4e\xef" * 700, "empty": b"", "a" * 150 + "/long.dat": b"x"}


def tar(path, members, mode="w", **options):
    """members: (name or TarInfo, contents) pairs."""
    with tarfile.open(path, mode, **options) as archive:
        for name, content in members:
            info = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            if not isinstance(name, tarfile.TarInfo):
                info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def special(name, kind, link=""):
    info = tarfile.TarInfo(name)
    info.type = kind
    info.linkname = link
    return info


def contents(path):
    return {name: bytes(view) for name, view in read_archive(path).items()}


def folder_of(tmp_path, files=FILES):
    folder = tmp_path / "folder"
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


# --- reading


@pytest.mark.parametrize("mode", ["w", "w:gz"])
@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_reads_by_content_not_by_name(tmp_path, mode, format):
    files = {name: content for name, content in FILES.items() if format != tarfile.USTAR_FORMAT or len(name) < 100}
    assert contents(tar(tmp_path / "model.bin", files.items(), mode, format=format)) == files


def test_reads_what_the_tar_program_writes(tmp_path):
    if not shutil.which("tar"):
        pytest.skip("no tar program here")
    folder = folder_of(tmp_path)
    for options in ("cf", "czf"):
        subprocess.run(["tar", options, tmp_path / "t", "-C", folder, "."], check=True)
        assert contents(tmp_path / "t") == FILES


def test_top_folder(tmp_path):
    members = [("m/" + name, content) for name, content in FILES.items()] + [("._m", b"mac"), ("__MACOSX/m", b"")]
    found = below_top_folder(read_archive(tar(tmp_path / "t", members)), "graph.nnef")
    assert {name: bytes(view) for name, view in found.items()} == FILES
    two = read_archive(tar(tmp_path / "u", [("a/graph.nnef", b"1"), ("b/graph.nnef", b"2")]))
    assert "graph.nnef" not in below_top_folder(two, "graph.nnef")


def test_memory_stays_small(tmp_path):
    block = random.Random(1).randbytes(1 << 20)
    for mode in ("w", "w:gz"):
        path = tar(tmp_path / "t", [("graph.nnef", b"g"), ("w.dat", block * 64)], mode)
        tracemalloc.start()
        members = read_archive(path)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
        tracemalloc.stop()
        assert members["w.dat"][-len(block) :] == block


# --- hostile archives


@pytest.mark.parametrize(
    ("member", "message"),
    [
        (("/etc/passwd", b"x"), "outside"),
        (("../x", b"x"), "outside"),
        (("a/../../x", b"x"), "outside"),
        (("..\\x", b"x"), "outside"),
        (("C:/x", b"x"), "outside"),
        ((special("s", tarfile.SYMTYPE, "/etc/passwd"), b""), "link or special"),
        ((special("s", tarfile.LNKTYPE, "graph.nnef"), b""), "link or special"),
        ((special("s", tarfile.CHRTYPE), b""), "link or special"),
        ((special("s", tarfile.BLKTYPE), b""), "link or special"),
        ((special("s", tarfile.FIFOTYPE), b""), "link or special"),
        (("graph.nnef", b"y"), "two members"),
        (("./graph.nnef", b"y"), "two members"),
    ],
)
def test_hostile_members(tmp_path, member, message):
    for mode in ("w", "w:gz"):
        path = tar(tmp_path / "t.tgz", [("graph.nnef", b"x"), member], mode)
        with pytest.raises(FormatError, match=message) as error:
            read_archive(path)
        assert "t.tgz" in str(error.value)
        with pytest.raises(FormatError):
            tgz_extract(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_extraction_does_not_follow_links_in_the_folder(tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "conv").symlink_to(tmp_path / "outside")
    path = tar(tmp_path / "t", [("conv/w.dat", b"x")])
    with pytest.raises(FileError, match="symbolic link"):
        extract_archive(path, tmp_path / "out")
    assert not list((tmp_path / "outside").iterdir())


def test_claimed_size(tmp_path):
    info = tarfile.TarInfo("w.dat")
    info.size = 8 << 30
    path = tmp_path / "t"
    path.write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(10240))
    tracemalloc.start()
    with pytest.raises(FormatError):
        read_archive(path)
    assert tracemalloc.get_traced_memory()[1] < 4 << 20
    tracemalloc.stop()


def test_decompression_bomb(tmp_path, monkeypatch):
    monkeypatch.setattr("nnef_tools.io.archive._MIN_LIMIT", 1 << 20)
    path = tar(tmp_path / "t", [("graph.nnef", b"x"), ("w.dat", bytes(64 << 20))], "w:gz")
    tracemalloc.start()
    with pytest.raises(FormatError, match="attack"):
        read_archive(path)
    assert tracemalloc.get_traced_memory()[1] < 8 << 20
    tracemalloc.stop()


def test_too_many_members(tmp_path, monkeypatch):
    monkeypatch.setattr("nnef_tools.io.archive._MAX_MEMBERS", 10)
    with pytest.raises(FormatError, match="more than 10"):
        read_archive(tar(tmp_path / "t", [(f"f{k}", b"") for k in range(11)]))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"hello world" * 100, "not a tar"),
        (b"\xfd7zXZ\0" + bytes(100), "xz files"),
        (b"PK\x03\x04" + bytes(100), "zip files"),
        (b"\x1f\x8b" + bytes(100), "gzip data is damaged"),
        (gzip.compress(b"x" * 5000, mtime=0), "not a tar"),
        (gzip.compress(b"", mtime=0), "empty"),
        (gzip.compress(bytes(20000), mtime=0)[:-9], "gzip data is damaged"),
    ],
)
def test_not_an_archive(tmp_path, content, message):
    (tmp_path / "t").write_bytes(content)
    with pytest.raises(FormatError, match=message):
        read_archive(tmp_path / "t")


def test_missing_archive(tmp_path):
    with pytest.raises(FileError):
        read_archive(tmp_path / "none.tgz")
    with pytest.raises(FileError):
        read_archive(tmp_path)


def test_random_mutants(tmp_path):
    rng = random.Random(5)
    plain = tar(tmp_path / "p", FILES.items(), format=tarfile.PAX_FORMAT).read_bytes()
    gnu = tar(tmp_path / "g", FILES.items(), format=tarfile.GNU_FORMAT).read_bytes()
    zipped = gzip.compress(plain, mtime=0)
    outcomes = {True: 0, False: 0}
    for _ in range(900):
        raw = bytearray(rng.choice([plain, gnu, zipped]))
        for _ in range(rng.randint(1, 3)):
            at = rng.randrange(len(raw))
            kind = rng.randrange(5)
            if kind == 0:
                raw[at] ^= 1 << rng.randrange(8)
            elif kind == 1:
                raw = raw[: at + 1]
            elif kind == 2:
                del raw[at : at + rng.randint(1, 600)]
            else:  # a tar header with a right checksum after the change
                block = 512 * rng.randrange(max(len(raw) // 512, 1))
                if len(raw) >= block + 512:
                    raw[block + rng.choice([0, 124, 130, 135, 156, 157, 257, 345])] = rng.randrange(256)
                    raw[block + 148 : block + 156] = b" " * 8
                    raw[block + 148 : block + 156] = b"%06o\0 " % sum(raw[block : block + 512])
            raw = raw or bytearray(b"\0")
        (tmp_path / "m").write_bytes(gzip.compress(raw, 1) if kind == 4 else raw)
        outcomes[readable(tmp_path / "m")] += 1
    assert outcomes[True] > 20
    assert outcomes[False] > 100


def readable(path):
    try:
        for view in read_archive(path).values():
            bytes(view)
    except NnefToolsError:
        return False
    return True


# --- writing


def test_written_archive(tmp_path):
    folder = folder_of(tmp_path)
    tgz_compress(folder, tmp_path / "new" / "a.tgz", compression_level=6)
    with tarfile.open(tmp_path / "new" / "a.tgz", "r:gz") as archive:
        members = archive.getmembers()
        assert [m.name for m in members] == sorted(FILES)
        assert {(m.mtime, m.uid, m.gid, m.uname, m.gname, m.mode) for m in members} == {(0, 0, 0, "", "", 0o644)}
        assert {m.name: archive.extractfile(m).read() for m in members} == FILES
    assert contents(tmp_path / "new" / "a.tgz") == FILES


@pytest.mark.parametrize("level", [0, 1, 9])
def test_same_content_same_bytes(tmp_path, level):
    folder = folder_of(tmp_path)
    first, second = io.BytesIO(), io.BytesIO()
    pack_folder(folder, first, level)
    for file in folder.rglob("*"):
        file.touch()
    shutil.copytree(folder, tmp_path / "copy")
    pack_folder(tmp_path / "copy", second, level)
    assert first.getvalue() == second.getvalue()
    assert first.getvalue()[4:8] == bytes(4)  # no time in the gzip header
    assert (len(first.getvalue()) > 5000) == (level == 0)


def test_tar_program_reads_what_we_write(tmp_path):
    if not shutil.which("tar"):
        pytest.skip("no tar program here")
    tgz_compress(folder_of(tmp_path), tmp_path / "a.tgz")
    (tmp_path / "out").mkdir()
    subprocess.run(["tar", "xzf", tmp_path / "a.tgz", "-C", tmp_path / "out"], check=True)
    for name, content in FILES.items():
        assert (tmp_path / "out" / name).read_bytes() == content


def test_round_trip_through_helpers(tmp_path):
    tgz_compress(str(folder_of(tmp_path)), str(tmp_path / "a.tgz"), compression_level=1)
    tgz_extract(str(tmp_path / "a.tgz"), str(tmp_path / "out"))
    for name, content in FILES.items():
        assert (tmp_path / "out" / name).read_bytes() == content


def test_what_cannot_be_packed(tmp_path):
    folder = folder_of(tmp_path)
    (folder / "link").symlink_to("/etc/passwd")
    with pytest.raises(FileError, match="neither"):
        tgz_compress(folder, tmp_path / "a.tgz")
    assert not (tmp_path / "a.tgz").exists()
    with pytest.raises(FileError):
        tgz_compress(tmp_path / "none", tmp_path / "a.tgz")
