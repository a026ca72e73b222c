"""`wherryd --purge-network`: the kernel's network is as before the first daemon, and the next daemon has all again."""

import subprocess
import sys

import pytest

from tests.daemon import PATH, Wherryd

pytestmark = pytest.mark.root

NETWORKS = ("purged", "purged6")


@pytest.fixture(autouse=True)
def nothing_left() -> None:
    """The bridge is another one afterwards; what is left of it all is looked for here."""


def purge(mortal: Wherryd) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-I", "-m", "api", "--purge-network", "--config-file", str(mortal.config_file)]
    argv += ["--data-root", str(mortal.data_root), "--exec-root", str(mortal.exec_root)]
    argv += ["--bridge", mortal.bridge]
    env = {"PATH": PATH}
    return subprocess.run(argv, capture_output=True, text=True, env=env, cwd="/", timeout=60)


def in_kernel(instance: str) -> list[str]:
    """Lines of the kernel's network that name it."""
    commands = (["ip", "-o", "link"], ["nft", "list", "tables"], ["iptables-save"], ["ip6tables-save"])
    lines = "".join(
        subprocess.run(command, capture_output=True, text=True, check=True).stdout for command in commands
    )
    return [line for line in lines.splitlines() if instance in line]


def test_nothing_is_left_and_all_comes_again(mortal: Wherryd) -> None:
    mortal.docker("network", "create", NETWORKS[0])
    mortal.docker("network", "create", "--ipv6", NETWORKS[1])
    instance = mortal.instance
    try:
        mortal.docker("create", "--name", "cc", "--network", NETWORKS[0], "busybox", "sleep", "1000")
        mortal.docker("start", "cc")
        refused = purge(mortal)
        assert refused.returncode == 1
        assert "is in use by another wherryd" in refused.stderr
        mortal.docker("stop", "-t0", "cc")
        mortal.terminate()
        assert len(in_kernel(instance)) > len(NETWORKS)
        for _ in range(2):
            done = purge(mortal)
            assert done.returncode == 0, done.stderr
            assert in_kernel(instance) == []
        mortal.start()
        mortal.docker("start", "cc")
        assert mortal.docker("exec", "cc", "nslookup", "cc").stdout
    finally:
        if not mortal.alive:
            mortal.start()
        mortal.docker("rm", "-f", "cc")
        mortal.docker("network", "rm", *NETWORKS)


def test_a_root_of_nobody_is_left_alone(mortal: Wherryd) -> None:
    argv = [sys.executable, "-I", "-m", "api", "--purge-network", "--data-root", "/nowhere/wherry"]
    argv += ["--config-file", str(mortal.config_file)]
    done = subprocess.run(argv, capture_output=True, text=True, env={"PATH": PATH}, cwd="/", timeout=60)
    assert (done.returncode, done.stderr) == (
        1,
        "wherryd: no wherryd had the data root /nowhere/wherry: it has no instance.json\n",
    )
