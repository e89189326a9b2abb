"""Torch files made by hand: views of storages, and what no reader should believe."""

import io
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest

from jax_bt.errors import WeightsError
from jax_bt.weights import _pickle, files

from .torch_files import (
    MAGIC,
    REBUILD,
    Tensor,
    call,
    number,
    sequence,
    text,
    write_legacy,
    write_zip,
)

DATA = np.arange(24, dtype=np.float32)
WRITERS = pytest.mark.parametrize("write", [write_zip, write_legacy])


def read(content):
    return files.read_stream(io.BytesIO(content))


def refused(content, match):
    """Ends in one line, and on the way there takes little memory."""
    tracemalloc.start()
    try:
        with pytest.raises(WeightsError, match=match) as caught:
            read(content)
        # a container takes some 70 times the byte that asks for it
        assert tracemalloc.get_traced_memory()[1] < 100 * len(content) + 2**20
    finally:
        tracemalloc.stop()
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300


def pickled(body):
    """A zip file whose pickle is ``body``."""
    return write_zip(body)


@WRITERS
@pytest.mark.parametrize(
    ("offset", "size", "stride"),
    [
        (0, (4, 6), (6, 1)),
        (0, (6, 4), (1, 6)),
        (5, (3, 2), (6, 3)),
        (23, (), ()),
        (2, (3,), (0,)),
        (0, (2, 3, 4), (1, 2, 6)),
        (0, (5, 4), (4, 2)),  # overlapping
        (7, (1, 3), (10**30, 5)),
        (99, (0, 3), (3, 1)),
    ],
)
def test_any_view_of_a_storage(write, offset, size, stride):
    found = read(write({"x": Tensor(DATA, offset, size, stride)}))["x"]
    index = offset + sum(
        i * (s if n > 1 else 0) for i, n, s in zip(np.indices(size), size, stride, strict=True)
    )
    assert found.shape == size and found.dtype == np.float32
    if found.size:
        np.testing.assert_array_equal(found, DATA[index])


@WRITERS
def test_tensors_of_one_storage_share_memory(write):
    a = Tensor(DATA, 0, (4, 6), (6, 1), key="7")
    b = Tensor(DATA, 0, (6, 4), (1, 6), key="7")
    found = read(write({"a": a, "b": b, "c": DATA}))
    assert np.shares_memory(found["a"], found["b"])
    assert not np.shares_memory(found["a"], found["c"])
    np.testing.assert_array_equal(found["a"].T, found["b"])


@WRITERS
@pytest.mark.parametrize(
    ("view", "match"),
    [
        (Tensor(DATA, 0, (25,), (1,)), "tensor 'x': reaches to element 24 of storage '0'"),
        (Tensor(DATA, 1, (4, 6), (6, 1)), "reaches to element 24"),
        (Tensor(DATA, 24, (1,), (1,)), "reaches to element 24"),
        (Tensor(DATA, 0, (2,), (2**62,)), "reaches to element 4611686018427387904"),
        (Tensor(DATA, -1, (2,), (1,)), "not of whole numbers"),
        (Tensor(DATA, 3, (2,), (-1,)), "not of whole numbers"),
        (Tensor(DATA, 0, (-2, -2), (1, 1)), "not of whole numbers"),
        (Tensor(DATA, 0, (2, 2), (1,)), "not of whole numbers"),
        (Tensor(DATA, 0, (1,) * 65, (1,) * 65), "not of whole numbers"),
        (Tensor(DATA, 0, (2**40,), (0,)), "its tensors would take more than 67,1"),
        (Tensor(DATA, 0, (0, 2**62, 2**60), (0, 0, 0)), "tensor 'x': "),
        (Tensor(DATA, numel=25, size=(2,)), "storage '0' (has 96 bytes|is cut short)"),
        (Tensor(DATA, numel=2**60), "storage '0' (has 96 bytes|is cut short)"),
        (Tensor(DATA, numel=-1), "no plain storage"),
    ],
)
def test_views_beyond_their_storage_are_refused(write, view, match):
    refused(write({"x": view}), match)


def test_tied_tensors_cannot_multiply_a_file():
    tied = {f"x{i}": Tensor(np.zeros(2**20, np.float32), key="0") for i in range(100)}
    refused(write_zip(tied), "its tensors would take more than 134,")


def test_compression_cannot_multiply_a_file():
    big = {"x": np.zeros(2**25, np.float32)}
    refused(write_zip(big, zipfile.ZIP_DEFLATED), "would unpack to 134,2")
    small = {"x": DATA}
    np.testing.assert_array_equal(read(write_zip(small, zipfile.ZIP_DEFLATED))["x"], DATA)
    refused(write_zip(small, zipfile.ZIP_LZMA), "compressed by another way")


def test_an_archive_is_read_in_one_way_only():
    out = io.BytesIO(write_zip({"x": DATA}))
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(out, "a") as file:
        file.writestr("archive/data.pkl", b"\x80\x02}.")
    refused(out.getvalue(), "two members of the same name")


def test_one_storage_has_one_type():
    tree = {"a": Tensor(DATA, key="0"), "b": Tensor(DATA.view(np.float64), key="0")}
    refused(write_zip(tree), "storage '0' is of two types or sizes")


def test_machines_of_the_other_byte_order():
    file = write_legacy({"x": DATA}).replace(
        text("little_endian") + b"\x88", text("little_endian") + b"\x89"
    )
    refused(file, "big-endian")
    out = io.BytesIO(write_zip({"x": DATA}))
    with zipfile.ZipFile(out, "a") as archive:
        archive.writestr("archive/byteorder", b"big")
    refused(out.getvalue(), "big-endian")


def test_state_dicts_carry_attributes():
    attribute = b"ccollections\nOrderedDict\n)R}" + text("_metadata") + b"}sb"
    assert list(read(write_zip({"x": DATA, "none": attribute}))) == ["x"]


def test_what_else_a_checkpoint_holds_is_passed_over():
    keys = [b"N", b"\x88", number(-3), b"G" + struct.pack(">d", 0.5), text("betas")]
    other = b"}(" + b"".join(key + b"](K\x01\x89K\x02\x86e" for key in keys) + b"u"
    assert list(read(write_zip({"model": {"x": DATA}, "optimizer": other}))) == ["x"]


def test_a_parameter_is_its_tensor():
    pairs = b"]" + sequence(text("x"), number(1)) + b"a"
    assert list(read(write_zip({"x": DATA, "y": call("collections OrderedDict", pairs)}))) == ["x"]
    refused(pickled(call("torch._utils _rebuild_parameter", number(1), b"\x89", b"}")), "no tensor")


@pytest.mark.parametrize(
    ("body", "match"),
    [
        # more than weights
        (b"cposix\nsystem\n" + sequence(text("touch evil_was_here")) + b"R", r"posix\.system"),
        (b"ctorch._utils\n_rebuild_tensor_v2.__globals__\n", r"_v2\.__globals__"),
        (b"cbuiltins\ngetattr\n", r"builtins\.getattr"),
        (b"cnumpy.core.multiarray\n_reconstruct\n", "_reconstruct"),
        (b"ctorch._utils\n_rebuild_parameter_with_state\n", "_with_state"),
        (text("os") + text("system") + b"\x93", r"os\.system"),
        (b"(ios\nsystem\n", "opcode INST .'os system'"),
        (b"(" + b"cos\nsystem\n" + text("ls") + b"o", r"os\.system"),
        (b"\x82\x01", "opcode EXT1"),
        (b"ccollections\nOrderedDict\n)\x81", "opcode NEWOBJ"),
        (b"Pid\n", "opcode PERSID"),
        (b"}}b" + b"K\x01}b", "gives a state"),
        # not what torch writes
        (text("x") + b"Q", "no plain storage"),
        (b"(" + text("storage") + text("os") + text("0") * 2 + b"K\x01tQ", "no plain storage"),
        (REBUILD + sequence(number(1), number(0), b")", b")", b"N") + b"R", "without a storage"),
        (text("f") + b")R", "calls something that is no function"),
        (REBUILD + b"}R", "calls something that is no function"),
        (REBUILD + b")R", "damaged before byte .*TypeError"),
        (b"ctorch\nFloatStorage\n)R", "calls something that is no function"),
        # not sound
        (b"R", "damaged"),
        (b"h\x07", "damaged"),
        (b"(NNN\x86u", "sets items|damaged"),
        (b"}(K\x01u", "damaged"),
        (b"}Na", "appends"),
        (b"]NNs", "sets items"),
        (b"\xff", "damaged"),
        # sizes beyond the file
        (b"X\xff\xff\xff\xff", "damaged"),
        (b"\x8d" + struct.pack("<Q", 2**60), "damaged"),
        (b"\x8e" + struct.pack("<Q", 2**60), "damaged"),
        (b"\x96" + struct.pack("<Q", 2**40), "damaged"),
        (b"Nr\xff\xff\xff\xff", "a Python NoneType"),
        (b"\x8b" + struct.pack("<I", 2**31 - 1), "damaged"),
        (b"\x8a\xff" + bytes(254) + b"\x01", "more than 128 bits"),
        (b"I" + b"9" * 5000 + b"\n", "damaged"),
        # time beyond the file
        (b"}" + b")" + b"q\x00h\x00\x86" * 60 + b"Ns", "key of type tuple"),
        (b"}" + number(2**70) + b"Ns", "key of type int"),
        (b")" + b"\x85" * 20_000, "a Python tuple"),
        (b"]q\x00h\x00a", "a Python list"),
        (text("a" * 501) + text("b") + b"\x93", "by no text"),
        (REBUILD + b"q\x01(" + b"N" * 65 + b"tq\x00" + b"h\x01h\x00R" * 1000, "no function"),
    ],
)  # fmt: skip
def test_pickles_that_are_not_of_plain_weights(body, match, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    refused(pickled(body), match)
    refused(MAGIC + b"\x80\x02M\xe9\x03." + b"\x80\x02}" + text("little_endian") + b"\x88s."
            + b"\x80\x02" + body + b".\x80\x02].", match)  # fmt: skip
    assert not list(tmp_path.iterdir())


def test_opcodes_are_counted(monkeypatch):
    monkeypatch.setattr(_pickle, "OPCODES", 1000)
    refused(pickled(b"N" * 1000), "more than 1,000 opcodes")


def test_shared_dicts_are_visited_once():
    """Ten references to the same dict, 200 times over, would be 10^200 names."""
    body = b"}q\x00"
    for level in range(1, 200):
        entries = b"".join(text(str(i)) + b"h" + bytes([level - 1]) for i in range(10))
        body += b"}(" + entries + b"uq" + bytes([level])
    refused(pickled(body), "holds no tensors")
    cycle = b"}q\x00" + text("model") + b"h\x00s"
    refused(pickled(cycle), "holds no tensors")
    found = read(pickled(b"}q\x00(" + text("model") + b"h\x00" + text("x") + _tensor() + b"u"))
    assert list(found) == ["x"]


def _tensor():
    """A tensor without elements, of a storage without bytes."""
    storage = sequence(
        text("storage"), b"ctorch\nFloatStorage\n", text("0"), text("cpu"), number(0)
    )
    shape = sequence(number(0))
    arguments = sequence(storage + b"Q", number(0), shape, shape, b"\x89", b"}")
    return REBUILD + arguments + b"R"


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        (b"M\xe9\x03.", b"M\xe8\x03.", "not its legacy layout"),
        (b"}" + text("little_endian") + b"\x88s.", b"K\x01.", "not its legacy layout"),
        (b"](" + text("0"), b"](" + text("1"), "storage '1' is cut short or of another size"),
        (b"](" + text("0") + b"e.", b"].", "storage '0' is missing"),
        (b"](" + text("0") + b"e.", b"}.", "no list of storages"),
        (
            b"e." + struct.pack("<q", 24),
            b"e." + struct.pack("<q", 23),
            "storage '0' is cut short or of another",
        ),
        (
            b"e." + struct.pack("<q", 24),
            b"e." + struct.pack("<q", -1),
            "storage '0' is cut short or of another",
        ),
    ],
)
def test_legacy_files_that_do_not_add_up(old, new, match):
    file = write_legacy({"x": DATA})
    assert old in file
    refused(file.replace(old, new), match)


def test_a_view_of_a_legacy_storage_by_its_old_way_is_refused():
    file = write_legacy({"x": DATA})
    refused(file.replace(b"NtQ", b"K\x01tQ"), "no plain storage")
