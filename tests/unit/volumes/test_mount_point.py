import pytest
from hypothesis import given
from hypothesis import strategies as st

import errdefs
from engine.containers.config import (
    BindOptions,
    DriverConfig,
    ImageOptions,
    Mount,
    TmpfsOptions,
    VolumeOptions,
)
from volumes.binds import parse_bind, parse_volumes_from
from volumes.mount_point import MountPoint, VolumesFrom
from volumes.mounts import parse_mount
from volumes.resolve import resolve


def _refusal(*binds: str, mounts: tuple[Mount, ...] = (), tmpfs: tuple[str, ...] = ()) -> str:
    with pytest.raises(errdefs.InvalidArgument) as refused:
        resolve(binds, mounts, tmpfs, source_exists=lambda path: path != "/missing")
    return refused.value.message


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (
            "/a:/b",
            MountPoint(
                type="bind",
                source="/a",
                destination="/b",
                propagation="rprivate",
                options=("rbind", "rprivate"),
                create_source=True,
            ),
        ),
        (
            "//a/./b/:/c/../d/:ro,z,rslave,cached",
            MountPoint(
                type="bind",
                source="/a/b",
                destination="/d",
                mode="ro,z,rslave,cached",
                rw=False,
                propagation="rslave",
                options=("rbind", "rro", "rslave"),
                create_source=True,
            ),
        ),
        ("data:/d", MountPoint(type="volume", name="data", destination="/d", copy_up=True)),
        (
            "data:/d:nocopy,ro",
            MountPoint(type="volume", name="data", destination="/d", mode="nocopy,ro", rw=False),
        ),
        ("/d", MountPoint(type="volume", destination="/d", copy_up=True)),
    ],
)
def test_binds(raw: str, expected: MountPoint) -> None:
    assert parse_bind(raw) == expected


def test_the_volume_driver_is_for_volumes() -> None:
    assert parse_bind("data:/d", "nfs").driver == "nfs"
    assert parse_bind("/data:/d", "nfs").driver == ""


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("", "invalid volume specification: ''"),
        (":/b", "invalid volume specification: ':/b'"),
        ("/a:ro", "invalid volume specification: '/a:ro'"),
        ("/a:", "invalid volume specification: '/a:'"),
        ("/a:/b:ro:x", "invalid volume specification: '/a:/b:ro:x'"),
        ("/a:/b:x", "invalid mode: x"),
        ("/a:/b:ro,rw", "invalid mode: ro,rw"),
        ("/a:/b:z,Z", "invalid mode: z,Z"),
        ("/a:/b:ro,", "invalid mode: ro,"),
        ("/a:/b:shared,slave", "invalid mode: shared,slave"),
        (
            "/a:/",
            (
                "invalid volume specification: '/a:/': invalid mount config for type \"bind\":"
                " invalid specification: destination can't be '/'"
            ),
        ),
        (
            "/a:/..",
            (
                "invalid volume specification: '/a:/..': invalid mount config for type \"bind\":"
                " invalid specification: destination can't be '/'"
            ),
        ),
        (
            "/tmp:tmp",
            (
                "invalid volume specification: '/tmp:tmp': invalid mount config for type \"bind\":"
                " invalid mount path: 'tmp' mount path must be absolute"
            ),
        ),
        (
            "data:tmp",
            (
                "invalid volume specification: 'data:tmp': invalid mount config for type \"volume\":"
                " invalid mount path: 'tmp' mount path must be absolute"
            ),
        ),
        (
            "data:/d:rslave",
            (
                "invalid volume specification: 'data:/d:rslave': invalid mount config for type \"volume\":"
                " field BindOptions must not be specified"
            ),
        ),
        (
            "/a:/d:nocopy",
            (
                "invalid volume specification: '/a:/d:nocopy': invalid mount config for type \"bind\":"
                " field VolumeOptions must not be specified"
            ),
        ),
        (
            "./a:/b",
            (
                'create ./a: "./a" includes invalid characters for a local volume name,'
                ' only "[a-zA-Z0-9][a-zA-Z0-9_.-]"'
                " are allowed. If you intended to pass a host directory, use absolute path"
            ),
        ),
        (
            "a:/b",
            "create a: volume name is too short, names should be at least two alphanumeric characters",
        ),
    ],
)
def test_binds_that_are_refused(raw: str, expected: str) -> None:
    assert _refusal(raw) == expected


def test_a_bind_mount_with_its_options() -> None:
    options = BindOptions(propagation="shared", non_recursive=True, create_mountpoint=True)
    mount = Mount(type="bind", source="/missing", target="/t", read_only=True, bind_options=options)
    assert parse_mount(mount, lambda _: False) == MountPoint(
        type="bind",
        source="/missing",
        destination="/t",
        rw=False,
        propagation="shared",
        options=("bind", "rro", "shared"),
        create_source=True,
    )
    options = BindOptions(read_only_non_recursive=True)
    mount = Mount(type="bind", source="/a", target="/t", read_only=True, bind_options=options)
    assert parse_mount(mount).options == ("rbind", "ro", "rprivate")


def test_a_volume_mount_with_its_options() -> None:
    options = VolumeOptions(
        no_copy=True,
        labels={"a": "b"},
        driver_config=DriverConfig(name="nfs", options={"o": "addr"}),
        subpath="x/../y",
    )
    mount = Mount(type="volume", source="data", target="/t/", volume_options=options)
    assert parse_mount(mount) == MountPoint(
        type="volume",
        name="data",
        destination="/t",
        driver="nfs",
        subpath="x/../y",
        driver_options={"o": "addr"},
        labels={"a": "b"},
    )
    assert parse_mount(Mount(type="volume", target="/t")).copy_up


@pytest.mark.parametrize(
    ("options", "read_only", "expected"),
    [
        (None, False, ()),
        (None, True, ("ro",)),
        (TmpfsOptions(size_bytes=1 << 30, mode=0o1777), False, ("mode=1777", "size=1g")),
        (TmpfsOptions(size_bytes=3 << 20), False, ("size=3m",)),
        (TmpfsOptions(size_bytes=5 << 10), True, ("ro", "size=5k")),
        (TmpfsOptions(size_bytes=1025, options=[["exec"]]), False, ("size=1025", "exec")),
    ],
)
def test_a_tmpfs_mount(options: TmpfsOptions | None, read_only: bool, expected: tuple[str, ...]) -> None:
    mount = Mount(type="tmpfs", target="/t", read_only=read_only, tmpfs_options=options)
    assert parse_mount(mount) == MountPoint(
        type="tmpfs", destination="/t", rw=not read_only, options=expected
    )


def test_an_image_mount_is_read_only() -> None:
    point = parse_mount(
        Mount(type="image", source="alpine", target="/t", image_options=ImageOptions(subpath="etc"))
    )
    assert (point.source, point.rw, point.subpath) == ("alpine", False, "etc")


@pytest.mark.parametrize(
    ("mount", "expected"),
    [
        (Mount(type="bind", source="/a"), "field Target must not be empty"),
        (Mount(type="bind", source="/a", target="/"), "invalid specification: destination can't be '/'"),
        (Mount(type="bind", target="/t"), "field Source must not be empty"),
        (Mount(type="bind", source="a", target="/t"), "invalid mount path: 'a' mount path must be absolute"),
        (Mount(type="bind", source="/missing", target="/t"), "bind source path does not exist: /missing"),
        (
            Mount(type="bind", source="/a", target="/t", bind_options=BindOptions(propagation="x")),
            "invalid propagation mode: x",
        ),
        (
            Mount(type="bind", source="/a", target="/t", volume_options=VolumeOptions()),
            "field VolumeOptions must not be specified",
        ),
        (
            Mount(type="volume", target="/t", bind_options=BindOptions()),
            "field BindOptions must not be specified",
        ),
        (
            Mount(type="volume", target="/t", volume_options=VolumeOptions(subpath="x")),
            "must not set Subpath when using anonymous volumes",
        ),
        (
            Mount(
                type="volume", source="data", target="/t", volume_options=VolumeOptions(subpath="a/../../b")
            ),
            "subpath must be a relative path within the volume",
        ),
        (Mount(type="tmpfs", source="x", target="/t"), "field Source must not be specified"),
        (
            Mount(type="tmpfs", target="/t", tmpfs_options=TmpfsOptions(options=[["suid"]])),
            "invalid option: suid",
        ),
        (
            Mount(type="tmpfs", target="/t", tmpfs_options=TmpfsOptions(options=[[]])),
            "invalid option array length",
        ),
        (Mount(type="image", target="/t"), "field Source must not be empty"),
        (Mount(type="npipe", source="x", target="/t"), "mount type unknown"),
        (Mount(target="/t"), "mount type unknown"),
        (Mount(type="tmpfs", target="\\t"), "invalid mount path: '\\t' mount path must be absolute"),
        (Mount(type="tmpfs", target="/t\0"), "invalid mount path: '/t\0' mount path must be absolute"),
    ],
)
def test_mounts_that_are_refused(mount: Mount, expected: str) -> None:
    assert _refusal(mounts=(mount,)) == f'invalid mount config for type "{mount.type}": {expected}'


def test_one_destination_one_mount() -> None:
    assert _refusal("/a:/t", "/b:/x/../t") == "Duplicate mount point: /t"
    assert _refusal("/a:/t", mounts=(Mount(type="volume", target="/t/"),)) == "Duplicate mount point: /t/"
    assert _refusal("/a:/t", tmpfs=("/t",)) == "Duplicate mount point: /t"
    assert _refusal(mounts=(Mount(type="tmpfs", target="/t"),) * 2) == "Duplicate mount point: /t"


def test_tmpfs_destinations_are_checked() -> None:
    assert _refusal(tmpfs=("/",)) == "invalid specification: destination can't be '/'"
    assert _refusal(tmpfs=("run",)) == "invalid mount path: 'run' mount path must be absolute"


def test_nothing_asked_is_nothing_mounted() -> None:
    assert resolve(None, None, None) == []


def test_binds_come_before_mounts() -> None:
    points = resolve(["/b:/b", "vol:/v"], [Mount(type="tmpfs", target="/a")], ["/run"])
    assert [point.destination for point in points] == ["/b", "/v", "/a"]


@pytest.mark.parametrize(
    ("bind", "expected"),
    [
        ("/:/host", "rslave"),
        ("/var/lib:/x:ro", "rslave"),
        ("/var/lib/wherry/containers:/x", "rslave"),
        ("/:/host:rshared", "rshared"),
        ("/var/lib/wherry2:/x", "rprivate"),
        ("/etc:/x", "rprivate"),
    ],
)
def test_binds_around_the_daemons_directories_follow_the_host(bind: str, expected: str) -> None:
    (point,) = resolve([bind], None, None, roots=["/run/wherry", "/var/lib/wherry"])
    assert (point.propagation, point.options[-1]) == (expected, expected)


def test_such_a_bind_may_not_be_private() -> None:
    options = BindOptions(propagation="private")
    mount = Mount(type="bind", source="/", target="/t", bind_options=options)
    requests: list[tuple[list[str], list[Mount]]] = [(["/:/t:ro,private"], []), ([], [mount])]
    for binds, mounts in requests:
        with pytest.raises(errdefs.InvalidArgument) as refused:
            resolve(binds, mounts, None, roots=["/var/lib/wherry"])
        assert refused.value.message == (
            'invalid mount config: must use either propagation mode "rslave" or "rshared" when mount source is'
            ' within the daemon root, daemon root: "/var/lib/wherry", bind mount source: "/",'
            ' propagation: "private"'
        )


def test_volumes_from() -> None:
    assert parse_volumes_from("c") == VolumesFrom("c", writable=True)
    assert parse_volumes_from("c:ro,z") == VolumesFrom("c", writable=False)
    for spec, expected in (("c:rslave", "rslave"), ("c:nocopy", "nocopy"), ("c:x", "x")):
        with pytest.raises(errdefs.InvalidArgument, match=f"^invalid mode: {expected}$"):
            parse_volumes_from(spec)
    with pytest.raises(errdefs.InvalidArgument, match="cannot be an empty string"):
        parse_volumes_from("")


@given(st.text(alphabet="/a.:,rowzZ\\\0 ", max_size=20) | st.text(max_size=10))
def test_any_bind_is_a_mount_point_or_refused(raw: str) -> None:
    try:
        point = parse_bind(raw)
    except errdefs.InvalidArgument:
        return
    assert point.destination.startswith("/")
    assert point.destination != "/"
    assert ".." not in point.destination.split("/")
    assert point.type == "volume" or point.source.startswith("/")
