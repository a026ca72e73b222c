"""What single settings must look like, with dockerd's texts: pure."""

import ipaddress
import re
from collections.abc import Iterable

import errdefs
from runtime.cgroups import Hierarchy, capabilities_of_host

_LEVELS = frozenset({"panic", "fatal", "error", "warn", "info", "debug", "trace"})
_RESERVED_LABELS = ("com.docker.", "io.docker.", "org.dockerproject.")
_DOMAIN_PART = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_DOMAIN = re.compile(rf"(?:{_DOMAIN_PART}|_{_DOMAIN_PART})(?:\.{_DOMAIN_PART})*\.?")


def require_level(level: str) -> None:
    """Pass for a level of the log."""
    _require(level.lower() in _LEVELS, f"invalid logging level: {level}")


def require_format(form: str) -> None:
    """Pass for a format of the log."""
    _require(form in ("text", "json"), f"invalid log format: {form}")


def require_labels(labels: Iterable[str]) -> None:
    """Pass for labels `key=value` that do not contradict each other and are not of Docker's own namespaces."""
    seen: dict[str, str] = {}
    for label in labels:
        key, equals, value = label.partition("=")
        _require(bool(equals), f"bad attribute format: {label}")
        _require(
            not label.lower().startswith(_RESERVED_LABELS),
            f"label {label} is not allowed: the namespaces com.docker.*, io.docker.*, and org.dockerproject.* are"
            " reserved for internal use",
        )
        _require(
            seen.get(key, value) == value, f"conflict labels for {key}={value} and {key}={seen.get(key)}"
        )
        seen[key] = value


def require_domains(domains: Iterable[str]) -> None:
    """Pass for DNS search domains; "." stands for none."""
    for domain in domains:
        plain = domain.strip(" ")
        good = plain == "." or (
            len(plain) < 255 and _DOMAIN.fullmatch(plain) and any(letter.isalpha() for letter in plain)
        )
        _require(bool(good), f"{domain} is not a valid domain")


def require_addresses(name: str, addresses: Iterable[str]) -> None:
    """Pass for IP addresses."""
    for address in addresses:
        try:
            ipaddress.ip_address(address)
        except ValueError:
            raise errdefs.InvalidArgument(
                f"{name}: IP address is not correctly formatted: {address}"
            ) from None


def require_none_below_zero(key: str, number: int) -> None:
    """Pass for a count; 0 is the default."""
    _require(number >= 0, f"invalid {key.replace('-', ' ')}: {number}")


def require_ipc_mode(mode: str) -> None:
    """Pass for an IPC mode that may be a default."""
    hint = 'use "shareable" or "private"'
    _require(mode in ("shareable", "private"), f'IPC mode "{mode}" is not supported as default value; {hint}')


def require_published_ports(way: str) -> None:
    """Pass for a way in which published ports are led to containers."""
    _require(
        way in ("direct", "host-firewall"),
        f'invalid published-ports ({way}): use "direct" or "host-firewall"',
    )


def require_cgroupns_mode(mode: str) -> None:
    """Pass for a mode of the cgroup namespace."""
    _require(
        mode in ("host", "private"), f'invalid default cgroup namespace ({mode}): use "host" or "private"'
    )


def require_realtime(period: int, runtime: int, hierarchy: Hierarchy, driver: str) -> None:
    """Pass for real-time CPU time of all containers, if the host can give it."""
    if not period and not runtime:
        return
    what = "daemon-scoped cpu-rt-period and cpu-rt-runtime are"
    _require(hierarchy.version == 1, f"{what} not implemented for cgroup v2")
    _require(capabilities_of_host(hierarchy).cpu_realtime, f"{what} not supported by the kernel")
    _require(driver == "cgroupfs", f"{what} not supported with the systemd cgroup driver")
    _require(period >= 0 and runtime >= 0, f"{what} numbers of microseconds: {period}, {runtime}")


def cgroup_driver(exec_opts: Iterable[str]) -> str | None:
    """The driver that the exec-opts name, None if they name none."""
    driver = None
    for option in exec_opts:
        name, equals, value = option.partition("=")
        name, value = name.strip().lower(), value.strip()
        _require(
            bool(equals and name and value), f"invalid exec-opt ({option}): must be formatted 'opt=value'"
        )
        _require(name == "native.cgroupdriver", f"invalid exec-opt ({option}): unknown option: '{name}'")
        _require(
            value in ("cgroupfs", "systemd"), f'invalid exec-opt ({option}): use "cgroupfs" or "systemd"'
        )
        driver = value
    return driver


def _require(good: bool, text: str) -> None:
    if not good:
        raise errdefs.InvalidArgument(text)
