"""The published ports of a container, led to the endpoints that lead out of it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import msgspec

from network.attachments import Attachment
from network.ports import PortBinding, PortRequest
from network.publisher import Publisher
from network.routes import Gateways
from network.worker import Worker


class Exposure:
    """Ports follow the endpoints that lead out."""

    def __init__(self, worker: Worker, publisher: Publisher) -> None:
        self._worker = worker
        self._publisher = publisher

    async def publish(
        self, attachment: Attachment, gateways: Gateways, wanted: Sequence[PortRequest]
    ) -> list[PortBinding]:
        """All or none. Raises PortInUse, InvalidArgument."""
        attachment.published = gateways
        if not wanted:
            return []
        publication = await self._publisher.publish(gateways, wanted, attachment.publications.append)
        attachment.given = publication.bindings
        return attachment.given

    async def republish(
        self, attachment: Attachment, gateways: Gateways, wanted: Sequence[PortRequest]
    ) -> list[PortBinding]:
        """Let the ports lead to other endpoints; ports of the host that were given stay the same."""
        if attachment.published == gateways:
            return attachment.bindings
        await self.withdraw(attachment)
        return await self.publish(attachment, gateways, again(wanted, attachment.given))

    async def adopt(
        self, attachment: Attachment, gateways: Gateways, ports: Sequence[PortBinding]
    ) -> list[str]:
        """Take over the ports of a running container; see `hold_adopted`. Returns what is not as it was."""
        attachment.published = gateways
        if not ports:
            return []
        publication, warnings = await self._publisher.adopt(gateways, ports)
        attachment.publications.append(publication)
        attachment.given = publication.bindings
        return warnings

    async def hold_adopted(self) -> None:
        """Hold the ports of adopted containers, and serve what nftables does not lead there."""
        await self._publisher.hold_adopted()

    async def withdraw(self, attachment: Attachment) -> None:
        """Take all back. Does all, then raises a failure. Idempotent."""
        publications, attachment.publications = attachment.publications, []
        attachment.published = Gateways()
        for publication in publications:
            publication.unserve()
        for publication in publications:
            await self._worker.run(partial(self._publisher.withdraw, publication))


def again(wanted: Sequence[PortRequest], given: Sequence[PortBinding]) -> list[PortRequest]:
    """The requests, but for the very ports that they were given before."""
    left = {(each.proto, each.container_port, each.host_ip, each.host_port): each for each in given}
    requests = []
    for request in wanted:
        fits = next((each for each in left.values() if _fits(request, each)), None)
        if fits is None:
            requests.append(request)
            continue
        for key in [key for key in left if key[:2] == (fits.proto, fits.container_port)]:
            if key[3] == fits.host_port and request.host_ip in ("", key[2]):
                del left[key]
        requests.append(
            msgspec.structs.replace(request, host_port_start=fits.host_port, host_port_end=fits.host_port)
        )
    return requests


def _fits(request: PortRequest, binding: PortBinding) -> bool:
    start, end = request.host_port_start, max(request.host_port_start, request.host_port_end)
    return (
        (request.proto, request.container_port) == (binding.proto, binding.container_port)
        and request.host_ip in ("", binding.host_ip)
        and binding.host_port != 0
        and (start == 0 or start <= binding.host_port <= end)
    )
