"""What each container has of the network: its sandbox, its endpoints and its published ports."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

import errdefs
from network import routes
from network import sandbox as sandboxes
from network.endpoint import Endpoint
from network.nftables.entry import Link
from network.ports import PortBinding
from network.publisher import Publication
from network.routes import Gateways
from network.sandbox import Sandbox

DEFAULT_PREFIX: Final = "eth"


class Attachment(msgspec.Struct):
    """All that one container has. `published`: where its ports lead; `given`: those that it had last."""

    sandbox: Sandbox
    endpoints: list[Endpoint] = msgspec.field(default_factory=list)
    publications: list[Publication] = msgspec.field(default_factory=list)
    links: Sequence[Link] = ()
    published: Gateways = msgspec.field(default_factory=Gateways)
    given: list[PortBinding] = msgspec.field(default_factory=list)

    @property
    def bindings(self) -> list[PortBinding]:
        """What is published now."""
        return self.given if self.publications else []

    @property
    def gateways(self) -> Gateways:
        """The endpoints that lead out."""
        return routes.choose(self.endpoints)

    def free_interface(self, prefix: str) -> str:
        """The first unused name: eth0, eth1, ..."""
        used = {each.interface for each in self.endpoints}
        return next(name for name in (f"{prefix}{n}" for n in range(len(used) + 1)) if name not in used)

    def replace(self, endpoint: Endpoint) -> None:
        """An endpoint has changed on paper."""
        self.endpoints = [endpoint if each.id == endpoint.id else each for each in self.endpoints]
        ipv4, ipv6 = (endpoint if each and each.id == endpoint.id else each for each in self.published)
        self.published = Gateways(ipv4, ipv6)

    def let_go(self) -> None:
        """Close what this process holds; what is in the kernel stays. On the loop."""
        for publication in self.publications:
            publication.unserve()
            for held in publication.held:
                if held.socket is not None:
                    held.socket.close()
        self.sandbox.release_fd()


class Attachments:
    """By container. What makes and takes blocks: for the worker's thread.

    It records what it made before it returns, for a caller that was cancelled meanwhile comes back with `take` and
    nothing else.
    """

    def __init__(self, links: Path) -> None:
        self._links = links
        self._by_id: dict[str, Attachment] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._by_id))

    def get(self, container_id: str) -> Attachment:
        """Raises NotFound for a container without a sandbox."""
        attachment = self._by_id.get(container_id)
        if attachment is None:
            raise errdefs.NotFound(f"container {container_id} has no sandbox")
        return attachment

    def find(self, container_id: str) -> Attachment | None:
        """None for a container without a sandbox."""
        return self._by_id.get(container_id)

    def make(self, container_id: str, pid: int | None, *, host: bool) -> Attachment:
        """A new sandbox, that of process `pid`, or the host's. Raises Conflict when the container has one."""
        if container_id in self._by_id:
            raise errdefs.Conflict(f"container {container_id} has a sandbox already")
        if host:
            sandbox = sandboxes.of_host(container_id, self._links)
        elif pid is not None:
            sandbox = sandboxes.of_process(container_id, pid, self._links)
        else:
            sandbox = sandboxes.make(container_id, self._links)
        return self._by_id.setdefault(container_id, Attachment(sandbox))

    def adopt(self, container_id: str, pid: int, sandbox_id: str | None, *, host: bool) -> Attachment:
        """The sandbox of a running container, as an earlier daemon named it.

        Raises NotFound when the process is gone, Conflict when it is adopted already.
        """
        if container_id in self._by_id:
            raise errdefs.Conflict(f"container {container_id} is adopted already")
        if host:
            sandbox = sandboxes.of_host(container_id, self._links)
        else:
            try:
                sandbox = sandboxes.of_process(container_id, pid, self._links, sandbox_id=sandbox_id)
            except (FileNotFoundError, ProcessLookupError) as error:
                raise errdefs.NotFound(f"process {pid} of container {container_id} is gone") from error
        return self._by_id.setdefault(container_id, Attachment(sandbox))

    def take(self, container_id: str) -> Attachment | None:
        """Forget a container; what it had is the caller's to close."""
        return self._by_id.pop(container_id, None)

    def remove_stale_links(self) -> None:
        """Remove links to network stacks that belong to none."""
        if not self._links.is_dir():
            return
        kept = {attachment.sandbox.key for attachment in self._by_id.values()}
        for link in self._links.iterdir():
            if link.is_symlink() and link not in kept:
                link.unlink(missing_ok=True)
