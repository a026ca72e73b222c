import bz2
import gzip
import io
import lzma
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

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
    with pytest.raises(errdefs.InvalidArgument, match="a window of 2048 MiB"):
        unpack(frame, [])


def sparse(tmp: Path, options: list[str], holes: list[tuple[int, bytes]], size: int) -> tuple[bytes, bytes]:
    """What GNU tar makes of a file with holes and of one after it; and the bytes of the file."""
    with (tmp / "sparse").open("wb") as file:
        for offset, data in holes:
            file.seek(offset)
            file.write(data)
        file.truncate(size)
    (tmp / "after").write_bytes(b"after")
    command = ["tar", "--sparse", *options, "-cf", "-", "-C", str(tmp), "sparse", "after"]
    return subprocess.run(command, check=True, capture_output=True).stdout, (tmp / "sparse").read_bytes()


SPARSE_FORMATS = [
    ["--format=gnu"],
    *(["--format=pax", f"--sparse-version={v}"] for v in ("0.0", "0.1", "1.0")),
]
HOLES: dict[str, tuple[list[tuple[int, bytes]], int]] = {
    "at both ends": ([(1 << 20, b"middle")], 3 << 20),
    "none but one": ([], 1 << 20),
    "of many parts": ([(at << 14, b"part %d" % at) for at in range(60)], 1 << 20),
}


@pytest.mark.parametrize("options", SPARSE_FORMATS)
@pytest.mark.parametrize("case", HOLES)
def test_sparse_files_as_gnu_tar_writes_them(tmp_path: Path, options: list[str], case: str) -> None:
    packed, plain = sparse(tmp_path, options, *HOLES[case])
    assert len(packed) < 1 << 20
    for sizes in ([], [1] * 600, [511, 513, 1024, 700]):
        assert read(split(packed, sizes)) == [("sparse", plain), ("after", b"after")]
    for length in range(512, packed.index(b"after"), 512):
        with pytest.raises(errdefs.InvalidArgument):
            read([packed[: length + 1]])


def test_holes_are_bounded() -> None:
    """Together: each of them could come of a few bytes."""
    fields = {"GNU.sparse.size": str(5 << 30), "GNU.sparse.map": "0,0"}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as made:
        for name in ("a", "b"):
            info = tarfile.TarInfo(name)
            info.pax_headers = fields
            made.addfile(info)
    events = TarStream().feed(buffer.getvalue())
    assert isinstance(next(events), Member)
    with pytest.raises(errdefs.InvalidArgument, match="holes of more than"):
        for _ in events:
            pass
