"""Dockerfiles planned, with images of which only the configs are known."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import errdefs
from engine.build.dockerfile.parser import parse
from engine.build.plan import planner
from engine.build.plan.bases import Aim
from engine.build.plan.contexts import Contexts
from engine.build.plan.metadata import Base
from engine.build.plan.plan import Plan
from engine.build.request import BuildRequest
from engine.build.source import SourceFile
from engine.build.steps import ImageSource, Vertex
from engine.containers.config import ContainerConfig
from engine.images.config import History, ImageConfig, RootFS
from engine.images.platforms import Platform
from engine.images.reference import Reference

HOST = Platform(os="linux", architecture="amd64")
DIFF_ID = "sha256:" + "1" * 64


def image(**run: Any) -> ImageConfig:
    """A config with a layer."""
    return ImageConfig(
        architecture="amd64",
        os="linux",
        config=ContainerConfig(**run),
        history=[History(created="2020-01-01T00:00:00Z", created_by="base")],
        rootfs=RootFS(diff_ids=[DIFF_ID]),
    )


class Known:
    """Images by their familiar names."""

    def __init__(self, images: Mapping[str, ImageConfig]) -> None:
        self.images = images
        self.asked: list[str] = []

    async def image(self, name: Reference, platform: Platform, label: str) -> Base:
        self.asked.append(f"{label} {name.canonical} {platform.architecture}")
        if name.familiar.removesuffix(":latest") not in self.images:
            raise errdefs.NotFound(f"{name.canonical}: not found")
        config = self.images[name.familiar.removesuffix(":latest")]
        source = ImageSource(image=name.familiar, shown=name.canonical)
        return Base(source=source, shown=name.canonical, config=config)

    async def layout(self, store: str, name: Reference, platform: Platform, label: str) -> Base:
        return await self.image(name, platform, f"{label} {store}")

    def local(self, text: str) -> Base | None:
        return None

    async def input(self, name: str) -> Base:
        raise errdefs.NotFound(name)


def planned(
    text: str, *, images: Mapping[str, ImageConfig] | None = None, aim: Aim | None = None, **request: Any
) -> Plan:
    """The plan of a Dockerfile; "busybox" is there."""
    return asyncio.run(_planned(text, images or {}, aim or Aim(platform=HOST, host=HOST), request))[0]


def wanted(text: str, **request: Any) -> dict[str, Sequence[str]]:
    """The paths that are needed of each context; none for all of it."""
    given = asyncio.run(_planned(text, {}, Aim(platform=HOST, host=HOST), request))[1]
    return {name: each.follow for name, each in given.wanted().items()}


async def _planned(
    text: str, images: Mapping[str, ImageConfig], aim: Aim, request: Mapping[str, Any]
) -> tuple[Plan, Contexts]:
    asked = BuildRequest(id="test", **request)
    given = Contexts(asked)
    known = Known({"busybox": image(cmd=["sh"]), **images})
    dockerfile = parse(SourceFile("Dockerfile", text.encode()))
    return await planner.plan(dockerfile, asked, aim, known, given), given


def names(plan: Plan) -> list[str]:
    """Of the vertices, inputs first."""
    return [vertex.name for vertex in plan.vertices]


def history(plan: Plan) -> list[str]:
    """What the build adds to the history."""
    return [entry.created_by for entry in plan.entries]


def last(plan: Plan) -> Vertex:
    """The vertex of the result."""
    assert plan.root is not None
    return plan.root
