"""What settings about registries and proxies must look like, with dockerd's texts: pure."""

import ipaddress
import re
from collections.abc import Iterable, Mapping
from urllib.parse import SplitResult, urlsplit, urlunsplit

import errdefs

_PART = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_HOST = re.compile(rf"(?:{_PART}(?:\.{_PART})*|\[[a-fA-F0-9:]+\])(?::([0-9]+))?")


def mirrors(urls: Iterable[str]) -> tuple[str, ...]:
    """Mirrors of Docker Hub, each once and with a slash at its end. InvalidArgument for what cannot be one."""
    return tuple(dict.fromkeys(_mirror(url) for url in urls))


def _mirror(url: str) -> str:
    parts = _split(url)
    if parts is None:
        raise errdefs.InvalidArgument(f'invalid mirror: "{url}" is not a valid URI')
    if parts.scheme not in ("http", "https"):
        raise errdefs.InvalidArgument(f'invalid mirror: unsupported scheme "{parts.scheme}" in "{url}"')
    if parts.query or parts.fragment:
        raise errdefs.InvalidArgument(f'invalid mirror: query or fragment at end of the URI "{url}"')
    if "@" in parts.netloc:
        shown = parts._replace(netloc=f"{parts.username}:xxxxx@{parts.netloc.rpartition('@')[2]}")
        raise errdefs.InvalidArgument(
            f'invalid mirror: username/password not allowed in URI "{urlunsplit(shown)}"'
        )
    if not parts.netloc:
        raise errdefs.InvalidArgument(f'invalid mirror: "{url}" names no host')
    return url.removesuffix("/") + "/"


def require_insecure(registries: Iterable[str]) -> None:
    """Pass for hosts, with a port or not, and networks; a scheme before them is passed over, as in Docker."""
    for registry in registries:
        bare = _bare(registry)
        if "://" in bare:
            raise errdefs.InvalidArgument(f"insecure registry {registry} should not contain '://'")
        if bare.startswith("-") or bare.endswith("-"):
            raise errdefs.InvalidArgument(f"invalid index name ({bare}). Cannot begin or end with a hyphen")
        if not _is_network(bare):
            _require_host(registry, bare)


def split_insecure(registries: Iterable[str]) -> tuple[list[str], list[str]]:
    """The networks ("10.0.0.0/8") and the hosts among what is configured as insecure, without schemes."""
    networks: list[str] = []
    names: list[str] = []
    for registry in registries:
        bare = _bare(registry)
        (networks if _is_network(bare) else names).append(bare)
    return networks, names


def _bare(registry: str) -> str:
    return re.sub(r"^https?://", "", registry, flags=re.IGNORECASE)


def _require_host(registry: str, host: str) -> None:
    found = _HOST.fullmatch(host)
    if found is None and not _is_network(f"{host}/128" if ":" in host else f"{host}/32"):
        raise errdefs.InvalidArgument(f'insecure registry {registry} is not valid: invalid host "{host}"')
    if found is not None and found[1] and int(found[1][:9]) > 65535:
        raise errdefs.InvalidArgument(f'insecure registry {registry} is not valid: invalid port "{found[1]}"')


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return "/" in text


def proxy(key: str, configured: str, environment: Mapping[str, str]) -> str:
    """The value of `http-proxy`, `https-proxy` or `no-proxy`: what is configured, else the environment's."""
    name = key.replace("-", "_")
    value = configured or environment.get(name.upper()) or environment.get(name) or ""
    if key != "no-proxy" and value:
        _require_proxy(key, value)
    return value


def _require_proxy(key: str, url: str) -> None:
    parts = _split(url if "://" in url else f"http://{url}")
    if parts is None or not parts.hostname:
        raise errdefs.InvalidArgument(f"{key}: invalid proxy address {masked(url)}")
    if parts.scheme not in ("http", "https"):
        raise errdefs.InvalidArgument(f"{key}: a proxy is spoken to by http or https, not by {parts.scheme}")


def masked(url: str) -> str:
    """A proxy's URL without user and password."""
    if "@" not in url:
        return url
    scheme, colon, rest = url.rpartition("://")
    return f"{scheme}{colon}xxxxx:xxxxx@{rest.rpartition('@')[2]}"


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    return parts
