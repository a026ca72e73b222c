"""`RUN --mount=…`."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

import errdefs
from engine.build.dockerfile.commas import fields
from engine.build.dockerfile.mounts import parse_mount
from engine.build.dockerfile.values import Mount


def same(word: str) -> str:
    return word


@pytest.mark.parametrize(
    ("text", "mount"),
    [
        ("target=/a", Mount(target="/a", read_only=True)),
        ("type=bind,from=x,source=/s,dst=/a,rw", Mount(origin="x", source="/s", target="/a")),
        ("type=bind,target=/a,ro=false", Mount(target="/a")),
        (
            "type=cache,id=x,destination=/a,sharing=Locked,mode=0700,uid=1,gid=2,from=b",
            Mount(kind="cache", id="x", target="/a", sharing="locked", mode=0o700, uid=1, gid=2, origin="b"),
        ),
        ("type=cache,target=/a,readonly", Mount(kind="cache", target="/a", read_only=True)),
        ("type=tmpfs,target=/a,size=1m", Mount(kind="tmpfs", target="/a", size=1 << 20)),
        (
            "type=secret,id=x,required,env=",
            Mount(kind="secret", id="x", required=True, read_only=True, env=""),
        ),
        ("type=ssh,required=true,mode=0600", Mount(kind="ssh", required=True, mode=0o600, read_only=True)),
        ('"target=/a,b"', Mount(target="/a,b", read_only=True)),
        ("TYPE=TMPFS,target=/a", Mount(kind="tmpfs", target="/a")),
    ],
)
def test_a_mount(text: str, mount: Mount) -> None:
    assert parse_mount(text, same) == mount


def test_variables_are_replaced_in_values() -> None:
    mount = parse_mount("type=cache,id=$x,target=/$x", lambda word: word.replace("$x", "y"))
    assert (mount.id, mount.target) == ("y", "/y")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("type=foo", 'unsupported mount type "foo"'),
        ("type=cach", 'unsupported mount type "cach" (did you mean cache?)'),
        ("target", "invalid field 'target' must be a key=value pair"),
        ("taget=/a", "unexpected key 'taget' in 'taget=/a' (did you mean target?)"),
        ("target=/a,required", "unexpected key 'required' for mount type 'bind'"),
        ("target=/a,size=1", "unexpected key 'size' for mount type 'bind'"),
        ("type=tmpfs,size=x", "invalid value for size: x"),
        ("target=/a,ro=maybe", "invalid value for ro: maybe"),
        ("type=cache,sharing=foo", 'unsupported sharing value "foo"'),
        ("type=bind,sharing=shared", "invalid cache sharing set for bind mount"),
        ("target=/a,mode=0700", 'mode not allowed for "bind" type mounts'),
        ("type=cache,mode=8", "invalid value 8 for mode"),
        ("type=cache,uid=-1", "invalid value -1 for uid"),
        ("type=secret", "invalid secret mount. one of source, target required"),
        ("type=secret,src=a,id=b", "both source and id can't be set"),
        ("type=secret,id=b,from=c", "secret mount should not have a from"),
        ('a"b', 'failed to parse csv mounts: bare " in non-quoted field: a"b'),
    ],
)
def test_a_bad_mount_says_why(text: str, message: str) -> None:
    with pytest.raises(errdefs.InvalidArgument) as raised:
        parse_mount(text, same)
    assert raised.value.message == message


@given(st.lists(st.text(alphabet='a,"=', max_size=5), min_size=1, max_size=4))
def test_fields_come_back_as_they_were_written(given_fields: list[str]) -> None:
    quoted = [f'"{field}"' for field in (each.replace('"', '""') for each in given_fields)]
    assert fields(",".join(quoted)) == given_fields
