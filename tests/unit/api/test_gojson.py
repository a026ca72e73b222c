import msgspec
import pytest

import errdefs
from api import gojson
from engine.wire import Noun


class Inner(Noun):
    memory: int = 0
    names: list[str] | None = None
    labels: dict[str, str] | None = None
    init: bool | None = None


class Outer(Noun):
    image: str = ""
    tty: bool = False
    env: list[str] | None = None
    inner: Inner = msgspec.field(default_factory=Inner)
    ports: dict[str, list[Inner] | None] | None = None
    volumes: dict[str, dict[str, object]] | None = None


def test_names_match_in_any_case_and_unknown_ones_are_ignored() -> None:
    body = b'{"iMAGE":"x","Nope":[1,{"a":2}],"inner":{"MEMORY":5}}'
    assert gojson.decode(body, Outer) == Outer(image="x", inner=Inner(memory=5))


def test_null_is_the_zero_value() -> None:
    body = b'{"Image":null,"Tty":null,"Env":null,"Inner":null,"Ports":{"80/tcp":null},"Volumes":{"/a":null}}'
    assert gojson.decode(body, Outer) == Outer(ports={"80/tcp": None}, volumes={"/a": {}})
    assert gojson.decode(b'{"Env":[null,"a"],"Inner":{"Labels":{"a":null}}}', Outer) == Outer(
        env=["", "a"], inner=Inner(labels={"a": ""})
    )
    assert gojson.decode(b"null", Outer) == Outer()


def test_empty_is_not_null() -> None:
    assert gojson.decode(b'{"Env":[],"Volumes":{}}', Outer) == Outer(env=[], volumes={})
    assert gojson.decode(b'{"Inner":{"Init":false}}', Outer).inner.init is False


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b'{"Image":5}', "json: cannot unmarshal number into Go struct field Outer.Image of type string"),
        (b'{"Tty":"yes"}', "json: cannot unmarshal string into Go struct field Outer.Tty of type bool"),
        (
            b'{"Inner":{"Memory":"12"}}',
            "json: cannot unmarshal string into Go struct field Outer.Inner.Memory of type int64",
        ),
        (
            b'{"Inner":{"Memory":1.5}}',
            "json: cannot unmarshal number 1.5 into Go struct field Outer.Inner.Memory of type int64",
        ),
        (b'{"Inner":{"Memory":true}}', "cannot unmarshal bool into Go struct field Outer.Inner.Memory"),
        (b'{"Inner":{"Memory":9223372036854775808}}', "cannot unmarshal number 9223372036854775808 into"),
        (b'{"Inner":[]}', "cannot unmarshal array into Go struct field Outer.Inner of type Inner"),
        (b'{"Env":"a"}', "cannot unmarshal string into Go struct field Outer.Env of type []string"),
        (b'{"Env":[1]}', "cannot unmarshal number into Go struct field Outer.Env of type string"),
        (b'{"Ports":{"80":5}}', "cannot unmarshal number into Go struct field Outer.Ports of type []"),
        (b"[]", "json: cannot unmarshal array into Go value of type Outer"),
        (b'"x"', "json: cannot unmarshal string into Go value of type Outer"),
        (b"", "got EOF while reading request body"),
        (b"  \n", "got EOF while reading request body"),
        (b'{"Image":"x"', "unexpected EOF"),
        (b"{x}", "JSON is malformed"),
        (b'{"Image":\xff}', "JSON is malformed"),
        (b"\xff", "JSON is malformed"),
        (b'{"Image":"\xff', "unexpected EOF"),
        (b"[" * 100_000, "exceeded max depth"),
    ],
)
def test_what_is_wrong_is_named(body: bytes, text: str) -> None:
    with pytest.raises(errdefs.InvalidArgument) as raised:
        gojson.decode(body, Outer)
    assert raised.value.message.startswith("invalid JSON: ")
    assert text in raised.value.message


def test_bytes_that_are_no_text_are_replaced() -> None:
    assert gojson.decode(b'{"Image":"a\xff\xc3b","\xfe":1}', Outer).image == "a\ufffd\ufffdb"


@pytest.mark.parametrize("body", [b"{} {}", b"{}x", b"{}}"])
def test_nothing_may_follow(body: bytes) -> None:
    with pytest.raises(errdefs.InvalidArgument, match="unexpected content after JSON"):
        gojson.decode(body, Outer)
