"""`docker commit`: what a container is and changed, as an image."""

from collections.abc import Sequence

import msgspec

import errdefs
from engine.containers.changes import own_directory, own_files
from engine.containers.config import ContainerConfig
from engine.containers.container import Container
from engine.images.changes import apply_changes
from engine.images.commit import Commit
from engine.images.merge import merge_config
from runtime.content.store import Descriptor
from runtime.layers.pack import pack_layer_into
from runtime.snapshots.snapshotter import Snapshotter


class CommitRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked. `config` None is the container's own; what it leaves open comes from there, too."""

    container: str
    repo: str = ""
    tag: str = ""
    author: str = ""
    comment: str = ""
    pause: bool = True
    changes: Sequence[str] = ()
    config: ContainerConfig | None = None


def plan(container: Container, request: CommitRequest) -> Commit:
    """The image to be made but for its layer. InvalidArgument for bad changes."""
    own = container.config
    config = merge_config(apply_changes(request.config or own, list(request.changes)), own)
    return Commit(
        parent=container.image_id,
        container=container.id,
        container_config=own,
        config=config,
        author=request.author,
        comment=request.comment,
    )


async def write_layer(container: Container, snapshots: Snapshotter, file: int, tell: int) -> Descriptor:
    """Write what the container changed as a layer's archive, without what the engine made for it; see `LayerWriter`.

    NotFound if the container has been removed meanwhile.
    """
    own = await own_files(container, snapshots)
    try:
        packed = await pack_layer_into(own_directory(container, snapshots), file, tell, leave_out=own)
    except errdefs.SystemFailure:
        own_directory(container, snapshots)  # it has not gone meanwhile: the host is at fault
        raise
    return Descriptor(digest=packed.digest, size=packed.size)
