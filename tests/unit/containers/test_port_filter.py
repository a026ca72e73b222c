"""The values of the filters `publish` and `expose`, with Docker's words for those that are none."""

import pytest

import errdefs
from engine.containers import port_filter


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("80", (80, 80, "tcp")),
        ("80/udp", (80, 80, "udp")),
        ("80/", (80, 80, "tcp")),
        ("8000-8010/tcp", (8000, 8010, "tcp")),
        ("0", (0, 0, "tcp")),
        ("80/none", (80, 80, "none")),
    ],
)
def test_ports(value: str, found: tuple[int, int, str]) -> None:
    assert port_filter.parse("publish", value) == found


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("", "error while looking up for expose : Empty string specified for ports."),
        ("x", 'error while looking up for expose x: strconv.ParseUint: parsing "x": invalid syntax'),
        ("-5", 'error while looking up for expose -5: strconv.ParseUint: parsing "": invalid syntax'),
        (
            "65536",
            'error while looking up for expose 65536: strconv.ParseUint: parsing "65536": value out of range',
        ),
        ("9-8", "error while looking up for expose 9-8: Invalid range specified for the Port: 9-8"),
        ("80:80", "filter for 'expose' should not contain ':': 80:80"),
        ("٣", 'error while looking up for expose ٣: strconv.ParseUint: parsing "٣": invalid syntax'),
    ],
)
def test_what_is_no_port(value: str, message: str) -> None:
    with pytest.raises(errdefs.InvalidArgument) as refused:
        port_filter.parse("expose", value)
    assert refused.value.message == message
