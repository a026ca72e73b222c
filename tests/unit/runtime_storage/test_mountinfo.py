from runtime.mount import mountinfo, parse_mountinfo

TEXT = r"""36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 shared:7 - ext3 /dev/root rw,errors=continue
40 36 0:44 / /a\040b\011c\134 ro - overlay overlay rw,lowerdir=/x
41 36 0:45 / /empty rw unbindable - tmpfs  rw
"""


def test_fields_and_escapes() -> None:
    first, second, third = parse_mountinfo(TEXT)
    assert (first.id, first.parent, first.device, first.root, first.target) == (
        36,
        35,
        "98:0",
        "/mnt1",
        "/mnt2",
    )
    assert first.propagation == ("master:1", "shared:7")
    assert (first.type, first.source, first.super_options) == ("ext3", "/dev/root", "rw,errors=continue")
    assert second.target == "/a b\tc\\"
    assert second.propagation == ()
    assert third.source == ""


def test_this_process_has_a_root() -> None:
    assert "/" in {entry.target for entry in mountinfo()}
