import bz2
import gzip
import io
import lzma
import tarfile
from collections.abc import Callable

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

import errdefs
from engine.images.tarstream import Member, TarStream
from runtime.layers.decompression import Decompression

LONG = "d/" * 120 + "file"


def archive(format: int = tarfile.PAX_FORMAT) -> bytes:  # noqa: A002 - tarfile's word
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=format) as made:
        for name, data in (("a", b"x" * 1500), (LONG, b"y"), ("empty", b""), ("ü", b"z" * 512)):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            made.addfile(info, io.BytesIO(data))
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, LONG
        made.addfile(link)
        directory = tarfile.TarInfo("dir")
        directory.type = tarfile.DIRTYPE
        made.addfile(directory)
    return buffer.getvalue()


def split(data: bytes, sizes: list[int]) -> list[bytes]:
    pieces = []
    for size in sizes:
        pieces.append(data[:size])
        data = data[size:]
    return [*pieces, data]


def read(pieces: list[bytes]) -> list[tuple[str, bytes]]:
    stream = TarStream()
    found: list[tuple[str, bytes]] = []
    for piece in pieces:
        for event in stream.feed(piece):
            if isinstance(event, Member):
                found.append((event.name, b""))
            else:
                found[-1] = (found[-1][0], found[-1][1] + bytes(event))
    stream.finish()
    return found


EXPECTED = [
    ("a", b"x" * 1500),
    (LONG, b"y"),
    ("empty", b""),
    ("ü", b"z" * 512),
    ("link", b""),
    ("dir/", b""),
]


@given(st.lists(st.integers(0, 3000), max_size=20))
def test_pieces_do_not_matter(sizes: list[int]) -> None:
    assert read(split(archive(), sizes)) == EXPECTED


@pytest.mark.parametrize("format", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_formats(format: int) -> None:  # noqa: A002 - tarfile's word
    assert read([archive(format)]) == EXPECTED


def test_what_follows_the_end_is_passed_over() -> None:
    assert read([archive() + b"\1" * 5000]) == EXPECTED


@given(st.binary(max_size=3000))
def test_garbage_is_refused_or_empty(data: bytes) -> None:
    try:
        assert read([data]) == []
    except errdefs.InvalidArgument:
        pass


@given(st.integers(1, 6000), st.integers(0, 255))
def test_damage_never_does_more_than_refuse(position: int, value: int) -> None:
    data = bytearray(archive())
    data[position % len(data)] = value
    try:
        read([bytes(data)])
    except errdefs.InvalidArgument:
        pass


@pytest.mark.parametrize("length", [1, 511, 1000, 1536, 2100])
def test_cut_archives_are_refused(length: int) -> None:
    with pytest.raises(errdefs.InvalidArgument):
        read([archive()[:length]])


def unpack(data: bytes, sizes: list[int]) -> bytes:
    stream = Decompression()
    out = [piece for part in split(data, sizes) for piece in stream.feed(part)]
    return b"".join([*out, *stream.finish()])


PACKED: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gzip": gzip.compress,
    "zstd": zstandard.ZstdCompressor().compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
}


@given(
    st.sampled_from(sorted(PACKED)), st.binary(max_size=20_000), st.lists(st.integers(0, 3000), max_size=9)
)
def test_decompression(kind: str, data: bytes, sizes: list[int]) -> None:
    if kind != "plain":
        data *= 50
    packed = PACKED[kind](data)
    assert unpack(packed, sizes) == data
    if kind != "plain":
        assert unpack(packed + packed, sizes) == data + data
        with pytest.raises(errdefs.InvalidArgument):
            unpack(packed[:-5], sizes)


def test_pieces_are_bounded() -> None:
    zeros = bytes(64 << 20)
    for kind in ("gzip", "bzip2", "xz", "zstd"):
        stream = Decompression()
        assert max(len(piece) for piece in stream.feed(PACKED[kind](zeros))) <= 1 << 20


def test_a_window_of_two_gigabytes_is_refused() -> None:
    parameters = zstandard.ZstdCompressionParameters(window_log=31, enable_ldm=True)
    packed = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    frame = packed.compress(b"x" * 100) + packed.flush()
    with pytest.raises(errdefs.InvalidArgument):
        unpack(frame, [])
