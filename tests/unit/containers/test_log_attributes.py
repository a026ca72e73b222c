"""What LogConfig asks of each record."""

import pytest

import errdefs
from engine.containers import log_attributes
from engine.containers.config import ContainerConfig, HostConfig
from engine.containers.container import Container

BOX = Container(
    id="c0ffee" + "0" * 58, name="box", created=0, path="sh", args=["-c", "x"],
    config=ContainerConfig(
        env=["A=1", "B=x=y", "EMPTY=", "NOTHING", "shared=env"],
        labels={"com.example.a": "la", "b": "lb", "shared": "label"},
    ),
    host_config=HostConfig(), networks={}, image_id="sha256:" + "ab" * 32, image_name="bb:1",
    snapshot="", log_path="/log",
)  # fmt: skip

CASES: list[tuple[dict[str, str], dict[str, str]]] = [
    ({}, {}),
    ({"labels": "b,nope"}, {"b": "lb"}),
    ({"labels": ""}, {}),
    ({"labels-regex": r"^com\.example"}, {"com.example.a": "la"}),
    ({"env": "A,B,EMPTY,NOTHING"}, {"A": "1", "B": "x=y", "EMPTY": ""}),
    ({"env-regex": "^[AB]$", "env": "EMPTY"}, {"A": "1", "B": "x=y", "EMPTY": ""}),
    ({"labels": "shared", "env": "shared"}, {"shared": "env"}),
    ({"tag": "t", "labels": "b"}, {"tag": "t", "b": "lb"}),
    ({"tag": "{{.Name}}/{{ .ID }}-{{.ImageName}}"}, {"tag": "box/c0ffee000000-bb:1"}),
    ({"tag": "{{.ImageID}} {{.Command}} {{.DaemonName}}"}, {"tag": "sha256:ababa sh -c x docker"}),
    ({"tag": "{{upper .Name}} {{.Name | title}} {{json .Name}}"}, {"tag": 'BOX Box "box"'}),
    ({"tag": "{{truncate .FullID 6}} x {{- .Name -}} y"}, {"tag": "c0ffee xboxy"}),
    ({"tag": '{{index .ContainerLabels "com.example.a"}} {{.ContainerLabels.b}}'}, {"tag": "la lb"}),
    ({"tag": "{{(.ExtraAttributes nil).A}}", "env": "A"}, {"tag": "1", "A": "1"}),
    ({"max-size": "1k", "mode": "blocking"}, {}),
]


@pytest.mark.parametrize(("options", "expected"), CASES)
def test_attributes(options: dict[str, str], expected: dict[str, str]) -> None:
    log_attributes.check(options)
    assert log_attributes.attributes(BOX, options) == expected


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"labels-regex": "("}, "log opt 'labels-regex': error parsing regexp"),
        ({"env-regex": "*"}, "log opt 'env-regex': error parsing regexp"),
        ({"env-regex": "(a+)+$"}, "log opt 'env-regex': regexp too complex: (a+)+$"),
        (
            {"tag": "x{{ .Nope}}"},
            'template: log-tag:1:4: executing "log-tag" at <.Nope>: can\'t evaluate field Nope',
        ),
        ({"tag": "{{foo .Name}}"}, 'template: log-tag:1: function "foo" not defined'),
        ({"tag": "{{range .ContainerArgs}}x{{end}}"}, 'function "range" not defined'),
        ({"tag": "{{if .Name}}x{{end}}"}, "function"),
        ({"tag": "{{printf 3}}"}, "{{printf 3}} cannot be in a tag"),
        ({"tag": "{{.Name"}, "unclosed action"),
    ],
)
def test_refused(options: dict[str, str], text: str) -> None:
    with pytest.raises(errdefs.InvalidArgument) as refusal:
        log_attributes.check(options)
    assert text in refusal.value.message


def test_encoded_as_go_does() -> None:
    assert log_attributes.encode({}) == b""
    assert log_attributes.encode({"b": "<&>", "a": "é\u2028"}) == (
        b'{"a":"\xc3\xa9\\u2028","b":"\\u003c\\u0026\\u003e"}'
    )
