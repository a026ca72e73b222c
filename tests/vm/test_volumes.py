"""Volumes on network file systems, with the kernel's own servers of NFS and SMB in the machine."""

from collections.abc import Iterator

import pytest

from tests.vm.machine import Machine

SECRET = "g3h3im-pass"
NFS = "-o type=nfs -o device=:/ -o o=addr=localhost,nfsvers=4.2,soft"
CIFS = f"-o type=cifs -o device=//localhost/share -o o=username=someone,password={SECRET},vers=3.1.1"


@pytest.fixture(scope="module")
def servers(installed: Machine) -> Machine:
    """Both serve /srv/share."""
    installed.run(
        "mkdir -p /srv/share && chmod 777 /srv/share"
        " && echo '/srv/share 127.0.0.1(rw,no_root_squash,insecure,fsid=0,no_subtree_check)' >/etc/exports"
        " && systemctl start nfs-server && exportfs -ra && (echo 1 >/proc/fs/nfsd/v4_end_grace || true)"
    )
    installed.run(
        "printf '[global]\\n\\tbind interfaces only = no\\n[share]\\n\\tpath = /srv/share\\n\\tread only = no\\n'"
        " >/etc/ksmbd/ksmbd.conf"
        f" && ksmbd.adduser -a -p {SECRET} someone && modprobe ksmbd && systemctl start ksmbd"
    )
    return installed


@pytest.fixture
def shared(servers: Machine, vm: Machine) -> Iterator[Machine]:
    yield vm
    vm.run(
        "docker ps -aq | xargs -r docker rm -f; docker volume ls -q | xargs -r docker volume rm; rm -rf /srv/share/*"
    )


def mounted(vm: Machine) -> list[str]:
    return vm.output("findmnt -rno FSTYPE -t nfs4,cifs || true").split()


@pytest.mark.parametrize(("options", "kind"), [(NFS, "nfs4"), (CIFS, "cifs")], ids=["nfs", "cifs"])
def test_a_volume_on_a_server(shared: Machine, options: str, kind: str) -> None:
    """Mounted for the first container, unmounted after the last, over a death of the daemon as well."""
    vm = shared
    vm.run(f"docker volume create {options} served")
    assert mounted(vm) == []
    vm.run("docker run -d --name one -v served:/v busybox sh -c 'echo told >/v/file; sleep 1000'")
    assert vm.output("docker run --rm -v served:/v busybox cat /v/file") == "told"
    assert vm.output("cat /srv/share/file") == "told"
    assert mounted(vm) == [kind]
    vm.run("systemctl kill -s KILL --kill-whom=main wherry.service")
    vm.run("docker version")
    assert vm.output("docker exec one cat /v/file") == "told"
    assert mounted(vm) == [kind]
    vm.run("docker rm -f one")
    assert mounted(vm) == []
    vm.run("docker volume rm served")
    assert vm.output("ls /srv/share") == "file"


def test_a_password_is_in_no_log(shared: Machine) -> None:
    shared.run(f"docker volume create {CIFS.replace('share', 'nope')} wrong")
    told = shared.run("docker run --rm -v wrong:/v busybox true 2>&1", check=False)
    assert told.code
    assert "password=********" in told.output
    assert SECRET not in told.output
    assert SECRET not in shared.output("journalctl -b -u wherry.service -o cat --no-pager")
