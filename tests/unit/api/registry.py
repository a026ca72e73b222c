"""A registry client in memory."""

from __future__ import annotations

from dataclasses import dataclass, field

import errdefs
from engine.images.reference import Reference
from engine.registry.credentials import Credentials
from engine.registry.inspect import Inspected, OfferedPlatform

DIGEST = "sha256:" + "d" * 64


@dataclass
class MemoryRegistry:
    """Lets in who has the password "right", and notes what is asked."""

    asked: list[tuple[object, ...]] = field(default_factory=list)

    async def login(self, credentials: Credentials, server_address: str) -> str:
        self.asked.append(("login", credentials, server_address))
        if credentials.password != "right":
            raise errdefs.Unauthorized(
                'Get "https://r.example/v2/": unauthorized: incorrect username or password'
            )
        return "identity" if server_address else ""

    async def inspect(self, reference: Reference, credentials: Credentials | None) -> Inspected:
        self.asked.append(("inspect", reference.canonical, credentials))
        if reference.path.endswith("busy"):
            raise errdefs.TooManyRequests("toomanyrequests: slow down")
        platforms = [
            OfferedPlatform(architecture="amd64", os="linux"),
            OfferedPlatform(architecture="arm", os="linux", variant="v7", os_features=["f"], os_version="1"),
        ]
        kind = "application/vnd.oci.image.index.v1+json"
        return Inspected(kind, DIGEST, 1234, None if reference.digest else platforms)
