"""Where requests begin, as far as that is beyond doubt."""

import pytest

from api.boundary import Boundary

BOTH = b"POST /x HTTP/1.1\r\nHost: d\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
CHUNKED = b"POST /x HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n"
MENDED = b"POST /x HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
GET = b"GET /x HTTP/1.1\r\nHost: d\r\n\r\n"
LONG = b"POST /x HTTP/1.1\r\nHost: d\r\nContent-Length: 4\r\n\r\n"


def test_of_a_length_and_chunks_the_chunks_are_left() -> None:
    assert Boundary().feed(BOTH) == MENDED
    assert Boundary().feed(BOTH + b"0\r\n\r\n" + BOTH) == MENDED + b"0\r\n\r\n" + BOTH


@pytest.mark.parametrize(
    "before",
    [
        [GET],
        [LONG, b"body"],
        [LONG + b"body"],
        [CHUNKED, b"1\r\nx\r\n0\r\n\r\n"],
        [CHUNKED + b"0\r\n", b"\r", b"\n"],
    ],
)
def test_after_a_request_that_ended_where_it_had_said(before: list[bytes]) -> None:
    boundary = Boundary()
    for _ in range(2):
        assert [boundary.feed(data) for data in before] == before
        boundary.answered(alone=True)
    assert boundary.feed(BOTH) == MENDED


@pytest.mark.parametrize(
    "before",
    [
        [LONG + b"body", b"more"],
        [LONG + b"bodymore"],
        [LONG + b"bod"],
        [GET + b"\r\n"],
        [CHUNKED + b"0\r\n\r\nGET"],
        [CHUNKED + b"0\r\n\r\n", b"GET /"],
        [GET[:20], GET[20:]],
        [BOTH],
        [GET.replace(b"Host:", b"Host: d\r\nContent-Length: 0\r\nContent-Length: 0\r\nX:")],
        [GET.replace(b"Host", b"Content-Length: 0x0\r\nHost")],
        [GET.replace(b"Host", b"Transfer-Encoding: gzip, chunked\r\nHost")],
        [GET.replace(b"Host", b"Upgrade: tcp\r\nHost")],
    ],
)
def test_no_head_is_touched_after_anything_else(before: list[bytes]) -> None:
    boundary = Boundary()
    for data in before:
        boundary.feed(data)
    boundary.answered(alone=True)
    assert boundary.feed(BOTH) == BOTH


def test_no_head_is_touched_where_another_request_was_sent_meanwhile() -> None:
    boundary = Boundary()
    boundary.feed(GET)
    boundary.answered(alone=False)
    assert boundary.feed(BOTH) == BOTH


@pytest.mark.parametrize(
    "head",
    [
        BOTH[:-2],
        BOTH.replace(b"chunked", b"gzip, chunked"),
        BOTH.replace(b"chunked", b"chunked\r\nTransfer-Encoding: chunked"),
        BOTH.replace(b"5", b"5\r\nContent-Length: 5"),
        BOTH.replace(b"5", b"+5"),
        BOTH.replace(b"5", b"5, 5"),
        BOTH.replace(b" 5", b"\r\n 5"),
        BOTH.replace(b"Host", b"X: y\nHost"),
        BOTH.replace(b"Host", b"X: y\rHost"),
        BOTH.replace(b"Host", b"Upgrade: tcp\r\nHost"),
        BOTH.replace(b"1.1", b"1.0"),
        b"\r\n" + BOTH,
        LONG,
        CHUNKED,
    ],
)
def test_what_is_left_to_the_parser(head: bytes) -> None:
    assert Boundary().feed(head) == head
