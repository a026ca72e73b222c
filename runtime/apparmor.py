"""AppArmor: Docker's default profile, loaded where the kernel has AppArmor and the host a program that loads profiles.

The kernel forgets profiles at a reboot, and administrators may unload them: whoever needs the profile sees that it is
there. One that is there is used as it is, be it dockerd's: there is one of that name on a host.
"""

import asyncio
import shutil
from functools import cache
from pathlib import Path

from errdefs import SystemFailure
from runtime.spawn import ENVIRONMENT, run

DEFAULT = "docker-default"
UNCONFINED = "unconfined"
_ENABLED = Path("/sys/module/apparmor/parameters/enabled")
_PROFILES = Path("/sys/kernel/security/apparmor/profiles")
_PARSER = "apparmor_parser"
_TIMEOUT = 30.0

# A file of /proc whose name begins with a digit belongs to a process. What is written elsewhere below /proc or /sys
# would reach the host, but for cgroups, and sysctls of namespaces that a container has to itself.
PROFILE = f"""\
profile {DEFAULT} flags=(attach_disconnected,mediate_deleted) {{
  file,
  network,
  capability,
  umount,

  deny network alg,

  signal (receive) peer=unconfined,
  signal (receive) peer=runc,
  signal (receive) peer=crun,
  signal (send, receive) peer={DEFAULT},
  ptrace (trace, tracedby, read, readby) peer={DEFAULT},

  deny mount,

  deny /proc/* w,
  deny /proc/{{[^1-9],[^1-9][^0-9],[^1-9s][^0-9y][^0-9s],[^1-9][^0-9][^0-9][^0-9/]*}}/** w,
  deny /proc/sys/[^k]** w,
  deny /proc/sys/kernel/{{?,??,[^s][^h][^m]**}} w,
  deny /proc/sysrq-trigger rwklx,
  deny /proc/kcore rwklx,

  deny /sys/[^f]*/** wklx,
  deny /sys/f[^s]*/** wklx,
  deny /sys/fs/[^c]*/** wklx,
  deny /sys/fs/c[^g]*/** wklx,
  deny /sys/fs/cg[^r]*/** wklx,
  deny /sys/firmware/** rwklx,
  deny /sys/devices/virtual/powercap/** rwklx,
  deny /sys/kernel/security/** rwklx,
}}
"""


@cache
def supported() -> bool:
    """Whether containers are confined by profiles; the answer does not change while the host is up. Reads files."""
    try:
        enabled = _ENABLED.read_text().startswith("Y")
    except OSError:
        return False
    return (
        enabled and _PROFILES.parent.is_dir() and shutil.which(_PARSER, path=ENVIRONMENT["PATH"]) is not None
    )


async def ensure(profile: str | None) -> None:
    """See that a profile is loaded if it is the default one; others are their owners'. SystemFailure if that fails."""
    if profile != DEFAULT or await asyncio.to_thread(_is_loaded, profile):
        return
    try:
        done = await run([_PARSER, "--skip-cache", "--replace"], stdin=PROFILE.encode(), timeout=_TIMEOUT)
        said = "" if done.returncode == 0 else (done.stderr or done.stdout).decode(errors="replace").strip()
    except (OSError, TimeoutError) as error:
        said = str(error) or "timed out"
    if said:
        raise SystemFailure(
            f"AppArmor enabled on system but the {DEFAULT} profile could not be loaded: {_PARSER}: {said}"
        )


def _is_loaded(profile: str) -> bool:
    try:
        lines = _PROFILES.read_text().splitlines()
    except OSError as error:
        raise SystemFailure(f"cannot read {_PROFILES}: {error.strerror}") from error
    return any(line.partition(" (")[0] == profile for line in lines)
