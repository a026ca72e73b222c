"""Tar headers, written and read: each by what the standard library makes of it."""

import io
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from errdefs import InvalidArgument
from runtime.layers import header as tar
from runtime.layers.archive import END, Entry, encode, padding
from runtime.layers.header import Header, number, pax_records
from runtime.layers.names import clean
from runtime.layers.reader import Source, entries

COMPONENT = st.binary(min_size=1, max_size=120).filter(
    lambda part: not {0, 0x2F} & set(part) and part not in (b".", b"..")
)
NAMES = st.lists(COMPONENT, min_size=1, max_size=4).map(b"/".join)
ENTRIES = st.builds(
    Entry,
    name=NAMES,
    type=st.sampled_from([tar.REGULAR, tar.DIRECTORY, tar.SYMLINK, tar.FIFO]),
    mode=st.integers(0, 0o7777),
    uid=st.integers(0, (1 << 32) - 2),
    gid=st.integers(0, (1 << 32) - 2),
    size=st.just(0),
    mtime=st.integers(-(1 << 32), 1 << 33),
    link=NAMES,
    device=st.just((0, 0)),
    xattrs=st.lists(st.tuples(st.just(b"security.capability"), st.binary(max_size=40)), max_size=1),
)


@given(ENTRIES)
def test_what_is_written_is_read_alike(entry: Entry) -> None:
    (read,) = entries(Source(iter([encode(entry) + END])), 10)
    assert read.name.rstrip(b"/") == entry.name.rstrip(b"/")
    assert (read.type, read.mode, read.uid, read.gid, read.link) == (
        entry.type,
        entry.mode,
        entry.uid,
        entry.gid,
        entry.link,
    )
    assert read.mtime == entry.mtime * 10**9
    assert read.xattrs == list(entry.xattrs)


@given(ENTRIES)
def test_what_is_written_is_what_the_standard_library_reads(entry: Entry) -> None:
    stream = io.BytesIO(encode(entry) + END)
    with tarfile.open(fileobj=stream, mode="r:", errors="surrogateescape") as archive:
        (found,) = archive.getmembers()
    assert found.name.encode("utf-8", "surrogateescape") == entry.name.rstrip(b"/")
    assert (found.type, found.mode, found.uid, found.gid, found.mtime) == (
        entry.type,
        entry.mode,
        entry.uid,
        entry.gid,
        entry.mtime,
    )


@given(st.binary(max_size=4000))
def test_no_bytes_break_the_reader(data: bytes) -> None:
    try:
        for _ in entries(Source(iter([data])), 100):
            pass
    except InvalidArgument:
        pass


@given(st.binary(max_size=300))
def test_no_bytes_break_pax_records(data: bytes) -> None:
    try:
        pax_records(data)
    except InvalidArgument:
        pass


@given(st.lists(st.binary(min_size=1, max_size=700), min_size=1), st.integers(1, 1500))
def test_a_source_gives_the_same_bytes_however_they_are_cut(chunks: list[bytes], step: int) -> None:
    source = Source(iter(chunks))
    whole = b"".join(chunks)
    got = b""
    while len(got) + step <= len(whole):
        got += source.take(step)
    assert got == whole[: len(got)]
    if len(got) < len(whole):
        with pytest.raises(InvalidArgument, match="truncated"):
            source.take(step)
    else:
        assert source.take(step) == b""


def test_a_file_s_data_fills_whole_blocks() -> None:
    data = b"x" * 700
    stream = io.BytesIO(
        encode(Entry(name=b"f", size=700)) + data + padding(700) + encode(Entry(name=b"g")) + END
    )
    with tarfile.open(fileobj=stream) as archive:
        assert archive.getnames() == ["f", "g"]
        extracted = archive.extractfile("f")
        assert extracted
        assert extracted.read() == data


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (b"0000644\0", 0o644),
        (b"   644 \0", 0o644),
        (b"\0" * 8, 0),
        (b"        ", 0),
        (b"\x80" + bytes(6) + b"\x01", 1),
        (b"\x80" + bytes(3) + b"\x01" + bytes(3), 1 << 24),
        (b"\xff" * 8, -1),
        (b"\xff" * 7 + b"\x00", -256),
        (b"7777777\x00", 0o7777777),
    ],
)
def test_numbers(field: bytes, value: int) -> None:
    assert number(field) == value


@pytest.mark.parametrize("field", [b"0o17\0", b"1_0\0", b"-1\0", b"+1\0", b"9\0", b"x\0", b"1 2\0"])
def test_what_is_no_number(field: bytes) -> None:
    with pytest.raises(InvalidArgument):
        number(field)


def test_checksums_of_signed_chars_are_taken() -> None:
    block = bytearray(encode(Entry(name=b"f")))
    block[0:2] = b"\xff\xfe"
    block[148:156] = b" " * 8
    signed = sum(byte - 256 if byte > 127 else byte for byte in block)
    block[148:156] = b"%06o\0 " % signed
    assert Header(bytes(block)).name == b"\xff\xfe"
    block[5] = 1
    with pytest.raises(InvalidArgument, match="checksum"):
        Header(bytes(block))


@pytest.mark.parametrize(
    ("name", "path"),
    [
        (b"a/b", b"a/b"),
        (b"./a", b"a"),
        (b"/a//b/", b"a/b"),
        (b".", b""),
        (b"/", b""),
        (b"", b""),
        (b"a/../b", b"b"),
        (b"a/..", b""),
        (b"..a/b..", b"..a/b.."),
        (b".../x", b".../x"),
    ],
)
def test_names_are_cleaned(name: bytes, path: bytes) -> None:
    assert clean(name) == path
