"""Words of fstab as flags and data of mount(2)."""

import pytest

from runtime import fstab


@pytest.mark.parametrize(
    ("options", "flags", "data"),
    [
        ("", 0, ""),
        ("defaults", 0, ""),
        ("ro,nosuid,size=1m,uid=7", 1 | 2, "size=1m,uid=7"),
        ("ro,rw", 0, ""),
        ("rbind,rslave", 4096 | 16384 | 1 << 19, ""),
        ("addr=10.0.0.1,soft,noatime", 1024, "addr=10.0.0.1,soft"),
    ],
)
def test_words(options: str, flags: int, data: str) -> None:
    assert fstab.parse(options) == (flags, data)
