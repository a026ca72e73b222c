"""The default seccomp profile gives the same verdict as dockerd's for every call and capability set."""

from typing import Any

import pytest

from errdefs import InvalidArgument
from runtime.spec import capabilities
from runtime.spec.seccomp import default_profile
from tests.peer.ledger import LEDGER
from tests.peer.spec.conftest import Capturing

pytestmark = pytest.mark.root

NEWER = "today's Docker allows it; the peer's list ends with kernel 6.7"
DIFFERENCES = {
    "getxattrat": NEWER,
    "listmount": NEWER,
    "listxattrat": NEWER,
    "lsm_get_self_attr": NEWER,
    "lsm_list_modules": NEWER,
    "lsm_set_self_attr": NEWER,
    "mseal": NEWER,
    "removexattrat": NEWER,
    "riscv_hwprobe": NEWER,
    "setxattrat": NEWER,
    "statmount": NEWER,
    "uretprobe": NEWER,
    "socket": "AF_ALG is denied as in today's Docker (CVE-2026-31431); the peer denies AF_VSOCK alone",
}
SETS: dict[str, dict[str, list[str]]] = {
    "default": {},
    "none": {"CapDrop": ["ALL"]},
    "all": {"CapAdd": ["ALL"]},
    "all but SYS_ADMIN": {"CapAdd": ["ALL"], "CapDrop": ["SYS_ADMIN"]},
    "default and SYS_ADMIN": {"CapAdd": ["SYS_ADMIN"]},
    "default and SYS_PTRACE": {"CapAdd": ["cap_sys_ptrace"]},
    "default without SYS_CHROOT": {"CapDrop": ["sys_chroot"]},
    **{f"only {name}": {"CapDrop": ["ALL"], "CapAdd": [name]} for name in capabilities.available()},
}

Verdicts = dict[str, set[tuple[Any, ...]]]
_met = LEDGER.listed["seccomp"]


def verdicts(profile: dict[str, Any]) -> Verdicts:
    """Return what happens to each call, whatever the order and grouping of the rules."""
    result: Verdicts = {}
    for rule in profile["syscalls"]:
        args = [
            (arg["index"], arg["op"], arg["value"], arg.get("valueTwo", 0)) for arg in rule.get("args", [])
        ]
        for name in rule["names"]:
            result.setdefault(name, set()).add((rule["action"], rule.get("errnoRet"), *sorted(args)))
    return result


@pytest.mark.parametrize("host_config", SETS.values(), ids=SETS.keys())
def test_verdicts(capturing: Capturing, host_config: dict[str, list[str]]) -> None:
    theirs = capturing.capture({}, host_config).spec
    granted = capabilities.resolve(host_config.get("CapAdd", ()), host_config.get("CapDrop", ()))
    assert sorted(granted) == sorted(theirs["process"]["capabilities"].get("bounding", ()))
    profile = default_profile(granted)
    expected = theirs["linux"]["seccomp"]
    assert {k: v for k, v in profile.items() if k != "syscalls"} == {
        k: v for k, v in expected.items() if k != "syscalls"
    }
    ours, wanted = verdicts(profile), verdicts(expected)
    different = {name for name in ours | wanted if ours.get(name) != wanted.get(name)}
    _met.update(different)
    assert {name: (ours.get(name), wanted.get(name)) for name in different - DIFFERENCES.keys()} == {}


def test_every_listed_difference_is_there() -> None:
    """Runs after the others (conftest.py): a difference that no longer is one must leave the table."""
    if not _met:
        pytest.skip("no verdicts were compared")
    assert DIFFERENCES.keys() - _met == set()


def test_privileged_has_no_profile(capturing: Capturing) -> None:
    theirs = capturing.capture({}, {"Privileged": True}).spec
    assert "seccomp" not in theirs["linux"]
    everything = capabilities.resolve(privileged=True)
    assert sorted(theirs["process"]["capabilities"]["bounding"]) == sorted(everything)


@pytest.mark.parametrize(
    ("add", "drop"),
    [
        (["SYS_RESOURCEFUL"], []),
        ([], ["nope"]),
        (["cap_"], []),
        *(([name], []) for name in sorted(set(capabilities.ALL) - set(capabilities.available()))),
    ],
)
def test_refusals(capturing: Capturing, add: list[str], drop: list[str]) -> None:
    assert capturing.create({}, {"CapAdd": add, "CapDrop": drop}) == (
        400,
        {"message": refusal(add, drop)},
    )


def refusal(add: list[str], drop: list[str]) -> str:
    """Return the text of our refusal."""
    with pytest.raises(InvalidArgument) as caught:
        capabilities.validate(add, drop)
    return caught.value.message
