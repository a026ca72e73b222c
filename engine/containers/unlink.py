"""Taking a link away from a container, whether it runs or not."""

import msgspec

import errdefs
from engine.containers import files, linked
from engine.containers.container import Container
from engine.containers.links import Link
from engine.containers.machinery import Machinery
from engine.containers.store import ContainerStore


def split(reference: str) -> tuple[str, str]:
    """Parent and alias of a link's name, "parent/alias"; Conflict, in Docker's words, for a container's own name."""
    parent, slash, alias = reference.removeprefix("/").partition("/")
    if not slash:
        raise errdefs.Conflict("Conflict, cannot remove the default link name of the container")
    return parent, alias


async def unlink(container: Container, alias: str, machinery: Machinery, store: ContainerStore) -> None:
    """Take a link away from a container, whose lock the caller holds; the other stays.

    One that runs loses the other's name in its hosts file and its way to the other's ports, and what is executed in it
    from now on the variables. NotFound for a link that is gone.
    """
    gone = [link for link in container.links if link.alias == alias]
    if not gone:
        raise errdefs.NotFound(f"No such container: {container.name}/{alias}")
    container = msgspec.structs.replace(
        container, links=[link for link in container.links if link not in gone]
    )
    if linked.BRIDGE in container.endpoints:
        variables = linked.environment(container, list(linked.present(container, store)))
        container = msgspec.structs.replace(container, link_variables=variables)
    await store.save(container)
    if linked.BRIDGE in container.endpoints:
        await _forget(container, gone, machinery, store)


async def _forget(
    container: Container, gone: list[Link], machinery: Machinery, store: ContainerStore
) -> None:
    for link in gone:
        await files.unlinked(container, link, machinery)
    await linked.reach(container, machinery, store)
