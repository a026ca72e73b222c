"""Debian's docker-registry on loopback, certificates for it, and pushing to it without any client of ours."""

import hashlib
import http.client
import json
import shutil
import socket
import ssl
import subprocess
import time
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.ports import free_port

USER, PASSWORD = "tester", "pass-word"
_HTPASSWD = f"{USER}:$2a$04$abcdefghijklmnopqrstuuudBIGi88QUaH8UOst3i3n1jdKYDf0WW\n"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
_TYPES = {  # of a manifest's config and layers
    DOCKER_MANIFEST: (
        "application/vnd.docker.container.image.v1+json",
        "application/vnd.docker.image.rootfs.diff.tar.gzip",
    ),
    OCI_MANIFEST: (
        "application/vnd.oci.image.config.v1+json",
        "application/vnd.oci.image.layer.v1.tar+gzip",
    ),
}


def missing() -> str:
    """Tell why there is no registry, "" when there is one."""
    absent = [name for name in ("docker-registry", "openssl") if shutil.which(name) is None]
    return f"not found: {', '.join(absent)} (make setup-test installs them)" if absent else ""


def digest_of(data: bytes) -> str:
    """The digest by which content is named."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@dataclass(frozen=True)
class Certificates:
    """An authority, a server of loopback that it vouches for, and a client. PEM files."""

    directory: Path

    @property
    def authority(self) -> Path:
        return self.directory / "ca.crt"

    def pair(self, name: str) -> tuple[Path, Path]:
        """Certificate and key of "server" or "client"."""
        return self.directory / f"{name}.cert", self.directory / f"{name}.key"


def make_certificates(directory: Path) -> Certificates:
    """Make them with the openssl command."""
    directory.mkdir(parents=True)

    def openssl(*args: str) -> None:
        subprocess.run(["openssl", *args], cwd=directory, check=True, capture_output=True, timeout=60)

    openssl(
        *("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test authority"),
        *("-keyout", "ca.key", "-out", "ca.crt", "-addext", "keyUsage=critical,keyCertSign,digitalSignature"),
    )
    for name, usage in (("server", "serverAuth"), ("client", "clientAuth")):
        (directory / f"{name}.ext").write_text(
            "subjectAltName=IP:127.0.0.1,DNS:localhost,DNS:index.docker.io\nbasicConstraints=CA:FALSE\n"
            f"keyUsage=digitalSignature\nextendedKeyUsage={usage}\n"
        )
        openssl(
            *(
                "req",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-subj",
                f"/CN={name}",
            ),
            *("-keyout", f"{name}.key", "-out", f"{name}.csr"),
        )
        openssl(
            *("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-days", "2"),
            *("-CAcreateserial", "-extfile", f"{name}.ext", "-out", f"{name}.cert"),
        )
    return Certificates(directory)


class DebianRegistry:
    """A registry process. `namespace` is the pid of a process in whose network namespace it is to be."""

    def __init__(
        self,
        root: Path,
        *,
        certificates: Certificates | None = None,
        client_authority: bool = False,
        htpasswd: bool = False,
        token: Mapping[str, str] | None = None,
        port: int = 0,
        namespace: int = 0,
    ) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self.root = root
        self.port = port or free_port()
        self.netloc = f"127.0.0.1:{self.port}"
        self.scheme = "https" if certificates else "http"
        self.headers: dict[str, str] = {}
        self._certificates = certificates
        self._namespace = namespace
        self._process: subprocess.Popen[bytes] | None = None
        config: dict[str, Any] = {
            "version": 0.1,
            "log": {"level": "error", "accesslog": {"disabled": True}},
            "storage": {
                "filesystem": {"rootdirectory": str(root / "data")},
                "delete": {"enabled": True},
            },
            "http": {"addr": self.netloc, "secret": "of tests"},
        }
        if certificates:
            certificate, key = certificates.pair("server")
            config["http"]["tls"] = {"certificate": str(certificate), "key": str(key)}
            if client_authority:
                config["http"]["tls"]["clientcas"] = [str(certificates.authority)]
        if htpasswd:
            (root / "htpasswd").write_text(_HTPASSWD)
            config["auth"] = {"htpasswd": {"realm": "tests", "path": str(root / "htpasswd")}}
            basic = b64encode(f"{USER}:{PASSWORD}".encode()).decode()
            self.headers = {"Authorization": f"Basic {basic}"}
        if token:
            config["auth"] = {"token": dict(token)}
        (root / "config.json").write_text(json.dumps(config))

    def start(self) -> None:
        """Start it and wait until it answers."""
        enter = ["nsenter", "-t", str(self._namespace), "-n"] if self._namespace else []
        with (self.root / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*enter, "docker-registry", "serve", str(self.root / "config.json")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + 20
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise AssertionError("docker-registry did not come up\n" + self.log_tail())
            time.sleep(0.05)

    def _answers(self) -> bool:
        probe = (
            f"import socket; socket.create_connection(('127.0.0.1', {self.port}), 2).close()"
            if self._namespace
            else ""
        )
        if probe:
            argv = ["nsenter", "-t", str(self._namespace), "-n", "python3", "-c", probe]
            return subprocess.run(argv, capture_output=True, timeout=20).returncode == 0
        try:
            socket.create_connection(("127.0.0.1", self.port), 2).close()
        except OSError:
            return False
        return True

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def log_tail(self) -> str:
        """The end of its log."""
        return "\n".join((self.root / "log").read_text(errors="replace").splitlines()[-20:])

    def put_blob(self, repository: str, data: bytes) -> str:
        """Push a blob; its digest."""
        status, headers = self._call("POST", f"/v2/{repository}/blobs/uploads/")
        assert status == 202, (status, self.log_tail())
        location = headers["Location"]
        path = location.partition(self.netloc)[2] or location
        status, _ = self._call("PUT", f"{path}&digest={digest_of(data)}", data, "application/octet-stream")
        assert status == 201, (status, self.log_tail())
        return digest_of(data)

    def link_blob(self, repository: str, path: Path, digest: str) -> None:
        """Have a large blob as its filesystem driver stores it, by a link to the file: nothing is copied."""
        hexadecimal = digest.removeprefix("sha256:")
        storage = self.root / "data/docker/registry/v2"
        blob = storage / f"blobs/sha256/{hexadecimal[:2]}/{hexadecimal}/data"
        link = storage / f"repositories/{repository}/_layers/sha256/{hexadecimal}/link"
        for place in (blob, link):
            place.parent.mkdir(parents=True, exist_ok=True)
        if not blob.exists():
            blob.symlink_to(path)
        link.write_text(digest)

    def put_manifest(self, repository: str, tag: str, document: Mapping[str, Any]) -> tuple[bytes, str]:
        """Push a manifest or an index under a tag ("" for none but its digest): its bytes and digest."""
        raw = json.dumps(document).encode()
        target = f"/v2/{repository}/manifests/{tag or digest_of(raw)}"
        status, _ = self._call("PUT", target, raw, document["mediaType"])
        assert status == 201, (status, self.log_tail())
        return raw, digest_of(raw)

    def put_image(
        self,
        repository: str,
        tag: str,
        layers: list[bytes],
        *,
        media_type: str = DOCKER_MANIFEST,
        **config: Any,
    ) -> tuple[bytes, str]:
        """Push an image of layers as they are; the bytes of its manifest, and their digest."""
        document = json.dumps({"architecture": "amd64", "os": "linux", **config}).encode()
        of_config, of_layer = _TYPES[media_type]
        return self.put_manifest(
            repository,
            tag,
            {
                "schemaVersion": 2,
                "mediaType": media_type,
                "config": {
                    "mediaType": of_config,
                    "digest": self.put_blob(repository, document),
                    "size": len(document),
                },
                "layers": [
                    {"mediaType": of_layer, "digest": self.put_blob(repository, layer), "size": len(layer)}
                    for layer in layers
                ],
            },
        )

    def _call(
        self, method: str, path: str, body: bytes = b"", content_type: str = ""
    ) -> tuple[int, Mapping[str, str]]:
        headers = {**self.headers, **({"Content-Type": content_type} if content_type else {})}
        connection: http.client.HTTPConnection
        if self._certificates is None:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        else:
            context = ssl.create_default_context(cafile=self._certificates.authority)
            context.load_cert_chain(*self._certificates.pair("client"))
            connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=30, context=context)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            answer.read()
            return answer.status, dict(answer.headers)
        finally:
            connection.close()
