"""`wherryd`: from the command line to a daemon that serves, or to an exit code."""

import gc
import logging
import os
import select
import signal
import sys
from collections.abc import Sequence

import uvloop

import errdefs
from api import daemon_log, pidfile, systemd
from engine import version
from engine.config import Answered, Config, load
from plugins.loading import enter
from runtime.shim import libc

_log = logging.getLogger(__name__)

_LARGE = 256 << 10  # bytes; buffers that layers and archives pass through may have this size and more
_ARENAS = 1  # threads of Python rarely allocate at the same time
_STOP_GRACE = 30.0  # seconds beyond --shutdown-timeout


def main() -> None:
    """The console script."""
    sys.exit(run(sys.argv[1:]))


def run(argv: Sequence[str]) -> int:
    """Do what the command line says; the exit code."""
    try:
        config = load(argv)
        if config.stop_containers:
            return stop_running(config)
        if config.purge_network:
            return purge_network(config)
        return serve(config, argv)
    except Answered as answer:
        sys.stdout.write(answer.text)
        return 0
    except errdefs.WherryError as error:
        sys.stderr.write(f"wherryd: {error.message}\n")
        return 1


def serve(config: Config, argv: Sequence[str]) -> int:
    """Be the daemon until it is told to end."""
    gc.disable()  # what comes with the start stays; to look for garbage in it takes an eighth of the time
    libc.return_large(_LARGE)
    libc.share_arenas(_ARENAS)
    enter(
        "aiohttp", __version__=""
    )  # its client is loaded for the first who needs it, and nobody is told its version
    from api.daemon import Daemon  # all of the engine: nothing for who asks for the version

    notifier = systemd.Notifier.from_environment()
    systemd.take_sockets()
    os.umask(0o022)
    daemon_log.configure(config.level, config.log_format)
    _log.info("wherryd %s, API %s to %s", version.ENGINE, version.MIN_API, version.API)
    for notice in config.notices:
        _log.info("%s", notice)
    with pidfile.holding(config.pidfile):
        uvloop.run(Daemon(config, argv, notifier).run())
    return 0


def purge_network(config: Config) -> int:
    """Remove what a daemon that has ended left in the kernel's network."""
    from engine import purge  # all of the network, as above

    daemon_log.configure(config.level, config.log_format)
    uvloop.run(purge.purge_network(config))
    return 0


def stop_running(config: Config) -> int:
    """Tell the daemon that runs to stop its containers and itself, and wait for that."""
    pid = pidfile.owner(config.pidfile)
    if pid is None:
        sys.stderr.write(f"wherryd: no daemon runs (pidfile {config.pidfile})\n")
        return 1
    descriptor = os.pidfd_open(pid)
    try:
        if pidfile.owner(config.pidfile) != pid:
            return 0
        signal.pidfd_send_signal(descriptor, pidfile.STOP_CONTAINERS)
        patience = None if config.shutdown_timeout < 0 else config.shutdown_timeout + _STOP_GRACE
        ended, _, _ = select.select([descriptor], [], [], patience)
    finally:
        os.close(descriptor)
    if not ended:
        sys.stderr.write(f"wherryd: process {pid} has not ended in time\n")
        return 1
    return 0


if __name__ == "__main__":
    main()
