"""Images as inspect and list show them, by API version."""

from collections.abc import Sequence
from typing import Any

import msgspec

from api.schema.omission import shape
from api.schema.times import ZERO, go_time
from api.versions import Version
from engine.images.history import Step
from engine.images.image import Image
from engine.images.listing import Listed

NO_TAG = "<none>:<none>"
NO_DIGEST = "<none>@<none>"

_ALWAYS = frozenset({"Cmd", "Entrypoint", "Env", "Labels", "OnBuild", "User", "Volumes", "WorkingDir"})
_UNTIL_149 = frozenset(
    {
        "Hostname",
        "Domainname",
        "AttachStdin",
        "AttachStdout",
        "AttachStderr",
        "Tty",
        "OpenStdin",
        "StdinOnce",
        "Image",
    }
)
_DOCKER_OCI = _ALWAYS | {"ExposedPorts", "StopSignal", "ArgsEscaped", "Healthcheck", "Shell"}


def inspect(
    image: Image, version: Version, driver: str, *, users: Sequence[str] | None = None
) -> dict[str, Any]:
    """The answer of `GET /images/{name}/json`; with `users`, the ids of its containers, it tells its manifest."""
    config = image.config
    shown: dict[str, Any] = {
        "Id": image.id,
        "RepoTags": image.references,
        "RepoDigests": image.digests,
        "Comment": image.comment,
        "Created": image.created_text,
        "Author": config.author,
        "Config": _config(image, version),
        "Architecture": config.architecture,
        "Variant": config.variant,
        "Os": config.os or "linux",
        "OsVersion": config.os_version,
        "Size": image.size,
        "RootFS": _rootfs(image),
        "Metadata": {"LastTagTime": go_time(image.last_tagged)},
        "Parent": image.parent,
        "DockerVersion": config.docker_version,
        "Descriptor": msgspec.to_builtins(image.descriptor),
    }
    if users is not None:
        shown["Manifests"] = [manifest(image, users)]
    if not version.before("1.53"):
        shown |= _identity(image)
    _by_version(shown, image, version, driver)
    optional = {"Variant", "OsVersion", "Container"}
    if not version.before("1.52"):
        optional |= {"Comment", "Author", "Parent", "DockerVersion"}
    if not version.before("1.44"):
        optional.add("Created")
    return {key: value for key, value in shown.items() if value or key not in optional}


def summary(
    listed: Listed,
    version: Version,
    *,
    shared: bool = False,
    manifests: bool = False,
    identity: bool = False,
) -> dict[str, Any]:
    """An entry of `GET /images/json`; with `shared` it tells the size of layers that other images have too.

    With `manifests` it tells its manifest, which with `identity` says where the image is from.
    """
    image, tags, digests = listed.image, list(listed.references), list(listed.digests)
    no_digests: list[str] | None = []
    if version.before("1.43"):
        no_digests = None
        if not tags and not digests:
            tags, digests = [NO_TAG], [NO_DIGEST]
    shown = {
        "Containers": -1 if version.before("1.51") else len(listed.users),
        "Created": image.created // 1_000_000_000,
        "Id": image.id,
        "Labels": image.config.run.labels,
        "ParentId": image.parent,
        "RepoDigests": digests or no_digests,
        "RepoTags": tags,
        "SharedSize": listed.shared_size if shared else -1,
        "Size": image.size,
    }
    if not version.before("1.48"):
        shown["Descriptor"] = msgspec.to_builtins(image.descriptor)
    if not version.before("1.52"):
        shown["Labels"] = image.labels
    if manifests:
        shown["Manifests"] = [manifest(image, listed.users, identity=identity)]
    if version.before("1.44") and image.size:
        shown["VirtualSize"] = image.size
    return shown


def manifest(image: Image, users: Sequence[str], *, identity: bool = False) -> dict[str, Any]:
    """The one manifest of an image, with all that it takes; with `identity` also where it is from."""
    return {
        "ID": image.manifest,
        "Descriptor": msgspec.to_builtins(image.descriptor),
        "Available": True,
        "Size": {"Content": image.content_size, "Total": image.content_size + image.size},
        "Kind": "image",
        "ImageData": {
            "Platform": platform(image),
            **(_identity(image) if identity else {}),
            "Size": {"Unpacked": image.size},
            "Containers": list(users),
        },
    }


def _identity(image: Image) -> dict[str, Any]:
    """The repositories that are known to have it; {} for what never was in one. Builds and signatures are not known."""
    pulled = [{"Repository": repository} for repository in image.repositories]
    return {"Identity": {"Pull": pulled}} if pulled else {}


def step(made: Step) -> dict[str, Any]:
    """An entry of `GET /images/{name}/history`."""
    return {
        "Comment": made.comment,
        "Created": made.created,
        "CreatedBy": made.created_by,
        "Id": made.id,
        "Size": made.size,
        "Tags": made.tags,
    }


def platform(image: Image) -> dict[str, str]:
    """What it is for, as OCI descriptors say it."""
    said: dict[str, str] = msgspec.to_builtins(image.platform)
    return {key: value for key, value in said.items() if value}


def _by_version(shown: dict[str, Any], image: Image, version: Version, driver: str) -> None:
    if version.before("1.44"):
        if image.size:
            shown["VirtualSize"] = image.size
        shown["Created"] = shown["Created"] or ZERO
    if version.before("1.45"):
        shown["Container"] = image.config.container
        shown["ContainerConfig"] = shape(image.config.container_config or type(image.config.run)())
    if version.before("1.48"):
        del shown["Descriptor"]
    if version.before("1.52"):
        shown["GraphDriver"] = {"Name": driver, "Data": None}


def _rootfs(image: Image) -> dict[str, Any]:
    rootfs = {"Type": "layers", "Layers": image.config.diff_ids}
    return {key: value for key, value in rootfs.items() if value}


def _config(image: Image, version: Version) -> dict[str, Any]:
    """The config that it gives to containers: before 1.52 with fields that say nothing, before 1.50 with more."""
    always = _ALWAYS if version.before("1.52") else frozenset[str]()
    known = _DOCKER_OCI
    if version.before("1.50"):
        always, known = always | _UNTIL_149, known | _UNTIL_149
    shown = shape(image.config.run)
    return {key: value for key, value in shown.items() if key in always or (key in known and value)}
