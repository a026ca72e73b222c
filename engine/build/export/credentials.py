"""What a build's client has to be let in at registries."""

from engine.build.session import Session
from engine.images.reference import DEFAULT_DOMAIN
from engine.registry.credentials import Credentials

_HUB = "registry-1.docker.io"
"""By which clients know Docker Hub when a builder asks."""


async def of_session(session: Session | None, domain: str) -> Credentials | None:
    """The credentials for the registry of a reference, None for none."""
    found = await session.credentials(_HUB if domain == DEFAULT_DOMAIN else domain) if session else None
    if found is None:
        return None
    if not found.username:
        return Credentials(identity_token=found.secret)
    return Credentials(username=found.username, password=found.secret)
