"""Whatever a client or an image sends: a value that keeps its promises, or InvalidArgument."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from errdefs import InvalidArgument
from runtime.spec import devices, seccomp, user
from runtime.spec.environment import environment
from runtime.spec.mounts import Bind, Tmpfs, assemble, clean, default_mounts, merge_tmpfs_options

settings.register_profile("spec", max_examples=150, deadline=None)
settings.load_profile("spec")

FIELDS = st.text(alphabet="abjoer:0129-+,#\n \x00\xff", max_size=60)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["defaultAction", "syscalls", "names", "name", "args", "includes", "excludes", "minKernel",
                 "archMap", "architectures", "caps", "arches", "index", "value", "op", "errnoRet"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)  # fmt: skip
PATHS = st.lists(st.sampled_from(["a", "dev", "sys", "shm", "..", "", "."]), max_size=4).map(
    lambda parts: "/" + "/".join(parts)
)
MOUNTS = st.lists(
    st.builds(Tmpfs, destination=PATHS) | st.builds(Bind, source=st.just("/s"), destination=PATHS), max_size=6
)


@given(FIELDS, st.lists(FIELDS, max_size=2), st.none() | FIELDS, st.none() | st.binary(max_size=80))
def test_users(spec: str, groups: list[str], passwd: str | None, group: bytes | None) -> None:
    content = None if passwd is None else passwd.encode()
    try:
        found = user.resolve(spec, groups, content, group)
    except InvalidArgument:
        return
    assert all(0 <= number <= user.MAX_ID for number in (found.uid, found.gid, *found.extra_gids))
    assert found.extra_gids[0] == found.gid


@given(JSON)
def test_profiles(profile: Any) -> None:
    try:
        found = seccomp.parse_profile(json.dumps(profile).encode(), ("CAP_KILL",))
    except InvalidArgument:
        return
    assert found is None or json.loads(json.dumps(found)) == found


@given(st.text(alphabet="abc 0123456789*:rwm-\n", max_size=30))
def test_device_rules(rule: str) -> None:
    try:
        found = devices.parse_rule(rule)
    except InvalidArgument:
        return
    assert found.major is not None
    assert -1 <= found.major < 1 << 63
    assert found.kind in "abc"


@given(st.lists(st.text(alphabet="AB=x", max_size=5)), st.lists(st.text(alphabet="AB=x", max_size=5)))
def test_environments(image: list[str], config: list[str]) -> None:
    assert all("=" in entry for entry in environment(image, config, "h"))


@given(
    st.lists(st.sampled_from(["ro", "rw", "exec", "noexec", "size=1", "size=2", "mode=1", "shared", "slave"]))
)
def test_merged_tmpfs_options_are_merged(options: list[str]) -> None:
    merged = merge_tmpfs_options(options)
    assert merge_tmpfs_options(merged) == merged
    assert set(options[-1:]) <= set(merged)
    assert not {"ro", "rw"} <= set(merged)


@given(MOUNTS)
def test_no_mount_is_lost_and_no_parent_comes_late(mounts: list[Tmpfs | Bind]) -> None:
    entries = assemble(default_mounts(1), mounts)
    asked = [clean(mount.destination) for mount in mounts]
    placed = [entry["destination"] for entry in entries][len(entries) - len(mounts) :]
    assert sorted(placed) == sorted(asked)
    for index, path in enumerate(placed):
        assert not any(
            later != path and path.startswith(f"{later.rstrip('/')}/") for later in placed[index + 1 :]
        )
