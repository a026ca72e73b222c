"""Ports as EXPOSE names them, `[ip:][host:]port[-last][/proto]`; the container's part counts. Pure."""

import errdefs

_PROTOCOLS = ("tcp", "udp", "sctp")


def ports(spec: str) -> list[str]:
    """The ports of a text, each as `80/tcp`. InvalidArgument with Docker's texts."""
    given = spec.rsplit(":", 1)[-1]
    port, _, proto = given.partition("/")
    if not port:
        raise errdefs.InvalidArgument(f"no port specified: {spec}<empty>")
    proto = proto.lower() or "tcp"
    if proto not in _PROTOCOLS:
        raise errdefs.InvalidArgument(f"invalid proto: {proto}")
    first, last = _range(port)
    return [f"{number}/{proto}" for number in range(first, last + 1)]


def _range(text: str) -> tuple[int, int]:
    first, dash, last = text.partition("-")
    low, high = _number(first), _number(last if dash else first)
    if low is None or high is None or high < low:
        raise errdefs.InvalidArgument(f"invalid containerPort: {text}")
    return low, high


def _number(text: str) -> int | None:
    if not text.isascii() or not text.isdecimal() or len(text) > 5 or int(text) > 65535:
        return None
    return int(text)
