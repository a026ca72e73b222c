"""Which probes the shim puts inside by itself: those alone that come out as runc's."""

from typing import Any

import pytest

from runtime.probing import ProbeRequest, order
from runtime.shim.entry import Order

PROCESS: dict[str, Any] = {
    "args": ["a", "b c"],
    "env": ["X=1", "Y=\udcff"],
    "cwd": "/",
    "terminal": False,
    "user": {"uid": 1, "gid": 2, "additionalGids": [3, 4]},
    "capabilities": {"bounding": ["CAP_CHOWN", "CAP_KILL"], "effective": ["CAP_KILL"], "permitted": []},
    "noNewPrivileges": False,
    "oomScoreAdj": -5,
    "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 5, "hard": 2**64 - 1}],
}


def asked(process: dict[str, Any] | None = None, **fields: Any) -> ProbeRequest:
    return ProbeRequest(
        **{"id": "x", "process": process or PROCESS, "timeout": 1.0, "seccomp": True, **fields}
    )


def test_the_order_of_a_process() -> None:
    made = order(asked())
    assert made is not None
    told = Order.decode(made.encode())
    assert (told.uid, told.gid, told.groups, told.cwd, told.oom_score_adj) == (1, 2, (3, 4), "/", -5)
    assert told.capabilities == (1 << 0 | 1 << 5, 1 << 5, 0, 0, 0)
    assert told.rlimits == ((7, 5, -1),)
    assert (told.args, told.env, told.seccomp, told.no_new_privileges) == (
        ("a", "b c"),
        ("X=1", "Y=\udcff"),
        True,
        False,
    )
    bare = order(asked(PROCESS | {"env": [], "rlimits": [], "user": {"uid": 0, "gid": 0}}))
    assert bare is not None
    again = Order.decode(bare.encode())
    assert (again.env, again.rlimits, again.groups) == ((), (), ())


@pytest.mark.parametrize(
    "process",
    [
        {"apparmorProfile": "x"},
        {"selinuxLabel": "x"},
        {"scheduler": {}},
        {"noNewPrivileges": True},
        {"user": PROCESS["user"] | {"umask": 0}},
        {"capabilities": {"bounding": ["CAP_SYS_PTRACE"]}},
    ],
)
def test_what_only_the_runtime_can_do(process: dict[str, Any]) -> None:
    assert order(asked(PROCESS | process)) is None


def test_a_foreign_container_is_the_runtimes() -> None:
    assert order(asked(foreign=True)) is None
    assert order(asked(PROCESS | {"noNewPrivileges": True}, seccomp=False)) is not None


def test_a_word_with_a_nul_is_refused() -> None:
    made = order(asked(PROCESS | {"args": ["a\0b"]}))
    assert made is not None
    with pytest.raises(ValueError, match="NUL"):
        made.encode()
