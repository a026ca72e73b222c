"""The virtual machine: one for all tests in here, which run only with WHERRY_VM=1 (`make test-vm`)."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.roots import make_root
from tests.vm.machine import Machine, missing

IMAGES = Path(__file__).resolve().parent.parent.parent / ".cache/vm"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests, and skip them unless they are asked for: a boot takes long."""
    for item in items:
        if Path(__file__).parent not in item.path.parents:
            continue
        item.add_marker(pytest.mark.vm)
        item.add_marker(pytest.mark.timeout(900))
        if os.environ.get("WHERRY_VM") != "1":
            item.add_marker(pytest.mark.skip(reason="WHERRY_VM=1 boots a virtual machine (make test-vm)"))


@pytest.fixture(scope="session")
def machine() -> Iterator[Machine]:
    """A booted machine with wherry's files in /opt/wherry, not yet installed."""
    if reason := missing(IMAGES):
        pytest.fail(reason)
    scratch = make_root("vm-")
    booted = Machine(IMAGES, scratch)
    try:
        booted.start()
        yield booted
    finally:
        booted.close()
        shutil.rmtree(scratch)


@pytest.fixture(scope="session")
def installed(machine: Machine) -> Machine:
    """The machine with wherry's units at work and the image busybox."""
    machine.run(
        "cp /opt/wherry/machine/wherry.service /opt/wherry/machine/wherry.socket /etc/systemd/system/"
    )
    # Its first start takes two minutes emulated beside other work, nearly all of it loading Python's modules.
    machine.run(
        "systemctl daemon-reload && systemctl enable --now wherry.socket wherry.service && sync", timeout=400
    )
    machine.run("docker import --change 'CMD [\"sh\"]' /opt/wherry/machine/busybox.tar busybox:latest")
    return machine


@pytest.fixture
def vm(installed: Machine) -> Iterator[Machine]:
    """The machine, whose containers are removed after the test."""
    yield installed
    journal = installed.run("journalctl -b -u wherry.service -n 60 --no-pager -o cat", check=False).output
    print(journal)
    installed.run("docker ps -aq | xargs -r docker rm -f")
