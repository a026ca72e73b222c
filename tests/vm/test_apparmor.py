"""AppArmor where the kernel has it: Docker's default profile, others, and none."""

import base64
import struct

import pytest

from tests.vm.machine import Machine

LABEL = "cat /proc/self/attr/current"
OTHER = (
    "profile other-profile flags=(attach_disconnected) { file, network, capability, deny /etc/hostname r, }"
)


def i386() -> bytes:
    """A program of 32 bits that calls socket(AF_ALG, SOCK_SEQPACKET, 0) by socketcall(2); it exits with the errno."""
    base, header = 0x08048000, 52 + 32
    arguments = struct.pack("<3I", 38, 5, 0)
    code_size = 32
    code = b"\xb8" + struct.pack("<I", 102)  # mov eax, socketcall
    code += b"\xbb" + struct.pack("<I", 1)  # mov ebx, SYS_SOCKET
    code += b"\xb9" + struct.pack("<I", base + header + code_size)  # mov ecx, arguments
    code += b"\xcd\x80\x31\xdb\x85\xc0\x79\x04\xf7\xd8\x89\xc3"  # int 0x80; ebx = 0; if eax < 0: ebx = -eax
    code += b"\x31\xc0\x40\xcd\x80"  # exit(ebx)
    code = code.ljust(code_size, b"\x90")
    size = header + code_size + len(arguments)
    elf = b"\x7fELF\x01\x01\x01".ljust(16, b"\0")
    elf += struct.pack("<HHIIIIIHHHHHH", 2, 3, 1, base + header, 52, 0, 0, 52, 32, 1, 0, 0, 0)
    elf += struct.pack("<8I", 1, 0, base, base, size, size, 7, 0x1000)
    return elf + code + arguments


@pytest.fixture
def confined(vm: Machine) -> Machine:
    assert vm.output("cat /sys/module/apparmor/parameters/enabled") == "Y"
    return vm


def test_containers_have_the_default_profile(confined: Machine) -> None:
    assert "name=apparmor" in confined.output("docker info -f '{{.SecurityOptions}}'")
    confined.run("docker run -d --name box busybox sleep 1000")
    assert confined.output(f"docker exec box {LABEL}") == "docker-default (enforce)"
    assert confined.output("cat /proc/$(docker inspect -f '{{.State.Pid}}' box)/attr/current") == (
        "docker-default (enforce)"
    )
    assert confined.output("docker inspect -f '{{.AppArmorProfile}}' box") == "docker-default"
    assert confined.output(f"docker exec --privileged box {LABEL}") == "docker-default (enforce)"


def test_what_it_denies(confined: Machine) -> None:
    confined.run(
        "docker run -d --name box --cap-add ALL --security-opt seccomp=unconfined busybox sleep 1000"
    )
    for script in (
        "mount -t tmpfs none /mnt",
        "echo b > /proc/sysrq-trigger",
        "ls /sys/kernel/security/apparmor",
    ):
        assert confined.run(f"docker exec box sh -c 'mkdir -p /mnt; {script}'", check=False).code != 0, script
    confined.run("docker exec box sh -c 'touch /x && kill -0 1 && cat /proc/1/status && ip link'")


def test_none_and_another(confined: Machine) -> None:
    assert confined.output(f"docker run --rm --privileged busybox {LABEL}") == "unconfined"
    assert (
        confined.output(f"docker run --rm --security-opt apparmor=unconfined busybox {LABEL}") == "unconfined"
    )
    confined.run(f"echo '{OTHER}' | apparmor_parser -Kr")
    other = "docker run --rm --security-opt apparmor=other-profile busybox"
    assert confined.output(f"{other} {LABEL}") == "other-profile (enforce)"
    assert confined.run(f"{other} cat /etc/hostname", check=False).code != 0
    missing = confined.run("docker run --rm --security-opt apparmor=nosuch busybox true", check=False)
    assert missing.code in (126, 127)
    assert "apparmor" in missing.output


def test_it_is_loaded_again(confined: Machine) -> None:
    confined.run("echo 'profile docker-default { }' | apparmor_parser -R", check=False)
    assert "docker-default" not in confined.output("cat /sys/kernel/security/apparmor/profiles")
    assert confined.output(f"docker run --rm busybox {LABEL}") == "docker-default (enforce)"


def test_sockets_of_af_alg_by_32_bits(confined: Machine) -> None:
    """The default filter cannot look into the arguments of socketcall(2): the profile refuses."""
    program = base64.b64encode(i386()).decode()
    confined.run(f"echo {program} | base64 -d > /tmp/alg32 && chmod 755 /tmp/alg32")
    run = "docker run --rm -v /tmp/alg32:/alg32:ro"
    free = confined.run(f"{run} --security-opt apparmor=unconfined busybox /alg32", check=False).code
    if free == 97:
        pytest.skip("this kernel has no AF_ALG")
    assert free == 0
    assert confined.run(f"{run} busybox /alg32", check=False).code == 13


def test_health_checks_are_confined(confined: Machine) -> None:
    check = f"--health-interval 1s --health-cmd '{LABEL}'"
    confined.run(f"docker run -d --name box {check} busybox sleep 1000")
    confined.run(
        "timeout 60 sh -c 'until docker inspect box | grep -q \"docker-default (enforce)\"; do sleep 0.3; done'"
    )
