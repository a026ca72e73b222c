"""A wherryd under test: its own roots, socket, pid file, bridge and log, and the clients that call it."""

import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from tests.unix_http import Response, call

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class DaemonFailed(AssertionError):
    """The daemon did not come up or did not end; the text has the end of its log."""


class Wherryd:
    """One daemon, which may be started, ended, killed and started again on the same roots."""

    def __init__(self, root: Path, flags: Sequence[str] = (), env: Mapping[str, str] | None = None) -> None:
        self.root = root
        self.data_root = root / "data"
        self.exec_root = root / "exec"
        self.socket = root / "docker.sock"
        self.pidfile = root / "wherryd.pid"
        self.config_file = root / "daemon.json"
        self.log = root / "wherryd.log"
        # A bridge's name has at most 15 bytes, and two daemons must not share one.
        self.bridge = "wt" + root.name[-8:].replace("_", "x").lower()
        self.flags = list(flags)
        self.env = dict(env or {})
        self.pass_fds: tuple[int, ...] = ()
        self.program = ["-m", "api"]
        self.wrapper: list[str] = []
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The daemon's process id. Errors: DaemonFailed when it does not run."""
        if self._process is None or self._process.poll() is not None:
            raise DaemonFailed("wherryd does not run\n" + self.log_tail())
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the daemon's process runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def instance(self) -> str:
        """The instance id (8 hex digits), by which all that is in the kernel is named; "" before the first start."""
        alias = Path(f"/sys/class/net/{self.bridge}/ifalias")
        return alias.read_text().strip().removeprefix("wherry:") if alias.exists() else ""

    @property
    def argv(self) -> list[str]:
        """The command that starts the daemon."""
        return [
            *(*self.wrapper, sys.executable, "-I", *self.program),
            *("--data-root", str(self.data_root)),
            *("--exec-root", str(self.exec_root)),
            *("--host", f"unix://{self.socket}"),
            *("--pidfile", str(self.pidfile)),
            *("--config-file", str(self.config_file)),
            *("--bridge", self.bridge),
            *self.flags,
        ]

    def start(self, timeout: float = 60) -> None:
        """Start the daemon and wait until it answers. Errors: DaemonFailed."""
        if not self.config_file.exists():
            self.config_file.write_text("{}\n")
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={"PATH": PATH, **self.env},
                cwd="/",
                start_new_session=True,
                pass_fds=self.pass_fds,
            )
        deadline = time.monotonic() + timeout
        while not self.answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill9()
                raise DaemonFailed("wherryd did not come up\n" + self.log_tail())
            time.sleep(0.02)

    def answers(self) -> bool:
        """Tell whether the daemon serves its socket."""
        try:
            return self.get("/_ping", timeout=5).status == 200
        except OSError:
            return False

    def terminate(self, timeout: float = 30) -> int:
        """End the daemon by SIGTERM and return its exit status. Errors: DaemonFailed when it goes on."""
        if self._process is None:
            return 0
        self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill9()
            raise DaemonFailed("wherryd did not end on SIGTERM\n" + self.log_tail()) from None

    def kill9(self) -> None:
        """Kill the daemon; what it left in the kernel stays."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def restart(self) -> None:
        """End the daemon and start it again."""
        self.terminate()
        self.start()

    def dies_at(self, point: str) -> None:
        """Restart so that the daemon dies at a point (of the engine or of a shim); its next start is as usual."""
        self.terminate()
        flags, env = self.flags, self.env
        self.flags, self.env = [*flags, "--fault-points"], {**env, "WHERRY_FAULT": point}
        try:
            self.start()
        finally:
            self.flags, self.env = flags, env

    def log_tail(self, lines: int = 40) -> str:
        """The end of the daemon's log."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    def call(
        self, method: str, target: str, body: bytes | Mapping[str, Any] | None = None, **options: Any
    ) -> Response:
        """Make one API call; options as in unix_http.call."""
        return call(self.socket, method, target, body, **options)

    def get(self, target: str, **options: Any) -> Response:
        """Make one GET call."""
        return self.call("GET", target, **options)

    def state(self, container: str) -> dict[str, Any]:
        """What inspect tells of a container's state; nothing when there is no such container."""
        answer = self.get(f"/containers/{container}/json")
        return dict(answer.json["State"]) if answer.status == 200 else {}

    @property
    def client_env(self) -> dict[str, str]:
        """The environment in which the docker CLI speaks to this daemon and reads nobody's settings."""
        home = self.root / "home"
        home.mkdir(exist_ok=True)
        return {"PATH": PATH, "HOME": str(home), "DOCKER_HOST": f"unix://{self.socket}"}

    def docker(
        self, *args: str, stdin: bytes | Path | None = None, check: bool = True, timeout: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """Run the official CLI and return its exit code and output; with check, exit 0 is required."""
        argv = ["docker", *args]
        data = stdin.read_bytes() if isinstance(stdin, Path) else stdin
        done = subprocess.run(
            argv, input=data or b"", capture_output=True, env=self.client_env, timeout=timeout
        )
        out, err = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
        if check and done.returncode:
            raise AssertionError(f"{argv} exited {done.returncode}\n{out}\n{err}\n{self.log_tail(15)}")
        return subprocess.CompletedProcess(argv, done.returncode, out, err)

    def import_busybox(self, tar: Path) -> None:
        """Make the image busybox:latest."""
        self.docker("import", "--change", 'CMD ["sh"]', str(tar), "busybox:latest")

    @contextmanager
    def running(self, busybox: Path) -> Iterator[Self]:
        """The daemon started, with the image busybox:latest; it is destroyed at the end."""
        try:
            self.start()
            self.import_busybox(busybox)
            yield self
        finally:
            self.destroy()

    def destroy(self) -> None:
        """Remove all containers and networks, end the daemon, and take away what it keeps between two runs."""
        try:
            if self.answers():
                self._remove_all()
        finally:
            self.terminate()
            self.remove_static()
            shutil.rmtree(self.root)

    def _remove_all(self) -> None:
        if ids := self.docker("ps", "-aq").stdout.split():
            self.docker("rm", "-f", "-v", *ids)
        self.docker("network", "prune", "-f")
        if names := self.docker("network", "ls", "-q", "-f", "type=custom").stdout.split():
            self.docker("network", "rm", *names)

    def remove_static(self) -> None:
        """Take away what a daemon keeps in the kernel between two runs: nft table, mark rules, default bridge."""
        if not (instance := self.instance):
            return
        subprocess.run(["nft", "delete", "table", "inet", f"wherry_{instance}"], capture_output=True)
        for program in ("iptables", "ip6tables"):
            rules = subprocess.run([program, "-S", "FORWARD"], capture_output=True, text=True).stdout
            for rule in rules.splitlines():
                if instance in rule:
                    subprocess.run([program, "--delete", *shlex.split(rule)[1:]], check=True)
        subprocess.run(["ip", "link", "delete", self.bridge], check=True)
