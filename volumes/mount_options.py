"""The options of volumes of the local driver: `type`, `device`, `o` and `size`, by Docker's rules and texts. Pure."""

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

import msgspec

import errdefs

_KNOWN = frozenset({"type", "o", "device", "size"})
_NEEDS = {"device": ("type",), "type": ("device",), "o": ("device", "type")}
_NETWORKED = frozenset({"nfs", "cifs"})
_SECRET = re.compile(r"((?:^|,)pass(?:word|wd)?2?=)[^,]*")
_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?(?:([kmgtp])?i?b?)", re.IGNORECASE)
_UNITS = {unit: 1024**power for power, unit in enumerate("kmgtp", 1)}


class MountOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What mount(2) is given: `options` as in fstab."""

    type: str
    device: str
    options: str

    def hidden(self, text: str) -> str:
        """A text that may hold these options, without passwords."""
        return text.replace(self.options, without_secrets(self.options)) if self.options else text


def check(name: str, options: Mapping[str, str], *, quota: bool) -> None:
    """Pass for options that a volume can have; InvalidArgument. `quota`: whether sizes can be limited."""
    for option in options:
        if option not in _KNOWN:
            raise errdefs.InvalidArgument(f'create {name}: invalid option: "{option}"')
    if options.get("type") == "cifs" and _port(options.get("device", "")):
        raise errdefs.InvalidArgument(
            f"create {name}: port not allowed in CIFS device URL, include 'port' in 'o='"
        )
    if "size" in options and size(name, options["size"]) and not quota:
        raise errdefs.InvalidArgument(f"create {name}: quota size requested but no quota support")
    for option, needed in _NEEDS.items():
        for other in needed if option in options else ():
            if other not in options:
                raise errdefs.InvalidArgument(f'create {name}: missing required option: "{other}"')


def of(options: Mapping[str, str] | None) -> MountOptions | None:
    """What is to be mounted for a volume, None when it is a directory of its own."""
    found = options or {}
    if not found.get("type") and not found.get("device"):
        return None
    return MountOptions(
        type=found.get("type", ""), device=found.get("device", ""), options=found.get("o", "")
    )


def address(mount: MountOptions) -> str:
    """The name of the server that the kernel must be told by its address, "" when there is none."""
    if mount.type not in _NETWORKED:
        return ""
    asked = _addr(mount.options)
    if asked or mount.type == "nfs":
        return asked
    return urlsplit(mount.device).hostname or ""


def with_address(mount: MountOptions, name: str, found: str) -> MountOptions:
    """The same with the server's address in place of its name."""
    if _addr(mount.options):
        options = mount.options.replace(f"addr={name}", f"addr={found}", 1)
        return MountOptions(type=mount.type, device=mount.device, options=options)
    bare = re.sub(re.escape(name), lambda _: found, mount.device, count=1, flags=re.IGNORECASE)
    return MountOptions(type=mount.type, device=bare, options=mount.options)


def without_secrets(text: str) -> str:
    """Options in which no password is to be read."""
    return _SECRET.sub(r"\1********", text)


def size(name: str, text: str) -> int:
    """Bytes, as Docker reads them ("10m", "1.5 GiB")."""
    found = _SIZE.fullmatch(text)
    if found is None:
        raise errdefs.InvalidArgument(f"create {name}: invalid size: '{text}'")
    return int(float(found[1]) * _UNITS.get((found[2] or "").lower(), 1))


def _addr(options: str) -> str:
    return next((each[5:] for each in options.split(",") if each.startswith("addr=")), "")


def _port(device: str) -> bool:
    try:
        return urlsplit(device).port is not None
    except ValueError:
        return True
