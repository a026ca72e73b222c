"""The embedded DNS of a daemon: a server in each container that is in a user-defined network."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import msgspec

import errdefs
from network.dns import message, sockets
from network.dns.forward import Forwarder
from network.dns.names import View, Zone
from network.dns.server import DnsServer
from network.dns.sockets import Opened, Outgoing
from network.dns.upstreams import Asked, HostFile
from network.endpoint import Endpoint
from network.sandbox import Sandbox

_THREADS: Final = 2


class _Client(msgspec.Struct):
    """What a sandbox has here; a server once it was opened."""

    view: View = msgspec.field(default_factory=View)
    asked: Asked = msgspec.field(default_factory=Asked)
    server: DnsServer | None = None


class Resolver:
    """Knows the names of all networks, and serves the sandboxes that were opened. Used on the loop.

    Calls for one sandbox come one after the other. After a restart of the daemon `adopt` holds queries until `settle`:
    a name that is not known yet would else be told not to exist.
    """

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="dns")
        self._closer = ThreadPoolExecutor(1, thread_name_prefix="dns-close")
        self._host = HostFile(self._threads)
        self._zones: dict[str, Zone] = {}  # by network id
        self._clients: dict[str, _Client] = {}  # by sandbox id
        self._held: list[DnsServer] | None = []  # None once settled

    def serves(self, sandbox: Sandbox) -> bool:
        """Whether 127.0.0.11:53 is served in the sandbox."""
        return self._client(sandbox.id).server is not None

    def serve(self, sandbox: Sandbox, opened: Opened) -> None:
        """Answer from these sockets, made in the sandbox, from now on."""
        self._serve(sandbox.id, opened, Outgoing(sandbox.fd, self._threads)).start()

    async def adopt(self, sandbox: Sandbox) -> None:
        """Serve a sandbox that an earlier daemon served, where it did; on new ports where those are taken.

        Idempotent. Raises SystemFailure.
        """
        if self.serves(sandbox):
            return
        outgoing = Outgoing(sandbox.fd, self._threads)
        fd = os.dup(sandbox.fd)  # the sandbox may be closed meanwhile
        opening = asyncio.get_running_loop().run_in_executor(self._threads, sockets.adopt, fd)
        try:
            opened = await asyncio.shield(opening)
        except OSError as error:
            outgoing.close()
            raise errdefs.SystemFailure(
                f"cannot set up the embedded DNS of container {sandbox.container_id}: {error.strerror}"
            ) from error
        except asyncio.CancelledError:
            outgoing.close()
            opening.add_done_callback(self._drop)
            raise
        server = self._serve(sandbox.id, opened, outgoing)
        if self._held is not None:
            self._held.append(server)
        else:
            server.start()

    def settle(self) -> None:
        """All names of an earlier daemon are known again: adopted sandboxes are answered from now on."""
        held, self._held = self._held or [], None
        for server in held:
            server.start()

    def join(self, sandbox_id: str, endpoint: Endpoint, *, internal: bool) -> None:
        """The endpoint's names are known in its network, and the sandbox may ask for those of that network.

        Again for the same endpoint: it has other names now. `internal`: the network does not lead out.
        """
        self.leave(sandbox_id, endpoint.id)
        zone = self._zones.get(endpoint.network_id)
        if zone is None:
            name = message.encode_name(endpoint.network)
            zone = self._zones[endpoint.network_id] = Zone(name and name.lower(), endpoint.network)
        zone.add(endpoint)
        self._client(sandbox_id).view.join(endpoint, zone, internal=internal)

    def leave(self, sandbox_id: str, endpoint_id: str) -> None:
        """The opposite of join; idempotent."""
        client = self._clients.get(sandbox_id)
        zone = client.view.leave(endpoint_id) if client is not None else None
        if zone is None:
            return
        zone.remove(endpoint_id)
        if not zone.views:
            self._zones = {key: each for key, each in self._zones.items() if each is not zone}

    def upstreams(self, sandbox_id: str, servers: Sequence[str], options: Sequence[str] = ()) -> None:
        """The nameservers and options that the container was given; without servers the host's are asked."""
        client = self._client(sandbox_id)
        client.asked = Asked(tuple(servers), tuple(options))
        if client.server is not None:
            client.server.forwarder.asked = client.asked

    def drop(self, opened: Opened) -> None:
        """Close sockets that are not to be served."""
        opened.listening.close()
        self._let_go(opened)

    async def close(self, sandbox_id: str) -> None:
        """The sandbox is gone: its names and sockets; idempotent."""
        client = self._clients.get(sandbox_id)
        if client is None:
            return
        for endpoint_id in client.view.endpoints():
            self.leave(sandbox_id, endpoint_id)
        del self._clients[sandbox_id]
        if client.server is not None:
            self._end(client.server)

    async def shutdown(self) -> None:
        """The daemon ends: sockets are closed, and the tables in the sandboxes stay for the next one."""
        for client in self._clients.values():
            if client.server is not None:
                self._end(client.server)
        self._clients.clear()
        self._threads.shutdown(wait=False)
        self._closer.shutdown(wait=False)

    def _serve(self, sandbox_id: str, opened: Opened, outgoing: Outgoing) -> DnsServer:
        """Not started yet."""
        self._let_go(opened)
        client = self._client(sandbox_id)
        forwarder = Forwarder(client.view, self._host, outgoing)
        forwarder.asked = client.asked
        client.server = DnsServer(opened.listening, client.view, forwarder)
        return client.server

    def _end(self, server: DnsServer) -> None:
        if self._held is not None and server in self._held:
            self._held.remove(server)
        server.close()

    def _client(self, sandbox_id: str) -> _Client:
        return self._clients.setdefault(sandbox_id, _Client())

    def _drop(self, opening: asyncio.Future[Opened]) -> None:
        """Nobody waits for the sockets any more."""
        if not opening.cancelled() and opening.exception() is None:
            self.drop(opening.result())

    def _let_go(self, opened: Opened) -> None:
        for each in opened.spent:
            self._closer.submit(each.close)
