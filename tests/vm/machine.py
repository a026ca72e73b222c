"""A virtual machine with systemd and cgroup v2: boot it, give it commands, reboot it.

It is emulated in software (KVM is not to be had everywhere), so it is slow: a boot takes half a minute.
Commands go over a virtio port to agent.py inside; what is written to its disks is kept as long as it runs.
"""

import json
import os
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

QEMU = "qemu-system-x86_64"
BOOT_ID = "cat /proc/sys/kernel/random/boot_id"
# Guards against the processor's faults and page tables of five levels cost an eighth of all time where there is no
# processor. Emulated beside other work, a disk may take longer to be found than systemd waits for one.
KERNEL_ARGUMENTS = (
    "root=LABEL=root rw console=ttyS0 panic=-1 systemd.show_status=false quiet net.ifnames=0"
    " mitigations=off nokaslr systemd.default_device_timeout_sec=300"
)


@dataclass(frozen=True, slots=True)
class Done:
    """A command's exit code and what it printed, standard error included."""

    code: int
    output: str


class MachineFailed(AssertionError):
    """The machine does not answer; the text has the end of its console."""


class Machine:
    """One virtual machine; images is the directory that `prepare` filled, scratch takes socket and log."""

    def __init__(self, images: Path, scratch: Path) -> None:
        self.images = images
        self.console = scratch / "console.log"
        self._port = scratch / "agent.sock"
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._pending = b""
        self._last = 0

    @property
    def argv(self) -> list[str]:
        """The command that starts the machine."""
        return [
            *(QEMU, "-accel", "tcg,thread=multi", "-cpu", "max,la57=off", "-smp", "2", "-m", "2048"),
            *("-nodefaults", "-display", "none", "-no-user-config"),
            *("-kernel", str(self.images / "kernel"), "-initrd", str(self.images / "initrd")),
            *("-append", KERNEL_ARGUMENTS),
            *("-drive", f"file={self.images}/root.ext4,format=raw,if=virtio,snapshot=on"),
            *("-drive", f"file={self.images}/wherry.ext4,format=raw,if=virtio,readonly=on"),
            *("-serial", f"file:{self.console}"),
            *("-chardev", f"socket,id=agent,path={self._port},server=on,wait=off"),
            *("-device", "virtio-serial-pci", "-device", "virtserialport,chardev=agent,name=agent"),
            *("-device", "virtio-rng-pci"),
        ]

    def start(self, timeout: float = 500) -> None:
        """Boot and wait until commands are answered. Errors: MachineFailed."""
        self._process = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        self.wait_ready(timeout)

    def wait_ready(self, timeout: float = 300, but: str = "") -> None:
        """Wait until the machine answers, in another boot than `but`. Errors: MachineFailed."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            try:
                if self._exchange(BOOT_ID, timeout=20, patience=0).output != but:
                    return
            except OSError:
                pass
            time.sleep(0.5)
        raise MachineFailed("the machine does not answer\n" + self.console_tail())

    def run(self, command: str, *, check: bool = True, timeout: float = 120) -> Done:
        """Run a shell command in the machine; with check, exit code 0 is required. Errors: AssertionError."""
        try:
            done = self._exchange(command, timeout)
        except OSError as error:
            raise MachineFailed(f"no answer to {command!r} ({error})\n{self.console_tail()}") from error
        if check and done.code:
            raise AssertionError(f"in the machine: {command}\nexited {done.code}\n{done.output}")
        return done

    def output(self, command: str, timeout: float = 120) -> str:
        """Run a shell command that must succeed, and return what it printed, stripped."""
        return self.run(command, timeout=timeout).output.strip()

    def until(self, command: str, expected: str, timeout: float = 120) -> None:
        """Repeat a command until it prints what is expected. Errors: AssertionError."""
        deadline = time.monotonic() + timeout
        while (printed := self.run(command, check=False).output.strip()) != expected:
            if time.monotonic() > deadline:
                raise AssertionError(f"in the machine: {command}\nprinted {printed!r}, not {expected!r}")
            time.sleep(0.5)

    def reboot(self, timeout: float = 300) -> None:
        """Reboot by systemd, in an orderly way, and wait until it is up again."""
        self._boot_again("systemctl reboot --no-block", timeout)

    def power_cut(self, timeout: float = 300) -> None:
        """Reset the machine without any warning, and wait until it is up again."""
        self._boot_again("(sleep 0.3; echo b >/proc/sysrq-trigger) >/dev/null 2>&1 &", timeout)

    def _boot_again(self, command: str, timeout: float) -> None:
        before = self.run(BOOT_ID).output
        self.run(command)
        self.wait_ready(timeout, but=before)

    def console_tail(self, lines: int = 30) -> str:
        """The end of what the machine wrote to its console."""
        text = self.console.read_text(errors="replace") if self.console.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    def close(self) -> None:
        """End the machine at once; its disks' changes are dropped."""
        if self._socket is not None:
            self._socket.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _exchange(self, command: str, timeout: float, patience: float = 30) -> Done:
        """Send a command and wait for its answer, `patience` longer than the command itself may take.

        Errors: OSError when the machine is silent; the next exchange connects anew.
        """
        if self._process is not None and self._process.poll() is not None:
            raise MachineFailed("the machine has ended\n" + self.console_tail())
        try:
            if self._socket is None:
                self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                self._pending = b""
                self._socket.connect(str(self._port))
            self._socket.settimeout(timeout + patience)
            return self._ask(self._socket, command, timeout)
        except OSError:
            if self._socket is not None:
                self._socket.close()
            self._socket = None
            raise

    def _ask(self, port: socket.socket, command: str, timeout: float) -> Done:
        self._last += 1
        port.sendall(json.dumps({"id": self._last, "command": command, "timeout": timeout}).encode() + b"\n")
        while True:
            line, newline, rest = self._pending.partition(b"\n")
            if newline:
                self._pending = rest
                answer = json.loads(line)
                if answer["id"] == self._last:
                    return Done(answer["code"], answer["output"])
            elif data := port.recv(65536):
                self._pending += data
            else:
                raise ConnectionResetError("the machine closed its port")


def missing(images: Path) -> str:
    """Tell what is missing to boot a machine, "" when all is there."""
    if not shutil.which(QEMU):
        return f"{QEMU} is not installed (make test-vm)"
    absent = [
        name for name in ("kernel", "initrd", "root.ext4", "wherry.ext4") if not (images / name).exists()
    ]
    return f"{', '.join(absent)} not in {os.fspath(images)} (make test-vm)" if absent else ""
