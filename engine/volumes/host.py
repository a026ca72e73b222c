"""What the local driver has done on the host."""

from collections.abc import Iterable
from pathlib import Path

from runtime import mount, mounting, tree


class VolumeHost:
    """See volumes.local.Host."""

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
        """Remove a tree however deep."""
        tree.remove(path)
