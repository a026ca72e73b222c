"""Which proxy leads to a URL, by the settings `http-proxy`, `https-proxy` and `no-proxy`. Pure."""

import ipaddress

from yarl import URL

from engine.registry.hosts import Settings


def proxy_for(url: URL, settings: Settings) -> URL | None:
    """The proxy, None for none. What is on this machine is never asked for by one, as in Go."""
    proxy = settings.https_proxy if url.scheme == "https" else settings.http_proxy
    if not proxy or _is_exempt(url, settings.no_proxy):
        return None
    return URL(proxy if "://" in proxy else f"http://{proxy}")


def _is_exempt(url: URL, no_proxy: str) -> bool:
    host = (url.host or "").lower().rstrip(".")
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        address = None
    if host == "localhost" or (address is not None and address.is_loopback):
        return True
    return any(_matches(rule.strip().lower(), host, url.port, address) for rule in no_proxy.split(","))


def _matches(
    rule: str, host: str, port: int | None, address: ipaddress.IPv4Address | ipaddress.IPv6Address | None
) -> bool:
    """A rule is "*", a network, an address or a domain; each of the latter two with a port or not."""
    if not rule or rule == "*":
        return bool(rule)
    if "/" in rule:
        try:
            return address is not None and address in ipaddress.ip_network(rule, strict=False)
        except ValueError:
            return False
    name, colon, number = rule.rpartition(":")
    if colon and number.isdecimal() and (":" not in name or name.startswith("[")):
        if port != int(number):
            return False
        rule = name
    rule = rule.strip("[]").removeprefix("*")
    if rule.startswith("."):
        return host.endswith(rule)
    return host == rule or (address is None and host.endswith(f".{rule}"))
