"""How many records came before each file of a numbered log, as its writer noted it. Blocks."""

_INDEX = ".index"
_BLOCK = 256 * 1024
_MOST = 1 << 20  # bytes of the index


def index(path: str) -> list[tuple[int, int]]:
    """Inodes of a numbered log's files, and how many records came before each; the newest is last."""
    try:
        with open(path + _INDEX, "rb") as file:
            lines = file.read(_MOST).splitlines()
        return [(int(inode), int(before)) for inode, before in map(bytes.split, lines)]
    except (OSError, ValueError):
        return []


def records_written(path: str) -> int:
    """How many records were ever written to a numbered log. Blocks."""
    entries = index(path)
    count = entries[-1][1] if entries else 0
    try:
        with open(path, "rb") as file:
            while block := file.read(_BLOCK):
                count += block.count(b"\n")
    except OSError:
        return count
    return count
