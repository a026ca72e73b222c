"""Images for other machines: pulled, told of, saved, loaded, pushed and removed as any; and why they do not run."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.daemon import Wherryd
from tests.registries import DebianRegistry

pytestmark = pytest.mark.root

ARM, ARM_IS = "linux/arm64", "linux/arm64/v8"


def inspect(wherryd: Wherryd, name: str) -> dict[str, Any]:
    (found,) = json.loads(wherryd.docker("image", "inspect", name).stdout)
    return dict(found)


def platform_of(found: dict[str, Any]) -> str:
    return "/".join(filter(None, (found["Os"], found["Architecture"], found.get("Variant", ""))))


@pytest.mark.parametrize("tag", ["oci", "docker"])
@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (ARM, ARM_IS),
        (ARM_IS, ARM_IS),
        ("linux/arm/v7", "linux/arm/v7"),
        ("linux/arm/v6", "linux/arm/v6"),
        ("linux/arm", "linux/arm/v7"),
        ("linux/386", "linux/386"),
        ("", "linux/amd64"),
    ],
)
def test_the_one_that_is_asked_for(wherryd: Wherryd, name: str, tag: str, asked: str, expected: str) -> None:
    words = ("--platform", asked) if asked else ()
    said = wherryd.docker("pull", *words, f"{name}:{tag}").stdout
    (digest,) = [line.removeprefix("Digest: ") for line in said.splitlines() if line.startswith("Digest: ")]
    found = inspect(wherryd, f"{name}:{tag}")
    assert platform_of(found) == expected
    assert found["RepoDigests"] == [f"{name}@{digest}"], "the name of all of them"
    assert (
        wherryd.docker("pull", *words, f"{name}:{tag}")
        .stdout.splitlines()[-2]
        .startswith("Status: Image is up to date")
    )


def test_two_beside_each_other(wherryd: Wherryd, name: str) -> None:
    """Each under its own tag; what they share is there once, and one goes without the other."""
    wherryd.docker("pull", "--platform", ARM, f"{name}:oci")
    wherryd.docker("tag", f"{name}:oci", "machines:arm")
    said = wherryd.docker("pull", f"{name}:oci").stdout
    assert said.count(": Already exists") == 1
    wherryd.docker("tag", f"{name}:oci", "machines:mine")
    assert platform_of(inspect(wherryd, "machines:arm")) == ARM_IS
    assert platform_of(inspect(wherryd, "machines:mine")) == "linux/amd64"
    assert inspect(wherryd, "machines:arm")["RepoTags"] == ["machines:arm"], "the name went to the other one"
    assert wherryd.docker("run", "--rm", "machines:mine").stdout == "linux/amd64"
    wherryd.docker("rmi", "machines:mine", f"{name}:oci")
    assert wherryd.docker("run", "--rm", "machines:arm", "cat", "/etc/machine").stdout == ARM_IS


def test_saved_and_loaded(wherryd: Wherryd, name: str, tmp_path: Path) -> None:
    for platform, tag in ((ARM, "arm"), ("linux/amd64", "mine")):
        wherryd.docker("pull", "--platform", platform, f"{name}:docker")
        wherryd.docker("tag", f"{name}:docker", f"machines:{tag}")
    ids = {tag: inspect(wherryd, f"machines:{tag}")["Id"] for tag in ("arm", "mine")}
    wherryd.docker("save", "-o", str(tmp_path / "both.tar"), "machines:arm", "machines:mine")
    wherryd.docker("rmi", "-f", *ids.values())
    said = wherryd.docker("load", "-i", str(tmp_path / "both.tar")).stdout
    assert sorted(said.splitlines()) == ["Loaded image: machines:arm", "Loaded image: machines:mine"]
    assert {tag: inspect(wherryd, f"machines:{tag}")["Id"] for tag in ids} == ids


def test_pushed(wherryd: Wherryd, registry: DebianRegistry, name: str) -> None:
    """With the manifest that it came with, and another client takes it for what it is."""
    wherryd.docker("pull", "--platform", ARM, f"{name}:oci")
    wherryd.docker("tag", f"{name}:oci", f"{registry.netloc}/pushed/arm:1")
    wherryd.docker("push", f"{registry.netloc}/pushed/arm:1")
    raw = skopeo("--raw", f"docker://{name}:oci")
    pushed = skopeo(f"docker://{registry.netloc}/pushed/arm:1")
    digests = {
        "/".join(entry["platform"].get(key, "") for key in ("os", "architecture", "variant")): entry["digest"]
        for entry in raw["manifests"]
    }
    assert pushed["Digest"] == digests[ARM_IS]
    assert (pushed["Os"], pushed["Architecture"]) == ("linux", "arm64")


def skopeo(*words: str) -> dict[str, Any]:
    argv = [
        "skopeo",
        "--override-arch=arm64",
        "--override-variant=v8",
        "inspect",
        "--tls-verify=false",
        *words,
    ]
    done = subprocess.run(argv, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_why_it_does_not_run(wherryd: Wherryd, name: str) -> None:
    wherryd.docker("pull", "--platform", ARM, f"{name}:oci")
    done = wherryd.docker("run", "--rm", f"{name}:oci", check=False)
    assert done.returncode not in (0, 125)
    warning, failure = done.stderr.strip().splitlines()
    assert warning.startswith(
        f"WARNING: The requested image's platform ({ARM_IS}) does not match the detected host platform (linux/"
    )
    assert warning.endswith(") and no specific platform was requested")
    assert failure == "exec /program: exec format error"
    asked = wherryd.docker("run", "--rm", "--platform", ARM, f"{name}:oci", check=False)
    assert asked.stderr.strip().splitlines() == [failure], "who asks for it knows"


def test_another_than_the_one_that_is_here(wherryd: Wherryd, name: str) -> None:
    """`docker create` pulls the one that it wants; a request of the API alone is told of the mismatch."""
    wherryd.docker("pull", f"{name}:oci")
    answer = wherryd.call(
        "POST", f"/containers/create?platform={ARM.replace('/', '%2F')}", {"Image": f"{name}:oci"}
    )
    assert answer.status == 404
    assert answer.json["message"] == (
        f"image with reference {name}:oci was found but its platform (linux/amd64) does not match the specified "
        f"platform ({ARM})"
    )
    container = wherryd.docker("create", "--platform", ARM, f"{name}:oci").stdout.strip()
    try:
        image = wherryd.get(f"/containers/{container}/json").json["Image"]
        assert platform_of(inspect(wherryd, image)) == ARM_IS
    finally:
        wherryd.docker("rm", container)
