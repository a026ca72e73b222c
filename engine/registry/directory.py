"""`certs.d/<host>`: certificates by Docker's file names, and hosts.toml as containerd has it. Blocking.

Read anew for every operation, as in Docker: a certificate that is put there counts at once.
"""

import errno
import os
import posixpath
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import errdefs
from engine.registry.credentials import is_printable
from engine.registry.hosts import ALL, Capability, Directory, Listed, Tls, is_netloc

_MAX_BYTES = 1 << 20
_CAPABILITIES = {
    "pull": Capability.PULL,
    "resolve": Capability.RESOLVE,
    "push": Capability.PUSH,
    "referrers": Capability(0),  # of no use to us
}
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def reader(roots: Iterable[Path]) -> Callable[[str], Directory]:
    """A function from a host to what the first of its directories under the roots has."""
    kept = tuple(roots)
    return lambda netloc: read(kept, netloc)


def read(roots: Iterable[Path], netloc: str) -> Directory:
    """What is configured for a host; the empty Directory for nothing.

    InvalidArgument in Docker's words for a certificate without its key and for a host whose name no directory can have,
    SystemFailure for what cannot be read.
    """
    for root in roots:
        for name in _names(netloc):
            path = root / name
            try:
                files = sorted(os.listdir(path))
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                if error.errno == errno.ENAMETOOLONG:
                    raise errdefs.InvalidArgument(f"open {path}: file name too long") from error
                raise errdefs.SystemFailure(f"cannot read {path}: {error.strerror}") from error
            return _of(path, files)
    return Directory()


def _names(netloc: str) -> list[str]:
    """containerd's `host_port_`, Docker's `host:port`, and what is for any host."""
    host, colon, port = netloc.rpartition(":")
    renamed = [f"{host}_{port}_"] if colon and port.isdecimal() else []
    return [*renamed, netloc, "_default"]


def _of(path: Path, files: list[str]) -> Directory:
    if "hosts.toml" in files:
        return Directory(hosts=parse(_content(path / "hosts.toml"), path))
    return Directory(tls=_certificates(path, files))


def _content(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_MAX_BYTES).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise errdefs.SystemFailure(f"cannot read {path}: {error}") from error


def _certificates(path: Path, files: list[str]) -> Tls:
    for name in files:
        stem, suffix = os.path.splitext(name)
        if suffix == ".cert" and f"{stem}.key" not in files:
            raise errdefs.InvalidArgument(
                f"missing key {stem}.key for client certificate {name}. CA certificates must use the extension .crt"
            )
        if suffix == ".key" and f"{stem}.cert" not in files:
            raise errdefs.InvalidArgument(f"missing client certificate {stem}.cert for key {name}")
    return Tls(
        authorities=tuple(path / name for name in files if name.endswith(".crt")),
        clients=tuple((path / name, path / f"{name[:-5]}.key") for name in files if name.endswith(".cert")),
    )


def parse(text: str, base: Path) -> tuple[Listed, ...]:
    """The hosts of a hosts.toml in its order, the registry itself at the end; paths in it are relative to `base`.

    SystemFailure that names the file: a mirror must not be passed by because of a slip in writing.
    """
    import tomllib  # 2 ms, of no use to a host without such files

    try:
        document = tomllib.loads(text)
        hosts = document.get("host", {})
        if not isinstance(hosts, dict) or not all(isinstance(one, dict) for one in hosts.values()):
            raise ValueError('"host" must be tables, [host."https://…"]')
        listed = [_listed(url, table, base) for url, table in hosts.items()]
        return (*listed, _listed(_text(document, "server"), document, base))
    except (ValueError, RecursionError) as error:
        raise errdefs.SystemFailure(f"failed to decode {base / 'hosts.toml'}: {error}") from error


def _listed(url: str, table: dict[str, Any], base: Path) -> Listed:
    verify = table.get("skip_verify")
    if verify is not None and not isinstance(verify, bool):
        raise ValueError("skip_verify must be true or false")
    return Listed(
        url=_root(url, override=table.get("override_path") is True) if url else "",
        authorities=tuple(base / name for name in _texts(table.get("ca", []), "ca")),
        clients=_clients(table.get("client", []), base),
        verify=None if verify is None else not verify,
        capabilities=_capabilities(table.get("capabilities", [])),
        headers=_headers(table.get("header", {})),
        connect_timeout=_seconds(_text(table, "dial_timeout")),
    )


def _root(url: str, *, override: bool) -> str:
    """The URL under which the API is."""
    parts = urlsplit(url if url.startswith("http") else f"https://{url}")
    if parts.scheme not in ("http", "https") or not is_netloc(parts.netloc) or parts.query or parts.fragment:
        raise ValueError(f"unable to parse server {parts.hostname or ''}")
    path = posixpath.normpath(parts.path).rstrip("/") if parts.path else ""
    if not override and not path.endswith("/v2"):
        path += "/v2"
    return f"{parts.scheme}://{parts.netloc}{path}"


def _capabilities(value: Any) -> Capability:
    found = Capability(0)
    for word in _texts(value, "capabilities"):
        if word.lower() not in _CAPABILITIES:
            raise ValueError(f"unknown capability {word}")
        found |= _CAPABILITIES[word.lower()]
    return found if value else ALL


def _clients(value: Any, base: Path) -> tuple[tuple[Path, Path], ...]:
    """One file with both, several such, or pairs of certificate and key."""
    found = []
    for one in [value] if isinstance(value, str) else value if isinstance(value, list) else [value]:
        pair = [one, one] if isinstance(one, str) else one
        if not isinstance(pair, list) or len(pair) != 2 or not all(isinstance(each, str) for each in pair):
            raise ValueError('invalid pair for "client"')
        found.append((base / pair[0], base / pair[1]))
    return tuple(found)


def _headers(value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        raise ValueError('"header" must be a table')  # noqa: TRY004 - what a person wrote
    found = {name: ", ".join(_texts(texts, "header")) for name, texts in value.items()}
    if not all(re.fullmatch(r"[A-Za-z0-9-]+", name) and is_printable(text) for name, text in found.items()):
        raise ValueError("a header has characters that no header may have")
    return found


def _seconds(text: str) -> float:
    if not text:
        return 30.0
    parts = _DURATION.findall(text)
    if "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f'time: invalid duration "{text}"')
    return max(0.001, min(sum(float(number) * _UNITS[unit] for number, unit in parts), 300.0))


def _text(table: dict[str, Any], key: str) -> str:
    value = table.get(key, "")
    if not isinstance(value, str):
        raise ValueError(f'"{key}" must be a text')  # noqa: TRY004 - what a person wrote
    return value


def _texts(value: Any, key: str) -> list[str]:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(one, str) for one in texts):
        raise ValueError(f'"{key}" must be a text or a list of texts')
    return texts
