"""What lies about in the data root when a daemon starts: garbage goes, damage is told, and what is others' stays."""

import hashlib
import json
import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.crash.image_store import stored
from tests.daemon import Wherryd
from tests.integration.images.archives import Made, docker_archive, tar

pytestmark = pytest.mark.root

LAYERS = [tar({"etc/low": b"low"}), tar({"etc/high": b"high" * 1000})]
MADE = Made(layers=LAYERS, tags=["made:1"])
DAY = 24 * 3600


@pytest.fixture
def down(mortal: Wherryd) -> Iterator[Wherryd]:
    """A daemon that has ended, with the image made:1; afterwards it has busybox alone."""
    before = stored(mortal)
    mortal.docker("load", stdin=docker_archive(MADE))
    mortal.terminate()
    yield mortal
    if mortal.answers():
        mortal.docker("rmi", "-f", "made:1", check=False)
    assert stored(mortal) == before


def blobs(mortal: Wherryd) -> Path:
    return mortal.data_root / "content" / "blobs" / "sha256"


def layer(mortal: Wherryd, name: str) -> Path:
    return mortal.data_root / "snapshots" / "committed" / name.replace(":", "%3A")


def database(mortal: Wherryd, *statements: str) -> list[str]:
    with sqlite3.connect(mortal.data_root / "state.db") as connection:
        rows = [row[0] for statement in statements for row in connection.execute(statement)]
    connection.close()
    return rows


def log_since(mortal: Wherryd) -> Callable[[], str]:
    """What the daemon logs from now on."""
    at = mortal.log.stat().st_size
    return lambda: mortal.log.read_bytes()[at:].decode()


def images(mortal: Wherryd) -> list[str]:
    return [tag for image in mortal.get("/images/json?all=1").json for tag in image["RepoTags"]]


def plant(mortal: Wherryd) -> list[Path]:
    """One of each kind of garbage; where it lies."""
    data = mortal.data_root
    orphan = hashlib.sha256(b"orphan").hexdigest()
    planted = [
        blobs(mortal) / orphan,
        data / "content" / "ingests" / ("1" * 32),
        data / "content" / "retained" / ("2" * 64),
        data / "content" / "retained" / f"{'3' * 64}.whole",
    ]
    for path in planted:
        path.write_bytes(b"orphan")
        os.utime(path, (time.time() - 2 * DAY,) * 2)
    for kind, name, parent in (
        ("committed", "sha256:" + "4" * 64, ""),
        ("committed", "sha256:" + "5" * 64, "sha256:" + "4" * 64),
        ("active", "unpack-0123456789abcdef", ""),
        ("active", "6" * 64, "sha256:" + "4" * 64),
        ("view", "left-over", ""),
        ("tmp", "7" * 32, ""),
    ):
        directory = data / "snapshots" / kind / name.replace(":", "%3A")
        (directory / "fs" / "d").mkdir(parents=True)
        (directory / "fs" / "d" / "f").write_text("garbage")
        (directory / "meta").symlink_to(f"1 1 {parent}")
        planted.append(directory)
    torn = layer(mortal, "sha256:" + "8" * 64)
    (torn / "fs").mkdir(parents=True)
    container = data / "containers" / ("9" * 64)
    container.mkdir()
    (container / f"{'9' * 64}-json.log").touch()
    instance = json.loads((data / "instance.json").read_text())["instance"]
    volume = data / "volumes" / f".removed-{instance}-a"
    volume.mkdir()
    return [*planted, torn, container, volume]


def test_garbage_goes_and_what_is_needed_stays(down: Wherryd) -> None:
    planted = plant(down)
    young = down.data_root / "content" / "retained" / ("a" * 64)
    young.write_bytes(b"of a pull that broke off an hour ago")
    log = log_since(down)
    down.start()
    assert [path for path in planted if path.exists()] == []
    assert young.exists()
    assert "removed 2 layers that no image needs and 0 that were half unpacked; gave back" in log()
    assert down.docker("run", "--rm", "--net", "none", "busybox", "echo", "works").stdout == "works\n"
    assert down.docker("save", "made:1").stdout
    told = down.call("POST", "/images/prune").json
    assert not young.exists()
    assert told["SpaceReclaimed"] == 36


def test_what_is_others_stays(down: Wherryd) -> None:
    """Names that the engine never gives, and another instance's."""
    data = down.data_root
    strangers = [
        blobs(down) / "README",
        data / "content" / "ingests" / "notes.txt",
        data / "content" / "retained" / "lost+found",
        data / "snapshots" / "committed" / "mine",
        data / "snapshots" / "active" / ("b" * 64),
        data / "volumes" / ".removed-00000000-a",
        data / "mine",
    ]
    for stranger in strangers:
        stranger.mkdir()
        (stranger / "file").write_text("mine")
    log = log_since(down)
    down.start()
    try:
        assert [(stranger / "file").read_text() for stranger in strangers] == ["mine"] * len(strangers)
        assert log().count("left alone") >= 5
        assert images(down).count("made:1") == 1
    finally:
        for stranger in strangers:
            shutil.rmtree(stranger)


def lose_config(down: Wherryd) -> None:
    (blobs(down) / MADE.id[7:]).unlink()


def cut_config(down: Wherryd) -> None:
    os.truncate(blobs(down) / MADE.id[7:], 10)


def lose_layer(down: Wherryd) -> None:
    shutil.rmtree(layer(down, f"sha256:{hashlib.sha256(LAYERS[0]).hexdigest()}"))


def hollow_layer(down: Wherryd) -> None:
    shutil.rmtree(layer(down, f"sha256:{hashlib.sha256(LAYERS[0]).hexdigest()}") / "fs")


@pytest.mark.parametrize("damage", [lose_config, cut_config, lose_layer, hollow_layer])
@pytest.mark.parametrize("then", ["load", "rmi", "rmi by id", "prune"])
def test_an_image_that_has_lost_content(down: Wherryd, damage: Callable[[Wherryd], None], then: str) -> None:
    """It is not there for who wants to use it, so that clients pull it; what is left is kept until it is removed."""
    damage(down)
    log = log_since(down)
    down.start()
    assert "made:1" not in images(down)
    assert "the image made:1 has lost content: load or pull it again, or remove it" in log()
    assert "No such image: made:1" in down.docker("create", "--pull", "never", "made:1", check=False).stderr
    (warning,) = [line for line in down.get("/info").json["Warnings"] if "lost content" in line]
    assert "made:1" in warning
    if then == "load":
        down.docker("load", stdin=docker_archive(MADE))
        assert images(down).count("made:1") == 1
        down.docker("create", "--name", "of-it", "made:1", "x")
        assert "etc/low" in down.docker("export", "of-it").stdout
        down.docker("rm", "of-it")
        assert down.docker("save", "made:1").stdout
        down.restart()
        assert images(down).count("made:1") == 1
    elif then == "prune":
        assert down.call("POST", "/images/prune").json["ImagesDeleted"] is None
        told = down.call("POST", '/images/prune?filters={"dangling":["false"],"label":["none"]}').json
        assert told["ImagesDeleted"] is None
        down.docker("create", "--name", "keeps", "busybox")
        told = down.call("POST", '/images/prune?filters={"dangling":["false"]}').json
        down.docker("rm", "keeps")
        assert {"Untagged": "made:1"} in told["ImagesDeleted"]
    else:
        name = "made:1" if then == "rmi" else MADE.id[7:19]
        assert f"Deleted: {MADE.id}" in down.docker("rmi", name).stdout
    assert not [line for line in down.get("/info").json["Warnings"] or [] if "lost content" in line]


@pytest.mark.parametrize("cut", [False, True])
def test_an_image_that_has_lost_a_blob_still_runs(down: Wherryd, cut: bool) -> None:
    blob = blobs(down) / hashlib.sha256(LAYERS[1]).hexdigest()
    if cut:
        os.truncate(blob, 100)
    else:
        blob.unlink()
    log = log_since(down)
    down.start()
    assert "has lost 1 of its blobs: it runs, and cannot be saved" in log()
    assert not blob.exists()
    down.docker("create", "--name", "of-it", "made:1", "x")
    down.docker("rm", "of-it")
    down.docker("load", stdin=docker_archive(MADE))
    assert blob.exists()
    assert down.docker("save", "made:1").stdout


def test_rows_that_fit_to_nothing(down: Wherryd) -> None:
    """A name for no image goes. While a record cannot be read nothing is swept: it might need it."""
    database(
        down,
        f"INSERT INTO image_references VALUES ('docker.io/library/stray:1', 'sha256:{'c' * 64}')",
        f"UPDATE images SET record = CAST('{{' AS BLOB) WHERE id = '{MADE.id}'",
    )
    there = stored(down)
    orphan = blobs(down) / hashlib.sha256(b"orphan").hexdigest()
    orphan.write_bytes(b"orphan")
    log = log_since(down)
    down.start()
    assert f"the record of the image {MADE.id} cannot be read" in log()
    assert "docker.io/library/stray:1" in log()
    assert images(down) == ["busybox:latest"]
    assert stored(down) >= there
    assert orphan.exists()
    down.call("POST", "/images/prune")
    assert orphan.exists()
    names = database(down, "SELECT name FROM image_references ORDER BY name")
    assert names == ["docker.io/library/busybox:latest", "docker.io/library/made:1"]
    down.docker("load", stdin=docker_archive(MADE))
    down.restart()
    assert not orphan.exists()
    assert images(down).count("made:1") == 1


def test_a_container_whose_layer_is_lost(down: Wherryd) -> None:
    """It says so, keeps what it wrote, runs again once the image is loaded, and can be removed."""
    down.start()
    down.docker("create", "--name", "of-it", "made:1", "x")
    upper = next((down.data_root / "snapshots" / "active").glob("*")) / "fs"
    (upper / "mine").write_text("kept")
    down.terminate()
    lose_layer(down)
    down.start()
    try:
        refused = down.docker("start", "of-it", check=False)
        assert "has lost what it stands on" in refused.stderr
        assert down.docker("export", "of-it", check=False).returncode
        down.docker("load", stdin=docker_archive(MADE))
        files = down.docker("export", "of-it").stdout
        assert "kept" in files
        assert "etc/low" in files
    finally:
        down.docker("rm", "-f", "of-it")
