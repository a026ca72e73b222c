"""How registries are spoken to, from the configuration: pure."""

from collections.abc import Iterable

from engine.config.registries import split_insecure
from engine.system.nouns import Index, RegistryConfig

_HUB = "docker.io"
_LOOPBACK = ("::1/128", "127.0.0.0/8")  # Docker takes a registry on this host as insecure


def registry_config(insecure: Iterable[str], mirrors: Iterable[str] = ()) -> RegistryConfig:
    """The noun; `insecure` are host names, with a port or not, and networks, `mirrors` URLs."""
    networks, names = split_insecure(insecure)
    mirrors = list(mirrors)
    indexes = {_HUB: Index(name=_HUB, mirrors=mirrors, official=True)}
    indexes |= {name: Index(name=name, secure=False) for name in names}
    return RegistryConfig(
        insecure_registry_cidrs=list(dict.fromkeys((*networks, *_LOOPBACK))),
        index_configs=indexes,
        mirrors=mirrors or None,
    )
