"""Profiles: the default by architecture and kernel, and Docker's JSON."""

import json
from typing import Any

import pytest

from errdefs import InvalidArgument
from runtime.spec import syscalls
from runtime.spec.capabilities import DEFAULT
from runtime.spec.host import parse_release
from runtime.spec.seccomp import default_profile, parse_profile
from runtime.spec.syscall_order import cheapest_first


def names(profile: dict[str, Any]) -> set[str]:
    return {name for rule in profile["syscalls"] for name in rule["names"]}


def test_architectures() -> None:
    assert default_profile((), "amd64")["architectures"][0] == "SCMP_ARCH_X86_64"
    assert default_profile((), "arm64")["architectures"] == ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"]
    assert default_profile((), "ppc64le")["architectures"] == []
    assert {"arch_prctl", "modify_ldt"} <= names(default_profile((), "amd64"))
    assert "arch_prctl" not in names(default_profile((), "arm64"))
    assert "cacheflush" in names(default_profile((), "arm64"))


def test_an_old_kernel_has_no_ptrace() -> None:
    assert "ptrace" in names(default_profile(DEFAULT, "amd64", (4, 8)))
    assert "ptrace" not in names(default_profile(DEFAULT, "amd64", (4, 7)))
    assert "ptrace" in names(default_profile(["CAP_SYS_PTRACE"], "amd64", (4, 7)))


def test_s390_has_the_flags_of_clone_in_its_second_argument() -> None:
    rules = [rule for rule in default_profile((), "s390x")["syscalls"] if rule["names"] == ["clone"]]
    assert [rule["args"][0]["index"] for rule in rules] == [1]


def test_no_call_is_named_twice() -> None:
    words = " ".join(syscalls.ALWAYS.values()).split()
    assert sorted(words) == sorted(set(words))
    assert "clone3" not in words
    assert "keyctl" not in words
    assert "io_uring_setup" not in words


def test_calls_come_in_the_order_that_costs_the_runtime_least() -> None:
    """Which changes no verdict: the names are the same."""
    everywhere = list(default_profile((), "amd64")["syscalls"][0]["names"])
    assert sorted(everywhere) == sorted(" ".join(syscalls.ALWAYS.values()).split())
    assert everywhere == list(cheapest_first(sorted(everywhere)))
    if everywhere != sorted(everywhere):  # there is a libseccomp
        assert everywhere.index("openat2") < everywhere.index("statx") < everywhere.index("read")


@pytest.mark.parametrize(
    ("release", "expected"),
    [
        ("6.1.0-18-amd64", (6, 1)),
        ("4.8", (4, 8)),
        ("6.18.44-fc-v669", (6, 18)),
        ("5.10-rc1", (5, 10)),
        ("x", (0, 0)),
    ],
)
def test_releases(release: str, expected: tuple[int, int]) -> None:
    assert parse_release(release) == expected


PROFILE = {
    "defaultAction": "SCMP_ACT_ERRNO",
    "defaultErrnoRet": 38,
    "archMap": [
        {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"]},
        {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": None},
    ],
    "syscalls": [
        {"names": ["read"], "action": "SCMP_ACT_ALLOW", "args": [], "comment": "", "includes": {}},
        {"name": "write", "action": "SCMP_ACT_ALLOW", "args": None, "excludes": None},
        {"names": ["mount"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN", "CAP_KILL"]}},
        {"names": ["umount"], "action": "SCMP_ACT_ALLOW", "excludes": {"caps": ["CAP_SYS_ADMIN"]}},
        {"names": ["arm"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["arm", "arm64"]}},
        {"names": ["noarm"], "action": "SCMP_ACT_ALLOW", "excludes": {"arches": ["arm", "arm64"]}},
        {"names": ["new"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "5.10"}},
        {"names": ["old"], "action": "SCMP_ACT_ALLOW", "excludes": {"minKernel": "5.10"}},
        {
            "names": ["socket"],
            "action": "SCMP_ACT_ERRNO",
            "errnoRet": 7,
            "args": [{"index": 0, "value": 38, "valueTwo": 0, "op": "SCMP_CMP_EQ"}],
        },
    ],
}
ALWAYS = {"read", "write", "socket"}


@pytest.mark.parametrize(
    ("caps", "arch", "kernel", "expected"),
    [
        ((), "amd64", (6, 1), {"umount", "noarm", "new"}),
        (("CAP_SYS_ADMIN",), "amd64", (5, 9), {"noarm", "old"}),
        (("CAP_SYS_ADMIN", "CAP_KILL"), "arm64", (5, 10), {"mount", "arm", "new"}),
    ],
)
def test_conditions(caps: tuple[str, ...], arch: str, kernel: tuple[int, int], expected: set[str]) -> None:
    profile = parse_profile(json.dumps(PROFILE).encode(), caps, arch, kernel)
    assert profile is not None
    assert names(profile) == ALWAYS | expected
    assert profile["defaultErrnoRet"] == 38
    native = {"amd64": ["SCMP_ARCH_X86_64"], "arm64": ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"]}
    assert profile["architectures"] == native[arch]
    assert profile["syscalls"][-1] == {
        "names": ["socket"],
        "action": "SCMP_ACT_ERRNO",
        "errnoRet": 7,
        "args": [{"index": 0, "value": 38, "op": "SCMP_CMP_EQ"}],
    }


def test_what_the_runtime_judges_is_handed_on() -> None:
    text = b'{"defaultAction":"X","architectures":["Y"],"flags":["Z"],"listenerPath":"/s","unknown":1}'
    assert parse_profile(text, ()) == {
        "defaultAction": "X",
        "architectures": ["Y"],
        "flags": ["Z"],
        "listenerPath": "/s",
        "syscalls": [],
    }


def test_an_empty_profile_is_unconfined() -> None:
    assert parse_profile(b"{}", ()) is None


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "^Decoding seccomp profile failed"),
        (b"{", "^Decoding seccomp profile failed"),
        (b"[]", "^Decoding seccomp profile failed"),
        (b"[" * 100_000, "^Decoding seccomp profile failed"),
        (b'{"defaultAction":1}', r"^Decoding seccomp profile failed.*\$.defaultAction"),
        (b'{"syscalls":[{"includes":{"minKernel":"5"}}]}', 'invalid kernel version: "5", expected'),
        (b'{"syscalls":[{"includes":{"minKernel":"0.0"}}]}', "invalid kernel version"),
        (b'{"syscalls":[{"name":"a","names":["b"]}]}', "^both 'name' and 'names' are specified"),
        (b'{"syscalls":[{"args":[{"index":0,"value":1e400,"op":"x"}]}]}', "^Decoding seccomp profile failed"),
    ],
)
def test_bad_profiles(body: bytes, text: str) -> None:
    with pytest.raises(InvalidArgument, match=text):
        parse_profile(body, ())
