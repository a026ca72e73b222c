"""Changes and layers that are read while the container is removed: it is not there, and nothing of the host fails."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from engine.containers import changes, commit
from engine.containers.config import ContainerConfig, HostConfig
from engine.containers.container import Container
from errdefs import NotFound, SystemFailure
from runtime.layers.changes import changes as read
from runtime.layers.pack import pack_layer_into
from runtime.snapshots.overlay import OverlaySnapshotter
from runtime.snapshots.snapshotter import Snapshotter

BOX = Container(
    id="box", name="box", created=0, path="true", args=[], config=ContainerConfig(), host_config=HostConfig(),
    networks={}, image_id="", image_name="", snapshot="box",
)  # fmt: skip
GONE = "No such container: box: its files have been removed"


@pytest.fixture
async def snapshots(tmp_path: Path) -> Snapshotter:
    """A store with the files of a container."""
    store = await OverlaySnapshotter.open(tmp_path / "snapshots")
    await store.prepare("box", None)
    (store.upper("box") / "made").touch()
    return store


async def layer(snapshots: Snapshotter, directory: Path) -> object:
    with (directory / "layer").open("wb") as file, (directory / "told").open("wb") as told:
        return await commit.write_layer(BOX, snapshots, file.fileno(), told.fileno())


@pytest.mark.parametrize("reads_first", [True, False])
async def test_changes(snapshots: Snapshotter, monkeypatch: pytest.MonkeyPatch, reads_first: bool) -> None:
    assert [change.path for change in await changes.changed_files(BOX, snapshots)] == ["/made"]
    loop = asyncio.get_running_loop()

    def removed(*args: Any, **options: Any) -> Any:
        if reads_first:
            read(*args, **options)
        asyncio.run_coroutine_threadsafe(snapshots.remove("box"), loop).result()
        return [] if reads_first else read(*args, **options)

    monkeypatch.setattr(changes, "changes", removed)
    for _ in range(2):  # meanwhile, and before
        with pytest.raises(NotFound, match=GONE):
            await changes.changed_files(BOX, snapshots)


async def test_layers(snapshots: Snapshotter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert await layer(snapshots, tmp_path)

    async def removed(*args: Any, **options: Any) -> Any:
        await snapshots.remove("box")
        return await pack_layer_into(*args, **options)

    monkeypatch.setattr(commit, "pack_layer_into", removed)
    for _ in range(2):
        with pytest.raises(NotFound, match=GONE):
            await layer(snapshots, tmp_path)


async def test_a_host_that_fails(snapshots: Snapshotter) -> None:
    """What is to be read and cannot be is told as before."""
    snapshots.upper("box").rename(snapshots.upper("box").with_name("lost"))
    with pytest.raises(SystemFailure, match="cannot read the files of container box"):
        await changes.own_files(BOX, snapshots)
