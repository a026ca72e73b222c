"""Where the API listens: unix sockets, TCP, and sockets that systemd hands over."""

import errno
import grp
import logging
import os
import socket
import stat
import urllib.parse
from collections.abc import Sequence

import msgspec

import errdefs
from api import systemd

_log = logging.getLogger(__name__)

BACKLOG = 4096
"""Clients that may wait to be accepted; one more is told EAGAIN on a unix socket, at once. The kernel's own bound
(net.core.somaxconn) goes."""
_SOCKET_MODE = 0o660
_DEFAULT_PORT = 2375
_PROBE_TIMEOUT = 1.0  # seconds


class Listener(msgspec.Struct, frozen=True):
    """A bound, listening socket. `path` is the socket file that this daemon made, and removes; else empty."""

    socket: socket.socket
    address: str
    path: str = ""
    identity: tuple[int, int] = (0, 0)  # device and inode of the socket file


def open_all(hosts: Sequence[str], group: str, *, protected: bool = False) -> list[Listener]:
    """Open a listener for every host; on failure those opened before are closed again.

    `protected` where clients by TCP will have to prove who they are: else the log warns.
    """
    listeners: list[Listener] = []
    try:
        for host in hosts:
            listeners += _open(host, group)
            if host.startswith("tcp://") and not protected:
                _log.warning(
                    "THE API ON %s IS NOT PROTECTED: whoever reaches it is root on this host. "
                    "Use --tlsverify, a unix socket, or a tunnel such as ssh",
                    host,
                )
    except BaseException:
        close_all(listeners)
        raise
    return listeners


def close_all(listeners: Sequence[Listener]) -> None:
    """Close listeners and remove the socket files that are still theirs."""
    for listener in listeners:
        if listener.path:
            _remove_own(listener)
        listener.socket.close()


def _open(host: str, group: str) -> list[Listener]:
    scheme, _, rest = host.partition("://")
    if scheme == "unix":
        return [_unix(rest, group)]
    if scheme == "tcp":
        return _tcp(rest)
    if scheme == "fd":
        return _handed_over(rest)
    raise errdefs.InvalidArgument(f"invalid host {host!r}: use unix://PATH, tcp://ADDRESS:PORT or fd://")


def _unix(path: str, group: str) -> Listener:
    if not path.startswith("/"):
        raise errdefs.InvalidArgument(f"invalid unix socket {path!r}: the path must be absolute")
    _clear_path(path)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
        old = os.umask(0o777)  # nobody can connect before owner and mode are right
        try:
            listening.bind(path)
        finally:
            os.umask(old)
        os.chown(path, -1, _group_id(group))
        os.chmod(path, _SOCKET_MODE)
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        raise errdefs.SystemFailure(f"cannot listen on unix://{path}: {error.strerror}") from error
    listening.settimeout(0)
    return Listener(listening, f"unix://{path}", path, _identity(path))


def _clear_path(path: str) -> None:
    """Remove a stale socket; refuse one that is answered, and anything that is no socket."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise errdefs.SystemFailure(f"cannot listen on unix://{path}: a file that is no socket is in the way")
    if _answers(path):
        raise errdefs.Conflict(
            f"cannot listen on unix://{path}: another daemon answers there; stop it, or use -H"
        )
    os.unlink(path)


def _answers(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as probe:
        probe.settimeout(_PROBE_TIMEOUT)
        try:
            probe.connect(path)
        except OSError as error:
            return error.errno not in (errno.ECONNREFUSED, errno.ENOENT)
    return True


def _group_id(group: str) -> int:
    if not group:
        return 0
    try:
        return int(group) if group.isdecimal() else grp.getgrnam(group).gr_gid
    except KeyError:
        _log.warning("group %s does not exist: the API socket belongs to root alone", group)
        return 0


def _tcp(rest: str) -> list[Listener]:
    parsed = urllib.parse.urlsplit(f"//{rest}")
    try:
        address, port = parsed.hostname or "127.0.0.1", parsed.port or _DEFAULT_PORT
    except ValueError:
        raise errdefs.InvalidArgument(f"invalid host 'tcp://{rest}': bad port") from None
    listeners: list[Listener] = []
    try:
        for family, _, _, _, place in socket.getaddrinfo(
            address, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        ):
            listeners.append(_bind_tcp(family, place))
    except OSError as error:
        close_all(listeners)
        raise errdefs.SystemFailure(f"cannot listen on tcp://{address}:{port}: {error.strerror}") from error
    return listeners


def _bind_tcp(family: int, place: tuple[object, ...]) -> Listener:
    listening = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listening.bind(place)
        listening.listen(BACKLOG)
        listening.settimeout(0)
    except OSError:
        listening.close()
        raise
    return Listener(listening, f"tcp://{place[0]}:{listening.getsockname()[1]}")


def _handed_over(rest: str) -> list[Listener]:
    """`fd://` is every socket of systemd's; `fd://NAME` those of a name, `fd://3` one by its number."""
    sockets = systemd.listen_sockets()
    if rest and rest != "*":
        sockets = {fd: name for fd, name in sockets.items() if rest in (name, str(fd))}
    if not sockets:
        raise errdefs.SystemFailure(f"no sockets found for fd://{rest}: systemd socket activation gives them")
    listeners = []
    for fd, name in sockets.items():
        listening = socket.socket(fileno=fd)
        listening.listen(BACKLOG)
        listening.settimeout(0)
        listeners.append(Listener(listening, f"fd://{name or fd}"))
    return listeners


def _remove_own(listener: Listener) -> None:
    """Remove the socket file, unless another daemon has put its own there meanwhile."""
    try:
        if _identity(listener.path) == listener.identity:
            os.unlink(listener.path)
    except FileNotFoundError:
        return


def _identity(path: str) -> tuple[int, int]:
    status = os.lstat(path)
    return status.st_dev, status.st_ino
