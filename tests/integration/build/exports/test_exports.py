"""What `docker buildx build` writes, read back: archives, files, registries, and caches."""

import base64
import hashlib
import json
import re
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tests.daemon import Wherryd
from tests.registries import DebianRegistry

pytestmark = pytest.mark.root

DOCKERFILE = """FROM busybox AS other
RUN echo other > /o
FROM busybox
COPY f /f
RUN cat /f; date +%N > /d
COPY --from=other /o /o
CMD ["cat", "/f"]
"""
STEPS = 4  # that a cache may have


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Something to build."""
    directory = tmp_path / "project"
    directory.mkdir()
    (directory / "Dockerfile").write_text(DOCKERFILE)
    (directory / "f").write_text("from the context\n")
    return directory


def build(daemon: Wherryd, project: Path, *args: str, check: bool = True) -> Any:
    """Build by buildx: what was said is in stderr."""
    return daemon.docker("buildx", "build", "--progress=plain", *args, str(project), check=check)


def cached(built: Any) -> int:
    """How many steps came from the cache, but for FROM."""
    steps = re.findall(r"^#(\d+) \[[^\]]*\d/\d\] (?:RUN|COPY)", built.stderr, re.MULTILINE)
    return sum(f"#{number} CACHED" in built.stderr for number in set(steps))


def forget(daemon: Wherryd) -> None:
    """Remove all images but busybox, and the cache."""
    for image in daemon.get("/images/json?all=1").json:
        if "busybox:latest" not in (image["RepoTags"] or []):
            daemon.call("DELETE", f"/images/{image['Id']}?force=1")
    daemon.call("POST", "/build/prune?all=1")
    assert daemon.get("/v1.45/system/df").json["BuildCache"] == []


def members(archive: Path) -> dict[str, bytes]:
    """The files of an archive."""
    with tarfile.open(archive) as tar:
        return {each.name: tar.extractfile(each).read() for each in tar if each.isfile()}  # type: ignore[union-attr]


def require_sound(files: dict[str, bytes]) -> None:
    """Every blob is what its name says."""
    blobs = {name: data for name, data in files.items() if name.startswith("blobs/sha256/")}
    assert blobs
    for name, data in blobs.items():
        assert hashlib.sha256(data).hexdigest() == name.rpartition("/")[2]


def test_an_archive_for_docker(wherryd: Wherryd, project: Path, tmp_path: Path) -> None:
    archive, metadata = tmp_path / "out.tar", tmp_path / "metadata.json"
    build(
        wherryd, project, "-o", f"type=docker,dest={archive},name=built:1", "--metadata-file", str(metadata)
    )
    files = members(archive)
    require_sound(files)
    (entry,) = json.loads(files["manifest.json"])
    assert entry["RepoTags"] == ["built:1"]
    assert [
        entry["name"] for entry in wherryd.get("/images/json").json if "built:1" in (entry["RepoTags"] or [])
    ] == []
    told = json.loads(metadata.read_text())
    assert told["containerimage.config.digest"] == "sha256:" + entry["Config"].rpartition("/")[2]
    assert told["image.name"] == "docker.io/library/built:1"
    forget(wherryd)
    wherryd.docker("load", "-i", str(archive))
    assert wherryd.docker("run", "--rm", "built:1").stdout == "from the context\n"
    assert wherryd.get("/images/built:1/json").json["Id"] == told["containerimage.config.digest"]


def test_a_layout_of_several_platforms(wherryd: Wherryd, project: Path, tmp_path: Path) -> None:
    (project / "Dockerfile").write_text("FROM scratch\nARG TARGETARCH\nCOPY f /f\nLABEL arch=$TARGETARCH\n")
    archive = tmp_path / "out.tar"
    output = f"type=oci,dest={archive},name=built:1,compression=uncompressed"
    build(wherryd, project, "--platform", "linux/amd64,linux/arm64", "-o", output)
    files = members(archive)
    require_sound(files)
    assert "manifest.json" not in files
    (named,) = json.loads(files["index.json"])["manifests"]
    assert named["annotations"]["io.containerd.image.name"] == "docker.io/library/built:1"
    blob = {f"sha256:{name.rpartition('/')[2]}": data for name, data in files.items()}
    index = json.loads(blob[named["digest"]])
    assert [each["platform"]["architecture"] for each in index["manifests"]] == ["amd64", "arm64"]
    for each in index["manifests"]:
        manifest = json.loads(blob[each["digest"]])
        assert manifest["layers"][0]["mediaType"] == "application/vnd.oci.image.layer.v1.tar"
        config = json.loads(blob[manifest["config"]["digest"]])
        assert (
            config["architecture"] == config["config"]["Labels"]["arch"] == each["platform"]["architecture"]
        )


def test_files(wherryd: Wherryd, project: Path, tmp_path: Path) -> None:
    build(wherryd, project, "-o", f"type=local,dest={tmp_path / 'out'}")
    assert (tmp_path / "out/f").read_text() == "from the context\n"
    assert (tmp_path / "out/bin/busybox").exists()
    build(wherryd, project, "-o", f"type=tar,dest={tmp_path / 'out.tar'}")
    files = members(tmp_path / "out.tar")
    assert files["f"] == b"from the context\n"
    assert files["o"] == b"other\n"


def test_what_is_refused(wherryd: Wherryd, project: Path, tmp_path: Path) -> None:
    for output, text in (
        (f"type=oci,dest={tmp_path / 'x'},compression=zstd", "compression=zstd is not supported"),
        (f"type=oci,dest={tmp_path / 'x'},annotation.a=b", "annotations are not supported"),
        (f"type=docker,dest={tmp_path / 'x'},name=BAD:1", "must be lowercase"),
    ):
        failed = build(wherryd, project, "-o", output, check=False)
        assert failed.returncode != 0
        assert text in failed.stderr


def test_push(wherryd: Wherryd, project: Path, registry: DebianRegistry) -> None:
    name = f"{registry.netloc}/pushed:1"
    build(wherryd, project, "-t", name, "--push")
    built = wherryd.get(f"/images/{name}/json").json["Id"]
    forget(wherryd)
    wherryd.docker("pull", name)
    assert wherryd.get(f"/images/{name}/json").json["Id"] == built
    assert wherryd.docker("run", "--rm", name).stdout == "from the context\n"


def test_a_cache_in_the_image_itself(wherryd: Wherryd, project: Path, registry: DebianRegistry) -> None:
    name = f"{registry.netloc}/inline:1"
    build(wherryd, project, "-t", name, "--push", "--cache-to", "type=inline")
    forget(wherryd)
    again = build(wherryd, project, "--cache-from", name)
    assert cached(again) == STEPS - 1, "but for the stage that left no layer in it"
    (project / "f").write_text("other content\n")
    assert cached(build(wherryd, project, "--cache-from", name)) == 1, (
        "the stage: it has been built meanwhile"
    )


def test_a_cache_of_an_image_that_is_here(wherryd: Wherryd, project: Path) -> None:
    build(wherryd, project, "-t", "built:1", "--cache-to", "type=inline")
    wherryd.call("POST", "/build/prune?all=1")
    assert cached(build(wherryd, project, "--cache-from", "built:1")) == STEPS - 1


@pytest.mark.parametrize(("mode", "steps"), [("min", STEPS - 1), ("max", STEPS)])
def test_a_cache_in_a_registry(
    wherryd: Wherryd, project: Path, registry: DebianRegistry, mode: str, steps: int
) -> None:
    place = f"type=registry,ref={registry.netloc}/cache:1"
    build(wherryd, project, "--cache-to", f"{place},mode={mode}")
    forget(wherryd)
    again = build(wherryd, project, "-t", "built:1", "--cache-from", place)
    assert cached(again) == steps
    assert wherryd.docker("run", "--rm", "built:1").stdout == "from the context\n"
    assert cached(build(wherryd, project)) == STEPS, "what was brought is of the own cache from then on"


def test_a_cache_in_a_directory(wherryd: Wherryd, project: Path, tmp_path: Path) -> None:
    build(wherryd, project, "--cache-to", f"type=local,dest={tmp_path / 'cache'},mode=max")
    forget(wherryd)
    again = build(wherryd, project, "-t", "built:1", "--cache-from", f"type=local,src={tmp_path / 'cache'}")
    assert cached(again) == STEPS
    assert wherryd.docker("run", "--rm", "built:1").stdout == "from the context\n"


def test_a_cache_that_is_not_there(wherryd: Wherryd, project: Path, registry: DebianRegistry) -> None:
    built = build(wherryd, project, "--cache-from", f"type=registry,ref={registry.netloc}/nosuch:1")
    assert "importing cache manifest" in built.stderr
    failed = build(wherryd, project, "--cache-to", "type=registry,ref=127.0.0.1:1/x", check=False)
    assert failed.returncode != 0
    build(wherryd, project, "--cache-to", "type=registry,ref=127.0.0.1:1/x,ignore-error=true")
    failed = build(wherryd, project, "--cache-to", "type=azblob,name=x,account_url=y", check=False)
    assert "build caches of type azblob are not supported" in failed.stderr


def test_a_cache_with_other_content_is_no_cache(wherryd: Wherryd, project: Path, tmp_path: Path) -> None:
    """A layer that is not what the cache says of it is not taken, and the step is done."""
    cache = tmp_path / "cache"
    build(wherryd, project, "--cache-to", f"type=local,dest={cache},mode=max")
    digest = json.loads((cache / "index.json").read_text())["manifests"][0]["digest"]
    blobs = cache / "blobs" / "sha256"
    manifest = json.loads((blobs / digest[7:]).read_bytes())
    for layer in manifest["layers"]:
        data = (blobs / layer["digest"][7:]).read_bytes()
        (blobs / layer["digest"][7:]).chmod(0o644)
        (blobs / layer["digest"][7:]).write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    forget(wherryd)
    again = build(wherryd, project, "-t", "built:1", "--cache-from", f"type=local,src={cache}")
    assert cached(again) == 0
    assert wherryd.docker("run", "--rm", "built:1").stdout == "from the context\n"


def test_what_the_image_says_of_its_cache(wherryd: Wherryd, project: Path, tmp_path: Path) -> None:
    archive = tmp_path / "out.tar"
    build(wherryd, project, "-o", f"type=docker,dest={archive},name=built:1", "--cache-to", "type=inline")
    files = members(archive)
    (entry,) = json.loads(files["manifest.json"])
    config = json.loads(files[entry["Config"]])
    records = json.loads(base64.b64decode(config["moby.buildkit.cache.v0"]))
    assert [len(record["layers"]) for record in records] == [1, 1, 1]
    assert sorted(record["layers"][0]["layer"] for record in records) == [1, 2, 3]
