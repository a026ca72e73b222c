"""A bundle of busybox that is really run by runc, and a look from inside."""

import json
import os
import secrets
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from runtime.spec.build import build
from runtime.spec.environment import environment
from runtime.spec.mounts import Bind
from runtime.spec.options import SpecOptions
from runtime.spec.seccomp import default_profile

DEFAULT_CAPS = SpecOptions(args=(), env=(), rootfs="", cgroups_path="").capabilities


class Bundle:
    """A directory for `runc run`, and its own group in the control groups."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.group = f"wherry-spec-{secrets.token_hex(4)}"
        self.id = f"spec-{secrets.token_hex(4)}"

    def options(self, *args: str, **changes: Any) -> SpecOptions:
        """Return the options of a default container of busybox."""
        plain: dict[str, Any] = {
            "args": args,
            "env": environment([], [], "inside"),
            "rootfs": str(self.folder / "rootfs"),
            "cgroups_path": f"/{self.group}/{self.id}",
            "hostname": "inside",
            "seccomp": default_profile(changes.get("capabilities", DEFAULT_CAPS)),
        }
        return SpecOptions(**(plain | changes))

    def write(self, options: SpecOptions) -> None:
        """Write config.json."""
        (self.folder / "config.json").write_text(json.dumps(build(options)))

    def run(self, options: SpecOptions, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a container to its end."""
        self.write(options)
        return self.runc("run", "--bundle", str(self.folder), self.id, check=check)

    def shell(self, script: str, **changes: Any) -> str:
        """Run a shell script in a container; what it printed."""
        return self.run(self.options("sh", "-c", script, **changes)).stdout

    def runc(self, *args: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Call runc with a root of its own."""
        done = subprocess.run(
            ["runc", "--root", str(self.folder / "runc"), *args],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=60,
        )
        assert not check or done.returncode == 0, done.stderr
        return done

    def start(self, options: SpecOptions) -> int:
        """Start a container that goes on; its pid."""
        self.write(options)
        pid_file = self.folder / "pid"
        where = ["--pid-file", str(pid_file), "--bundle", str(self.folder)]
        # A detached container keeps runc's output open: never a pipe of ours.
        with (self.folder / "log").open("w+") as log:
            done = subprocess.run(
                ["runc", "--root", str(self.folder / "runc"), "run", "--detach", *where, self.id],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                timeout=60,
            )
            log.seek(0)
            assert done.returncode == 0, log.read()
        return int(pid_file.read_text())

    def destroy(self) -> None:
        """Remove the container, its groups and the files."""
        self.runc("delete", "--force", self.id, check=False)
        for group in Path("/sys/fs/cgroup").glob(f"*/{self.group}"):
            with suppress(FileNotFoundError):
                group.rmdir()
        shutil.rmtree(self.folder)


@pytest.fixture
def bundle(busybox_tar: Path, tmp_path: Path) -> Iterator[Bundle]:
    """A bundle with busybox in it."""
    folder = tmp_path / "bundle"
    with tarfile.open(busybox_tar) as archive:
        archive.extractall(folder / "rootfs", filter="fully_trusted")
    made = Bundle(folder)
    yield made
    made.destroy()


def host_python(bundle: Bundle) -> tuple[str, tuple[Bind, ...]]:
    """Return this interpreter and the mounts that it needs in a container of busybox."""
    for name in ("lib", "lib64"):
        if os.path.islink(f"/{name}"):
            os.symlink(os.readlink(f"/{name}"), bundle.folder / "rootfs" / name)
    folders = ["/usr"] if sys.base_prefix.startswith("/usr") else ["/usr", sys.base_prefix]
    binds = tuple(Bind(source=folder, destination=folder, read_only=True) for folder in folders)
    return os.path.realpath(sys.executable), binds
