"""Debian's postgres, redis and nginx as images: what is said of them at the import, beside their files."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.daemon import Wherryd

TARS = REPOSITORY / ".cache/images"


@dataclass(frozen=True)
class Service:
    """One of the three: its image's changes, the port it serves, where its volume lies, and its own user.

    ready is a command in the container that succeeds once it serves; stopped is what it logs when it ends by its
    own signal.
    """

    name: str
    port: int
    data: str
    changes: tuple[str, ...]
    user: str
    ready: tuple[str, ...]
    stopped: str
    options: tuple[str, ...] = ()

    @property
    def tar(self) -> Path:
        """Its root filesystem."""
        return TARS / f"{self.name}.tar"

    def run(self, wherryd: Wherryd, *options: str) -> str:
        """Run it under its name, on the volume of its name, with its port published; return the container's id."""
        words = ("-v", f"{self.name}:{self.data}", "-p", f"127.0.0.1::{self.port}", *self.options, *options)
        return wherryd.docker("run", "-d", "--name", self.name, *words, self.name).stdout.strip()

    def is_ready(self, wherryd: Wherryd, container: str = "") -> bool:
        """Whether it serves, in the container of its name or in another."""
        return wherryd.docker("exec", container or self.name, *self.ready, check=False).returncode == 0

    def published(self, wherryd: Wherryd) -> int:
        """The host's port that leads to it."""
        return int(wherryd.docker("port", self.name, str(self.port)).stdout.rpartition(":")[2])


POSTGRES = Service(
    name="postgres",
    port=5432,
    data="/data",
    # The server is started as root and becomes its user; a smart shutdown would wait for its clients.
    changes=(
        "ENV PATH=/usr/lib/postgresql/17/bin:/usr/local/bin:/usr/sbin:/usr/bin PGDATA=/data",
        "VOLUME /data",
        "EXPOSE 5432",
        "STOPSIGNAL SIGINT",
        'CMD ["start-postgres"]',
    ),
    user="postgres",
    ready=("pg_isready", "-q"),
    stopped="database system is shut down",
    options=("-e", "POSTGRES_PASSWORD=secret"),
)
REDIS = Service(
    name="redis",
    port=6379,
    data="/data",
    # The server never is root.
    changes=(
        'VOLUME ["/data"]',
        "WORKDIR /data",
        "USER redis",
        "EXPOSE 6379/tcp",
        'CMD ["redis-server", "--bind", "*", "--protected-mode", "no", "--save", "3600 1"]',
    ),
    user="redis",
    ready=("redis-cli", "ping"),
    stopped="ready to exit",
)
NGINX = Service(
    name="nginx",
    port=80,
    data="/var/www/html",
    # Its master stays root; workers are not.
    changes=(
        "VOLUME /var/www/html",
        "EXPOSE 80",
        "STOPSIGNAL SIGQUIT",
        """CMD ["nginx", "-g", "daemon off; error_log /dev/stderr notice;"]""",
    ),
    user="www-data",
    ready=("test", "-s", "/run/nginx.pid"),
    stopped="gracefully shutting down",
)
SERVICES = (POSTGRES, REDIS, NGINX)


def import_services(wherryd: Wherryd) -> None:
    """Make the three images; the test is skipped where their root filesystems were not made."""
    if missing := [service.name for service in SERVICES if not service.tar.exists()]:
        pytest.skip(f"the root filesystems of {', '.join(missing)} are made by `make setup-test`")
    for service in SERVICES:
        changes = [word for change in service.changes for word in ("--change", change)]
        wherryd.docker("import", *changes, str(service.tar), service.name)
