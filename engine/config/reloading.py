"""What SIGHUP changes: the part of the configuration that a running daemon can take over."""

import json
from collections.abc import Sequence

import msgspec

from engine.config.config import Config
from engine.config.loading import load

RELOADABLE = frozenset(
    {
        *("debug", "log_level", "labels", "insecure_registries", "shutdown_timeout", "runtimes"),
        *("registry_mirrors", "max_concurrent_downloads", "max_concurrent_uploads", "max_download_attempts"),
        *("default_runtime", "log_driver", "log_opts", "default_shm_size", "default_ulimits", "notices"),
        *("authorization_plugins", "builder", "image_gc"),
    }
)


class Reloaded(msgspec.Struct, frozen=True):
    """The configuration from now on; `attributes` are those of the `reload` event.

    `changed` names what is different now; `pending` what the file says differently, but only a restart
    changes.
    """

    config: Config
    changed: tuple[str, ...]
    pending: tuple[str, ...]
    attributes: dict[str, str]


def reload(current: Config, argv: Sequence[str]) -> Reloaded:
    """Read the configuration again. Errors as of `load`: then nothing is changed. Not on the loop."""
    wanted = load(argv)
    different = [name for name in Config.__struct_fields__ if getattr(wanted, name) != getattr(current, name)]
    changed = tuple(name for name in different if name in RELOADABLE)
    config = msgspec.structs.replace(current, **{name: getattr(wanted, name) for name in changed})
    pending = tuple(name for name in different if name not in RELOADABLE)
    return Reloaded(config, changed, pending, _attributes(config))


def _attributes(config: Config) -> dict[str, str]:
    return {
        "debug": str(config.debug).lower(),
        "default-cgroupns-mode": config.default_cgroupns_mode,
        "default-ipc-mode": config.default_ipc_mode,
        "default-runtime": config.default_runtime,
        "default-shm-size": str(config.default_shm_size),
        "insecure-registries": json.dumps(config.insecure_registries),
        "labels": json.dumps(config.labels),
        "live-restore": "true",
        "max-concurrent-downloads": str(config.max_concurrent_downloads),
        "max-concurrent-uploads": str(config.max_concurrent_uploads),
        "max-download-attempts": str(config.max_download_attempts),
        "registry-mirrors": json.dumps(config.registry_mirrors),
        "runtimes": " ".join(f"{name}:{one.path}" for name, one in sorted(config.runtimes.items())),
        "shutdown-timeout": str(config.shutdown_timeout),
    }
