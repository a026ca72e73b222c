"""Images in registries as `GET /distribution/{name}/json` shows them."""

from typing import Any

from engine.registry.inspect import Inspected, OfferedPlatform


def inspected(found: Inspected) -> dict[str, Any]:
    """The answer; platforms are null where the manifest's kind does not tell any."""
    platforms = None if found.platforms is None else [_platform(each) for each in found.platforms]
    descriptor = {"mediaType": found.media_type, "digest": found.digest, "size": found.size}
    return {"Descriptor": descriptor, "Platforms": platforms}


def _platform(platform: OfferedPlatform) -> dict[str, Any]:
    shown = {
        "architecture": platform.architecture,
        "os": platform.os,
        "os.version": platform.os_version,
        "os.features": platform.os_features,
        "variant": platform.variant,
    }
    return {key: value for key, value in shown.items() if value or key in ("architecture", "os")}
