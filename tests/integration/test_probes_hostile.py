"""A probe may have its program be the host's interpreter: it can do nothing to the host's file."""

import errno
import os
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.daemon import Wherryd
from tests.integration.test_probes import count
from tests.waiting import eventually

pytestmark = pytest.mark.root

SCRIPT = """#!{interpreter} -ISB
import errno, os
def refused(act):
    try:
        act()
    except OSError as error:
        return errno.errorcode[error.errno]
    return "done"
exe = "/proc/self/exe"
mode, own = os.stat(exe).st_mode & 0o7777, os.stat(exe)
told = [
    refused(lambda: os.open(exe, os.O_WRONLY | os.O_TRUNC)),
    refused(lambda: os.chmod(exe, mode)),
    refused(lambda: os.chown(exe, own.st_uid, own.st_gid)),
    refused(lambda: os.utime(exe, ns=(own.st_atime_ns, own.st_mtime_ns))),
    refused(lambda: os.setxattr(exe, "user.a", b"")),
]
print(own.st_dev, own.st_ino, *told)
"""


def test_a_script_of_the_hosts_interpreter_cannot_change_it(wherryd: Wherryd, tmp_path: Path) -> None:
    """The container brings the libraries, which makes the host's file a program of it."""
    script = tmp_path / "probe"
    script.write_text(SCRIPT.format(interpreter="/proc/self/exe"))
    script.chmod(0o755)
    tmp_path.chmod(0o755)
    container = run(wherryd, tmp_path, "/look/probe")
    try:
        device, inode, *told = said(wherryd, container).split()
        host = os.stat("/proc/self/exe")
        assert (int(device), int(inode)) == (host.st_dev, host.st_ino), "it was another program: see nothing"
        assert told == [errno.errorcode[errno.EROFS]] * 5
        assert count(wherryd, container) == 0
    finally:
        wherryd.docker("rm", "-f", container)


@pytest.mark.parametrize("program", ["/proc/self/exe", "/look/link"])
def test_the_hosts_interpreter_is_no_program(wherryd: Wherryd, tmp_path: Path, program: str) -> None:
    """The runtime is asked instead, and it is a copy of itself that is executed."""
    (tmp_path / "link").symlink_to("/proc/self/exe")
    tmp_path.chmod(0o755)
    code = "import sys; print('python')"
    container = run(wherryd, tmp_path, program, "-c", code)
    try:
        assert "python" not in said(wherryd, container)
    finally:
        wherryd.docker("rm", "-f", container)


def test_shims_are_executed_by_a_mount_that_is_nowhere(wherryd: Wherryd) -> None:
    container = wherryd.docker("run", "-d", "busybox", "sleep", "1000").stdout.strip()
    try:
        shim = int((wherryd.exec_root / "containers" / container / "1/shim.pid").read_text())
        exe = f"/proc/{shim}/exe"
        assert os.path.samestat(os.stat(exe), os.stat(os.path.realpath(sys.executable)))
        with pytest.raises(OSError, match="Read-only") as refusal:
            os.chmod(exe, os.stat(exe).st_mode & 0o7777)
        assert refusal.value.errno == errno.EROFS
    finally:
        wherryd.docker("rm", "-f", container)


def run(wherryd: Wherryd, look: Path, *test: str) -> str:
    """A container that has what the host's interpreter needs, at its places, with a probe."""
    wanted = {
        "/lib",
        "/lib64",
        "/usr/lib",
        str(sysconfig.get_path("stdlib")),
        str(sysconfig.get_config_var("LIBDIR")),
    }
    binds = [f"{path}:{path}:ro" for path in wanted if os.path.isdir(path)]
    body = {
        "Image": "busybox",
        "Cmd": ["/bin/sleep", "1000"],
        "Healthcheck": {"Test": ["CMD", *test], "Interval": 100_000_000},
        "HostConfig": {"Binds": [f"{look}:/look:ro", *binds]},
    }
    container = str(wherryd.call("POST", "/containers/create", body).json["Id"])
    wherryd.docker("start", container)
    return container


def said(wherryd: Wherryd, container: str) -> str:
    """What the first probe told."""

    def log() -> list[dict[str, str]]:
        found: list[dict[str, str]] = wherryd.get(f"/containers/{container}/json").json["State"]["Health"][
            "Log"
        ]
        return found

    eventually(log)
    return log()[0]["Output"]
