"""Clients of the three services: through the ports that are published on the host, or inside their containers."""

import http.client
import socket

from tests.daemon import Wherryd
from tests.services.images import NGINX, POSTGRES, REDIS


def psql(wherryd: Wherryd, query: str) -> str:
    """What a query on the server's own socket gives."""
    done = wherryd.docker("exec", "-u", "postgres", "postgres", "psql", "-Atqc", query)
    return done.stdout.strip()


def pgbench(wherryd: Wherryd, *words: str) -> list[str]:
    """The words of `docker run` for a client that comes by the published port, with a password."""
    at = ("-h", "127.0.0.1", "-p", str(POSTGRES.published(wherryd)))
    who = ("--network", "host", "-u", "postgres", "-e", "PGPASSWORD=secret")
    return [*who, "postgres", "pgbench", *at, *words, "postgres"]


class RedisClient:
    """A connection to redis through the published port, with commands as lines."""

    def __init__(self, wherryd: Wherryd) -> None:
        self._socket = socket.create_connection(("127.0.0.1", REDIS.published(wherryd)), timeout=10)

    def ask(self, command: str) -> str:
        """One command whose answer is one line."""
        self._socket.sendall(command.encode() + b"\r\n")
        answer = b""
        while not answer.endswith(b"\r\n"):
            data = self._socket.recv(4096)
            assert data, "redis closed the connection"
            answer += data
        return answer.decode().strip()

    def close(self) -> None:
        """Hang up."""
        self._socket.close()


def page(connection: http.client.HTTPConnection) -> str:
    """The front page; the connection is kept."""
    connection.request("GET", "/")
    answer = connection.getresponse()
    text = answer.read().decode()
    assert answer.status == 200, text
    return text


def visitor(wherryd: Wherryd) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", NGINX.published(wherryd), timeout=10)


def write_page(wherryd: Wherryd, text: str) -> None:
    wherryd.docker("exec", "nginx", "sh", "-c", f"echo {text} >/var/www/html/index.html")
