"""Whether programs of a platform can be run here."""

from pathlib import Path

import errdefs
from engine.images import platforms

_INTERPRETERS = Path("/proc/sys/fs/binfmt_misc")
_NAMES = {
    "amd64": ("x86_64",),
    "386": ("i386",),
    "arm64": ("aarch64",),
    "arm": ("arm",),
    "loong64": ("loongarch64",),
    "mips64le": ("mips64el",),
    "ppc64le": ("ppc64le",),
    "riscv64": ("riscv64",),
    "s390x": ("s390x",),
}


def require_executable(platform: str) -> None:
    """Pass if the host runs programs of a platform ("" is its own), or has an interpreter that does.

    InvalidArgument otherwise.
    """
    if not platform:
        return
    wanted, here = platforms.parse(platform), platforms.capable()
    if platforms.rank(wanted, here) is not None or _is_interpreted(wanted.architecture):
        return
    raise errdefs.InvalidArgument(
        f"cannot run programs for {platform} on this host ({platforms.render(platforms.host())}): no interpreter for"
        " them is registered with the kernel (binfmt_misc)"
    )


def _is_interpreted(architecture: str) -> bool:
    names = [f"qemu-{name}" for name in _NAMES.get(architecture, (architecture,))]
    try:
        return any((_INTERPRETERS / name).read_text().startswith("enabled") for name in names)
    except OSError:
        return False
