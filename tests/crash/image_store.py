"""What a daemon keeps of images, looked at from outside."""

from tests.daemon import Wherryd


def stored(mortal: Wherryd) -> set[str]:
    """What the image store keeps on disk."""
    return {
        str(path.relative_to(mortal.data_root))
        for part in ("content", "snapshots")
        for path in (mortal.data_root / part).glob("**/*")
        if len(path.relative_to(mortal.data_root).parts) <= 3
        or path.parent.name in ("sha256", "committed", "active", "tmp")
    }
