"""Where a plugin is: a socket below the folder of sockets, else a file that names its address. Blocks."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

import errdefs

_MAX_SPEC: Final = 1 << 16


class Places(msgspec.Struct, frozen=True):
    """Folders that are looked into, the sockets' first, then those of *.spec and *.json files in this order."""

    sockets: Path = Path("/run/docker/plugins")
    specs: tuple[Path, ...] = (Path("/etc/docker/plugins"), Path("/usr/lib/docker/plugins"))


class Tls(msgspec.Struct, frozen=True, kw_only=True):
    """How a plugin at an https address is known, and how we show ourselves; "" for no such file."""

    verify: bool = True
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""


class Address(msgspec.Struct, frozen=True):
    """A URL: unix:///path, tcp://, http:// or https://host:port."""

    url: str
    tls: Tls = Tls()

    @property
    def socket(self) -> str:
        """The path of its socket, "" when it is reached by TCP."""
        parts = urlsplit(self.url)
        return parts.path if parts.scheme == "unix" else ""


def names(places: Places) -> list[str]:
    """What plugins are called that have a socket or a file now."""
    found: set[str] = set()
    for folder, suffixes in (
        (places.sockets, (".sock",)),
        *((each, (".spec", ".json")) for each in places.specs),
    ):
        for entry in _entries(folder):
            name, suffix = entry.stem, entry.suffix
            if suffix in suffixes:
                found.add(name)
            elif any((entry / f"{entry.name}{each}").exists() for each in suffixes):
                found.add(entry.name)
    return sorted(found)


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def find(places: Places, name: str) -> Address | None:
    """The address of a plugin, None when there is no such one now.

    Raises SystemFailure for a file that names no address.
    """
    if not name or name in (".", "..") or "/" in name or "\0" in name:
        return None
    for path in _candidates(places.sockets, name, ".sock"):
        if _is_socket(path):
            return Address(f"unix://{path}")
    for folder in places.specs:
        for path in (*_candidates(folder, name, ".spec"), *_candidates(folder, name, ".json")):
            if path.is_file():
                return _read(path)
    return None


def _candidates(folder: Path, name: str, suffix: str) -> tuple[Path, Path]:
    return folder / f"{name}{suffix}", folder / name / f"{name}{suffix}"


def _is_socket(path: Path) -> bool:
    try:
        return stat.S_ISSOCK(path.stat().st_mode)
    except OSError:
        return False


def _read(path: Path) -> Address:
    try:
        with path.open("rb") as stream:
            text = stream.read(_MAX_SPEC).decode()
        found = _of_json(json.loads(text)) if path.suffix == ".json" else _of_spec(text)
        if urlsplit(found.url).scheme in ("unix", "tcp", "http", "https"):
            return found
    except (OSError, ValueError, TypeError) as error:
        raise errdefs.SystemFailure(f"cannot read the address of a plugin from {path}: {error}") from error
    raise errdefs.SystemFailure(f"Unknown protocol in {path}: {found.url}")


def _of_spec(text: str) -> Address:
    return Address(text.strip(), Tls(verify=False))


def _of_json(plugin: Any) -> Address:
    """As Docker, a TLS configuration without a CA verifies nothing."""
    if not isinstance(plugin, dict) or not isinstance(plugin.get("Addr"), str):
        raise ValueError("there is no Addr")  # noqa: TRY004 - a bad file, not a bad call
    options = plugin.get("TLSConfig")
    if options is None:
        return Address(plugin["Addr"])
    ca, cert, key = (_text(options, each) for each in ("CAFile", "CertFile", "KeyFile"))
    verify = bool(ca) and not options.get("InsecureSkipVerify", False)
    return Address(plugin["Addr"], Tls(verify=verify, ca_file=ca, cert_file=cert, key_file=key))


def _text(options: Any, key: str) -> str:
    value = options.get(key, "") if isinstance(options, dict) else None
    if not isinstance(value, str):
        raise ValueError(f"TLSConfig.{key} is not a text")  # noqa: TRY004 - as above
    return value
