"""Kinds of machines, and a program of each: of a foreign one no more than the head that tells whose it is."""

import io
import tarfile
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Machine:
    """A kind of machine. `elf` is its number in the head of a program, `bits` the size of its words."""

    name: str
    elf: int
    bits: int = 64

    @property
    def platform(self) -> dict[str, str]:
        """As manifests and configs tell it."""
        words = self.name.split("/")
        return dict(zip(("os", "architecture", "variant"), words, strict=False))

    @property
    def program(self) -> bytes:
        """A layer with /program."""
        if self.name == "linux/amd64":
            data = b"#!/bin/sh\ncat /etc/machine\n"
        else:
            kind = 2 if self.bits == 64 else 1
            data = b"\x7fELF" + bytes([kind, 1, 1]) + bytes(9)
            data += (2).to_bytes(2, "little") + self.elf.to_bytes(2, "little") + bytes(100)
        info = tarfile.TarInfo("program")
        info.size, info.mode = len(data), 0o755
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            archive.addfile(info, io.BytesIO(data))
        return buffer.getvalue()


MACHINES = (
    Machine("linux/arm64/v8", 183),
    Machine("linux/arm/v6", 40, 32),
    Machine("linux/arm/v7", 40, 32),
    Machine("linux/386", 3, 32),
    Machine("linux/amd64", 62),
)
