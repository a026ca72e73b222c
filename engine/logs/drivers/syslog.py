"""The driver `syslog`: RFC 3164, RFC 5424 or the local form, by unix sockets, UDP, TCP or TLS."""

import os
import ssl
import stat
import time

import errdefs
from engine.logs.drivers import address
from engine.logs.drivers.address import Address
from engine.logs.drivers.link import DatagramLink, StreamLink
from engine.logs.drivers.target import Batch, Driver, Link, Message, Retry, Subject

LOCAL = ("/dev/log", "/var/run/syslog", "/var/run/log")

_FACILITIES = (
    *("kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp"),
    *("", "", "", "", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"),
)
_FORMATS = ("", "rfc3164", "rfc5424", "rfc5424micro")
_SCHEMES = ("udp", "tcp", "tcp+tls", "unix", "unixgram")
_UNIX = ("unix", "unixgram")
_PORT = 514
_DAEMON = 3
_ERROR, _INFO = 3, 6
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_OPTIONS = frozenset(
    {
        *("env", "env-regex", "labels", "labels-regex", "tag"),
        *("syslog-address", "syslog-facility", "syslog-format"),
        *("syslog-tls-ca-cert", "syslog-tls-cert", "syslog-tls-key", "syslog-tls-skip-verify"),
    }
)


def check(options: dict[str, str]) -> None:
    """InvalidArgument for a bad address, facility or format."""
    _address(options.get("syslog-address", ""))
    _facility(options.get("syslog-facility", ""))
    if options.get("syslog-format", "") not in _FORMATS:
        raise errdefs.InvalidArgument("Invalid syslog format")


def make(options: dict[str, str], subject: Subject) -> "Syslog":
    """The target for options that were checked."""
    return Syslog(options, subject)


class Syslog:
    """Lines with a header, one a record; empty ones are left out, as in Docker."""

    retry = Retry()

    def __init__(self, options: dict[str, str], subject: Subject) -> None:
        self._options = options
        self._address = _parse(options.get("syslog-address", ""))
        self._facility = _facility(options.get("syslog-facility", ""))
        self._format = options.get("syslog-format", "")
        self._subject = subject
        self._last = (-1, "")
        self._counted = self._address.scheme == "tcp+tls" and self._format.startswith("rfc5424")

    def encode(self, messages: list[Message]) -> Batch:
        """As of Target."""
        return Batch([self._piece(each) for each in messages if each.line], [])

    def _piece(self, message: Message) -> bytes:
        priority = self._facility * 8 + (_ERROR if message.stream == "stderr" else _INFO)
        piece = f"<{priority}>{self._head(message.time)}{message.line}\n".encode()
        return b"%d %s" % (len(piece), piece) if self._counted else piece

    def _head(self, at: int) -> str:
        """Records that were written together have the same."""
        if at != self._last[0]:
            self._last = (at, self._made_head(at))
        return self._last[1]

    def _made_head(self, at: int) -> str:
        tag, pid, host = self._subject.tag, os.getpid(), self._subject.host
        if self._format.startswith("rfc5424"):
            return f"1 {_moment(at, micro=self._format != 'rfc5424')} {host} {tag} {pid} {tag} - "
        named = f" {host}" if self._format else ""
        return f"{_stamp(at)}{named} {tag}[{pid}]: "

    async def connect(self) -> Link:
        """As of Target."""
        to = self._address
        if to.scheme == "udp":
            return await DatagramLink.open(to.host, to.port)
        if to.scheme == "tcp":
            return await StreamLink.open(to.host, to.port)
        if to.scheme == "tcp+tls":
            return await StreamLink.open(to.host, to.port, tls=_context(self._options))
        if to.scheme == "unix":
            return await StreamLink.open(path=to.path)
        return await DatagramLink.open(path=to.path or _local())


def require(options: dict[str, str]) -> None:
    """Pass if the host's own syslog is there where that is meant, and the files of TLS can be read."""
    to = _parse(options.get("syslog-address", ""))
    if not to.scheme and not _is_socket(_local()):
        raise errdefs.SystemFailure("Unix syslog delivery error")
    if to.scheme != "tcp+tls":
        return
    for name, what in (("ca-cert", "CA certificate"), ("cert", "certificate"), ("key", "key")):
        path = options.get(f"syslog-tls-{name}")
        try:
            if path:
                os.close(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
        except OSError as error:
            why = (error.strerror or "").lower()
            raise errdefs.InvalidArgument(f'could not read {what} "{path}": open {path}: {why}') from error


def _local() -> str:
    """The socket of this host's own syslog; the usual one if there is none."""
    return next((path for path in LOCAL if _is_socket(path)), LOCAL[0])


def _parse(text: str) -> Address:
    if not text:
        return Address("")
    found = address.parse(text)
    if found.scheme not in _SCHEMES:
        raise errdefs.InvalidArgument(f"unsupported scheme: '{found.scheme}'")
    if found.scheme in _UNIX:
        return found
    return Address(found.scheme, found.host, found.port or _PORT)


def _address(text: str) -> None:
    found = _parse(text)
    if found.scheme in _UNIX:
        try:
            os.stat(found.path)
        except OSError as error:
            why = (error.strerror or "").lower()
            raise errdefs.InvalidArgument(f"stat {found.path}: {why}") from error


def _facility(text: str) -> int:
    if not text:
        return _DAEMON
    if text in _FACILITIES:
        return _FACILITIES.index(text)
    if text.isascii() and text.isdecimal() and int(text) < len(_FACILITIES):
        return int(text)
    raise errdefs.InvalidArgument("invalid syslog facility")


def _context(options: dict[str, str]) -> ssl.SSLContext:
    """TLS as asked; the files are read here. OSError if one cannot be."""
    context = ssl.create_default_context(cafile=options.get("syslog-tls-ca-cert") or None)
    if "syslog-tls-skip-verify" in options:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if cert := options.get("syslog-tls-cert"):
        context.load_cert_chain(cert, options.get("syslog-tls-key") or None)
    return context


def _stamp(at: int) -> str:
    """As RFC 3164 has it, in local time: `Nov  5 21:58:22`."""
    when = time.localtime(at // 10**9)
    return f"{_MONTHS[when.tm_mon - 1]} {when.tm_mday:2} {when.tm_hour:02}:{when.tm_min:02}:{when.tm_sec:02}"


def _moment(at: int, *, micro: bool) -> str:
    """As RFC 5424 has it, in local time with its offset."""
    seconds, fraction = divmod(at, 10**9)
    when = time.localtime(seconds)
    text = time.strftime("%Y-%m-%dT%H:%M:%S", when)
    if micro:
        text += f".{fraction // 1000:06d}"
    minutes = when.tm_gmtoff // 60
    if not minutes:
        return f"{text}Z"
    sign = "-" if minutes < 0 else "+"
    return f"{text}{sign}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"


def _is_socket(path: str) -> bool:
    try:
        return stat.S_ISSOCK(os.stat(path).st_mode)
    except OSError:
        return False


DRIVER = Driver(_OPTIONS, check, make, require)
