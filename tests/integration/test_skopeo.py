"""skopeo as a second client and judge: what it copies out of the daemon and into it is the same, bit for bit."""

import bz2
import gzip
import io
import json
import lzma
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zstandard

from tests.daemon import Wherryd
from tests.integration.images.archives import Made, digest, docker_archive, oci_files, tar
from tests.registries import DebianRegistry, digest_of, missing

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(
        shutil.which("skopeo") is None, reason="not found: skopeo (make setup-test installs it)"
    ),
]

LAYERS = [tar({"etc/hello": b"hello\n", "large": b"x" * 100_000}), tar({"etc/more": b"more\n"})]
ZIPPED = [gzip.compress(layer, mtime=0) for layer in LAYERS]
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstandard.compress,
}
NAME = "skopeo-of:1"


def skopeo(wherryd: Wherryd, command: str, *args: str | Path) -> str:
    """Run it, with the daemon under test behind docker-daemon:."""
    sides = {"copy": ("src-daemon-host", "dest-daemon-host"), "inspect": ("daemon-host",)}
    hosts = [f"--{side}=unix://{wherryd.socket}" for side in sides.get(command, ())]
    argv = ["skopeo", "--insecure-policy", command, *hosts, *map(str, args)]
    done = subprocess.run(argv, capture_output=True, env=wherryd.client_env, timeout=120)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def inspect(wherryd: Wherryd, name: str) -> dict[str, Any]:
    answer = wherryd.get(f"/images/{name}/json")
    assert answer.status == 200, answer.body
    found: dict[str, Any] = answer.json
    return found


def load(wherryd: Wherryd, archive: bytes) -> None:
    answer = wherryd.call("POST", "/images/load?quiet=1", archive)
    assert b'"error"' not in answer.body, answer.body


def loaded(wherryd: Wherryd) -> None:
    load(wherryd, docker_archive(Made(LAYERS, [NAME])))


def loaded_packed(wherryd: Wherryd) -> None:
    load(wherryd, tar(oci_files(Made(LAYERS, [f"docker.io/library/{NAME}"], blobs=ZIPPED))))


def imported(pack: str) -> Callable[[Wherryd], None]:
    def make(wherryd: Wherryd) -> None:
        target = "/images/create?fromSrc=-&repo=skopeo-of&tag=1&changes=LABEL%20made=yes"
        assert wherryd.call("POST", target, PACKERS[pack](LAYERS[0])).status == 200

    return make


def committed(wherryd: Wherryd) -> None:
    wherryd.docker("run", "--name", "skopeo", "busybox", "sh", "-c", "echo new > /new; rm /bin/wget")
    wherryd.docker("commit", "--change", "LABEL made=yes", "skopeo", NAME)
    wherryd.docker("rm", "skopeo")


def committed_twice(wherryd: Wherryd) -> None:
    committed(wherryd)
    wherryd.docker("run", "--name", "skopeo", NAME, "sh", "-c", "echo newer > /newer")
    wherryd.docker("commit", "skopeo", NAME)
    wherryd.docker("rm", "skopeo")
    wherryd.docker("tag", NAME, "skopeo-of:2")


WAYS: dict[str, Callable[[Wherryd], None]] = {
    "loaded": loaded,
    "loaded-packed": loaded_packed,
    **{f"imported-{pack}": imported(pack) for pack in PACKERS},
    "committed": committed,
    "committed-twice": committed_twice,
}


@pytest.fixture
def emptied(wherryd: Wherryd) -> Iterator[Wherryd]:
    """Only busybox is there after the test."""
    yield wherryd
    for image in wherryd.get("/images/json?all=1").json:
        for name in image["RepoTags"] or [image["Id"]]:
            if name != "busybox:latest":
                wherryd.call("DELETE", f"/images/{name}?force=1")


def layout(directory: Path) -> tuple[str, list[str]]:
    """Of the one image in an OCI layout the config's digest and the diff ids, all of it verified."""

    def read(name: str) -> bytes:
        raw = (directory / "blobs/sha256" / name.removeprefix("sha256:")).read_bytes()
        assert digest(raw) == name
        return raw

    (entry,) = json.loads((directory / "index.json").read_bytes())["manifests"]
    manifest = json.loads(read(entry["digest"]))
    config = json.loads(read(manifest["config"]["digest"]))
    diff_ids = [digest(unpacked(read(layer["digest"]))) for layer in manifest["layers"]]
    assert diff_ids == config["rootfs"]["diff_ids"]
    return manifest["config"]["digest"], diff_ids


def unpacked(blob: bytes) -> bytes:
    return gzip.decompress(blob) if blob.startswith(b"\x1f\x8b") else blob


@pytest.mark.parametrize("way", WAYS)
def test_out_and_in_again(emptied: Wherryd, tmp_path: Path, way: str) -> None:
    WAYS[way](emptied)
    image = inspect(emptied, NAME)
    shown = json.loads(skopeo(emptied, "inspect", f"docker-daemon:{NAME}"))
    assert (len(shown["Layers"]), shown["Labels"]) == (len(image["RootFS"]["Layers"]), {"made": "yes"})
    skopeo(emptied, "copy", f"docker-daemon:{NAME}", f"oci:{tmp_path}/out:x")
    identifier, diff_ids = layout(tmp_path / "out")
    assert diff_ids == image["RootFS"]["Layers"]
    emptied.docker("rmi", "-f", image["Id"])
    skopeo(emptied, "copy", f"oci:{tmp_path}/out:x", "docker-daemon:skopeo-back:1")
    back = inspect(emptied, "skopeo-back:1")
    assert (back["Id"], back["RootFS"], back["Config"]) == (identifier, image["RootFS"], image["Config"])
    skopeo(emptied, "copy", "docker-daemon:skopeo-back:1", f"oci:{tmp_path}/again:x")
    assert layout(tmp_path / "again") == (identifier, diff_ids)


def test_a_pulled_image(emptied: Wherryd, tmp_path: Path) -> None:
    if reason := missing():
        pytest.skip(reason)
    registry = DebianRegistry(tmp_path / "registry")
    registry.start()
    try:
        said: dict[str, Any] = {
            "rootfs": {"type": "layers", "diff_ids": [digest_of(layer) for layer in LAYERS]}
        }
        registry.put_image("a/b", "1", ZIPPED, **said)
        name = f"{registry.netloc}/a/b:1"
        emptied.docker("pull", name)
        out, source = tmp_path / "out", tmp_path / "source"
        skopeo(emptied, "copy", f"docker-daemon:{name}", f"oci:{out}:x")
        skopeo(emptied, "copy", "--src-tls-verify=false", f"docker://{name}", f"oci:{source}:x")
        assert layout(out)[1] == layout(source)[1] == inspect(emptied, name)["RootFS"]["Layers"]
    finally:
        registry.stop()


@pytest.mark.parametrize("names", [["busybox:latest"], [NAME, "busybox:latest", "skopeo-of:2"]], ids=len)
def test_what_is_saved(emptied: Wherryd, tmp_path: Path, names: list[str]) -> None:
    """One or several in an archive: each is there by its name, with its ID."""
    loaded(emptied)
    emptied.docker("tag", "busybox:latest", "skopeo-of:2")
    emptied.docker("save", "-o", str(tmp_path / "saved.tar"), *names)
    listed = json.loads(skopeo(emptied, "list-tags", f"docker-archive:{tmp_path}/saved.tar"))["Tags"]
    assert sorted(listed) == sorted(names)
    for number, name in enumerate(names):
        skopeo(emptied, "copy", f"docker-archive:{tmp_path}/saved.tar:{name}", f"oci:{tmp_path}/{number}:x")
        assert layout(tmp_path / str(number))[1] == inspect(emptied, name)["RootFS"]["Layers"]


@pytest.mark.parametrize("pack", PACKERS)
@pytest.mark.parametrize("kind", ["oci", "docker-archive"])
def test_what_it_writes_is_loaded(emptied: Wherryd, tmp_path: Path, kind: str, pack: str) -> None:
    loaded(emptied)
    image = inspect(emptied, NAME)
    if kind == "oci":
        skopeo(emptied, "copy", f"docker-daemon:{NAME}", f"oci:{tmp_path}/out:skopeo-of:3")
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            archive.add(tmp_path / "out", arcname=".")
        identifier, data = layout(tmp_path / "out")[0], buffer.getvalue()
    else:
        skopeo(emptied, "copy", f"docker-daemon:{NAME}", f"docker-archive:{tmp_path}/out.tar:skopeo-of:3")
        identifier, data = image["Id"], (tmp_path / "out.tar").read_bytes()
    emptied.docker("rmi", NAME)
    load(emptied, PACKERS[pack](data))
    back = inspect(emptied, identifier)
    assert (back["Id"], back["RootFS"]) == (identifier, image["RootFS"])
