"""The ways by which an image comes in, and what must be true whenever something hostile came by one."""

import json
import os
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tests.daemon import Wherryd
from tests.integration.hostile.memory import MAIN, WORKER, Memory
from tests.integration.hostile.shelf import Shelf
from tests.integration.images.archives import Made, descriptor, docker_archive, oci_files, tar
from tests.registries import OCI_MANIFEST, digest_of

LIES = ("manifest verification failed for digest", "the answer is larger than")
CONFIG, LAYER = "application/vnd.oci.image.config.v1+json", "application/vnd.oci.image.layer.v1.tar"


@dataclass(frozen=True)
class Outcome:
    """What a client was told: the error ("" for none), and the image that came in ("" for none)."""

    error: str
    image: str = ""


@dataclass
class Gate:
    """A daemon to bring things into, with a canary beside its roots that is looked at by `unharmed`."""

    daemon: Wherryd
    shelf: Shelf
    canary: Path
    brought: list[str] = field(default_factory=list)

    def load(self, archive: bytes) -> Outcome:
        """`docker load` of an archive."""
        return self._told(self.daemon.call("POST", "/images/load?quiet=1", archive, timeout=300), "hostile:1")

    def import_(self, archive: bytes) -> Outcome:
        """`docker import` of a root file system."""
        query = urllib.parse.urlencode({"fromSrc": "-", "repo": "hostile", "tag": "1"})
        return self._told(
            self.daemon.call("POST", f"/images/create?{query}", archive, timeout=300), "hostile:1"
        )

    def pull(self, tag: str = "1", headers: dict[str, str] | None = None) -> Outcome:
        """`docker pull` of what is on the shelf."""
        name = f"{self.shelf.netloc}/hostile"
        query = urllib.parse.urlencode({"fromImage": name, "tag": tag})
        answer = self.daemon.call("POST", f"/images/create?{query}", b"", headers=headers, timeout=300)
        return self._told(answer, f"{name}:{tag}")

    def _told(self, answer: Any, name: str) -> Outcome:
        if answer.status >= 400:
            told = answer.json["message"]
            # A registry that lies is no fault of the client's: dockerd answers 500, too.
            assert answer.status < 500 or any(text in told for text in LIES), told
            return Outcome(told)
        lines = [json.loads(line) for line in answer.body.splitlines()]
        if (last := lines[-1] if lines else {}).get("errorDetail"):
            assert last["errorDetail"]["message"] == last["error"]
            return Outcome(last["error"])
        self.brought.append(name)
        return Outcome("", name)

    def put(self, made: Made) -> None:
        """Have an image on the shelf, under the tag 1."""
        self.put_document({}, made)

    def put_document(self, more: dict[str, Any], made: Made | None = None) -> None:
        """Have an image on the shelf whose manifest says more, or other things."""
        made = made or Made()
        for data in (made.config, *made.stored):
            self.shelf.put_blob(data)
        document = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": descriptor(made.config, CONFIG),
            "layers": [descriptor(blob, LAYER) for blob in made.stored],
            **more,
        }
        self.shelf.put_manifest("1", json.dumps(document).encode())

    def look(self, image: str, path: str) -> Path:
        """A path in the uppermost layer of an image, as it lies on the disk."""
        document = self.daemon.get(f"/images/{urllib.parse.quote(image, safe='')}/json").json
        chain: str = document["RootFS"]["Layers"][0]
        for layer in document["RootFS"]["Layers"][1:]:
            chain = digest_of(f"{chain} {layer}".encode())
        layer = self.daemon.data_root / "snapshots" / "committed" / chain.replace(":", "%3A")
        return layer / "fs" / path

    def send_back(self) -> None:
        """Remove what came in, with its containers."""
        for name in self.brought:
            self.daemon.call("DELETE", f"/images/{name}?force=1")
        self.brought.clear()

    @contextmanager
    def unharmed(self) -> Iterator[None]:
        """Nothing outside changed, nothing is left, the daemon lives, told no traceback and stayed small."""
        canary, stored, told = fingerprint(self.canary), stores(self.daemon), self.daemon.log.stat().st_size
        memory = Memory(self.daemon.pid)
        try:
            yield
            self.send_back()
            assert self.daemon.get("/_ping").status == 200
            log = self.daemon.log.read_text(errors="replace")[told:]
            assert "Traceback" not in log, log
            assert fingerprint(self.canary) == canary
            assert stores(self.daemon) == stored
            main, workers = memory.main, memory.workers
            assert main < MAIN, f"the daemon had {main} MB"
            assert workers < WORKER, f"a worker had {workers} MB"
        finally:
            memory.close()


def docker_archive_door(gate: Gate, made: Made) -> Outcome:
    """Out of a docker-archive."""
    return gate.load(docker_archive(replace(made, tags=["hostile:1"])))


def oci_layout_door(gate: Gate, made: Made) -> Outcome:
    """Out of an OCI layout."""
    return gate.load(tar(oci_files(replace(made, tags=["docker.io/library/hostile:1"]))))


def pull_door(gate: Gate, made: Made) -> Outcome:
    """Out of a registry."""
    gate.put(made)
    return gate.pull()


def import_door(gate: Gate, made: Made) -> Outcome:
    """As a root file system, which its uppermost layer is."""
    return gate.import_(made.stored[-1])


DOORS: dict[str, Callable[[Gate, Made], Outcome]] = {
    "docker-archive": docker_archive_door,
    "oci-layout": oci_layout_door,
    "import": import_door,
    "pull": pull_door,
}


def bring_by_each(gate: Gate, made: Made) -> Iterator[tuple[str, Outcome]]:
    """Bring an image in by one door after the other; what came in is there until the next turn."""
    for name, door in DOORS.items():
        yield name, door(gate, made)
        gate.send_back()


def fingerprint(root: Path) -> list[tuple[object, ...]]:
    """All of a tree: kinds, owners, times and bytes."""
    found: list[tuple[object, ...]] = []
    for path in (root, *sorted(root.rglob("*"))):
        at = path.lstat()
        text = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
        found.append((str(path), at.st_mode, at.st_uid, at.st_nlink, at.st_mtime_ns, at.st_ctime_ns, text))
    return found


def stores(daemon: Wherryd) -> set[str]:
    """What lies in the daemon's stores, and the containers and volumes that it has."""
    found = {
        os.path.join(where, name)
        for where, _, names in os.walk(daemon.data_root / "content")
        for name in names
    }
    for place in ("snapshots/committed", "snapshots/active", "snapshots/tmp", "containers", "volumes"):
        directory = daemon.data_root / place
        found |= {str(each) for each in directory.iterdir()} if directory.exists() else set()
    return found
