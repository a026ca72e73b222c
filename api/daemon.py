"""The daemon: listeners, the engine, signals, and the order in which they come and go."""

import asyncio
import gc
import logging
import os
import signal
import ssl
from collections.abc import Sequence
from functools import partial

import errdefs
from api import assemble, daemon_log, listeners
from api.accepting import Acceptor, highest_descriptor
from api.authz.authorization import Authorization
from api.builds import Builds
from api.http_server import HttpServer
from api.listeners import Listener
from api.pidfile import STOP_CONTAINERS
from api.server import API
from api.systemd import Notifier
from api.tls import server_context
from engine import version
from engine.config import Config, reload
from engine.engine import Engine
from runtime import spawn

_log = logging.getLogger(__name__)

_REQUESTS_TIMEOUT = 10.0  # seconds that requests have to end in
_STATE_TIMEOUT = 5.0


class Daemon:
    """One run of the daemon."""

    def __init__(self, config: Config, argv: Sequence[str], notifier: Notifier) -> None:
        self._config = config
        self._argv = argv
        self._notifier = notifier
        self._signals: asyncio.Queue[signal.Signals] = asyncio.Queue()

    async def run(self) -> None:
        """Serve until a signal ends it. Errors of the start are raised, and nothing is left then."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, STOP_CONTAINERS):
            loop.add_signal_handler(number, self._signals.put_nowait, number)
        files = self._config.tls
        tls = server_context(files) if files else None
        protected = files is not None and files.verify
        opened = listeners.open_all(self._config.hosts, self._config.group, protected=protected)
        try:
            engine = await Engine.open(self._config)
            await self._serve(engine, opened, tls)
        finally:
            listeners.close_all(opened)

    async def _serve(self, engine: Engine, opened: Sequence[Listener], tls: ssl.SSLContext | None) -> None:
        authorization = Authorization(engine.plugins, self._config.authorization_plugins)
        builds = Builds(engine, self._config.host_gateway_ips)
        routes = assemble.routes(engine, self._config, builds)
        server = HttpServer(API(routes, authorization, version.ENGINE))
        server.http2 = lambda connection: builds.begin(
            connection, partial(authorization.ask_call, connection.transport)
        )
        acceptor = Acceptor(server, [listener.socket for listener in opened], highest_descriptor(), tls)
        for listener in opened:
            _log.info("API listens on %s", listener.address)
        gc.freeze()  # what lives as long as the daemon need not be looked through for garbage; see Trimming
        gc.enable()
        self._notifier.ready()
        number = await self._until_ended(engine, authorization)
        stop_containers = number == STOP_CONTAINERS or await _host_goes_down()
        _log.info("ending on %s, containers %s", number.name, "stop too" if stop_containers else "live on")
        self._notifier.stopping("Stopping containers" if stop_containers else "Leaving containers running")
        acceptor.close()
        listeners.close_all(opened)
        await server.close(_REQUESTS_TIMEOUT)
        await builds.close()
        await engine.shutdown(stop_containers=stop_containers)

    async def _until_ended(self, engine: Engine, authorization: Authorization) -> signal.Signals:
        while (number := await self._signals.get()) == signal.SIGHUP:
            self._notifier.reloading()
            await self._reload(engine, authorization)
            self._notifier.ready()
        return number

    async def _reload(self, engine: Engine, authorization: Authorization) -> None:
        """Take over what can be; a configuration that is wrong changes nothing."""
        try:
            reloaded = await asyncio.to_thread(reload, self._config, self._argv)
        except errdefs.WherryError as error:
            _log.error("the configuration was not reloaded: %s", error.message)
            return
        self._config = reloaded.config
        daemon_log.configure(self._config.level, self._config.log_format)
        for name in reloaded.pending:
            _log.warning("%s is changed in the configuration: a restart takes it over", name)
        _log.info("configuration reloaded; changed: %s", ", ".join(reloaded.changed) or "nothing")
        authorization.use(self._config.authorization_plugins)
        await engine.reload(reloaded)


async def _host_goes_down() -> bool:
    """Whether systemd says that the host is being shut down."""
    if not await asyncio.to_thread(os.path.isdir, "/run/systemd/system"):
        return False
    try:
        done = await spawn.run(["systemctl", "is-system-running"], timeout=_STATE_TIMEOUT)
    except (errdefs.WherryError, OSError, TimeoutError):
        return False
    return done.stdout.strip() == b"stopping"
