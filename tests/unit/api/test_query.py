import pytest

import errdefs
from api.query import Query
from api.routing import clean_path, split_target
from api.upgrade import Splitter
from api.versions import Version, negotiate


@pytest.mark.parametrize("text", ["", "0", "no", "NO", "false", "False", "none", "None", " 0 "])
def test_false(text: str) -> None:
    assert Query(f"a={text}").flag("a", default=True) is False


@pytest.mark.parametrize("text", ["1", "true", "yes", "x", "2", "nope"])
def test_true(text: str) -> None:
    assert Query(f"a={text}").flag("a") is True


def test_missing_is_the_default() -> None:
    assert Query("").flag("a", default=True) is True
    assert Query("").flag("a") is False
    assert Query("a").flag("a", default=True) is False
    assert Query("a=1&a=0").flag("a") is True
    assert Query("a=1&a=2").all("a") == ["1", "2"]


@pytest.mark.parametrize(("text", "number"), [("5", 5), ("-1", -1), ("%2B7", 7), ("", None)])
def test_integers(text: str, number: int | None) -> None:
    assert Query(f"t={text}").integer("t") == number


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("abc", "invalid syntax"),
        ("1.5", "invalid syntax"),
        ("1_0", "invalid syntax"),
        ("٣", "invalid syntax"),
        ("9223372036854775808", "value out of range"),
        ("9" * 10_000, "value out of range"),
    ],
)
def test_bad_integers_are_named(text: str, problem: str) -> None:
    with pytest.raises(errdefs.InvalidArgument, match=problem) as raised:
        Query(f"t={text}").integer("t")
    assert '"t"' in raised.value.message
    assert len(raised.value.message) < 200


@pytest.mark.parametrize("text", ["", "a", "-1", "%2B1", "4294967296"])
def test_bad_sizes(text: str) -> None:
    with pytest.raises(errdefs.InvalidArgument, match="invalid resize height"):
        Query(f"h={text}").size("h", "resize height")


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("1700000000", 1_700_000_000_000_000_000),
        ("1700000000.000000001", 1_700_000_000_000_000_001),
        ("1700000000.5", 1_700_000_000_500_000_000),
        ("1.12345678901234", 1_123_456_789),
        ("1.", 1_000_000_000),
        ("0", 0),
        ("", None),
    ],
)
def test_timestamps(text: str, nanoseconds: int | None) -> None:
    assert Query(f"since={text}").timestamp("since") == nanoseconds


@pytest.mark.parametrize("text", ["foo", "1e400", "NaN", "1.-5", "1.x", "1." + "0" * 21, "10m", ".5"])
def test_bad_timestamps_are_named(text: str) -> None:
    with pytest.raises(errdefs.InvalidArgument, match='invalid value for "since"'):
        Query(f"since={text}").timestamp("since")


def test_too_many_parameters() -> None:
    with pytest.raises(errdefs.InvalidArgument, match="too many"):
        Query("&".join(f"a{n}=1" for n in range(5000)))


def test_versions_compare_by_number() -> None:
    assert Version("1.9").before("1.24")
    assert not Version("1.44.0").before("1.44")
    assert not Version("1.44").before("1.44")
    assert Version("1").before("1.24")
    assert negotiate(None).text == "1.55"


@pytest.mark.parametrize(
    ("path", "clean"),
    [("/a//b", "/a/b"), ("/a/./b/..", "/a"), ("/../..", "/"), ("/a/", "/a/"), ("//", "/"), ("/", "/")],
)
def test_clean_paths(path: str, clean: str) -> None:
    assert clean_path(path) == clean


def test_targets() -> None:
    target = split_target("/v1.44/images/a%2Fb/json?x=%20")
    assert (target.path, target.version, target.query, target.clean) == (
        "/images/a/b/json",
        "1.44",
        "x=%20",
        True,
    )
    assert split_target("http://host/v1.44/info").path == "/info"
    assert split_target("/v1.44").version is None


HEAD = b"POST /exec/x/start HTTP/1.1\r\nHost: d\r\nUpgrade: tcp\r\nContent-Length: 2\r\n\r\n"


@pytest.mark.parametrize("size", [1, 2, 7, 50, 1000])
def test_an_upgrade_request_is_divided_from_its_stream(size: int) -> None:
    splitter, http, stream = Splitter(), b"", b""
    data = HEAD + b"{}" + b"input\r\n\r\n"
    for start in range(0, len(data), size):
        first, second = splitter.feed(data[start : start + size])
        http, stream = http + first, stream + second
    assert (http, stream) == (HEAD + b"{}", b"input\r\n\r\n")


def test_other_requests_are_left_alone() -> None:
    splitter = Splitter()
    for data in (
        b"GET /a HTTP/1.1\r\nHost: d\r\n\r\nGET /b",
        HEAD.replace(b"Content-Length: 2", b"Transfer-Encoding: x"),
    ):
        assert splitter.feed(data) == (data, b"")
        splitter.reset()
    assert splitter.feed(HEAD.replace(b"Content-Length: 2\r\n", b"") + b"in")[1] == b"in"


def test_bytes_that_are_no_text() -> None:
    query = Query("path=/a%ff&path=%c3%a9")
    assert query.path("path") == "/a\udcff"
    assert query.text("path") == "/a\ufffd"
    assert query.all("path") == ["/a\ufffd", "é"]
