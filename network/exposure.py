"""The published ports of a container, led to the endpoint that leads out of it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from network.attachments import Attachment
from network.endpoint import Endpoint
from network.ports import PortBinding, PortRequest
from network.publisher import Publisher
from network.worker import Worker


class Exposure:
    """Ports follow the endpoint; which one that is, is said by the caller: None for a container that is not reached."""

    def __init__(self, worker: Worker, publisher: Publisher) -> None:
        self._worker = worker
        self._publisher = publisher

    async def publish(
        self, attachment: Attachment, endpoint: Endpoint | None, wanted: Sequence[PortRequest]
    ) -> list[PortBinding]:
        """All or none. Raises PortInUse, InvalidArgument."""
        attachment.published = endpoint
        if not wanted or endpoint is None:
            return []
        publication = await self._publisher.publish(endpoint, wanted, attachment.publications.append)
        return publication.bindings

    async def republish(
        self, attachment: Attachment, endpoint: Endpoint | None, wanted: Sequence[PortRequest]
    ) -> list[PortBinding]:
        """Let the ports lead to another endpoint; ports of the host that were given stay the same."""
        given = [each for publication in attachment.publications for each in publication.bindings]
        if attachment.published == endpoint:
            return given
        await self.withdraw(attachment)
        return await self.publish(attachment, endpoint, [_again(each) for each in given] or wanted)

    async def adopt(
        self, attachment: Attachment, endpoint: Endpoint | None, ports: Sequence[PortBinding]
    ) -> list[str]:
        """Take over the ports of a running container. Returns what is not as it was."""
        attachment.published = endpoint
        if not ports or endpoint is None:
            return []
        publication, warnings = await self._publisher.adopt(endpoint, ports)
        attachment.publications.append(publication)
        return warnings

    async def withdraw(self, attachment: Attachment) -> None:
        """Take all back. Does all, then raises a failure. Idempotent."""
        publications, attachment.publications = attachment.publications, []
        attachment.published = None
        for publication in publications:
            publication.unserve()
        for publication in publications:
            await self._worker.run(partial(self._publisher.withdraw, publication))


def _again(binding: PortBinding) -> PortRequest:
    return PortRequest(
        proto=binding.proto,
        container_port=binding.container_port,
        host_ip=binding.host_ip,
        host_port_start=binding.host_port,
        host_port_end=binding.host_port,
    )
