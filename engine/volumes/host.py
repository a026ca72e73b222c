"""What the local driver has done on the host."""

from collections.abc import Iterable
from pathlib import Path

from runtime import mount, mounting, tree
from runtime.quota import ProjectQuota
from volumes.local import DATA


class VolumeHost:
    """See volumes.local.Host."""

    def __init__(self, root: Path) -> None:
        """For volumes below `root`. Blocks."""
        self._quota = ProjectQuota.of(root)

    @property
    def limits(self) -> bool:
        """Whether volumes can have a size."""
        return self._quota is not None

    def limit(self, directory: Path, size: int) -> None:
        """Let a new directory hold no more."""
        if self._quota is not None:
            self._quota.limit(directory, size)

    async def mount(self, device: str, target: str, kind: str, options: str) -> None:
        """Mount what a volume's options say."""
        await mounting.mount(device, target, kind, options)

    def unmount(self, target: str) -> bool:
        """Unmount the uppermost."""
        return mount.unmount(Path(target))

    def mounted(self) -> Iterable[str]:
        """Where something is mounted."""
        return {entry.target for entry in mount.mountinfo()}

    def remove_tree(self, path: Path) -> None:
        """Remove a tree however deep, and the limit of the directory in it that has one."""
        if self._quota is None:
            tree.remove(path)
        else:
            self._quota.release(path / DATA, lambda: tree.remove(path))
