"""Options of volumes as mount(2) is to be given them, and what of them is shown."""

import pytest

from volumes import mount_options
from volumes.mount_options import MountOptions


def options(kind: str, device: str, words: str = "") -> MountOptions:
    return MountOptions(type=kind, device=device, options=words)


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (None, None),
        ({"size": "0"}, None),
        ({"type": "", "device": ""}, None),
        ({"type": "tmpfs", "device": ""}, options("tmpfs", "")),
        ({"type": "nfs", "device": ":/x", "o": "addr=a,ro"}, options("nfs", ":/x", "addr=a,ro")),
    ],
)
def test_what_is_mounted(given: dict[str, str] | None, found: MountOptions | None) -> None:
    assert mount_options.of(given) == found


@pytest.mark.parametrize(
    ("mount", "name", "resolved"),
    [
        (
            options("nfs", ":/x", "vers=4,addr=server"),
            "server",
            options("nfs", ":/x", "vers=4,addr=10.0.0.1"),
        ),
        (options("cifs", "//Server/a", "vers=3"), "server", options("cifs", "//10.0.0.1/a", "vers=3")),
        (options("cifs", "//a/b", "addr=c"), "c", options("cifs", "//a/b", "addr=10.0.0.1")),
    ],
)
def test_servers_by_their_addresses(mount: MountOptions, name: str, resolved: MountOptions) -> None:
    assert mount_options.address(mount) == name
    assert mount_options.with_address(mount, name, "10.0.0.1") == resolved


def test_no_server_is_looked_for() -> None:
    for mount in (options("nfs", "server:/x"), options("tmpfs", "x", "addr=a"), options("none", "//a/b")):
        assert mount_options.address(mount) == ""


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("username=u,password=a=b,vers=3", "username=u,password=********,vers=3"),
        ("pass=x", "pass=********"),
        ("password2=x,passwd=y", "password2=********,passwd=********"),
        ("nopass=x,guest", "nopass=x,guest"),
    ],
)
def test_passwords_are_hidden(given: str, shown: str) -> None:
    assert mount_options.without_secrets(given) == shown


@pytest.mark.parametrize(
    ("text", "size"), [("0", 0), ("10m", 10 << 20), ("1.5 GiB", 3 << 29), ("2kb", 2048), ("7B", 7)]
)
def test_sizes(text: str, size: int) -> None:
    assert mount_options.size("v", text) == size
