"""The container of a registry: Debian's, on the host's loopback."""

import os
import random
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self


def _free_port() -> int:
    """One that the kernel gives to no connection meanwhile, not even to who tries whether somebody listens there."""
    for port in random.sample(range(24_000, 32_000), 100):
        with suppress(OSError), socket.socket() as free:
            free.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no free port")


class DockerContainer:
    """A registry that its environment configures, as the image `registry:2` is."""

    def __init__(
        self,
        image: str,
        *,
        ports: Sequence[int],
        volumes: Sequence[tuple[str, str, str]] = (),
        env: Mapping[str, str] | None = None,
        **_: Any,
    ) -> None:
        assert image == "registry:2"
        self._port = _free_port()
        self._ports = ports
        self._env = {"REGISTRY_HTTP_SECRET": "of tests", **(env or {})}
        for name, value in self._env.items():
            for host, inside, _mode in volumes:
                self._env[name] = value.replace(inside, host)
        self._env["REGISTRY_HTTP_ADDR"] = f"127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        """Start it and wait until it answers."""
        self._folder = tempfile.TemporaryDirectory()
        config = Path(self._folder.name, "config.yml")
        storage = (
            f"storage: {{filesystem: {{rootdirectory: {self._folder.name}/data}}, delete: {{enabled: true}}}}"
        )
        config.write_text(f"version: 0.1\nlog: {{level: error}}\n{storage}\nhttp: {{addr: 127.0.0.1:0}}\n")
        environment = {**os.environ, **self._env}
        self._process = subprocess.Popen(["docker-registry", "serve", str(config)], env=environment)
        for _ in range(500):
            with socket.socket() as tried:
                if tried.connect_ex(("127.0.0.1", self._port)) == 0:
                    return self
            time.sleep(0.02)
        raise AssertionError("docker-registry did not come up")

    def __exit__(self, *_: object) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
        self._folder.cleanup()

    def get_container_host_ip(self) -> str:
        """Where it is."""
        return "127.0.0.1"

    def get_exposed_port(self, port: int) -> int:
        """At which port it is to be reached."""
        assert port in self._ports
        return self._port
